"""How a search went: its trials in their order, and what became of the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from downslope.report.style import (
    INDIGO,
    MUTED,
    OCHRE,
    PAPER,
    ROSE,
    TEAL,
    legend_above,
    panel,
    styled,
    trial_mark,
)
from downslope.search import Candidate, Choice, SearchResult


@dataclass(frozen=True, slots=True)
class Attempt:
    """Hold one trial of the history.

    Args:
        trial: its id.
        accuracy: of its last epoch; None where it has none.
        outcome: what became of it.
        best: the highest accuracy of a completed trial so far.
    """

    trial: int
    accuracy: float | None
    outcome: str
    best: float | None


def history(search: SearchResult) -> list[Attempt]:
    """Follow the trials in the order of proposal."""
    found: list[Attempt] = []
    best = None
    for trial in search.trials:
        if trial.validation_accuracy is not None:
            best = max(best or 0.0, trial.validation_accuracy)
        last = trial.curve[-1].validation_accuracy if trial.curve else None
        shown = last if trial.outcome == "pruned" else trial.validation_accuracy
        found.append(Attempt(trial.id, shown, trial.outcome, best))
    return found


@styled
def draw_history(attempts: Sequence[Attempt]) -> Figure:
    """Draw the accuracy of each trial in order, and the best so far."""
    figure, axes = panel("trial", "validation accuracy (%)")
    so_far = [a for a in attempts if a.best is not None]
    axes.step(
        [a.trial for a in so_far],
        [100 * (a.best or 0.0) for a in so_far],
        where="post",
        color=INDIGO,
        label="best so far",
    )
    kinds = (
        ("completed", "o", MUTED, "completed"),
        ("pruned", "v", OCHRE, "pruned, at its last epoch"),
    )
    for outcome, marker, colour, label in kinds:
        own = [a for a in attempts if a.outcome == outcome and a.accuracy is not None]
        if own:
            axes.plot(
                [a.trial for a in own],
                [100 * (a.accuracy or 0.0) for a in own],
                marker,
                color=colour,
                markeredgecolor=PAPER,
                markeredgewidth=0.5,
                markersize=5,
                alpha=0.9,
                label=label,
                gid=trial_mark([a.trial for a in own]),
            )
    lost = [a.trial for a in attempts if a.outcome in ("diverged", "failed")]
    if lost:
        axes.plot(
            lost,
            [0.03] * len(lost),
            "x",
            color=ROSE,
            markersize=7,
            markeredgewidth=1.8,
            transform=axes.get_xaxis_transform(),
            label="diverged or failed",
            gid=trial_mark(lost),
        )
    if not so_far:
        axes.set_ylim(0, 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(axes, columns=2)
    return figure


@styled
def draw_choice(choice: Choice, reached: dict[int, float]) -> Figure:
    """Draw what the best trials reached in the search and when trained again."""
    shown = choice.candidates
    figure, axes = panel("validation accuracy (%)", "", height=1.0 + 0.36 * len(shown))
    for row, candidate in enumerate(shown):
        _draw_candidate(axes, row, candidate, candidate.trial == choice.chosen)
        axes.plot(
            100 * reached[candidate.trial],
            row,
            "D",
            mfc="none",
            mec=ROSE,
            mew=1.4,
            ms=6,
            zorder=3,
            gid=trial_mark([candidate.trial]),
        )
    axes.plot([], [], "D", mfc="none", mec=ROSE, mew=1.4, ms=6, label="in the search")
    axes.plot([], [], "o", color=TEAL, ms=6, label="trained again")
    axes.plot([], [], "|", color=INDIGO, ms=10, mew=2.4, label="mean of those")
    axes.set_yticks(range(len(shown)), [f"trial {c.trial}" for c in shown])
    for label, candidate in zip(axes.get_yticklabels(), shown, strict=True):
        if candidate.trial == choice.chosen:
            label.set_fontweight("bold")
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    legend_above(axes)
    return figure


def _draw_candidate(axes: Axes, row: int, candidate: Candidate, chosen: bool) -> None:
    if candidate.interval is not None:
        low, high = candidate.interval
        axes.hlines(row, 100 * low, 100 * high, color=INDIGO, linewidth=8, alpha=0.18)
    axes.plot(
        [100 * a for a in candidate.accuracies],
        [row] * len(candidate.accuracies),
        "o",
        color=TEAL,
        markeredgecolor=PAPER,
        markeredgewidth=0.6,
        markersize=6,
        alpha=0.85,
    )
    if candidate.mean is not None:
        axes.plot(100 * candidate.mean, row, "|", color=INDIGO, ms=15 if chosen else 11, mew=2.6)
