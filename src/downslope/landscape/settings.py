"""The bounds of a landscape's settings, for recipes, the command line and Python alike."""

from __future__ import annotations

from dataclasses import dataclass

from downslope.errors import InputError
from downslope.networks import MOST_SEED

MOST_POINTS = 1000
"""Columns or rows of a grid: a million points are eight megabytes an array, and hours of work."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Which points of a plane are computed, around the paths that lie over it.

    Args:
        columns: points along the first direction, 2 to `MOST_POINTS`.
        rows: along the second, likewise.
        margin: share of the paths' extent added on each side, from 0 and below 100.
        spacing: "linear", or "log" for points that lie closer the nearer they are to the end of
            the (first) path, where a valley is narrow.
        tolerance: 0 computes every point; above it, and below 1, only those where the surface
            bends, the others are interpolated to this share of a loss; see `evaluate_surface`.

    Raises:
        InputError: a value that is not allowed.
    """

    columns: int = 25
    rows: int = 25
    margin: float = 0.2
    spacing: str = "linear"
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        shape = (self.columns, self.rows)
        check_settings("landscape", grid=shape, margin=self.margin, tolerance=self.tolerance)
        if self.spacing not in ("linear", "log"):
            raise InputError(f"landscape: spacing = {self.spacing!r}; it must be 'linear' or 'log'")


def check_settings(
    where: str,
    *,
    grid: tuple[int, int] = (2, 2),
    margin: float = 0.0,
    tolerance: float = 0.0,
    examples: int = 1,
    components: tuple[int, int] = (1, 2),
    curvature: int = 0,
    seed: int = 0,
) -> None:
    """Refuse settings out of range before any work; `where` begins the message.

    Raises:
        InputError: the first that is out of range.

    >>> check_settings("landscape", grid=(99999, 25))
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: landscape: grid = [99999, 25] is not allowed; it must be 2 to ...
    """
    pair = list(components)
    checks = [
        ("grid", list(grid), all(2 <= n <= MOST_POINTS for n in grid),
         f"2 to {MOST_POINTS} each way"),
        ("margin", margin, 0 <= margin < 100, "0 or above, and below 100"),
        ("tolerance", tolerance, 0 <= tolerance < 1, "0, or above it and below 1"),
        ("examples", examples, examples >= 1, "1 or more"),
        ("components", pair, min(pair) >= 1 and pair[0] != pair[1], "two different ones, from 1"),
        ("curvature", curvature, 0 <= curvature <= 1000, "0 to 1000"),
        ("seed", seed, 0 <= seed < MOST_SEED, "from 0 to 2**62 - 1"),
    ]  # fmt: skip
    for name, value, allowed, words in checks:
        if not allowed:
            raise InputError(f"{where}: {name} = {value} is not allowed; it must be {words}")
