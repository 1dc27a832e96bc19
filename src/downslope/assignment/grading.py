"""Points for a check, from a rubric."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import msgspec

from downslope.assignment.catalogue import catalogue
from downslope.assignment.submission import FUNCTIONS
from downslope.assignment.verdicts import Check, Verdict
from downslope.errors import InputError, nearest
from downslope.toml import parse_toml

_STATUSES = ("mistake", "different", "error", "limit", "missing")


class Rubric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What functions are worth.

    Args:
        title: of the assignment.
        points: by function; a function without points is checked and counts nothing.
        shares: of a function's points that are kept, by the status of its verdict.
        mistakes: shares for some mistakes, by name; several of one function multiply.
    """

    title: str = "Assignment"
    points: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    shares: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    mistakes: dict[str, float] = msgspec.field(default_factory=dict[str, float])

    def score(self, verdict: Verdict) -> float:
        """Return the points of one function.

        >>> Rubric(points={"evaluate": 4}).score(Verdict(function="evaluate", status="bits"))
        4.0
        """
        worth = float(self.points.get(verdict.function, 0.0))
        if verdict.right:
            return worth
        share = self.shares.get(verdict.status, 0.0)
        if not verdict.mistakes:
            return worth * share
        for mistake in verdict.mistakes:
            worth *= self.mistakes.get(mistake.name, share)
        return worth

    def total(self, check: Check) -> float:
        """Return the points of a solution."""
        return sum(map(self.score, check.verdicts))

    @property
    def most(self) -> float:
        """Return the points of a solution that is right."""
        return sum(self.points.values())


def default_rubric() -> str:
    """Return the text of the rubric that holds where none is given."""
    return (resources.files("downslope.assignment") / "rubric.toml").read_text("utf-8")


def read_rubric(path: Path | None = None) -> Rubric:
    """Read a rubric, by default the one that comes with this package.

    Raises:
        InputError: the file cannot be read, is no TOML, or names what does not exist.
    """
    place = "rubric" if path is None else str(path)
    try:
        text = default_rubric() if path is None else path.read_text("utf-8")
        rubric = msgspec.convert(parse_toml(text), Rubric)
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{place}: is not UTF-8; save it as UTF-8") from None
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"{place}: {error}") from None
    names = {mistake.name for mistake in catalogue()}
    for table, keys, allowed in (
        ("points", rubric.points, FUNCTIONS),
        ("shares", rubric.shares, _STATUSES),
        ("mistakes", rubric.mistakes, names),
    ):
        for key, value in keys.items():
            if key not in allowed:
                hint = nearest(key, allowed, f"it may be {', '.join(sorted(allowed)[:20])}")
                raise InputError(f"{place}: {table} has {key!r}, which there is not{hint}")
            if not 0 <= value <= (1 if table != "points" else 1e6):
                most = "1" if table != "points" else "a million"
                raise InputError(f"{place}: {table}.{key} = {value}: must be 0 to {most}")
    return rubric
