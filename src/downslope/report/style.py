"""The house style of all static figures, and the way from a figure to SVG.

A figure is 4.5 inches wide, as wide as a phone's page: there its letters have their size, and a
wide screen shows three beside each other.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib
import numpy as np
from cycler import cycler
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
)
from numpy.typing import NDArray

WIDTH: Final = 4.5
"""Inches of a figure."""

DPI: Final = 144
"""Pixels an inch of a picture in a notebook."""

INK: Final = "#22303c"
MUTED: Final = "#5f6b76"
GRID: Final = "#dfe4e8"
PAPER: Final = "#fefefe"
# One meaning each, wherever there is nothing else to tell apart.
INDIGO: Final = "#3a3f99"  # this model: what was chosen and trained; more of it is more
ROSE: Final = "#c43c5e"  # what went wrong: errors, mistakes, trials that stopped
TEAL: Final = "#12908e"  # what it is compared with: a prediction, the baseline, PCA
OCHRE: Final = "#bf8410"  # the best of a search, where another was chosen
PLUM: Final = "#8b4a9c"  # validation examples beside training ones
SERIES: Final = (INDIGO, ROSE, TEAL, OCHRE, PLUM)
"""Told apart by colour-blind readers by lightness; every use adds a marker or a dash as well."""

RUN_COLOURS: Final = ("#c9305a", "#4aa8dc", "#f08a24", "#b58be0", "#8d9aa6")
"""Of runs, in every figure of them; told from surfaces and from both pages, light and dark."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")

# Fixed colours become variables of the page, so that one drawing serves light and dark.
_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    INDIGO: "--indigo",
    ROSE: "--rose",
    TEAL: "--teal",
    OCHRE: "--ochre",
    PLUM: "--plum",
}

SLOPE_STOPS: Final = ("#1d2153", "#27507e", "#2b8490", "#62b285", "#bcd483", "#f8f0bd")
"""From the valley to the ridge; lightness rises throughout."""

_STYLE: Final[Any] = {
    "text.usetex": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=SERIES),
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.8,
    "ytick.labelsize": 9.8,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "legend.frameon": False,
    "legend.fontsize": 9.8,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "image.composite_image": False,  # each image keeps its own pixels
    "svg.fonttype": "path",  # letters as outlines: no reader lacks the font, nothing moves
    "svg.hashsalt": "downslope",
}


class HouseFigure(Figure):
    """A figure that a notebook shows, with or without pyplot, on paper whatever the theme."""

    def _repr_png_(self) -> bytes:
        return png(self)


@contextmanager
def house_style() -> Generator[None]:
    """Draw in the house style within, and leave matplotlib's settings alone."""
    with matplotlib.rc_context(_STYLE):
        yield


def panel(xlabel: str, ylabel: str, *, height: float = 3.1) -> tuple[Figure, Axes]:
    """Make a figure of one panel, some inches high; labels of axes have their unit."""
    figure = HouseFigure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    return figure, axes


def row_panel(xlabel: str, names: Sequence[str], *, height: float) -> tuple[Figure, Axes]:
    """Make a figure of one panel with a named row for each of some things, the first on top."""
    figure, axes = panel(xlabel, "", height=height)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.75)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x")
    return figure, axes


def count_along(axis: Axis, most: int | None = None) -> None:
    """Mark an axis of things that are counted."""
    axis.set_major_locator(MaxNLocator(most or "auto", integer=True, min_n_ticks=1))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def fit_scale(axes: Axes, values: NDArray[np.float64], ratio: float = 8) -> None:
    """Use a logarithmic scale for positive values whose largest is so many times the smallest."""
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > ratio * finite.min():
        axes.set_yscale("log")
        log_ticks(axes.yaxis)


def log_ticks(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def powers(axis: Axis, ticks: int = 7) -> None:
    """Write the ticks of an axis over many powers of ten, with exponents of full height."""
    axis.set_major_locator(LogLocator(numticks=ticks))
    axis.set_major_formatter(FuncFormatter(_power))
    axis.set_minor_locator(NullLocator())


def _power(value: float, _: int | None) -> str:
    return f"1e{math.log10(value):.0f}"


def within_reach(value: float) -> float:
    """Bring a value to where an axis with margins can hold it; the figure's data keeps it.

    >>> within_reach(1e308), within_reach(-1e308), within_reach(1e-300), within_reach(0)
    (1e+30, -1e+30, 1e-30, 0.0)
    """
    return math.copysign(min(1e30, max(1e-30, abs(value))), value) if value else 0.0


def legend_above(axes: Axes, columns: int = 3) -> None:
    """Put the legend over the panel, where it hides no data."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.8,
        columnspacing=1.4,
    )


def heat(axes: Axes, strengths: NDArray[np.float64], texts: Sequence[Sequence[str]]) -> None:
    """Fill the cells of a table with one colour by strengths from 0 to 1, NaN for none."""
    axes.grid(visible=False)
    for (row, column), strength in np.ndenumerate(strengths):
        alpha = 0.04 + 0.96 * float(strength)
        if strength > 0:  # of many classes most pairs are never confused
            place = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=INDIGO, alpha=alpha, linewidth=0))
        colour = ROSE if np.isnan(strength) else PAPER if alpha > 0.6 else INK
        text = str(texts[row][column])
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9.6)
    axes.set_xlim(-0.5, strengths.shape[1] - 0.5)
    axes.set_ylim(strengths.shape[0] - 0.5, -0.5)
    axes.tick_params(length=0)


def slope_colours() -> Colormap:
    """Return the colour map of losses; losses that are not finite have no colour."""
    return LinearSegmentedColormap.from_list("slope", list(SLOPE_STOPS)).with_extremes(
        bad=(0, 0, 0, 0)
    )


def trial_mark(trials: Sequence[int]) -> str:
    """Name a line, or a line of points, after the trials it shows, for `inline` to mark them.

    >>> trial_mark([3, 7])
    'trials-3-7'
    """
    return "-".join(["trials", *map(str, trials)])


def plain(text: str, longest: int = 18) -> str:
    """Make a short line of text that comes from data.

    >>> plain("a  very long\\nname of a class", 12)
    'a very long…'
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def draw_missing(text: str) -> Figure:
    """Draw a line in place of a figure."""
    figure = HouseFigure(figsize=(6.2, 0.6))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=ROSE, parse_math=False)
    return figure


_PLACES: Final = re.compile(r' (?:d|x|y|points)="[^"]*"|translate\([^)]*\)')
_ALIKE: Final = re.compile(r'<use [^>]*?(style="[^"]*")/>\n(?:\s*<use [^>]*?\1/>\n)+')


def svg(figure: Figure) -> str:
    """Write a figure as SVG, the same bytes every time."""
    buffer = io.BytesIO()
    with house_style(), warnings.catch_warnings():
        # A class may be named in a script that the font lacks; a box is drawn in its place.
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        if (engine := figure.get_layout_engine()) is not None:
            # Laid out here: savefig would draw everything once more to do it.
            FigureCanvasSVG(figure)
            engine.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _PLACES.sub(_shortened, buffer.getvalue().decode())


def png(figure: Figure) -> bytes:
    """Write a figure as the picture that a notebook shows."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=DPI, facecolor=PAPER, bbox_inches="tight")
    return buffer.getvalue()


def _shortened(places: re.Match[str]) -> str:
    """Shorten the places of a path: hundredths of a point are enough for any screen."""
    text = re.sub(r"(\.\d\d)\d+", r"\1", places[0])
    return re.sub(r"\s*\b([MLCQ])\s+|\s+(?=z)", r"\1", text) if text.startswith(" d") else text


def inline(drawing: str, name: str, alternative: str) -> Markup:
    """Turn SVG into an element of a page, with its colours; ids begin with a hash of the name."""
    body = drawing[drawing.index("<svg") :]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # An image's id is the digest of its pixels, the same for equal ones, and nothing refers to it.
    body = re.sub(r'(<image [^>]*?)\sid="[^"]*"', r"\1", body)
    body = re.sub(r'<g id="[^"]*"', "<g", _marked(body, name.partition("-")[0]))
    short = f"f{hashlib.sha256(name.encode()).hexdigest()[:5]}"
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{short}-", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    # What many points have in common is said once.
    body = _ALIKE.sub(lambda m: f"<g {m[1]}>\n{m[0].replace(' ' + m[1], '')}</g>\n", body)
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(height|xmlns(:\w+)?|version)="[^"]*"', "", head)
    start = f'{head} role="img" aria-label="{escape(alternative)}">'
    return Markup(start + re.sub(r"\s*\n\s*", "\n", rest).rstrip())


def _marked(body: str, part: str) -> str:
    """Say of each line and point which trial of which search it shows."""
    pieces = re.split(r'<g id="trials-([\d-]+)">', body)
    for i in range(1, len(pieces), 2):
        marks = [f'data-trial="{part}-{trial}"' for trial in pieces[i].split("-")]
        if len(marks) == 1:
            pieces[i] = f"<g {marks[0]}>"
            continue
        pieces[i] = "<g>"
        points = iter(marks)  # a marker each, in the order they were given
        pieces[i + 1] = re.sub(
            r"<use (?=[^>]*\bx=)",
            lambda _, points=points: f"<use {mark} " if (mark := next(points, "")) else "<use ",
            pieces[i + 1],
            count=len(marks),
        )
    return "".join(pieces)
