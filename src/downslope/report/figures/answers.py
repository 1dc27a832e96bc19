"""How the final model answers: is it as sure as it may be, and where is it most surely wrong?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.report.images import above, put, sheet
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    ROSE,
    TEAL,
    legend_above,
    panel,
    plain,
    styled,
)
from downslope.statistics import Reliability

COLUMNS = 6


@styled
def draw_reliability(found: Reliability) -> Figure:
    """Draw accuracy against confidence by bin, with intervals, above how many answers each has."""
    figure = Figure(figsize=(5.0, 4.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    x = [100 * b.confidence for b in found.bins]
    y = [100 * b.accuracy for b in found.bins]
    ends = [[100 * b.interval[0] for b in found.bins], [100 * b.interval[1] for b in found.bins]]
    upper.plot([0, 100], [0, 100], color=MUTED, dashes=(5, 3), lw=1.1, label="as sure as right")
    upper.vlines(x, *ends, color=INDIGO, lw=1.4, alpha=0.6, label="95 % interval")
    upper.plot(x, y, "o-", color=INDIGO, ms=5.5, lw=1.3, label="this model")
    upper.set_ylabel("right answers (%)")
    upper.set_ylim(-2, 102)
    upper.set_aspect("auto")
    legend_above(upper)
    total = sum(b.examples for b in found.bins)
    for b in found.bins:
        left, width = 100 * b.low, 100 * (b.high - b.low)
        share = 100 * b.examples / total
        lower.bar(left, share, width, align="edge", color=INDIGO, alpha=0.35, edgecolor=INDIGO)
    for value, colour, label in (
        (found.confidence, INK, "mean confidence"),
        (found.accuracy, TEAL, "accuracy"),
    ):
        lower.axvline(100 * value, color=colour, lw=1.5, label=label)
    lower.lines[-1].set_dashes((4, 2))
    lower.set_xlabel("confidence: probability of the answer (%)")
    lower.set_ylabel("answers (%)")
    lower.set_xlim(min(95.0, 100 * found.bins[0].low), 100.5)
    lower.legend(loc="upper left")
    return figure


@styled
def draw_classes(
    names: Sequence[str],
    scores: Sequence[tuple[float | None, tuple[float, float] | None]],
    label: str,
) -> Figure:
    """Draw a score of each class with its interval, the lowest first."""
    order = sorted(range(len(names)), key=lambda i: -1.0 if (s := scores[i][0]) is None else s)
    figure, axes = panel(label, "", height=0.8 + 0.26 * len(names))
    for row, i in enumerate(order):
        value, interval = scores[i]
        if value is None or interval is None:
            continue
        axes.hlines(row, 100 * interval[0], 100 * interval[1], color=INDIGO, lw=7, alpha=0.22)
        axes.plot(100 * value, row, "o", color=INDIGO, ms=5.5)
        axes.annotate(
            f"{100 * value:.1f}",
            (100 * interval[1], row),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(order)), [plain(names[i]) for i in order], parse_math=False)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    return figure


@styled
def draw_mistakes(
    images: NDArray[np.floating],
    truth: Sequence[str],
    answers: Sequence[str],
    confidences: Sequence[float],
) -> Figure:
    """Draw examples with the wrong answer, how sure it was, and what they are.

    Args:
        images: from `arrange`, shape (examples, height, width, ...); the lowest value is black,
            the highest white.
        truth: what each is.
        answers: what it was taken for.
        confidences: the probability of that.
    """
    rows = math.ceil(len(images) / COLUMNS)
    proportion = images.shape[1] / images.shape[2]
    tall = (0.4 + proportion) * rows  # above each picture there is room for two lines
    figure = Figure(figsize=(6.2, 6.1 / COLUMNS * tall))
    axes = sheet(figure, (0.01, 0.01, 0.99, 0.99), COLUMNS, tall)
    low, high = float(images.min()), float(images.max())
    for i, (image, is_, said, sure) in enumerate(
        zip(images, truth, answers, confidences, strict=True)
    ):
        x, y = i % COLUMNS, (0.4 + proportion) * (i // COLUMNS) + 0.4
        put(
            axes,
            image,
            (x, y),
            f"{is_} taken for {said}",
            height=proportion,
            low=low,
            high=high or 1,
        )
        # Rounded to 100.00 it would look certain, which no answer is.
        surely = ">99.99" if sure > 0.9999 else f"{100 * sure:.2f}"
        for line, text, colour in (
            (0.14, f"{plain(said, 12)} {surely} %", ROSE),
            (0.0, f"is {plain(is_, 12)}", INK),
        ):
            above(axes, (x + 0.5, y - line), text, fontsize=7, color=colour)
    return figure
