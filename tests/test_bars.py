"""Watching a computation: which stage it is in, and an end at 100 %."""

import io
import re
import sys

import pytest

from downslope import bars
from downslope.bars import watch
from downslope.progress import Progress, Steps


def steps() -> Steps[int]:
    yield Progress("[1/2] search", 1, 3, "1/3 trials", "[1/2] search")
    yield Progress("[1/2] search", 2.9999, 3, "3/3 trials", "[1/2] search")
    yield Progress("[2/2] landscape: path", 0, 2, "", "[2/2] landscape")
    yield Progress("[2/2] landscape: surface", 5, 9, "5 points", "[2/2] landscape")
    return 42


def watched(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> str:
    err = io.StringIO()
    monkeypatch.setattr(err, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", err)
    assert watch(steps(), quiet=False) == 42
    return err.getvalue()


def test_a_line_for_each_stage_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.sub(r"\d+ s", "n s", watched(monkeypatch, terminal=False)).splitlines() == [
        "[1/2] search: done in n s; 3/3 trials",
        "[2/2] landscape: done in n s; 5 points",
    ]


def test_a_long_stage_says_once_a_minute_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "HEARTBEAT", 0)
    lines = watched(monkeypatch, terminal=False).splitlines()
    assert lines[:2] == ["[1/2] search: 33 %; 1/3 trials", "[1/2] search: 100 %; 3/3 trials"]


def test_every_bar_ends_at_100_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", watched(monkeypatch, terminal=True))
    for stage, task in (("search", "3/3 trials"), ("landscape", "path"), ("landscape", "surface")):
        rows = [r for r in re.split(r"[\r\n]+", shown) if f"/2] {stage} " in r and task in r]
        assert "100 %" in rows[-1], rows


def test_an_error_leaves_its_stage_unfinished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> Steps[None]:
        yield Progress("[1/1] search", 1, 3, "", "[1/1] search")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        watch(failing(), quiet=False)
    assert "done" not in capsys.readouterr().err
