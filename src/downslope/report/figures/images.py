"""Many small pictures in one panel: places are cells, one unit wide, rows counted from the top.

One panel for all of them is drawn several times faster than a panel for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

_GAP = 0.06
"""Between two pictures, as a share of a cell."""


def sheet(
    figure: Figure, box: tuple[float, float, float, float], columns: float, rows: float
) -> Axes:
    """Make the panel that pictures are put on.

    Args:
        figure: that it belongs to.
        box: left, bottom, right and top, as shares of the figure.
        columns: its width, in cells.
        rows: its height, in widths of a cell.
    """
    left, bottom, right, top = box
    axes = figure.add_axes((left, bottom, right - left, top - bottom))
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return axes


def put(
    axes: Axes,
    image: NDArray[np.float64],
    place: tuple[float, float],
    label: str,
    *,
    height: float = 1.0,
    **options: Any,
) -> Any:
    """Put a picture into a cell, as large as fits and in its own proportions.

    Args:
        axes: from `sheet`.
        image: shape (height, width); a single row of values fills its cell as a strip.
        place: left and upper edge of the cell.
        label: names it in the figure's data.
        height: of the cell, in its widths.
        options: of matplotlib's `imshow`; grey levels from 0 to 1 by default.
    """
    x, y = place
    wide, tall = 1 - _GAP, height - _GAP
    if image.shape[0] > 1:
        scale = min(wide / image.shape[1], tall / image.shape[0])
        wide, tall = image.shape[1] * scale, image.shape[0] * scale
    left, upper = x + (1 - wide) / 2, y + (height - tall) / 2
    shades: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} | options
    return axes.imshow(
        image, extent=(left, left + wide, upper + tall, upper), interpolation="nearest",
        label=label, **shades,
    )  # fmt: skip


def beside(axes: Axes, place: tuple[float, float], text: str, **options: Any) -> None:
    """Write the name of a row of pictures to the left of a cell's middle."""
    x, y = place
    axes.text(x - 0.1, y, text, ha="right", va="center", **options)


def above(axes: Axes, place: tuple[float, float], text: str, **options: Any) -> None:
    """Write a line over the middle of a cell's upper edge."""
    x, y = place
    style: dict[str, Any] = {"ha": "center", "va": "bottom", "parse_math": False} | options
    axes.text(x, y, text, **style)
