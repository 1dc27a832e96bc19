"""What a search found out about its space: slices, parallel coordinates, importances, a map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from downslope.report.figures.search import WORDS, varied
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    PAPER,
    ROSE,
    legend_above,
    panel,
    slope_colours,
    styled,
    trial_mark,
    within_reach,
)
from downslope.search import SearchResult, Trial

MOST_SHOWN = 6  # settings beside each other
CELLS = 6  # of a range on the map


@dataclass(frozen=True, slots=True)
class Axis:
    """Hold one varied setting of some trials as positions.

    Args:
        name: of the setting, in words.
        positions: one per trial; the logarithm where the values span more than a decade.
        ticks: position and label.
    """

    name: str
    positions: list[float]
    ticks: list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Hold trials along all varied settings.

    Args:
        axes: one per setting.
        accuracy: one per trial; None where it did not complete.
        trials: their ids.
    """

    axes: list[Axis]
    accuracy: list[float | None]
    trials: list[int]


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold the best accuracy by learning rate and batch size.

    Args:
        rates: label of each column.
        batches: label of each row.
        best: accuracy, shape (rows, columns); NaN where no trial completed.
        trials: how many completed there, of the same shape.
    """

    rates: list[str]
    batches: list[str]
    best: NDArray[np.float64]
    trials: NDArray[np.int64]


def coordinates(search: SearchResult) -> Coordinates | None:
    """Place all trials along the settings that vary most tellingly; None where none varies."""
    names = varied(search.trials)
    names.sort(key=lambda name: -search.importances.get(name, 0.0))
    if not names:
        return None
    return Coordinates(
        axes=[_axis(search.trials, name) for name in names[:MOST_SHOWN]],
        accuracy=[t.validation_accuracy for t in search.trials],
        trials=[t.id for t in search.trials],
    )


def _axis(trials: Sequence[Trial], name: str) -> Axis:
    values = [getattr(t.settings, name) for t in trials]
    word = WORDS.get(name, name.replace("_", " "))
    kinds = sorted({*values}, key=lambda v: (isinstance(v, str), v))
    numbers = not any(isinstance(v, str | bool) for v in kinds)
    if not numbers or len(kinds) <= 6:
        places = {value: float(i) for i, value in enumerate(kinds)}
        labels = [f"{v:g}" if numbers else str(v).replace("_", " ").lower() for v in kinds]
        return Axis(
            word, [places[v] for v in values], list(zip(places.values(), labels, strict=True))
        )
    values = [within_reach(v) for v in values]
    low, high = min(values), max(values)
    if low > 0 and high >= 10 * low:
        ends = np.geomspace(low, high, 4)
        return Axis(
            word,
            [math.log10(v) for v in values],
            [(math.log10(e), f"{e:.2g}") for e in ends],
        )
    ticks = MaxNLocator(4).tick_values(low, high)
    return Axis(word, values, [(float(t), f"{t:g}") for t in ticks if low <= t <= high])


def chart(search: SearchResult) -> Chart | None:
    """Collect the best accuracy by learning rate and batch size; None where one does not vary."""
    if not {"learning_rate", "batch_size"} <= {*varied(search.trials)}:
        return None
    rates = np.array([t.settings.learning_rate for t in search.trials])
    kinds = sorted({*rates.tolist()})
    if len(kinds) <= 2 * CELLS:
        columns = np.searchsorted(kinds, rates)
        labels = [f"{v:.3g}" for v in kinds]
    else:
        edges = np.geomspace(kinds[0], kinds[-1], CELLS + 1)
        columns = np.clip(np.searchsorted(edges, rates, side="right") - 1, 0, CELLS - 1)
        labels = [f"{a:.2g}–\n{b:.2g}" for a, b in pairwise(edges)]
    sizes = sorted({t.settings.batch_size for t in search.trials})
    if len(sizes) > 2 * CELLS:
        return None
    best = np.full((len(sizes), len(labels)), np.nan)
    trials = np.zeros(best.shape, np.int64)
    for trial, column in zip(search.trials, columns, strict=True):
        if trial.validation_accuracy is not None:
            cell = sizes.index(trial.settings.batch_size), int(column)
            trials[cell] += 1
            best[cell] = np.fmax(best[cell], trial.validation_accuracy)
    return Chart(labels, [str(s) for s in sizes], best, trials)


def _shades(accuracy: Sequence[float]) -> tuple[float, float]:
    """Return where colours start and end: the lowest tenth shares one, or it would take all."""
    return float(np.quantile(accuracy, 0.1)), max(accuracy)


@styled
def draw_slices(found: Coordinates) -> Figure:
    """Draw the accuracy against each setting, whatever the others are."""
    columns = min(3, len(found.axes))
    rows = math.ceil(len(found.axes) / columns)
    figure = Figure(figsize=(5.0, 0.35 + 1.75 * rows), layout="constrained")
    done = [i for i, a in enumerate(found.accuracy) if a is not None]
    heights = [100 * (found.accuracy[i] or 0.0) for i in done]
    first = None
    for number, axis in enumerate(found.axes):
        panel = figure.add_subplot(rows, columns, number + 1, sharey=first)
        first = first or panel
        panel.plot(
            [axis.positions[i] for i in done],
            heights,
            "o",
            color=INDIGO,
            alpha=0.8,
            ms=4,
            mew=0,
            gid=trial_mark([found.trials[i] for i in done]),
        )
        _ticks(panel, axis)
        panel.set_xlabel(axis.name, fontsize=8)
        panel.margins(x=0.12, y=0.1)
        if number % columns:
            panel.tick_params(labelleft=False)
    figure.supylabel("validation accuracy (%)", fontsize=9, color=INK)
    return figure


def _ticks(panel: Axes, axis: Axis) -> None:
    labels = [label for _, label in axis.ticks]
    slanted = sum(map(len, labels)) > 14
    panel.set_xticks(
        [at for at, _ in axis.ticks],
        labels,
        fontsize=7.5,
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )


@styled
def draw_parallel(found: Coordinates) -> Figure:
    """Draw each trial as a line through its settings, the best ones in colour."""
    figure, axes = panel("", "", height=3.5)
    done = sorted(a for a in found.accuracy if a is not None)
    good = float(np.quantile(done, 0.8))
    columns = range(len(found.axes))
    places = [_unit(axis) for axis in found.axes]
    seen: set[str] = set()
    # Colours of the page rather than of a scale: they are seen on light and on dark.
    kinds = {
        "did not complete": (MUTED, ":", 0.9, 0.4),
        "other trials": (MUTED, "-", 0.9, 0.5),
        "best fifth": (INDIGO, "-", 1.4, 0.8),
        "best": (ROSE, "-", 2.4, 1.0),
    }
    for i in sorted(range(len(found.accuracy)), key=lambda i: found.accuracy[i] or -1.0):
        accuracy = found.accuracy[i]
        kind = "did not complete" if accuracy is None else "other trials"
        if accuracy is not None and accuracy >= good:
            kind = "best" if accuracy == done[-1] and "best" not in seen else "best fifth"
        colour, line, width, alpha = kinds[kind]
        axes.plot(
            columns,
            [p[i] for p in places],
            color=colour,
            linestyle=line,
            linewidth=width,
            alpha=alpha,
            label="" if kind in seen else kind,
            zorder=2 + list(kinds).index(kind) / 10,
            gid=trial_mark([found.trials[i]]),
        )
        seen.add(kind)
    for column, axis in enumerate(found.axes):
        axes.axvline(column, color=INK, lw=0.7)
        for place, label in _unit_ticks(axis):
            axes.annotate(
                label,
                (column, place),
                (3, 0),
                textcoords="offset points",
                fontsize=7,
                va="center",
                bbox={"boxstyle": "round,pad=0.1", "fc": PAPER, "ec": "none", "alpha": 0.75},
            )
    axes.set_xticks(list(columns), [_folded(axis.name) for axis in found.axes], fontsize=8)
    axes.set_yticks([])
    axes.grid(False)
    axes.set_xlim(-0.15, len(found.axes) - 0.6)
    legend_above(axes, columns=4)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return figure


def _folded(name: str) -> str:
    return name.replace(" per ", "\nper ") if len(name) > 14 else name.replace(" ", "\n")


def _unit(axis: Axis) -> list[float]:
    low, high = _span(axis)
    # Trials that share a value are drawn a little apart, always the same way.
    apart = np.random.default_rng(0).uniform(-0.012, 0.012, len(axis.positions))
    return [(p - low) / (high - low) + a for p, a in zip(axis.positions, apart, strict=True)]


def _unit_ticks(axis: Axis) -> list[tuple[float, str]]:
    low, high = _span(axis)
    return [((at - low) / (high - low), label) for at, label in axis.ticks]


def _span(axis: Axis) -> tuple[float, float]:
    places = [*axis.positions, *(at for at, _ in axis.ticks)]
    low, high = min(places), max(places)
    return low, high if high > low else low + 1.0


@styled
def draw_importances(importances: dict[str, float]) -> Figure:
    """Draw the share of each setting in the variance of the accuracy, the largest first."""
    names = list(importances)
    figure, axes = panel("share of the variance (%)", "", height=0.9 + 0.28 * len(names))
    for row, name in enumerate(names):
        share = 100 * importances[name]
        axes.barh(row, share, height=0.62, color=INDIGO if row == 0 else MUTED)
        axes.annotate(
            f"{share:.0f}",
            (share, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_yticks(range(len(names)), [WORDS.get(n, n.replace("_", " ")) for n in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 108 * max(importances.values()))
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    return figure


@styled
def draw_chart(chart: Chart) -> Figure:
    """Draw the best accuracy by learning rate and batch size as a map, with its number."""
    figure, axes = panel("learning rate", "batch size", height=1.3 + 0.36 * len(chart.batches))
    known = chart.best[np.isfinite(chart.best)]
    low, high = _shades(known.tolist())
    scale = slope_colours().reversed()
    image = np.clip((chart.best - low) / ((high - low) or 1.0), 0, 1)
    axes.imshow(0.15 + 0.85 * image, cmap=scale, vmin=0, vmax=1, aspect="auto")
    top = np.nanmax(chart.best)
    for row, column in np.ndindex(chart.best.shape):
        value = chart.best[row, column]
        if not np.isfinite(value):
            continue
        bright = image[row, column] < 0.45
        axes.text(
            column,
            row,
            f"{100 * value:.1f}",
            ha="center",
            va="center",
            fontsize=7.5 if len(chart.rates) <= 8 else 6.5,
            color="#10161c" if bright else "#ffffff",
            fontweight="bold" if value == top else "normal",
        )
        if value == top:
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=ROSE, linewidth=1.8
                )
            )
    slant: Any = {"rotation": 40, "ha": "right"} if len(chart.rates) > CELLS else {}
    axes.set_xticks(range(len(chart.rates)), chart.rates, fontsize=7.5, **slant)
    axes.set_yticks(range(len(chart.batches)), chart.batches)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    return figure
