"""The section of the final model: training, accuracy by class, confidence, mistakes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Column, Columns, Details, Figures, Paragraph, Row, Table
from downslope.report.calibration import Calibration
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import loss, number, percent, percent_interval, plural, times
from downslope.report.images import (
    above,
    arrange,
    is_picture,
    picture_frame,
    pictures_of,
    put,
    sheet,
)
from downslope.report.statements import final
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    ROSE,
    WIDTH,
    HouseFigure,
    count_along,
    fit_scale,
    heat,
    legend_above,
    panel,
    plain,
)
from downslope.results import DataResult, Results
from downslope.search import RefitResult
from downslope.statistics import class_scores, reliability

ACROSS, DOWN = 5, 4
"""Mistakes in a row, and rows of them."""


NATS = "nats"


def unit(refit: RefitResult) -> str:
    """Name the unit of a final training's losses."""
    classes = refit.member.training.loss == "cross_entropy"
    return NATS if classes else "squared error of the standardized target"


@dataclass(frozen=True)
class Losses(Display):
    """Training loss by epoch and seed, and the test accuracy where a recipe monitors it."""

    refit: RefitResult
    name = "refit-loss"
    title = "How did training go?"

    @property
    def source(self) -> Source:  # pyright: ignore[reportIncompatibleVariableOverride] - read only
        accuracy = "; accuracy: mean over seeds" if self.monitored else ""
        how = f"mean loss ({unit(self.refit)}) over each epoch's minibatches, by seed{accuracy}"
        return Source("results.json: refit.epochs", how)

    @property
    def monitored(self) -> bool:
        """Tell whether the test accuracy is known by epoch."""
        return any(epoch.test_accuracy is not None for epoch in self.refit.epochs)

    def frame(self) -> Frame:
        columns, rows = ["epoch", "loss"], [[x.epoch, x.train_loss] for x in self.refit.epochs]
        if len(self.refit.seeds) > 1:
            columns = ["epoch", "mean loss", *(f"seed {seed}" for seed in self.refit.seeds)]
            rows = [[x.epoch, x.train_loss, *x.train_loss_per_seed] for x in self.refit.epochs]
        if self.monitored:
            columns.append("test accuracy")
            rows = [[*row, x.test_accuracy] for row, x in zip(rows, self.refit.epochs, strict=True)]
        return Frame(columns, rows)

    def draw(self, frame: Frame) -> Figure:
        epochs = frame["epoch"]
        monitored = "test accuracy" in frame.columns
        figure = HouseFigure(figsize=(WIDTH, 4.4 if monitored else 3.1), layout="constrained")
        axes, *below = np.ravel(figure.subplots(1 + monitored, 1, sharex=True))
        axes.set_ylabel("training loss")
        for lower in below:
            accuracy = 100 * frame.numbers("test accuracy")
            lower.plot(epochs, accuracy, color=INDIGO, marker="s", markersize=3.5)
            lower.set_ylabel("test accuracy (%)")
        figure.axes[-1].set_xlabel("epoch")
        column = frame.columns[1]
        seeds = [name for name in frame.columns if name.startswith("seed ")]
        for i, seed in enumerate(seeds):
            label = "" if i else "each seed"
            axes.plot(epochs, frame.numbers(seed), color=MUTED, alpha=0.6, lw=0.9, label=label)
        look = "o-" if len(epochs) <= 30 else "-"
        axes.plot(epochs, frame.numbers(column), look, color=INDIGO, lw=2, ms=3.5, label=column)
        fit_scale(axes, frame.numbers(column))
        count_along(axes.xaxis)
        if seeds:
            axes.legend(loc="upper right")
        return figure

    def texts(self) -> Texts:
        seeds, first, last = self.refit.seeds, self.refit.epochs[0], self.refit.epochs[-1]
        caption = f"Training loss ({unit(self.refit)}) after each epoch"
        if len(seeds) > 1:
            caption += f": thin, each of the {len(seeds)} seeds; thick, their mean"
        nats = " nats" if unit(self.refit) == NATS else ""
        ends = f"from {number(first.train_loss)} to {number(last.train_loss)}{nats}"
        alt = f"Training loss by epoch of {plural(len(seeds), 'seed')}, {ends}."
        if not self.monitored:
            return Texts(f"{caption}.", alt)
        return Texts(
            f"{caption}. Below: test accuracy, monitored but never used to choose anything.",
            f"{alt} Test accuracy {percent(last.test_accuracy)} at the end.",
        )


@dataclass(frozen=True)
class Minibatches(Display):
    """Training loss of the last minibatches."""

    refit: RefitResult
    name = "refit-minibatches"
    title = "How much does the loss vary between the last minibatches?"
    source = Source("results.json: refit.last_minibatches", "cross-entropy of single minibatches")

    def frame(self) -> Frame:
        last = self.refit.last_minibatches
        start = 1 - len(last)
        rows = ((start + i, one.step, one.train_loss) for i, one in enumerate(last))
        return Frame(("minibatch", "step", "training loss"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("minibatch, counted back from the last", "training loss (nats)")
        places, losses = frame.numbers("minibatch"), frame.numbers("training loss")
        axes.vlines(places, 0, losses, color=MUTED, linewidth=0.9)
        axes.plot(places, losses, "o", color=INDIGO, markersize=5, label="one minibatch")
        if np.isfinite(losses).any():
            mean = float(np.nanmean(losses))
            axes.axhline(mean, color=MUTED, dashes=(5, 3), linewidth=1.3, label="mean")
        axes.set_ylim(bottom=0)
        count_along(axes.xaxis, 6)
        legend_above(axes)
        return figure

    def texts(self) -> Texts:
        last = self.refit.last_minibatches
        losses = self.frame().numbers("training loss")
        low, high = number(float(np.nanmin(losses))), number(float(np.nanmax(losses)))
        return Texts(
            f"Training loss of the last {len(last)} minibatches of seed "
            f"{self.refit.member.seed}, the last of them at step {last[-1].step:,}.",
            f"Training loss of the last {len(losses)} minibatches, from {low} to {high} nats.",
        )


@dataclass(frozen=True)
class Confusion(Display):
    """Which classes the first seed takes for which."""

    confusion: Sequence[Sequence[int]]
    names: Sequence[str]
    name = "refit-confusion"
    title = "Which classes are confused?"
    source = Source(
        "results.json: refit.confusion", "test examples counted, of the first completed seed"
    )

    def frame(self) -> Frame:
        counts = np.array(self.confusion, float)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        columns = ("true class", "predicted class", "examples", "share of the class")
        return Frame(
            columns,
            (
                (self.names[i], self.names[j], self.confusion[i][j], float(share[i, j]))
                for i, j in np.ndindex(share.shape)
            ),
        )

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("predicted class", "true class", height=4.4)
        count = math.isqrt(len(frame))
        share = frame.numbers("share of the class").reshape(count, count)
        texts = [[_short(cell) if count <= 12 else "" for cell in row] for row in 100 * share]
        heat(axes, np.sqrt(share), texts)
        places = range(0, count, math.ceil(count / 20))
        names = [plain(str(frame["predicted class"][i]), 11) for i in places]
        turn: dict[str, Any] = {"rotation": 45, "ha": "right"} if len("".join(names)) > 30 else {}
        axes.set_xticks(places, names, parse_math=False, **turn)
        axes.set_yticks(places, names, parse_math=False)
        for side in axes.spines.values():
            side.set_visible(False)
        return figure

    def texts(self) -> Texts:
        caption = (
            "Confusion matrix of the first completed seed on the test set, in percent of the true "
            "class; shading follows the square root, so that rare errors show."
        )
        errors = np.array(self.confusion)
        correct, every = int(np.trace(errors)), int(errors.sum())
        np.fill_diagonal(errors, 0)
        if errors.any():
            pair = divmod(int(errors.argmax()), len(errors))
            true, predicted = (plain(str(self.names[k]), 24) for k in pair)
            caption += f" Most frequent: {true} taken for {predicted}, {times(errors.max())}."
        alt = f"Confusion matrix: {correct:,} of {every:,} test examples are on the diagonal."
        return Texts(caption, alt)


def _short(share: float) -> str:
    """Write a percentage into a cell: 0.4, 9.7, 97; empty for none."""
    return "" if not share else f"{share:.1f}" if share < 9.95 else f"{share:.0f}"


@dataclass(frozen=True)
class Mistakes(Display):
    """The most confident mistakes in refit/predictions.npz, by class pair."""

    predictions: dict[str, NDArray[Any]]
    names: Sequence[str]
    shape: Sequence[int]
    name = "refit-mistakes"
    title = "What do its most confident mistakes look like?"
    source = Source(
        "refit/predictions.npz: mistakes, mistake_inputs",
        "wrong predictions of the first completed seed, by their probability",
    )

    @cached_property
    def mistakes(self) -> list[tuple[int, str, str, float, NDArray[np.float64]]]:
        """Number, label, prediction, confidence and picture of each, frequent pairs first."""
        chosen = self.predictions["mistakes"][: ACROSS * DOWN]
        images = arrange(self.predictions["mistake_inputs"][: len(chosen)], self.shape)
        labels = [self.names[int(k)] for k in self.predictions["truth"][chosen]]
        predicted = [self.names[int(k)] for k in self.predictions["predictions"][0][chosen]]
        confidences = self.predictions["confidences"][0][chosen].tolist()
        pairs = Counter(zip(labels, predicted, strict=True))
        mistakes = zip(chosen.tolist(), labels, predicted, confidences, images, strict=True)
        return sorted(mistakes, key=lambda mistake: (-pairs[mistake[1:3]], mistake[1:3]))

    def frame(self) -> Frame:
        columns = ("test example", "label", "prediction", "confidence")
        return picture_frame(columns, ((about, image) for *about, image in self.mistakes))

    def draw(self, frame: Frame) -> Figure:
        mistakes = pictures_of(frame)
        low, high = (float(end([end(image) for _, image in mistakes])) for end in (np.min, np.max))
        tall = 1.17
        rows = math.ceil(len(mistakes) / ACROSS)
        figure = HouseFigure(figsize=(WIDTH, WIDTH / ACROSS * tall * rows))
        axes = sheet(figure, (0, 0, 1, 1), ACROSS, tall * rows)
        for i, (about, image) in enumerate(mistakes):
            x, y = i % ACROSS, tall * (i // ACROSS) + 0.38
            put(axes, image, (x, y), tall - 0.42, (low, high))
            for up, name, colour in ((0.17, "label", INK), (0, "prediction", ROSE)):
                above(axes, (x + 0.5, y - up), plain(str(about[name]), 11), color=colour)
        return figure

    def texts(self) -> Texts:
        confidences = [mistake[3] for mistake in self.mistakes]
        ends = (min(confidences), max(confidences))
        span = " to ".join(dict.fromkeys(map(_confidence, ends)))
        wrong = np.count_nonzero(self.predictions["predictions"][0] != self.predictions["truth"])
        of, count = "of the first completed seed", len(confidences)
        which = f"All {plural(count, 'mistake')} {of}, whatever their confidence"
        if count < wrong:
            which = f"Of {wrong:,} mistakes {of} the {count} with the highest confidence"
        pairs = dict.fromkeys(f"{one[1]} taken for {one[2]}" for one in self.mistakes)
        return Texts(
            f"{which} ({span}), by class pair: the label above the prediction (red). Some labels "
            "are doubtful.",
            f"{len(self.mistakes)} confident mistakes: {'; '.join([*pairs][:4])}.",
        )


def _confidence(value: float) -> str:
    # Rounded to 100.00 it would look certain, which no prediction is.
    return "above 99.99 %" if value > 0.9999 else percent(value)


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    refit, predictions = results.refit, arrays.predictions
    assert refit is not None
    yield Paragraph(final(results, "search"))
    yield from (Paragraph(line, "warning") for line in refit.stopped)
    yield Figures(list(_displays(refit, predictions, results.data)))
    tables = Columns([[epoch_table(refit)], [minibatch_table(refit)]], on_paper=True)
    if refit.confusion:
        if predictions is None:
            yield Paragraph(
                "refit/predictions.npz is damaged or holds no confidences (an earlier version "
                "wrote it): calibration and mistakes cannot be shown.",
                "small",
            )
        table = class_table(refit.confusion, results.data.class_names)
        yield Details("Precision, recall and F1 of each class", [table])
    yield Details("Loss of the last epochs and minibatches", [tables])


def _displays(
    refit: RefitResult, predictions: dict[str, NDArray[Any]] | None, data: DataResult
) -> Iterator[Display]:
    yield Losses(refit)
    if any(minibatch.train_loss is not None for minibatch in refit.last_minibatches):
        yield Minibatches(refit)
    if predictions is not None and predictions["confidences"].size:
        correct = predictions["predictions"] == predictions["truth"]
        yield Calibration(reliability(predictions["confidences"], correct))
    if refit.confusion:
        yield Confusion(refit.confusion, data.class_names)
    if predictions is not None and len(predictions.get("mistakes", ())) and is_picture(data.shape):
        yield Mistakes(predictions, data.class_names, data.shape)


def class_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Table:
    """List precision, recall and F1 of each class with their intervals."""
    rows: list[Row] = []
    for name, score in zip(names, class_scores(confusion), strict=True):
        cells = [name, f"{score.examples:,}"]
        for what in ("precision", "recall", "f1"):
            cells.append(percent(getattr(score, what), 1))
            cells.append(percent_interval(getattr(score, f"{what}_interval"), 1))
        rows.append(Row(cells))
    headings = [f"{name}{end}" for name in ("precision", "recall", "F1") for end in ("", ", 95 %")]
    return Table(
        "Test scores of the first completed seed by class, each with its 95 % interval",
        [Column("class", numeric=False), Column("examples"), *map(Column, headings)],
        rows,
        Source(
            "results.json: refit.confusion",
            "95 % Wilson intervals of precision, recall and, through J = F1 / (2 − F1), of F1",
        ),
        tall=len(rows) > 20,
        sortable=True,
    )


def epoch_table(refit: RefitResult) -> Table:
    """List the training loss of the last 20 epochs, with the test accuracy where monitored."""
    display = Losses(refit)
    frame = display.frame()
    rows: list[Row] = []
    for values in frame.rows[-20:]:
        cells = [
            percent(value) if name == "test accuracy" else loss(value)
            for name, value in zip(frame.columns[1:], values[1:], strict=True)
        ]
        rows.append(Row([str(values[0]), *cells]))
    heading = f"Training loss of the last {plural(len(rows), 'epoch')} ({unit(refit)})"
    return Table(heading, [Column(name) for name in frame.columns], rows, display.source)


def minibatch_table(refit: RefitResult) -> Table:
    """List the training loss of the last minibatches."""
    last = refit.last_minibatches
    return Table(
        f"Training loss of the last {len(last)} minibatches ({unit(refit)})",
        [Column("step"), Column("loss")],
        [Row([f"{one.step:,}", loss(one.train_loss)]) for one in last],
        Minibatches.source,
    )
