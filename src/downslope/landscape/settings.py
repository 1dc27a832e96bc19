"""The bounds of a landscape's settings, for recipes, the command line and Python alike."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from downslope.checked import Checked, Count, Must, Seed, checked

MOST_POINTS = 1000
"""Columns or rows of a grid: a million points are eight megabytes an array, and hours of work."""

Spacing = Literal["linear", "log"]
Points = Annotated[int, Meta(ge=2, le=MOST_POINTS)]
Margin = Annotated[float, Meta(ge=0, lt=100)]
Tolerance = Annotated[float, Meta(ge=0, lt=1)]
Component = Annotated[int, Meta(ge=1, le=10**6)]
Components = Annotated[
    tuple[Component, Component], Must(lambda pair: pair[0] != pair[1], "two different ones")
]
CurvaturePoints = Annotated[int, Meta(ge=0, le=1000)]


class Grid(Checked, frozen=True):
    """Which points of a plane are computed, around the paths that lie over it.

    Args:
        columns: points along the first direction.
        rows: along the second.
        margin: share of the paths' extent added on each side.
        spacing: "linear", or "log" for points that lie closer the nearer they are to the end of
            the (first) path, where a valley is narrow.
        tolerance: 0 computes every point; above it only those where the surface bends, the others
            are interpolated to this share of a loss; see `evaluate_surface`.

    Raises:
        InputError: a value that is not allowed.

    >>> Grid(99999, 25)
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: Grid: columns = 99999 is not allowed; it must be a whole number...
    """

    columns: Points = 25
    rows: Points = 25
    margin: Margin = 0.2
    spacing: Spacing = "linear"
    tolerance: Tolerance = 0.0


@checked("landscape")
def check_settings(
    *,
    examples: Count = 1,
    components: Components = (1, 2),
    curvature: CurvaturePoints = 0,
    seed: Seed = 0,
) -> None:
    """Refuse settings out of range before any work; see `compute_landscape` for what they are.

    Args:
        examples: behind each loss.
        components: counted from 1.
        curvature: snapshots whose curvature is measured.
        seed: of the choice of examples.

    Raises:
        InputError: the first that is out of range.

    >>> check_settings(seed=-1)
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: landscape: seed = -1 is not allowed; it must be a whole number ...
    """
