"""What a search tried: learning curves of all trials, and accuracy against a setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from downslope.report.statements import rank, standing
from downslope.report.style import (
    INDIGO,
    INK,
    MARKERS,
    MUTED,
    OCHRE,
    PAPER,
    ROSE,
    TEAL,
    legend_above,
    log_ticks,
    panel,
    slope_colours,
    styled,
    trial_mark,
    within_reach,
)
from downslope.search import SearchResult, Trial

WORDS = {
    "hidden_layers": "hidden layers",
    "units": "units per hidden layer",
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "batch_size": "batch size",
    "epochs": "epochs",
    "dropout": "dropout",
    "momentum": "momentum",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """Hold one trial's validation accuracy by epoch, and its `statements.standing`."""

    trial: int
    epochs: list[int]
    accuracy: list[float]
    outcome: str
    standing: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Hold all trials against one setting, coloured by another.

    Args:
        setting: on the horizontal axis.
        colour: the setting that colours.
        points: (value, accuracy, colour value, standing, trial) of completed trials.
        stopped: (value, outcome, trial) of those without an accuracy.
        logarithmic: whether the horizontal axis is.
    """

    setting: str
    colour: str
    points: list[tuple[float, float, float, str, int]]
    stopped: list[tuple[float, str, int]]
    logarithmic: bool


def curves(search: SearchResult) -> list[Curve]:
    """Collect the learning curves, the best and the chosen one last so that they are on top."""
    found: list[Curve] = []
    for trial in search.trials:
        points = [p for p in trial.curve if p.validation_accuracy is not None]
        found.append(
            Curve(
                trial=trial.id,
                epochs=[p.epoch for p in points],
                accuracy=[p.validation_accuracy or 0.0 for p in points],
                outcome=trial.outcome,
                standing=standing(search, trial.id),
            )
        )
    return sorted((c for c in found if c.epochs), key=lambda c: rank(c.standing))


def varied(trials: Sequence[Trial]) -> list[str]:
    """Name the settings in which trials differ, in the order of their definition."""
    tables = [msgspec.structs.asdict(trial.settings) for trial in trials]
    return [name for name in (tables[0] if tables else {}) if len({t[name] for t in tables}) > 1]


def scatter(search: SearchResult) -> Scatter:
    """Choose the setting to show: the learning rate where it varies, else the most telling one."""
    numbers = [name for name in varied(search.trials) if name in WORDS]
    completed = [t for t in search.trials if t.validation_accuracy is not None]
    if "learning_rate" in numbers or not numbers:
        chosen = "learning_rate"
    else:
        chosen = max(numbers, key=lambda name: _strength(completed, name))
    colours = [n for n in ("batch_size", "units", "hidden_layers", *numbers) if n != chosen]
    colour = next((name for name in colours if name in numbers), colours[0])
    values = [within_reach(getattr(t.settings, chosen)) for t in search.trials]
    return Scatter(
        setting=chosen,
        colour=colour,
        points=[
            (
                within_reach(getattr(t.settings, chosen)),
                t.validation_accuracy or 0.0,
                float(getattr(t.settings, colour)),
                standing(search, t.id),
                t.id,
            )
            for t in completed
        ],
        stopped=[
            (value, t.outcome, t.id)
            for t, value in zip(search.trials, values, strict=True)
            if t.outcome in ("diverged", "failed")
        ],
        logarithmic=min(values) > 0 and max(values) >= 4 * min(values),
    )


def _strength(trials: Sequence[Trial], name: str) -> float:
    values = [float(getattr(t.settings, name)) for t in trials]
    accuracies = [t.validation_accuracy or 0.0 for t in trials]
    if len(set(values)) < 2 or len(set(accuracies)) < 2:
        return 0.0
    found: Any = stats.spearmanr(values, accuracies)
    return abs(float(found.statistic))


@styled
def draw_curves(curves: Sequence[Curve]) -> Figure:
    """Draw all learning curves grey, best and chosen in colour, pruned ones to where they ended."""
    figure, axes = panel("epoch", "validation accuracy (%)")
    kinds: dict[str, tuple[str, str, str, float]] = {
        "best": ("best of the search", INDIGO, "-", 1.0),
        "best and chosen": ("best and chosen", INDIGO, "-", 1.0),
        "chosen": ("chosen", TEAL, "-", 1.0),
        "completed": ("other trials", MUTED, "-", 0.45),
        "pruned": ("pruned", OCHRE, "-", 0.6),
        "stopped": ("diverged or failed", ROSE, "--", 1.0),
    }
    seen: set[str] = set()
    for curve in curves:
        accuracy = 100 * np.array(curve.accuracy)
        lost = curve.outcome in ("diverged", "failed")
        kind = curve.standing or ("stopped" if lost else curve.outcome)
        mark = trial_mark([curve.trial])
        _, colour, line, alpha = kinds[kind]
        axes.plot(
            curve.epochs,
            accuracy,
            color=colour,
            linewidth=2.2 if curve.standing else 1.0,
            alpha=alpha,
            linestyle=line,
            marker="o" if len(curve.epochs) == 1 or curve.standing else "",
            markersize=3.5,
            gid=mark,
        )
        if kind in ("pruned", "stopped"):
            end = "v" if kind == "pruned" else "x"
            axes.plot(
                curve.epochs[-1], accuracy[-1], end, color=colour, ms=5, alpha=alpha, gid=mark
            )
        seen.add(kind)
    for kind, (text, colour, line, _) in kinds.items():
        if kind in seen:
            end = {"pruned": "v", "stopped": "x"}.get(kind, "")
            axes.plot([], [], color=colour, linestyle=line, marker=end, label=text)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if seen:
        legend_above(axes, columns=min(4, len(seen)))
    return figure


@styled
def draw_scatter(scatter: Scatter) -> Figure:
    """Draw accuracy against a setting; trials without an accuracy stand as crosses at the foot."""
    figure, axes = panel(WORDS[scatter.setting], "validation accuracy (%)")
    shades = sorted({point[2] for point in scatter.points})
    scale = slope_colours()
    for i, shade in enumerate(shades):
        own = [p for p in scatter.points if p[2] == shade]
        axes.plot(
            [p[0] for p in own],
            [100 * p[1] for p in own],
            MARKERS[i % len(MARKERS)],
            color=scale(0.2 + 0.52 * i / max(1, len(shades) - 1)),
            markeredgecolor=PAPER,
            markeredgewidth=0.6,
            markersize=7,
            label=f"{shade:g}",
            gid=trial_mark([p[4] for p in own]),
        )
    for value, accuracy, _, name, _ in scatter.points:
        if name:
            edge = INDIGO if name == "best" else ROSE
            axes.plot(value, 100 * accuracy, "o", mfc="none", mec=edge, mew=1.8, ms=13)
            axes.plot([], [], "o", mfc="none", mec=edge, mew=1.8, ms=9, label=name)
    if scatter.stopped:
        axes.plot(
            [value for value, _, _ in scatter.stopped],
            [0.03] * len(scatter.stopped),
            "x",
            color=ROSE,
            markersize=8,
            markeredgewidth=2,
            transform=axes.get_xaxis_transform(),
            label="diverged" if {o for _, o, _ in scatter.stopped} == {"diverged"} else "stopped",
            gid=trial_mark([trial for _, _, trial in scatter.stopped]),
        )
    if not scatter.points:
        axes.set_ylim(0, 100)
    if scatter.logarithmic:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    axes.margins(x=0.08, y=0.12)
    axes.legend(
        title=WORDS[scatter.colour],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=6,
        borderaxespad=0.2,
        handletextpad=0.2,
        columnspacing=1.0,
        title_fontproperties={"size": 8.5},
        alignment="left",
        labelcolor=INK,
    )
    return figure
