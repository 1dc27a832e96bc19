"""Variants against the plain winner: validation accuracy of each, test accuracies by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from downslope.report.statements import is_chosen, standing
from downslope.report.style import (
    INDIGO,
    MUTED,
    PAPER,
    ROSE,
    TEAL,
    panel,
    styled,
    trial_mark,
)
from downslope.report.wording import parts
from downslope.search import SearchResult
from downslope.statistics import Accuracy


@dataclass(frozen=True, slots=True)
class Variant:
    """Hold one variant's trial, name and validation accuracy; None where it did not complete.

    `standing` is that of `statements.standing`.
    """

    trial: int
    name: str
    accuracy: float | None
    standing: str
    chosen: bool


def ranking(search: SearchResult, most: int = 15) -> list[Variant]:
    """Rank the variants by validation accuracy, at most `most` of them."""
    found = [
        Variant(
            trial=trial.id,
            name=", ".join(parts(trial)),
            accuracy=trial.validation_accuracy,
            standing=standing(search, trial.id),
            chosen=is_chosen(search, trial.id),
        )
        for trial in search.trials
    ]
    order = sorted(found, key=lambda v: -1.0 if v.accuracy is None else v.accuracy, reverse=True)
    return order[:most]


@styled
def draw_ranking(variants: Sequence[Variant]) -> Figure:
    """Draw the validation accuracy of each variant, best first, the chosen one bold."""
    figure, axes = panel("validation accuracy (%)", "", height=0.85 + 0.27 * len(variants))
    known = [100 * v.accuracy for v in variants if v.accuracy is not None]
    low = min(known, default=0.0)
    span = max(known, default=100.0) - low or 1.0
    start = low - 0.15 * span
    for row, variant in enumerate(variants):
        if variant.accuracy is None:
            axes.text(start, row, " did not complete", va="center", color=ROSE, fontsize=8.5)
            continue
        accuracy = 100 * variant.accuracy
        colour = INDIGO if variant.chosen else MUTED
        mark = trial_mark([variant.trial])
        axes.hlines(row, start, accuracy, color=colour, linewidth=1.1, alpha=0.7)
        axes.plot(accuracy, row, "o", color=colour, ms=8 if variant.chosen else 6, gid=mark)
        axes.annotate(
            f"{accuracy:.2f}" + (f" {variant.standing}" if variant.standing else ""),
            (accuracy, row),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            fontweight="bold" if variant.chosen else "normal",
        )
    axes.set_yticks(range(len(variants)), [v.name for v in variants], fontsize=8)
    axes.set_ylim(len(variants) - 0.4, -0.6)
    axes.set_xlim(start, max(known, default=100.0) + 0.35 * span)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    return figure


@styled
def draw_test(plain: Accuracy | None, variant: Accuracy | None) -> Figure:
    """Draw the test accuracy of each seed, with the mean and its 95 % interval."""
    figure, axes = panel("test accuracy (%)", "", height=2.2)
    rows = [("plain winner", plain, TEAL, "s"), ("chosen variant", variant, INDIGO, "o")]
    shown = [row for row in rows if row[1] is not None]
    for i, (_, accuracy, colour, marker) in enumerate(shown):
        assert accuracy is not None
        low, high = accuracy.interval
        axes.hlines(i, 100 * low, 100 * high, color=colour, linewidth=9, alpha=0.22)
        axes.vlines(100 * accuracy.mean, i - 0.22, i + 0.22, color=colour, linewidth=2.4)
        axes.plot(
            [100 * a for a in accuracy.per_seed],
            [i] * len(accuracy.per_seed),
            marker,
            color=colour,
            markeredgecolor=PAPER,
            markeredgewidth=0.8,
            markersize=7,
        )
        axes.annotate(
            f"{100 * accuracy.mean:.2f}",
            (100 * accuracy.mean, i - 0.24),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
            fontweight="bold",
        )
    axes.set_yticks(range(len(shown)), [row[0] for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.65)
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    return figure
