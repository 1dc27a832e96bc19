"""The final training: loss by epoch and seed, its last minibatches, and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    ROSE,
    TEAL,
    log_ticks,
    panel,
    plain,
    slope_colours,
    styled,
)
from downslope.search import RefitResult

DARK, LIGHT = "#14181c", "#f7f7f2"
"""Letters on a cell keep their colour in both themes, as the cell does."""


@dataclass(frozen=True, slots=True)
class Training:
    """Hold the training loss by epoch: the mean over seeds and each seed; NaN where not finite."""

    epochs: list[int]
    mean: list[float]
    per_seed: list[list[float]]
    accuracy: list[tuple[int, float]]


def training(refit: RefitResult) -> Training:
    """Collect the losses, and the test accuracy of the epochs where the recipe monitors it."""
    seeds = max((len(e.train_loss_per_seed) for e in refit.epochs), default=0)
    columns = [
        [e.train_loss_per_seed[i] if i < len(e.train_loss_per_seed) else None for e in refit.epochs]
        for i in range(seeds)
    ]
    return Training(
        epochs=[e.epoch for e in refit.epochs],
        mean=[_number(e.train_loss) for e in refit.epochs],
        per_seed=[[_number(loss) for loss in column] for column in columns],
        accuracy=[(e.epoch, e.test_accuracy) for e in refit.epochs if e.test_accuracy is not None],
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@styled
def draw_training(training: Training) -> Figure:
    """Draw the training loss: each seed thin, their mean thick."""
    figure, axes = panel("epoch", "training loss (nats)")
    for i, losses in enumerate(training.per_seed):
        axes.plot(
            training.epochs,
            losses,
            color=MUTED,
            alpha=0.6,
            linewidth=0.9,
            label="each seed" if i == 0 else None,
        )
    if len(training.per_seed) > 1:
        columns = np.array(training.per_seed)
        whole = np.isfinite(columns).all(axis=0)
        axes.fill_between(
            np.array(training.epochs)[whole],
            columns[:, whole].min(axis=0),
            columns[:, whole].max(axis=0),
            color=INDIGO,
            alpha=0.22,
            linewidth=0,
            label="range of the seeds",
        )
    marker = "o" if len(training.epochs) <= 30 else ""
    axes.plot(
        training.epochs,
        training.mean,
        color=INDIGO,
        linewidth=2,
        marker=marker,
        markersize=3.5,
        label="mean over seeds" if len(training.per_seed) > 1 else "this seed",
    )
    finite = [x for x in training.mean if x > 0]
    if finite and max(finite) > 8 * min(finite):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="upper right")
    return figure


@styled
def draw_accuracy(training: Training) -> Figure:
    """Draw the test accuracy after each epoch, where the recipe monitors it."""
    figure, axes = panel("epoch", "test accuracy (%)")
    axes.plot(
        [epoch for epoch, _ in training.accuracy],
        [100 * accuracy for _, accuracy in training.accuracy],
        color=TEAL,
        linewidth=1.8,
        marker="s",
        markersize=3.5,
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


@styled
def draw_minibatches(refit: RefitResult) -> Figure:
    """Draw the training loss of the last minibatches of the first seed, with their mean."""
    figure, axes = panel("step (minibatches since the start)", "training loss (nats)")
    points = [(b.step, b.train_loss) for b in refit.last_minibatches if b.train_loss is not None]
    steps = [step for step, _ in points]
    losses = [loss for _, loss in points]
    axes.vlines(steps, 0, losses, color=MUTED, linewidth=0.9)
    axes.plot(steps, losses, "o", color=INDIGO, markersize=5)
    if losses:
        axes.axhline(float(np.mean(losses)), color=ROSE, dashes=(5, 3), linewidth=1.3)
        axes.plot([], [], color=ROSE, dashes=(5, 3), linewidth=1.3, label=f"mean of {len(losses)}")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure


def shares(confusion: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Divide each row of a confusion matrix by its sum; a class without examples stays zero.

    >>> shares([[3, 1], [0, 0]]).tolist()
    [[0.75, 0.25], [0.0, 0.0]]
    """
    counts = np.asarray(confusion, np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)


@styled
def draw_confusion(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: counts, and the percentage of the true class below each."""
    count = len(confusion)
    figure, axes = panel("predicted class", "true class", height=4.6)
    found = shares(confusion)
    # Errors are what one looks for, and they are few: the square root shows them.
    axes.imshow(np.sqrt(found), cmap=slope_colours().reversed(), vmin=0, vmax=1, aspect="auto")
    labels = [plain(name, 12) for name in names]
    axes.set_xticks(range(count), labels, rotation=45, ha="right", parse_math=False, fontsize=8)
    axes.set_yticks(range(count), labels, parse_math=False, fontsize=8)
    axes.tick_params(length=0)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    if count <= 16:
        size = 7.4 if count <= 10 else 5.5
        for i in range(count):
            for j in range(count):
                if not confusion[i][j]:
                    continue
                ink = LIGHT if np.sqrt(found[i, j]) > 0.45 else DARK
                text = f"{confusion[i][j]:,}\n{100 * found[i, j]:.1f} %"
                axes.text(j, i, text, ha="center", va="center", fontsize=size, color=ink)
    axes.xaxis.label.set_color(INK)
    return figure
