"""Where the command starts: `downslope` and `python -m downslope`."""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, signals first: Ctrl-C must be clean while the rest is being imported.

    Signals end the program as SystemExit: every `finally` runs, and no library takes them for an
    error of its own.
    """
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP; nohup has it ignored
        if number is not None and (name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN):
            signal.signal(number, _stop)
    _occupy_standard_streams()
    from downslope.cli import main as command_line

    status: int | str | None = 0
    try:
        command_line()
    except SystemExit as end:
        status = end.code
    # Ray makes status 1 of a signal, and one that comes within a finalizer is swallowed.
    sys.exit(128 + _received[0] if _received else status)


_received: list[int] = []


def _stop(number: int, _: FrameType | None) -> NoReturn:
    _received.append(number)
    raise SystemExit(128 + number)


def _occupy_standard_streams() -> None:
    """Keep the numbers of streams that are closed, so that no file of ours is taken for one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


if __name__ == "__main__":
    main()
