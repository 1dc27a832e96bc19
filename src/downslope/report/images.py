"""Many small pictures in one panel: places are cells, one unit wide, rows counted from the top.

One panel for all of them is drawn several times faster than a panel for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from downslope.report.display import Cell, Frame

_GAP = 0.06
"""Between two pictures, as a share of a cell."""

_CHANNELS = (1, 3, 4)
"""Grey, colour, colour and opacity."""


def is_picture(shape: Sequence[int]) -> bool:
    """Tell whether examples of a shape are pictures, grey or in colour.

    >>> [is_picture(shape) for shape in ((28, 28), (32, 32, 3), (3, 32, 32), (30,), (8, 8, 8))]
    [True, True, True, False, False]
    """
    return len(shape) == 2 or _channel_axis(shape) is not None


def _channel_axis(shape: Sequence[int]) -> int | None:
    """Return the axis that counts channels: 1, 3 or 4 of them, first if both others are larger."""
    if len(shape) == 3:
        if shape[0] in _CHANNELS and min(shape[1:]) > shape[0]:
            return 0
        if shape[2] in _CHANNELS:
            return 2
    return None


def arrange(values: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float64]:
    """Arrange the features of examples as pictures.

    Args:
        values: shape (..., features).
        shape: of one example: (height, width), and for colour with the channels last or first
            (Pillow's and PyTorch's way). Anything else is no picture.

    Returns:
        Shape (..., height, width), or in colour (..., height, width, 3), opacity left out. What is
        no picture becomes a strip, shape (..., 1, features).

    >>> arrange(np.zeros((5, 2, 12)), (3, 2, 2)).shape, arrange(np.zeros((5, 12)), (3, 4)).shape
    ((5, 2, 1, 12), (5, 3, 4))
    >>> arrange(np.zeros((5, 48)), (3, 4, 4)).shape
    (5, 4, 4, 3)
    """
    array = np.asarray(values, np.float64)
    start = array.shape[:-1]
    axis = _channel_axis(shape)
    if axis is None:
        rows = shape if len(shape) == 2 else (1, math.prod(shape))
        return array.reshape(*start, *rows)
    pixels = np.moveaxis(array.reshape(*start, *shape), axis - 3, -1)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]


def picture_frame(
    columns: Sequence[str], pictures: Iterable[tuple[Sequence[Cell], NDArray[np.float64]]]
) -> Frame:
    """Tabulate pictures: a row for each row of pixels, in colour for each of its three channels.

    >>> frame = picture_frame(["class"], [(["a"], np.array([[0.0, 0.25]]))])
    >>> frame.columns
    ('picture', 'class', 'row', 'channel', 'column 0', 'column 1')
    >>> frame.rows
    [(0, 'a', 0, 'grey', 0.0, 0.25)]
    """
    rows: list[Sequence[Cell]] = []
    for place, (description, picture) in enumerate(pictures):
        names = ("grey",) if picture.ndim == 2 else ("red", "green", "blue")
        # Rounded to what can be seen: the run's files hold all digits.
        lines = np.round(np.atleast_3d(picture), 2).swapaxes(1, 2)
        for row, channel in np.ndindex(lines.shape[:2]):
            pixels = lines[row, channel].tolist()
            rows.append((place, *description, row, names[channel], *pixels))
    width = len(rows[0]) - len(columns) - 3 if rows else 0
    places = (f"column {i}" for i in range(width))
    return Frame(("picture", *columns, "row", "channel", *places), rows)


def pictures_of(frame: Frame) -> list[tuple[dict[str, Cell], NDArray[np.float64]]]:
    """Return the description of each picture of a frame from `picture_frame`, and the picture."""
    start = frame.columns.index("row")
    pictures: list[tuple[dict[str, Cell], NDArray[np.float64]]] = []
    for rows in frame.groups("picture").values():
        description = dict(zip(frame.columns[1:start], rows.rows[0][1:start], strict=True))
        values = np.array([row[start + 2 :] for row in rows.rows], np.float64)
        channels = len(set(rows["channel"]))
        picture = values.reshape(-1, channels, values.shape[1]).swapaxes(1, 2)
        pictures.append((description, picture[..., 0] if channels == 1 else picture))
    return pictures


def shown(
    image: NDArray[np.float64], low: float = 0.0, high: float = 1.0
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Give a picture from `arrange` what `imshow` takes: values, and options for grey ones."""
    if image.ndim == 2:
        return image, {"cmap": "gray", "vmin": low, "vmax": high}
    return np.clip((image - low) / ((high - low) or 1.0), 0, 1), {}


def sheet(
    figure: Figure, box: tuple[float, float, float, float], columns: float, rows: float
) -> Axes:
    """Make the panel for pictures; the box is in shares of the figure, rows in widths of a cell."""
    left, bottom, right, top = box
    axes = figure.add_axes((left, bottom, right - left, top - bottom))
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axes.set_axis_off()
    return axes


def put(
    axes: Axes,
    image: NDArray[np.float64],
    place: tuple[float, float],
    height: float = 1.0,
    extremes: tuple[float, float] = (0.0, 1.0),
) -> AxesImage:
    """Put a picture into a cell, as large as fits; place is the cell's left and upper edge."""
    x, y = place
    wide, tall = 1 - _GAP, height - _GAP
    if image.shape[0] > 1:
        scale = min(wide / image.shape[1], tall / image.shape[0])
        wide, tall = image.shape[1] * scale, image.shape[0] * scale
    left, upper = x + (1 - wide) / 2, y + (height - tall) / 2
    values, options = shown(image, *extremes)
    extent = (left, left + wide, upper + tall, upper)
    return axes.imshow(values, extent=extent, interpolation="nearest", **options)


def beside(axes: Axes, place: tuple[float, float], text: str, **options: Any) -> None:
    """Write the name of a row of pictures to the left of a cell's middle."""
    style: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "center"}
    axes.annotate(text, place, (-3, 0), fontsize=9.6, **style, **options)


def above(axes: Axes, place: tuple[float, float], text: str, **options: Any) -> None:
    """Write a line over the middle of a cell's upper edge."""
    style: dict[str, Any] = {"ha": "center", "va": "bottom", "parse_math": False, "fontsize": 9.6}
    axes.text(*place, text, **(style | options))
