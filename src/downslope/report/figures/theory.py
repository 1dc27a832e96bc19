"""Second moments of signals and gradients, layer by layer, under each initialization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from downslope.report.figures.style import MARKERS, SERIES, legend_above, panel, styled
from downslope.theory import TheoryResult

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
    legend_above(axes, 4)
    return figure
