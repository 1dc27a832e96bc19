"""The bounds of a landscape's settings, for recipes, the command line and Python alike."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from downslope.checked import Checked, Must

MOST_POINTS = 1000
"""Columns or rows of a grid: a million points are eight megabytes an array, and hours of work."""

BatchNorm = Literal["frozen", "recomputed"]
"""What batch norm uses: its running statistics as they are, or new ones at every point."""
Origin = Literal["mean", "final"]
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
    """

    columns: Points = 25
    rows: Points = 25
    margin: Margin = 0.2
    spacing: Spacing = "linear"
    tolerance: Tolerance = 0.0
