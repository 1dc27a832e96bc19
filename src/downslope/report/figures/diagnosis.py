"""Signal and gradient through the layers of any network, as it is and with the proposed gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from downslope.report.style import INDIGO, ROSE, legend_above, panel, styled
from downslope.theory import Diagnosis

Quantity = Literal["signal", "gradient"]
LABELS = {
    "signal": "variance of z over examples",
    "gradient": "E[d²] of the gradient with respect to z",
}


def strengths(found: Diagnosis, of: Quantity) -> tuple[list[float], list[float]]:
    """Collect a quantity layer by layer: as it is, and with the proposed gains."""
    if of == "signal":
        return [one.signal for one in found.layers], [one.mended_signal for one in found.layers]
    return [one.gradient for one in found.layers], [one.mended_gradient for one in found.layers]


@styled
def draw_strengths(found: Diagnosis, of: Quantity) -> Figure:
    """Draw a quantity layer by layer on a logarithmic axis; one that is 0 is left out."""
    figure, axes = panel("weighted layer, in the order of the first call", LABELS[of])
    now, mended = strengths(found, of)
    layers = range(1, len(now) + 1)
    axes.plot(layers, _positive(now), color=ROSE, marker="o", markersize=4, label="as it is")
    axes.plot(
        layers,
        _positive(mended),
        color=INDIGO,
        marker="s",
        markersize=4,
        dashes=(4, 2),
        label="with the proposed gains",
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 2)
    return figure


def _positive(values: Sequence[float]) -> list[float]:
    return [value if value > 0 else math.nan for value in values]
