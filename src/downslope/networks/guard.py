"""Where a user's own code runs: its exit and its exceptions become one line that names its file."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from downslope.errors import InputError, one_line

_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))


@contextmanager
def guarded(what: str) -> Generator[None]:
    """Run a user's code so that whatever it raises is one line with its own file and line number.

    An exit counts as a failure: `sys.exit` in a user's file must not end the command with its
    status. Ctrl-C and the exit by which a signal ends the program pass, and so do our own errors.

    Args:
        what: the code that runs, as the beginning of the message.

    Raises:
        InputError: the code raised something.

    >>> with guarded("net.py:make: make()"):
    ...     {}["width"]
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: net.py:make: make() fails with KeyError: 'width'
    """
    try:
        yield
    except InputError:
        raise
    except SystemExit as end:
        if _is_signal(end.__traceback__):
            raise
        raise InputError(
            f"{what} ends the program by sys.exit({end.code!r}){_place(end)}; it must return"
        ) from end
    except Exception as error:
        name, text = type(error).__name__, one_line(error, 300)
        words = name if text == name else f"{name}: {text}"
        raise InputError(f"{what} fails with {words}{_place(error)}") from error


def _is_signal(at: TracebackType | None) -> bool:
    """Tell whether an exit was raised by this program: its handler of signals does so."""
    *_, (frame, _) = traceback.walk_tb(at)
    return frame.f_code.co_filename.startswith(_PACKAGE)


def _place(error: BaseException) -> str:
    """Return " (FILE, line N)", the last place in the user's own code, if there is one."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        return f" ({_short(error.filename)}, line {error.lineno})"
    places = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in places if _is_own(file)]
    return f" ({_short(own[-1][0])}, line {own[-1][1]})" if own else ""


def _is_own(file: str) -> bool:
    installed = {"site-packages", "dist-packages"} & set(Path(file).parts)
    return not (file.startswith(("<", _PACKAGE, *_LIBRARIES)) or installed)


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
