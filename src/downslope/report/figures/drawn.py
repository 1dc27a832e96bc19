"""What a figure shows as CSV, read from the figure itself, so that file and picture agree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter
from numpy.typing import NDArray

Cell = str | int | float | None
Block = tuple[Sequence[str], Iterable[Sequence[Cell]]]
"""Headings and rows."""

MARKS = ("panel", "series", "x", "y", "x end", "y end")


def to_csv(*blocks: Block) -> str:
    """Write blocks of rows as CSV, a blank line between two; what is not finite stays empty.

    >>> print(to_csv((("a", "b"), [(1, 0.5), (2, float("nan"))])))
    a,b
    1,0.5
    2,
    <BLANKLINE>
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for i, (headings, rows) in enumerate(blocks):
        if i:
            stream.write("\n")
        writer.writerow(headings)
        writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


COLOURS = ("red", "green", "blue")


def drawn(figure: Figure) -> str:
    """Return the marks of a figure as CSV: lines, points, bands and bars, then images.

    A place that has a label on its axis is given by that label.
    """
    marks = [row for axes in figure.axes for row in _marks(axes)]
    pictures = [row for axes in figure.axes for row in _images(axes)]
    blocks: list[Block] = []
    if marks or not pictures:
        blocks.append((MARKS, marks))
    if pictures:
        widest = max(len(row) for row in pictures) - 2
        blocks.append((("panel", "row", *(f"column {i}" for i in range(widest))), pictures))
    return to_csv(*blocks)


def _cell(value: Cell) -> Cell:
    if isinstance(value, float | np.floating):
        return f"{value:.7g}" if np.isfinite(value) else ""
    return value.item() if isinstance(value, np.integer) else inert(value)


def inert(value: Cell) -> Cell:
    """Keep a spreadsheet from running text of data as a formula (OWASP, CSV injection).

    >>> inert("=1+1"), inert("-3.5"), inert("coat")
    ("'=1+1", '-3.5', 'coat')
    """
    if not isinstance(value, str) or value[:1] not in {"=", "+", "-", "@", "\t", "\r"}:
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _panel(axes: Axes) -> str:
    title = axes.get_title() or axes.get_title(loc="left")
    y, x = axes.get_ylabel(), axes.get_xlabel()
    named = title or (f"{y} against {x}" if x and y else y or x)
    return " ".join(named.split()) or f"panel {(axes.figure.axes).index(axes) + 1}"


def _place(axis: Axis, value: float) -> Cell:
    """Return a coordinate, or the label that stands there."""
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    if isinstance(locator, FixedLocator) and isinstance(formatter, FuncFormatter | FixedFormatter):
        for number, at in enumerate(np.asarray(locator(), float)):
            if np.isclose(at, value, atol=1e-9):
                return " ".join(str(formatter(at, number)).split()) or value
    return value


def _marks(axes: Axes) -> Iterator[Sequence[Cell]]:
    panel = _panel(axes)
    number = 0

    def named(artist: Any) -> str:
        nonlocal number
        number += 1
        label = str(artist.get_label())
        return label if label and not label.startswith("_") else f"series {number}"

    for line in axes.lines:
        if len(line.get_xdata()):  # type: ignore[arg-type]  # a legend's sample is empty
            name = named(line)
            points = np.column_stack(
                [np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)]
            )
            # A line across all of the panel has a place on one axis only.
            across = line.get_transform() == axes.get_yaxis_transform(which="grid")
            upright = line.get_transform() == axes.get_xaxis_transform(which="grid")
            across |= line.get_transform() == axes.get_yaxis_transform()
            upright |= line.get_transform() == axes.get_xaxis_transform()
            for x, y in points.tolist():
                place = None if across else _place(axes.xaxis, x)
                yield panel, name, place, None if upright else _place(axes.yaxis, y), None, None
    for collection in axes.collections:
        if isinstance(collection, QuadMesh):
            continue
        if isinstance(collection, PathCollection):
            name = named(collection)
            for x, y in np.asarray(collection.get_offsets(), float).tolist():
                yield panel, name, _place(axes.xaxis, x), _place(axes.yaxis, y), None, None
        elif isinstance(collection, LineCollection):
            name = named(collection)
            for segment in collection.get_segments():
                (x, y), (x1, y1) = np.asarray(segment, float)[[0, -1]].tolist()
                yield panel, name, _place(axes.xaxis, x), _place(axes.yaxis, y), x1, y1
        elif isinstance(collection, PolyCollection):
            name = named(collection)
            for path in collection.get_paths():
                for x, low, high in _band(np.asarray(path.vertices, float)):
                    yield panel, name, x, low, x, high
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and patch.get_fill():
            (x, y), width, height = patch.get_xy(), patch.get_width(), patch.get_height()
            across = _place(axes.yaxis, y + height / 2)
            along = _place(axes.xaxis, x + width / 2)
            if isinstance(across, str):
                yield panel, named(patch), x, across, x + width, None
            else:
                yield panel, named(patch), along, y, None, y + height


def _band(vertices: NDArray[np.float64]) -> Iterator[tuple[float, float, float]]:
    """Yield the lower and the upper end of a band at each of its places."""
    for x in np.unique(vertices[:, 0]):
        there = vertices[vertices[:, 0] == x, 1]
        yield float(x), float(there.min()), float(there.max())


def _images(axes: Axes) -> Iterator[Sequence[Cell]]:
    for image in axes.images:
        values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
        label = str(image.get_label())
        named = _panel(axes) if label.startswith("_") else label
        if values.ndim == 2:
            for i, row in enumerate(values.tolist()):
                yield named, i, *row
        elif values.ndim == 3:
            for channel, colour in zip(np.moveaxis(values, 2, 0), COLOURS, strict=False):
                for i, row in enumerate(channel.tolist()):
                    yield f"{named}, {colour}", i, *row
