"""The bounds of a landscape's settings, for recipes, the command line and Python alike."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from downslope.checked import Count, Must, Seed, checked

MOST_POINTS = 1000
"""Columns or rows of a grid: a million points are eight megabytes an array, and hours of work."""

Points = Annotated[int, Meta(ge=2, le=MOST_POINTS)]
Margin = Annotated[float, Meta(ge=0, lt=100)]
Tolerance = Annotated[float, Meta(ge=0, lt=1)]
Component = Annotated[int, Meta(ge=1, le=10**6)]
Components = Annotated[
    tuple[Component, Component], Must(lambda pair: pair[0] != pair[1], "two different ones")
]
CurvaturePoints = Annotated[int, Meta(ge=0, le=1000)]


@checked("landscape")
def check_settings(
    where: str,
    *,
    grid: tuple[Points, Points] = (2, 2),
    margin: Margin = 0.0,
    tolerance: Tolerance = 0.0,
    examples: Count = 1,
    components: Components = (1, 2),
    curvature: CurvaturePoints = 0,
    seed: Seed = 0,
) -> None:
    """Refuse settings out of range before any work; see `compute_landscape` for what they are.

    Args:
        where: the beginning of the message.
        grid: columns and rows.
        margin: share of the path's extent.
        tolerance: share of a loss; 0 computes every point.
        examples: behind each loss.
        components: counted from 1.
        curvature: snapshots whose curvature is measured.
        seed: of the choice of examples.

    Raises:
        InputError: the first that is out of range.

    >>> check_settings("landscape", grid=(99999, 25))
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: landscape: grid = (99999, 25) is not allowed; it must be 2 whole...
    """
