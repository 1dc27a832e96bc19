"""The boundary between learning rates that train a network and those that do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from msgspec import Meta
from numpy.typing import NDArray

from downslope.checked import Must, refused
from downslope.data import Dataset
from downslope.engines import SmallNetworks, train_small_networks
from downslope.progress import Steps
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.style import INDIGO, MUTED, ROSE, WIDTH, legend_above, log_ticks, panel
from downslope.statistics import effect
from downslope.studies.boxes import boundary, box_counts, box_sides, dimension
from downslope.studies.study import Analysis, Arrays, Part, Study

UNITS = 16
BANDS = 16
"""Parts of the map, each of so many rows that a kill costs little."""

Sixteens = Annotated[int, Meta(ge=16, le=4096), Must(lambda n: n % 16 == 0, "a multiple of 16")]

Side = Annotated[int, Meta(ge=32, le=4096), Must(lambda n: n % 16 == 0, "a multiple of 16")]
"""Of a map; a smaller one has boxes of one size alone."""


class Trainability(Study, frozen=True, kw_only=True):
    """The map of learning rates.

    Args:
        rectangle: of the map, in powers of ten: from and to for the rate of the hidden weights,
            then for the rate of the output weights. A smaller one zooms in.
        size: networks along each side of the map.
        start_size: likewise of the small maps, one for the start of each seed.
        examples: drawn, as inputs and targets, from a normal distribution.
        steps: of full-batch gradient descent.
    """

    name: ClassVar = "trainability"
    title: ClassVar = "is the boundary of trainability fractal?"
    paper: ClassVar = "Sohl-Dickstein (2024), arXiv:2402.06184"
    claim: ClassVar = (
        "the boundary between learning rates that train a small network and those that do not is "
        "a fractal: its box-counting dimension is above 1."
    )
    core_minutes: ClassVar = 7.1

    rectangle: tuple[float, float, float, float] = (3.0, 6.0, 1.0, 2.5)
    size: Side = 512
    start_size: Side = 96
    examples: Sixteens = 64
    steps: Annotated[int, Meta(ge=20, le=10**6)] = 500

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the rectangle."""
        left, right, bottom, top = self.rectangle
        if not (-12 <= left < right <= 12 and -12 <= bottom < top <= 12):
            allowed = "left, right, bottom, top in powers of ten, each pair rising within -12 to 12"
            yield refused("rectangle", list(self.rectangle), allowed)

    def start(self, number: int) -> SmallNetworks:
        """Draw the start of all networks of a map, and what they learn."""
        random = self.random(number)
        return SmallNetworks(
            inputs=random.normal(size=(self.examples, UNITS)) * np.sqrt(2 / UNITS),
            targets=random.normal(size=self.examples),
            first=random.normal(size=(UNITS, UNITS)),
            second=random.normal(size=UNITS),
        )

    def rates(self, size: int) -> NDArray[np.float64]:
        """Return the pairs of learning rates of a map row by row, shape (size * size, 2)."""
        left, right, bottom, top = self.rectangle
        grid = np.meshgrid(np.logspace(left, right, size), np.logspace(bottom, top, size))
        return np.stack(grid, axis=-1).reshape(-1, 2)

    def parts(self, dataset: Dataset | None, threads: int | None) -> Sequence[Part]:
        """List the bands of the map, then the small maps, one for each start."""

        def train(start: int, rates: NDArray[np.float64]) -> Steps[Arrays]:
            outcomes = yield from train_small_networks(
                self.start(start), rates, steps=self.steps, threads=threads
            )
            trained = outcomes.last < 1
            return {"measure": np.where(trained, -outcomes.losses, outcomes.inverses)}

        whole, small = self.rates(self.size), self.rates(self.start_size)
        bands = np.split(whole, BANDS)
        return [
            Part(f"map-{i:02}", len(band), lambda band=band: train(0, band))
            for i, band in enumerate(bands)
        ] + [
            Part(f"start-{i:03}", len(small), lambda i=i: train(i, small))
            for i in range(self.seeds)
        ]

    def analyse(self, parts: Mapping[str, Arrays]) -> Analysis:
        """Count boxes on the boundary of every map."""
        bands = [parts[f"map-{i:02}"]["measure"] for i in range(BANDS)]
        measure = np.concatenate(bands).reshape(self.size, self.size)
        starts = [
            parts[f"start-{i:03}"]["measure"].reshape(self.start_size, -1) < 0
            for i in range(self.seeds)
        ]
        dimensions = [dimension(boundary(trained)) for trained in starts]
        crossed = [d for d in dimensions if np.isfinite(d)]
        whole = dimension(boundary(measure < 0))
        what = f"box-counting dimension, maps of {self.start_size} x {self.start_size} networks"
        return Analysis(
            [effect(what, crossed, "above", 1.0)],
            [RateMap(self, measure), BoxCounts(self, measure < 0, starts)],
            [
                f"The large map has {measure.size:,} networks of {UNITS} tanh units in double "
                f"precision, {self.steps} steps each; its boundary has dimension {whole:.3f}. "
                f"{len(crossed)} of {self.seeds} starts have a boundary within the rectangle.",
                "Network, parametrization, start, distribution of the data and criterion (mean of "
                "the last 20 losses below the first) are the paper's. It has 272 examples, as many "
                f"as weights; here there are {self.examples}. A loss of 10^6 times the first one "
                "ends a network here, and is counted as such there.",
                "The boundary is where two by two neighbours are not alike. Boxes have sides of 1, "
                "2, 4, ... networks, up to an eighth of the map; the dimension is minus the slope "
                "of log count over log side, by least squares. A straight line has 1 so.",
            ],
        )


@dataclass(frozen=True)
class RateMap(Display):
    """Which learning rates train, and how fast."""

    study: Trainability
    measure: NDArray[np.float64]
    name = "study-map"
    title = "Which pairs of learning rates train?"
    source = Source("parts/map-*.npz: measure", "a network for each point")

    def frame(self) -> Frame:
        rates = self.study.rates(self.study.size).reshape(self.study.size, -1, 2)
        columns = ("output rate", *(f"{rate:.5g}" for rate in rates[0, :, 0]))
        rounded = [[float(f"{value:.4g}") for value in row] for row in self.measure]
        rows = [(rates[i, 0, 1], *row) for i, row in enumerate(rounded)]
        return Frame(columns, rows)

    def draw(self, frame: Frame) -> Figure:
        values = np.array([row[1:] for row in frame.rows])
        figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
        axes = figure.add_subplot()
        stops = ("#0b0d24", INDIGO, "#b9c3ea", "#fbe9d3", ROSE, "#3d0a1b")
        colours = LinearSegmentedColormap.from_list("trainability", stops)
        axes.imshow(
            _by_rank(values),
            cmap=colours,
            vmin=-1,
            vmax=1,
            origin="lower",
            extent=self.study.rectangle,
            aspect="auto",
            interpolation="nearest",
        )
        axes.grid(visible=False)
        axes.set_xlabel("learning rate of the hidden weights, power of ten")
        axes.set_ylabel("of the output weights, power of ten")
        return figure

    def texts(self) -> Texts:
        return Texts(
            "Each pixel is a network, all of one start. Blue: trained, the darker the slower; "
            "rose: did not, the darker the later it diverged. Colours go by rank. The CSV has "
            "minus the sum of relative losses of those that trained, and for the others the sum of "
            "one over each.",
            f"Map of {self.measure.size:,} networks by two learning rates; "
            f"{np.mean(self.measure < 0):.0%} trained.",
        )


def _by_rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spread values over -1 to 1 by rank, those below 0 and those above each on their side."""
    ranks = np.zeros_like(values)
    for side in (values < 0, values >= 0):
        order = np.argsort(np.argsort(values[side]))
        ranks[side] = (order + 1) / (len(order) + 1)
    return np.where(values < 0, ranks - 1, ranks)


@dataclass(frozen=True)
class BoxCounts(Display):
    """Boxes on the boundary by their size."""

    study: Trainability
    trained: NDArray[np.bool_]
    starts: Sequence[NDArray[np.bool_]]
    name = "study-boxes"
    title = "How does the boundary's length grow with resolution?"
    source = Source("parts/*.npz: measure", "boxes that hold a part of the boundary")

    def frame(self) -> Frame:
        maps = [("large map", self.trained)]
        maps += [(f"start {i}", trained) for i, trained in enumerate(self.starts)]
        edges = {name: boundary(trained) for name, trained in maps}
        rows = [
            (name, side, boxes)
            for name, edge in edges.items()
            for side, boxes in zip(box_sides(edge), box_counts(edge, box_sides(edge)), strict=True)
        ]
        return Frame(("map", "side", "boxes"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("side of a box, networks", "boxes on the boundary")
        for i, (name, rows) in enumerate(frame.groups("map").items()):
            sides, boxes = rows.numbers("side"), rows.numbers("boxes")
            if i == 0:
                axes.plot(sides, boxes, "o-", color=INDIGO, ms=4, zorder=3, label=name)
                axes.plot(sides, boxes[-1] * sides[-1] / sides, "--", color=ROSE, label="a line")
            else:
                label = "small maps, one a start" if i == 1 else ""
                axes.plot(sides, boxes, color=MUTED, alpha=0.5, linewidth=0.8, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        log_ticks(axes.xaxis)
        log_ticks(axes.yaxis)
        legend_above(axes, 3)
        return figure

    def texts(self) -> Texts:
        return Texts(
            "The steeper, the more there is to see at each finer scale; the slope is minus the "
            "dimension. A line would follow the dashes.",
            "Boxes on the boundary by their side, on logarithmic axes, beside a line's.",
        )
