"""The one place that writes to the terminal: nothing of others acts there, no work is lost."""

from __future__ import annotations

import ast
import io
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

import downslope
from downslope.bars import watch
from downslope.errors import LONGEST, InputError
from downslope.progress import Progress, Steps
from downslope.terminal import ClosedOutputError, harmless, say, show

SOURCE = Path(downslope.__file__).parent
HOSTILE = "a\x1b[31m\x1b]0;title\x07\x9b2J\r\b\u202e\u2066\u200f\ud83d\udcff[bold]:smile:\nb"
INERT = r"a\x1b[31m\x1b]0;title\x07\x9b2J\r\x08\u202e\u2066\u200f\ud83d\udcff[bold]:smile:\nb"


def stream(encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")


def content(written: io.TextIOWrapper) -> str:
    assert isinstance(written.buffer, io.BytesIO)
    return written.buffer.getvalue().decode(written.encoding)


@given(st.text())
def test_no_text_acts_on_a_terminal(text: str) -> None:
    shown = harmless(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    shown.encode("utf-8")
    kept = "".join(c for c in text if c.isprintable())
    if kept == text:
        assert shown == text


def test_a_line_stays_one_line_whatever_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := stream())
    monkeypatch.setattr(sys, "stderr", err := stream())
    say(HOSTILE)
    say(HOSTILE, stderr=True)
    assert content(out) == content(err) == INERT + "\n"


def test_cells_of_tables_are_shown_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := stream())
    monkeypatch.setenv("COLUMNS", "2000")
    show([[HOSTILE], [Text(HOSTILE.replace("\n", ""))], ["[red]" + "9" * 5000]])
    plain, styled, long = (line.rstrip() for line in content(out).splitlines())
    assert plain == INERT
    assert styled == INERT.replace(r"\x07", "").replace(r"\r\x08", "").replace(r"\nb", "b")
    assert long.startswith("[red]999")
    assert len(long) == LONGEST


@pytest.mark.parametrize(("terminal", "lines"), [(False, 3), (True, 5)])
def test_a_long_row_is_one_line_unless_a_terminal_is_narrow(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, lines: int
) -> None:
    monkeypatch.setattr(sys, "stdout", out := stream())
    monkeypatch.setattr(out, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    show([["first", "word " * 30], ["second", "1"]], "name", "value")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", content(out)).splitlines()
    assert len(shown) == lines
    assert terminal or shown[1].split() == ["first", *["word"] * 30]
    assert terminal or not any(line.endswith(" ") for line in shown)


@pytest.mark.parametrize("terminal", [False, True])
def test_notes_of_progress_are_shown_as_they_stand(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    def steps() -> Steps[None]:
        yield Progress(f"[red]{HOSTILE}", 1, 1, f"{HOSTILE}[/nonsense]")

    err = stream()
    monkeypatch.setattr(err, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "2000")
    monkeypatch.setattr(sys, "stderr", err)
    watch(steps(), quiet=False)
    shown = content(err)
    assert "[red]a" in shown and "[/nonsense]" in shown
    assert not any(c in shown for c in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\u202e", "\udcff"))


def test_an_ascii_terminal_gets_ascii_that_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := stream("ascii"))
    monkeypatch.setattr(sys, "stderr", err := stream("ascii"))
    monkeypatch.setenv("TERM", "xterm")
    say("3×256, 89.2 ± 0.1 … 漢")
    show([["–"]], "é × 漢")

    def steps() -> Steps[None]:
        yield Progress("training", 1, 2, "3×256 漢")

    monkeypatch.setattr(err, "isatty", lambda: True)
    watch(steps(), quiet=False)
    assert content(out).startswith("3x256, 89.2 +/- 0.1 ... \\u6f22\n")
    assert "3x256 \\u6f22" in content(err)


class Failing(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, "what the system says")


def test_a_full_disk_behind_standard_output_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(28))
    with pytest.raises(InputError, match=r"standard output cannot be written \(what the system"):
        say("done")
    say("nothing is written from here on")


def test_a_reader_that_has_gone_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(32))
    with pytest.raises(ClosedOutputError):
        show([["a"]])


def test_standard_error_that_cannot_be_written_stops_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def steps() -> Steps[int]:
        yield Progress("training", 1, 2)
        yield Progress("training", 2, 2)
        return 42

    monkeypatch.setattr(sys, "stderr", Failing(5))
    assert watch(steps(), quiet=False) == 42
    monkeypatch.setattr(sys, "stderr", None)
    assert watch(steps(), quiet=False) == 42


def test_only_the_terminals_module_writes_to_the_terminal() -> None:
    """Workers speak over standard output, before anything of others runs there.

    The check of an assignment speaks with its server over the server's.
    """
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name in ("terminal.py", "engines/workers.py", "assignment/checker.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "Console"), (name, node.lineno)
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("stdout", "stderr", "echo", "secho"), (name, node.lineno)
