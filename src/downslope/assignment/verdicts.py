"""What a check found, as data: a verdict for each function, and how it is said."""

from __future__ import annotations

from typing import Literal

import msgspec

from downslope.assignment.catalogue import Mistake
from downslope.assignment.records import Failure, Limits
from downslope.assignment.submission import Submission

Status = Literal["bits", "rounding", "mistake", "different", "error", "limit", "missing"]

SAID: dict[Status, str] = {
    "bits": "right, to the bit",
    "rounding": "right, within rounding",
    "mistake": "a known mistake",
    "different": "differs",
    "error": "fails",
    "limit": "beyond a limit",
    "missing": "missing",
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one function.

    Args:
        function: that the assignment asks for.
        status: how it compares with the reference.
        lines: what the student is told.
        mistakes: of the catalogue, that were named.
        at: the line of the source where an exception was raised.
    """

    function: str
    status: Status
    lines: list[str] = msgspec.field(default_factory=list[str])
    mistakes: list[Mistake] = msgspec.field(default_factory=list[Mistake])
    at: int | None = None

    @property
    def right(self) -> bool:
        """Tell whether the function does what was asked."""
        return self.status in {"bits", "rounding"}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a solution.

    Args:
        name: of its file.
        verdicts: by function, in the order of the assignment.
        notes: on the file as a whole, and on code outside of functions.
    """

    name: str
    verdicts: list[Verdict]
    notes: list[str]


def say_failure(failure: Failure, submission: Submission, limits: Limits) -> str:
    """Say where the student's code raised what."""
    place = ""
    if failure.line is not None:
        text = submission.text(failure.line)
        place = f"{submission.place(failure.line)}: {text}: " if text else ""
    if failure.kind == "TimeLimitError":
        return f"{place}{say_end('time', limits)}"
    if failure.memory:
        return f"{place}needs more than {limits.memory / 1024**3:.1f} GiB of memory"
    if failure.contract:
        return failure.text
    if failure.kind == "SystemExit":
        return f"{place}ends the program (exit)"
    if failure.kind == "EOFError":
        return f"{place}waits for input, and there is none in a check"
    return f"{place}{failure.kind}: {failure.text}" if failure.text else f"{place}{failure.kind}"


def say_end(end: str, limits: Limits) -> str:
    """Say how a process was ended."""
    return {
        "time": f"did not end within {limits.seconds:g} s",
        "output": f"printed or wrote more than {limits.output / 1024**2:.0f} MiB",
        "killed": "was killed by the system, likely for its use of memory",
        "crashed": "crashed the interpreter",
        "exited": "ended the process, as os._exit does",
    }[end]
