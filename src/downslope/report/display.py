"""A figure: its data, its drawing and all that is said about it, in one place.

A display's frame is what its figure shows and what its CSV holds, so that they cannot disagree.
"""

from __future__ import annotations

import csv
import gc
import io
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.report.style import draw_missing, house_style, png, svg
from downslope.runs import Run

Cell = str | int | float | None


class Source(NamedTuple):
    """Where numbers come from: a file of the run with the key in it, and how they were computed."""

    place: str
    how: str


class Frame:
    """Rows under named columns: what a figure shows.

    Args:
        columns: their names.
        rows: of as many cells; None where there is no value.

    >>> frame = Frame(("epoch", "loss"), [(1, 0.5), (2, None)])
    >>> frame["epoch"], frame.numbers("loss")
    ([1, 2], array([0.5, nan]))
    >>> print(frame.csv())
    epoch,loss
    1,0.5
    2,
    <BLANKLINE>
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.columns = tuple(columns)
        self.rows = [tuple(row) for row in rows]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """Return a column."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column of numbers, NaN where there is none."""
        return np.array([np.nan if value is None else value for value in self[column]], np.float64)

    def where(self, **wanted: Cell) -> Frame:
        """Return the rows whose columns hold certain values.

        >>> Frame(("a", "b"), [("x", 1), ("y", 2)]).where(a="y").rows
        [('y', 2)]
        """
        places = {self.columns.index(column): value for column, value in wanted.items()}
        rows = (row for row in self.rows if all(row[i] == value for i, value in places.items()))
        return Frame(self.columns, rows)

    def groups(self, column: str) -> dict[Any, Frame]:
        """Return the rows for each value of a column, in the order in which they come."""
        return {value: self.where(**{column: value}) for value in dict.fromkeys(self[column])}

    def csv(self) -> str:
        """Write CSV; what is not finite stays empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_cell(value) for value in row] for row in self.rows)
        return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return f"{value:.7g}" if np.isfinite(value) else ""
    return value.item() if isinstance(value, np.integer) else inert(value)


def inert(value: Any) -> Any:
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


class Texts(NamedTuple):
    """Of a figure: how to read it and what to see in it, and the same for who cannot see it."""

    caption: str
    alt: str


class Display(ABC):
    """One figure of a report; a notebook calls the same methods.

    A subclass is a frozen dataclass of the results that it shows. It names itself and its source
    as class attributes.
    """

    name: str
    """Of its files, and of its place on the page: the section, a hyphen, and what it shows."""
    title: str
    """The question that the figure answers."""
    source: Source

    @abstractmethod
    def frame(self) -> Frame:
        """Return what the figure shows, which is what its CSV holds."""

    @abstractmethod
    def draw(self, frame: Frame) -> Figure:
        """Draw the frame, and nothing else."""

    @abstractmethod
    def texts(self) -> Texts:
        """Return what is said about the figure."""

    @property
    def caption(self) -> str:
        """Say how to read the figure, and what to see in it."""
        return self.texts().caption

    @property
    def alt(self) -> str:
        """Say what the figure shows to those who cannot see it."""
        return self.texts().alt

    def plot(self) -> Figure:
        """Draw the figure in the house style."""
        with house_style():
            return self.draw(self.frame())

    def _repr_html_(self) -> str:
        title, caption, alt = map(escape, (self.title, *self.texts()))
        picture = f"data:image/png;base64,{b64encode(png(self.plot())).decode()}"
        return f'<p>{title}</p><img src="{picture}" alt="{alt}" width="450"><p>{caption}</p>'


@dataclass(frozen=True, slots=True)
class Drawing:
    """A display as a page needs it."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    csv: str


def write_figures(run: Run, displays: Iterable[Display]) -> dict[str, Drawing]:
    """Draw displays, write each as SVG and CSV into `figures/`, and return them by name.

    Figures of an earlier report that are none of these are removed.

    Raises:
        InputError: the directory cannot be written.
    """
    drawings = draw_all(displays)
    for name, drawing in drawings.items():
        run.write(f"figures/{name}.svg", drawing.svg.encode())
        run.write(f"figures/{name}.csv", drawing.csv.encode())
    run.remove_earlier("figures")
    return drawings


def draw_all(displays: Iterable[Display]) -> dict[str, Drawing]:
    """Draw displays, by name; one that cannot be drawn must not cost the report of a long run."""
    # Figures leave many objects behind; without this, each time they are cleared away all that
    # torch and others hold would be looked through too: a sixth of the time.
    gc.freeze()
    try:
        return {display.name: _draw(display) for display in displays}
    finally:
        gc.unfreeze()


def _draw(display: Display) -> Drawing:
    name, title = display.name, display.title
    try:
        frame = display.frame()
        with house_style():
            picture = svg(display.draw(frame))
        return Drawing(name, title, display.caption, display.alt, picture, frame.csv())
    except Exception as error:  # of matplotlib too, at numbers that no axis can show
        reason = f"{type(error).__name__}: {error}"[:200]
        text = f"This figure cannot be drawn ({reason}). results.json holds the numbers."
        missing = svg(draw_missing("This figure cannot be drawn"))
        return Drawing(name, title, text, f"{name} cannot be drawn.", missing, "")
