"""The one place that writes to a terminal. Names and messages of others are made harmless here."""

from __future__ import annotations

import codecs
import errno
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from downslope.errors import LONGEST, InputError, shortened

_ASCII = {
    **dict.fromkeys("–—−‐‑", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **{"×": "x", "…": "...", "±": "+/-", "→": "->", "≤": "<=", "≥": ">=", "≈": "~", "·": "*"},
    **{"²": "^2", "σ": "sigma", "μ": "u", "µ": "u", "ü": "ue", "\N{NO-BREAK SPACE}": " "},
}


class ClosedOutputError(InputError):
    """Report that whoever read standard output has gone, which is no mistake: status 141."""


def harmless(text: str) -> str:
    r"""Write out every character that would act on a terminal or is not shown as it stands.

    These are control characters, line ends too, marks that turn the direction of writing, and
    bytes of a file's name that are no text.

    >>> print(harmless("name\x1b[2J\nsecond \u202eline"))
    name\x1b[2J\nsecond \u202eline
    """
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else _escaped(c) for c in text
    )


def say(text: str | Path, *, stderr: bool = False) -> None:
    """Print one line.

    Raises:
        InputError: standard output cannot be written; what goes wrong with standard error is
            passed over, since there is nowhere to say it.
    """
    stream = _Stream(stderr)
    stream.write(harmless(str(text)) + "\n")
    stream.flush()


def show(rows: Iterable[Sequence[str | Text]], *headings: str, right: bool = False) -> None:
    """Print a table; where nobody looks at a terminal, each row is one line.

    Args:
        rows: of as many cells each.
        headings: of the columns; none leave them without.
        right: align all columns but the first to the right, for numbers.

    Raises:
        InputError: as `say`.
    """
    rows = list(rows)
    table = Table(box=None, pad_edge=False, show_header=bool(headings))
    for i in range(max(map(len, rows), default=len(headings))):
        heading = headings[i] if headings else ""
        table.add_column(
            heading, overflow="fold", justify="right" if right and i else "left", no_wrap=right
        )
    for row in rows:
        table.add_row(*row)
    screen = console()
    if screen.is_terminal:
        screen.print(table, soft_wrap=False)  # else cells would be cut
        return
    screen.width = 100_000
    with screen.capture() as lines:
        screen.print(table)
    for line in lines.get().splitlines():
        say(line.rstrip())


def console(*, stderr: bool = False) -> Console:
    """Make a console, for tables and bars; long lines are left to the terminal."""
    stream = cast(IO[str], _Stream(stderr))
    return _Harmless(file=stream, soft_wrap=True, highlight=False, markup=False, emoji=False)


def own_output() -> AbstractContextManager[object]:
    """Send what a user's module prints to standard error: standard output is ours."""
    return redirect_stdout(sys.stderr)


def explain_output(error: OSError) -> InputError:
    """Turn an error of standard output into one line, and write no more to it."""
    try:  # or the interpreter would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None
    if error.errno == errno.EPIPE:
        return ClosedOutputError("standard output is closed")
    return InputError(
        f"standard output cannot be written ({error.strerror}); files that this command writes "
        "are there"
    )


class _Harmless(Console):
    """A console on which text is shown and never acts."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = harmless(shortened(renderable, LONGEST))
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n":
                yield segment
            else:
                # What is left of line ends comes from wrapping a cell.
                lines = map(harmless, segment.text.split("\n"))
                yield Segment("\n".join(lines), segment.style)


class _Stream:
    """Standard output or error, in whatever encoding it has."""

    def __init__(self, stderr: bool) -> None:
        self._stderr = stderr
        self._file = sys.stderr if stderr else sys.stdout  # None where it was closed

    @property
    def encoding(self) -> str:
        return getattr(self._file, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def fileno(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, "closed")
        return self._file.fileno()

    def write(self, text: str) -> int:
        try:
            if self._file is not None:
                self._file.write(_encodable(text, self.encoding))
        except OSError as error:
            self._fail(error)
        return len(text)

    def flush(self) -> None:
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._file = None
        if not self._stderr:
            raise explain_output(error) from None


def _encodable(text: str, encoding: str) -> str:
    """Replace what an encoding lacks, by ASCII that says the same where there is one."""
    return text.encode(encoding, "downslope.ascii").decode(encoding)


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or _escaped(c) for c in lacking), error.end


codecs.register_error("downslope.ascii", _to_ascii)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
