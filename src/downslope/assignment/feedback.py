"""A check told: as lines, as JSON, as Gradescope's results.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from downslope.assignment.grading import Rubric
from downslope.assignment.submission import FUNCTIONS
from downslope.assignment.verdicts import SAID, Check, Verdict


def lines_of(check: Check, rubric: Rubric) -> Iterator[tuple[str, str]]:
    """Yield the rows of a check for a terminal: what, and what is said of it."""
    for note in check.notes:
        yield "file", note
    for verdict in check.verdicts:
        yield verdict.function, f"{SAID[verdict.status]}{_points(verdict, rubric)}"
        for line in verdict.lines:
            yield "", line
        for mistake in verdict.mistakes:
            yield "", f"mistake {mistake.number}: {mistake.name}; {mistake.why} ({mistake.place})"
    yield "points", f"{rubric.total(check):g} of {rubric.most:g}"


def _points(verdict: Verdict, rubric: Rubric) -> str:
    worth = rubric.points.get(verdict.function)
    return "" if worth is None else f" ({rubric.score(verdict):g} of {worth:g} points)"


def as_json(check: Check, rubric: Rubric) -> bytes:
    """Write a check as JSON, with the points of each function."""
    table: dict[str, Any] = msgspec.to_builtins(check)
    for verdict, row in zip(check.verdicts, table["verdicts"], strict=True):
        row["points"], row["most"] = (
            rubric.score(verdict),
            rubric.points.get(verdict.function, 0.0),
        )
    table["points"], table["most"] = rubric.total(check), rubric.most
    return msgspec.json.format(msgspec.json.encode(table), indent=1)


def as_gradescope(check: Check, rubric: Rubric) -> bytes:
    """Write a check as the results.json that Gradescope's autograder reads.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
    """
    tests = [
        {
            "number": f"{FUNCTIONS[verdict.function]}.{number}",
            "name": verdict.function,
            "score": rubric.score(verdict),
            "max_score": rubric.points.get(verdict.function, 0.0),
            "status": "passed" if verdict.right else "failed",
            "output": "\n".join([SAID[verdict.status], *verdict.lines]),
            "visibility": "visible",
        }
        for number, verdict in enumerate(check.verdicts, 1)
    ]
    results = {
        "score": rubric.total(check),
        "output": "\n".join(check.notes) or f"Checked {len(tests)} functions.",
        "stdout_visibility": "hidden",
        "tests": tests,
    }
    return msgspec.json.format(msgspec.json.encode(results), indent=1)
