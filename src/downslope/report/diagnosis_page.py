"""The page of a diagnosis: where the signal of any network dies, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from matplotlib.figure import Figure

from downslope.report.blocks import (
    Block,
    Column,
    Document,
    Figures,
    Item,
    Items,
    Paragraph,
    Row,
    Section,
    Table,
)
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import capitalized
from downslope.report.html import write_page
from downslope.report.style import INDIGO, ROSE, count_along, legend_above, panel, powers
from downslope.runs import Run
from downslope.theory import Diagnosis

_SOURCE = Source("diagnosis.json: layers", "means over initializations")


def write_diagnosis(run: Run, diagnosis: Diagnosis, module: str) -> None:
    """Write a diagnosis' JSON, figures and page into a directory.

    Args:
        run: of the directory.
        diagnosis: by `downslope.theory.diagnose`.
        module: what the network is called.

    Raises:
        InputError: the directory cannot be written.
    """
    run.write("diagnosis.json", msgspec.json.format(msgspec.json.encode(diagnosis), indent=1))
    section = Section("diagnosis", "Signal and gradient by layer", list(_blocks(diagnosis)))
    write_page(run, "diagnosis.html", Document(f"Initialization of {module}", "", [], [section]))


def _blocks(diagnosis: Diagnosis) -> Iterator[Block]:
    texts = [f"{diagnosis.caution}."] if diagnosis.caution else []
    texts += diagnosis.findings or ["signals and gradients keep their size in every layer."]
    texts += [f"even with the proposed gains {text}" for text in diagnosis.mended]
    yield Items([Item(capitalized(text)) for text in texts], numbered=False)
    yield Figures([SignalStrength(diagnosis), GradientStrength(diagnosis)])
    yield layer_table(diagnosis)
    yield Paragraph(
        f"Means over {diagnosis.networks} initializations and {diagnosis.examples} examples. Size: "
        "mean square of a layer's outputs, with its 95 % bootstrap interval over initializations. "
        "Signal: the variance of its outputs over examples, what tells inputs apart. Gradient: "
        "mean square of the gradient with respect to its outputs, for one of mean square 1 at the "
        "end. Gain: deviation of the weights times √fan_in. The proposed gains make each size 1 "
        "with biases of zero (Mishkin and Matas 2016); the columns marked * are measured in new "
        "networks that have them.",
        "small",
    )


@dataclass(frozen=True)
class SignalStrength(Display):
    """The signal layer by layer, as it is and with the proposed gains."""

    diagnosis: Diagnosis
    name = "diagnosis-signal"
    title = "Does the signal reach the last layer?"
    source = _SOURCE
    label = "variance of z over examples"
    field = "signal"

    def frame(self) -> Frame:
        names = ("name", self.field, f"mended_{self.field}")
        rows = [
            (i, *(getattr(layer, name) for name in names))
            for i, layer in enumerate(self.diagnosis.layers, 1)
        ]
        return Frame(("layer", "name", "as it is", "with the proposed gains"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("weighted layer, in the order of the first call", self.label)
        looks = {"as it is": (ROSE, "o-"), "with the proposed gains": (INDIGO, "s--")}
        for label, (colour, look) in looks.items():
            values = frame.numbers(label)
            positive = np.where(values > 0, values, np.nan)
            axes.plot(frame["layer"], positive, look, color=colour, markersize=4, label=label)
        axes.set_yscale("log")
        powers(axes.yaxis)
        count_along(axes.xaxis)
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        return Texts(
            f"{capitalized(self.label)}, mean over {self.diagnosis.networks} initializations.",
            f"{capitalized(self.label)} by layer, as it is and with the proposed gains.",
        )


@dataclass(frozen=True)
class GradientStrength(SignalStrength):
    """The gradient layer by layer, as it is and with the proposed gains."""

    name = "diagnosis-gradient"
    title = "Does the gradient reach the first layer?"
    label = "E[d²] of the gradient"
    field = "gradient"


def layer_table(diagnosis: Diagnosis) -> Table:
    """List the layers with all that was measured of each."""
    rows: list[Row] = []
    for layer in diagnosis.layers:
        low_high = layer.size_interval
        interval = f"{low_high[0]:.2g} to {low_high[1]:.2g}" if low_high else "none"
        before = (layer.signal, layer.gradient, layer.gain, layer.proposed_gain)
        measured = (*before, layer.mended_signal, layer.mended_gradient)
        cells = [layer.name, f"{layer.fan_in}", f"{layer.size:.2g}", interval]
        rows.append(Row([*cells, *(f"{value:.2g}" for value in measured)]))
    names = ("fan in", "size", "95 % interval", "signal", "gradient", "gain", "proposed")
    columns = [Column("layer", False), *map(Column, (*names, "signal*", "gradient*"))]
    return Table("Layers in the order of their first call", columns, rows, _SOURCE)
