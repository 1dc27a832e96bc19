"""Loss barriers between networks of different seeds, before and after matching their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Annotated, ClassVar

import numpy as np
from matplotlib.figure import Figure
from msgspec import Meta
from numpy.typing import NDArray

from downslope.checked import NONE_TWICE, Count
from downslope.data import Dataset, load
from downslope.engines import losses_on_plane
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.progress import Progress, Steps, drain, retold
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.style import INDIGO, ROSE, legend_above, log_ticks, panel
from downslope.statistics import effect, mean_interval, pseudovalues
from downslope.studies.matching import match_units
from downslope.studies.populations import flat, split_examples, train_all
from downslope.studies.study import Analysis, Arrays, Part, Study

POSITIONS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Along the line from one network to the other."""
LEFT = 0.1
"""The share of a barrier that may be left where it is said to vanish."""

Widths = Annotated[tuple[Annotated[int, Meta(ge=2, le=4096)], ...], Meta(min_length=2), NONE_TWICE]


class Barriers(Study, frozen=True, kw_only=True):
    """Barriers on the straight line between all pairs of seeds, against width.

    Args:
        widths: of both hidden layers, a population of all seeds for each.
        examples: to train on.
        evaluated: of these, behind each loss on a line.
        epochs: passes over the examples.
        data: a data set's name or path.
    """

    name: ClassVar = "barriers"
    title: ClassVar = "are all seeds in one basin, but for the order of units?"
    paper: ClassVar = "Ainsworth et al. (2023), arXiv:2209.04836"
    claim: ClassVar = (
        "once the units of two networks are matched, the loss barrier between them falls with "
        "width and vanishes for wide ones."
    )
    core_minutes: ClassVar = 3.0

    widths: Widths = (8, 16, 32, 64, 128, 256)
    examples: Count = 5000
    evaluated: Count = 2000
    epochs: Annotated[int, Meta(ge=1, le=1000)] = 10
    data: str = "fashion-mnist"

    def dataset(self) -> Dataset:
        return load(self.data)

    def parts(self, dataset: Dataset | None, threads: int | None) -> Sequence[Part]:
        assert dataset is not None
        inputs = dataset.training.inputs.shape[1]
        costs = {w: inputs * w + w * w for w in self.widths}
        return [
            Part(f"width-{w:04}", costs[w], partial(self._pairs, dataset, w, threads))
            for w in self.widths
        ]

    def _pairs(self, dataset: Dataset, width: int, threads: int | None) -> Steps[Arrays]:
        """Train a population and measure all of its pairs; halves of the work, about."""
        training = split_examples(dataset, self.examples, 1, self.seed).training
        classes = len(dataset.class_names)
        network = NetworkSpec(widths=(training.inputs.shape[1], width, width, classes))
        spec = TrainingSpec(
            optimizer="adam", learning_rate=0.001, batch_size=64, epochs=self.epochs
        )
        members = [
            Member(network=network, training=spec, seed=self.seed + i) for i in range(self.seeds)
        ]
        records = yield from retold(
            train_all(members, training, threads=threads),
            lambda step: Progress("training", step.done, 2 * step.total),
        )
        vectors = [flat(record) for record in records]
        examples = training.take(np.arange(min(self.evaluated, len(training))))
        barriers = np.zeros((2, self.seeds, self.seeds))
        ends = np.zeros((self.seeds, self.seeds))
        pairs = list(combinations(range(self.seeds), 2))
        for done, (i, j) in enumerate(pairs, 1):
            matched = match_units(vectors[i], vectors[j], network.widths)
            for which, other in enumerate((vectors[j], matched)):
                plane = np.stack([vectors[i], other - vectors[i], np.zeros_like(other)])
                points = np.column_stack([POSITIONS, np.zeros(len(POSITIONS))])
                losses, _ = drain(
                    losses_on_plane(network, plane, points, examples, threads=threads)
                )
                # Above the mean of both ends, as Frankle et al. (2020) define it.
                barriers[which, i, j] = barriers[which, j, i] = (
                    losses.max() - (losses[0] + losses[-1]) / 2
                )
                ends[i, j] = ends[j, i] = (losses[0] + losses[-1]) / 2
            yield Progress("pairs", len(pairs) + done, 2 * len(pairs))
        return {"before": barriers[0], "after": barriers[1], "ends": ends}

    def analyse(self, parts: Mapping[str, Arrays]) -> Analysis:
        arrays = {w: parts[f"width-{w:04}"] for w in self.widths}
        narrow, wide = min(self.widths), max(self.widths)
        left = pseudovalues(
            {"before": arrays[wide]["before"], "after": arrays[wide]["after"]},
            lambda pairs: float(pairs["after"].mean() / pairs["before"].mean()),
        )
        falls = pseudovalues(
            {"narrow": arrays[narrow]["after"], "wide": arrays[wide]["after"]},
            lambda pairs: float(pairs["wide"].mean() - pairs["narrow"].mean()),
        )
        upper = np.triu_indices(self.seeds, 1)
        loss = float(arrays[wide]["ends"][upper].mean())
        return Analysis(
            [
                effect(
                    f"barrier at width {wide} minus that at {narrow}, matched", falls, "below", 0
                ),
                effect(f"share of the barrier that is left at width {wide}", left, "below", LEFT),
            ],
            [BarriersByWidth(arrays)],
            [
                f"For each width {self.seeds} networks of two hidden layers, {self.epochs} epochs "
                f"of Adam on {self.examples:,} examples of {self.data}; all {len(upper[0])} pairs, "
                f"cross-entropy on {min(self.evaluated, self.examples):,} of the training "
                f"examples at {len(POSITIONS)} even positions of the line. Mean loss of "
                f"networks of width {wide}: {loss:.4f}.",
                "Units are matched by weights alone, the paper's algorithm 1. Pairs that share a "
                "seed depend on each other: intervals are the jackknife's over seeds.",
                f"Vanished means here that less than {LEFT:.0%} of it is left.",
                "The paper's dense network has three hidden layers of 512 units, on all of MNIST.",
            ],
        )


@dataclass(frozen=True)
class BarriersByWidth(Display):
    """Barriers before and after matching, by width."""

    arrays: Mapping[int, Mapping[str, NDArray[np.float64]]]
    name = "study-barriers"
    title = "What of the barrier is left once units are matched?"
    source = Source("parts/width-*.npz: before, after", "mean and 95 % interval over seeds")

    def frame(self) -> Frame:
        rows: list[tuple[object, ...]] = []
        for width, arrays in self.arrays.items():
            for kind in ("before", "after"):
                values = pseudovalues({"of": arrays[kind]}, lambda pairs: float(pairs["of"].mean()))
                low, high = mean_interval(values) or (np.nan, np.nan)
                rows.append((width, f"{kind} matching", np.mean(values), low, high))
        return Frame(("width", "units", "barrier", "low", "high"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("units per hidden layer", "barrier, cross-entropy")
        looks = {"before matching": (ROSE, "o-"), "after matching": (INDIGO, "s--")}
        for label, (colour, look) in looks.items():
            rows = frame.where(units=label)
            widths, low, high = (rows.numbers(name) for name in ("width", "low", "high"))
            axes.fill_between(widths, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(widths, rows.numbers("barrier"), look, color=colour, ms=4, label=label)
        axes.set_xscale("log")
        axes.set_xticks(frame.where(units="after matching")["width"])
        log_ticks(axes.xaxis)
        axes.set_xticks(frame.where(units="after matching")["width"])
        axes.set_ylim(bottom=0)
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        return Texts(
            "The barrier is the highest loss on the straight line between two networks, above the "
            "mean of its ends; mean over all pairs of seeds, bands are 95 % intervals over seeds.",
            "Mean barrier by width, before and after matching units.",
        )
