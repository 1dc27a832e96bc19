"""Second moments layer by layer, their spread over networks, and which deep networks train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from downslope.report.style import (
    INDIGO,
    INK,
    MARKERS,
    MUTED,
    ROSE,
    SERIES,
    legend_above,
    panel,
    slope_colours,
    styled,
)
from downslope.theory import LayerSpread, TheoryResult, TrainabilityResult

NAMES = {
    "he": "He",
    "xavier": "Xavier",
    "pytorch": "PyTorch default",
    "lecun": "LeCun",
    "orthogonal": "orthogonal",
}


Direction = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Hold one initialization's second moments by layer: measured with its band, and predicted."""

    name: str
    layers: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]
    predicted: list[float]


def moments(theory: TheoryResult, direction: Direction) -> list[Moment]:
    """Collect the layers of each initialization, in the order in which they were measured."""
    found: list[Moment] = []
    for initialization in dict.fromkeys(layer.initialization for layer in theory.layers):
        own = [layer for layer in theory.layers if layer.initialization == initialization]
        forward = direction == "forward"
        found.append(
            Moment(
                name=NAMES.get(initialization, initialization),
                layers=[one.layer for one in own],
                mean=[one.forward_mean if forward else one.backward_mean for one in own],
                low=[one.forward_low if forward else one.backward_low for one in own],
                high=[one.forward_high if forward else one.backward_high for one in own],
                predicted=[
                    one.forward_predicted if forward else one.backward_predicted for one in own
                ],
            )
        )
    return found


@styled
def draw_moments(moments: Sequence[Moment], label: str) -> Figure:
    """Draw second moments on a logarithmic axis: measured solid with band, predicted dashed."""
    figure, axes = panel("hidden layer", label)
    for i, one in enumerate(moments):
        colour = SERIES[i % len(SERIES)]
        axes.fill_between(one.layers, one.low, one.high, color=colour, alpha=0.22, linewidth=0)
        axes.plot(
            one.layers,
            one.mean,
            color=colour,
            marker=MARKERS[i % len(MARKERS)],
            markersize=4,
            linewidth=0,
            label=f"{one.name}",
        )
        axes.plot(one.layers, one.predicted, color=colour, linewidth=1.2, dashes=(4, 2))
    axes.plot([], [], color="#5f6b76", linewidth=1.2, dashes=(4, 2), label="predicted")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 3)
    return figure


@styled
def draw_spread(spreads: Sequence[LayerSpread]) -> Figure:
    """Draw how one input's second moment spreads over He networks, measured and predicted."""
    figure, axes = panel("hidden layer", "z², relative to its mean over networks")
    layers = [one.layer for one in spreads]
    axes.fill_between(
        layers,
        [one.predicted_low for one in spreads],
        [one.predicted_high for one in spreads],
        color=INDIGO,
        alpha=0.16,
        linewidth=0,
        label="80 % of networks, predicted",
    )
    axes.plot(
        layers,
        [one.predicted_median for one in spreads],
        color=INDIGO,
        dashes=(4, 2),
        label="median, predicted",
    )
    axes.axhline(1, color=MUTED, linewidth=1.0, dashes=(1, 2), label="mean, predicted")
    median = np.array([one.median for one in spreads])
    reach = np.array([[one.median - one.low, one.high - one.median] for one in spreads]).T
    axes.errorbar(
        layers,
        median,
        yerr=reach,
        color=ROSE,
        fmt="o",
        markersize=4,
        elinewidth=1.0,
        label="median and 80 %, measured",
    )
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 2)
    return figure


SCALES = 6
"""Depth scales to which networks train, Schoenholz et al. (2017), figure 5."""


@styled
def draw_trainability(found: TrainabilityResult) -> Figure:
    """Draw the accuracy over weight variance and depth, with the predicted edge and reach."""
    figure, axes = panel("hidden layers", "n Var[w]", height=3.6)
    depths = sorted({one.depth for one in found.map})
    variances = sorted({one.weight_variance for one in found.map if one.weight_variance})
    accuracy = {
        (one.weight_variance, one.depth): np.nan if one.accuracies[0] is None else one.accuracies[0]
        for one in found.map
    }
    grid = np.array([[100 * accuracy[v, d] for d in depths] for v in variances])
    # One cell per network, of equal size: the axes' values are those that were trained.
    axes.grid(visible=False)
    axes.set_facecolor("none")
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap=slope_colours(), vmin=0)
    axes.set_xticks(range(len(depths)), [str(d) for d in depths])
    axes.set_yticks(range(len(variances)), [f"{v:g}" for v in variances])
    for (row, column), value in np.ndenumerate(grid):
        dark = np.isfinite(value) and value < 0.5 * np.nanmax(grid)
        axes.text(
            column,
            row,
            f"{value:.0f}" if np.isfinite(value) else "×",
            ha="center",
            va="center",
            fontsize=7.5,
            color="#ffffff" if dark else "#1d2153" if np.isfinite(value) else INK,
            zorder=5,
            # The lines drawn below keep off the numbers.
            path_effects=[withStroke(linewidth=3, foreground=image.cmap(image.norm(value)))]
            if np.isfinite(value)
            else [],
        )
    if found.edge is not None and variances[0] <= found.edge <= variances[-1]:
        at = float(np.interp(found.edge, variances, range(len(variances))))
        axes.axhline(at, color=ROSE, linewidth=1.6, dashes=(4, 2), label="predicted edge")
    for side in (False, True):
        reach = [
            (SCALES * one.depth_scale, one.weight_variance)
            for one in found.depth_scales
            if one.depth_scale is not None
            and depths[0] <= SCALES * one.depth_scale <= depths[-1]
            and (one.weight_variance > (found.edge or 0)) == side
        ]
        if reach:
            axes.plot(
                np.interp([d for d, _ in reach], depths, range(len(depths))),
                np.interp([v for _, v in reach], variances, range(len(variances))),
                color=ROSE,
                linewidth=1.2,
                label=None if side else f"{SCALES} depth scales, predicted",
            )
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("validation accuracy (%)")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    legend_above(axes, 2)
    return figure
