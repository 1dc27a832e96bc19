"""Several runs side by side: scores with intervals, training losses, progress of searches."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from downslope.report.style import (
    INK,
    MARKERS,
    PAPER,
    RUN_COLOURS,
    legend_above,
    log_ticks,
    panel,
    styled,
)
from downslope.search import (
    RefitResult,
    SearchResult,
)
from downslope.statistics import Accuracy

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 3)))


def _of_run(name: str) -> tuple[str, str, Any]:
    """Give the run of a letter its colour, marker and dash, whichever other runs are drawn."""
    place = ascii_uppercase.index(name)
    return (
        RUN_COLOURS[place % len(RUN_COLOURS)],
        MARKERS[place % len(MARKERS)],
        DASHES[place % len(DASHES)],
    )


@styled
def draw_scores(found: Mapping[str, Accuracy]) -> Figure:
    """Draw the test accuracy of each run: its seeds, their mean, and its 95 % interval."""
    figure, axes = panel("test accuracy (%)", "", height=1.1 + 0.48 * len(found))
    for i, (name, accuracy) in enumerate(found.items()):
        colour, marker, _ = _of_run(name)
        low, high = accuracy.interval
        axes.hlines(i, 100 * low, 100 * high, color=colour, linewidth=9, alpha=0.22)
        axes.vlines(100 * accuracy.mean, i - 0.22, i + 0.22, color=colour, linewidth=2.4)
        axes.plot(
            [100 * a for a in accuracy.per_seed], [i] * len(accuracy.per_seed),
            marker, color=colour, markeredgecolor=PAPER, markeredgewidth=0.8,
            markersize=6.5,
        )  # fmt: skip
        axes.annotate(
            f"{100 * accuracy.mean:.2f}", (100 * accuracy.mean, i - 0.24), (0, 2), color=INK,
            textcoords="offset points", ha="center", va="bottom", fontsize=8.5, fontweight="bold",
        )  # fmt: skip
    axes.set_yticks(range(len(found)), [f"run {name}" for name in found])
    axes.set_ylim(len(found) - 0.5, -0.75)
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    return figure


@styled
def draw_losses(found: Mapping[str, RefitResult]) -> Figure:
    """Draw the training loss of each final model, the mean over seeds within their range."""
    figure, axes = panel("epoch", "training loss (nats)")
    least, most = np.inf, 0.0
    for name, refit in found.items():
        colour, _, dash = _of_run(name)
        epochs = [e.epoch for e in refit.epochs if e.train_loss is not None]
        losses = [e.train_loss for e in refit.epochs if e.train_loss is not None]
        known = [
            [x for x in e.train_loss_per_seed if x is not None]
            for e in refit.epochs
            if e.train_loss is not None
        ]
        if any(len(values) > 1 for values in known):
            axes.fill_between(
                epochs,
                [min(v, default=np.nan) for v in known],
                [max(v, default=np.nan) for v in known],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
        axes.plot(epochs, losses, color=colour, linestyle=dash, label=f"run {name}")
        finite = [x for x in losses if x > 0]
        least, most = min([least, *finite]), max([most, *finite])
    if most > 8 * least:
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(axes, 5)
    return figure


@styled
def draw_searches(found: Mapping[str, SearchResult]) -> Figure:
    """Draw the best validation accuracy so far of each search, trial by trial."""
    figure, axes = panel("trial", "best validation accuracy so far (%)")
    for name, search in found.items():
        colour, _, dash = _of_run(name)
        order = sorted(search.trials, key=lambda t: t.id)
        reached = [
            -np.inf if t.validation_accuracy is None else 100 * t.validation_accuracy for t in order
        ]
        best = np.maximum.accumulate(reached)
        best[~np.isfinite(best)] = np.nan
        axes.step(
            [t.id for t in order], best, where="post", color=colour,
            linestyle=dash, label=f"run {name}",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(axes, 5)
    return figure
