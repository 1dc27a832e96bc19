"""Where the command starts: `downslope` and `python -m downslope`."""

import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, signals first: Ctrl-C must be clean while the rest is being imported.

    Signals end the program as SystemExit: every `finally` runs, and no library takes them for an
    error of its own.
    """
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
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


if __name__ == "__main__":
    main()
