"""The largest eigenvalue of the Hessian along full-batch training, beside 2 over the rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from msgspec import Meta
from numpy.typing import NDArray

from downslope.checked import NONE_TWICE, Count, refused
from downslope.data import Dataset, Examples, load
from downslope.engines import train
from downslope.errors import InputError
from downslope.landscape import LossOptions
from downslope.landscape.curvature import HessianOperator
from downslope.networks import Member, NetworkSpec, TrainingSpec, build
from downslope.networks.specs import Factor
from downslope.progress import Progress, Steps
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.style import INDIGO, MUTED, OCHRE, ROSE, TEAL, legend_above, panel
from downslope.statistics import Effect, effect, mean_interval
from downslope.studies.populations import check_trained, split_examples
from downslope.studies.study import Analysis, Arrays, Part, Study

WIDTHS = (32, 32)
WHAT = "largest eigenvalue in units of 2 / rate"
POINTS = 10
"""Along a training, the first step included."""
LATE = 3
"""Points at the end that decide."""
BATCHES = 32
"""Minibatches behind a batch sharpness."""
NEAR = (0.9, 1.2)
"""What counts as at the edge, in units of it."""

Rates = Annotated[tuple[Factor, ...], Meta(min_length=1), NONE_TWICE]


class EdgeOfStability(Study, frozen=True, kw_only=True):
    """Sharpness along training.

    Args:
        learning_rates: of full-batch gradient descent, a population of all seeds for each.
        examples: to train on, and behind every eigenvalue.
        steps: of each training.
        batch_size: of the minibatches that the last rate is trained with beside.
        data: a data set's name or path.
    """

    name: ClassVar = "edge-of-stability"
    title: ClassVar = "does gradient descent train at the edge of stability?"
    paper: ClassVar = "Cohen et al. (2021), arXiv:2103.00065"
    claim: ClassVar = (
        "under full-batch gradient descent the largest eigenvalue of the Hessian starts below "
        "2 / learning rate, rises to it, and stays there, at or just above."
    )
    core_minutes: ClassVar = 6.0

    learning_rates: Rates = (0.3, 0.4)
    examples: Count = 1000
    steps: Annotated[int, Meta(ge=POINTS, le=10**6)] = 800
    batch_size: Annotated[int, Meta(ge=1, le=10**5)] = 32
    data: str = "fashion-mnist"

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the minibatches."""
        if self.batch_size >= self.examples:
            yield refused("batch_size", self.batch_size, f"below examples = {self.examples}")

    def dataset(self) -> Dataset:
        return load(self.data)

    def parts(self, dataset: Dataset | None, threads: int | None) -> Sequence[Part]:
        assert dataset is not None
        drawn = split_examples(dataset, self.examples, 1, self.seed).training
        targets = np.eye(len(dataset.class_names), dtype=np.float32)[drawn.targets.astype(np.int64)]
        examples = Examples(drawn.inputs, targets)
        runs = [(f"rate-{i}", rate, self.examples) for i, rate in enumerate(self.learning_rates)]
        runs.append(("minibatches", self.learning_rates[-1], self.batch_size))
        return [
            Part(name, 1.0, partial(self._curves, examples, rate, size, threads))
            for name, rate, size in runs
        ]

    def _curves(
        self, examples: Examples, rate: float, batch_size: int, threads: int | None
    ) -> Steps[Arrays]:
        """Train a population and measure sharpness along it, in units of 2 over the rate."""
        network = NetworkSpec(
            widths=(examples.inputs.shape[1], *WIDTHS, examples.targets.shape[1]), activation="tanh"
        )
        each = -(-len(examples) // batch_size)
        epochs = max(POINTS, self.steps // each)
        spec = TrainingSpec(
            loss="mean_squared_error", learning_rate=rate, batch_size=batch_size, epochs=epochs
        )
        members = [
            Member(network=network, training=spec, seed=self.seed + i) for i in range(self.seeds)
        ]
        at = np.unique(np.linspace(1, epochs, POINTS).round().astype(int))
        options = LossOptions("mean_squared_error")
        module = build(network, torch.Generator().manual_seed(self.seed))
        hessian = HessianOperator(module, examples, options)
        random = self.random(1)
        batches = [
            HessianOperator(module, examples.take(rows), options)
            for rows in random.integers(len(examples), size=(BATCHES, batch_size))
            if batch_size < len(examples)  # of the full batch nothing beside
        ]
        sharpness, of_batches, losses = np.full((3, self.seeds, len(at)), np.nan)
        done = 0
        for record in train(members, examples, snapshots_per_epoch=1, threads=threads):
            check_trained(record, members)
            if record.epoch not in at:
                continue
            place = record.member, int(np.searchsorted(at, record.epoch))
            vector = record.snapshots[-1].parameters
            hessian.move_to(vector)
            eigenvalues = hessian.top_eigenvalues(self.random(2))
            if len(eigenvalues) < 2:  # of the two that are asked for one may be missing: which?
                raise InputError(f"step {at[place[1]] * each}: Lanczos found no largest eigenvalue")
            sharpness[place] = eigenvalues[0] * rate / 2
            losses[place] = record.train_loss
            if batches and place[1] >= len(at) - LATE:
                quotients = [along_gradient(batch, vector) for batch in batches]
                of_batches[place] = float(np.mean(quotients)) * rate / 2
            done += 1
            yield Progress("sharpness", done, self.seeds * len(at))
        return {
            "step": at * each,
            "sharpness": sharpness,
            "batch_sharpness": of_batches,
            "loss": losses,
        }

    def analyse(self, parts: Mapping[str, Arrays]) -> Analysis:
        effects: list[Effect] = []
        for i, rate in enumerate(self.learning_rates):
            values = parts[f"rate-{i}"]["sharpness"]
            first, late = values[:, 0].tolist(), values[:, -LATE:].mean(axis=1).tolist()
            end = f"the same at the end, rate {rate:g}"
            effects += [
                effect(f"{WHAT} after the first step, rate {rate:g}", first, "below", 1),
                effect(f"{end}: at the edge or above", late, "above", NEAR[0]),
                effect(f"{end}: not far above", late, "below", NEAR[1]),
            ]
        ends = {
            name: parts["minibatches"][name][:, -LATE:].mean(axis=1).tolist()
            for name in ("sharpness", "batch_sharpness")
        }
        said = [
            f"{np.mean(values):.2f} ({low:.2f} to {high:.2f})"
            for values in ends.values()
            for low, high in [mean_interval(values) or (np.nan, np.nan)]
        ]
        return Analysis(
            effects,
            [Sharpness(self, parts)],
            [
                f"{self.seeds} tanh networks of two hidden layers of {WIDTHS[0]} for each rate, "
                f"mean squared error on {self.examples:,} examples of {self.data}. Eigenvalues by "
                f"Lanczos iterations on all of them, at {POINTS} steps, in units of 2 / learning "
                f"rate; at the edge is from {NEAR[0]} to {NEAR[1]} here.",
                f"With minibatches of {self.batch_size}, after as many steps or {POINTS} passes, "
                f"the largest eigenvalue ends at {said[0]}, and batch sharpness at {said[1]}: the "
                "mean over minibatches of the curvature of a minibatch's loss along its own "
                "gradient (Andreyev and Beneventano 2024, arXiv:2412.20553). It decides nothing.",
                "The paper has 5,000 pictures of CIFAR-10 and wider networks.",
            ],
        )


def along_gradient(hessian: HessianOperator, vector: NDArray[np.float32]) -> float:
    """Return the curvature of a loss along its own gradient, g'Hg / g'g."""
    hessian.move_to(vector)
    gradient = hessian.gradient()
    return float(gradient @ hessian.product(gradient) / (gradient @ gradient))


@dataclass(frozen=True)
class Sharpness(Display):
    """Sharpness along training."""

    study: EdgeOfStability
    parts: Mapping[str, Arrays]
    name = "study-sharpness"
    title = "How sharp is the loss where training stands?"
    source = Source("parts/*.npz: sharpness, batch_sharpness", "mean and 95 % interval over seeds")

    def frame(self) -> Frame:
        names = {f"rate-{i}": f"rate {r:g}" for i, r in enumerate(self.study.learning_rates)}
        size = f"minibatches of {self.study.batch_size}"
        curves = [(label, self.parts[part], "sharpness") for part, label in names.items()]
        curves += [(size, self.parts["minibatches"], "sharpness")]
        curves += [("batch sharpness of these", self.parts["minibatches"], "batch_sharpness")]
        rows = [
            (label, step, np.mean(values), *(mean_interval(values.tolist()) or (None, None)))
            for label, arrays, key in curves
            for step, values in zip(arrays["step"].tolist(), arrays[key].T, strict=True)
            if np.isfinite(values).all()
        ]
        return Frame(("training", "step", "sharpness", "low", "high"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("step", "largest eigenvalue × learning rate / 2", height=3.4)
        axes.axhline(1, color=MUTED, linewidth=1, linestyle=":")
        colours = (INDIGO, ROSE, TEAL, OCHRE)
        for i, (label, rows) in enumerate(frame.groups("training").items()):
            steps, low, high = (rows.numbers(name) for name in ("step", "low", "high"))
            colour, marker = colours[i % 4], "os^D"[i % 4]
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(
                steps, rows.numbers("sharpness"), marker=marker, color=colour, ms=3.5, label=label
            )
        axes.set_ylim(bottom=0)
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        return Texts(
            "At 1, the dotted line, gradient descent on a quadratic loss stops converging. Bands "
            "are 95 % intervals of the mean over seeds.",
            "The largest eigenvalue in units of 2 over the learning rate by step, for each "
            "learning rate and for minibatches.",
        )
