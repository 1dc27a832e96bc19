"""The page of a diagnosis: where the signal of any network dies, and what mends it."""

from __future__ import annotations

from typing import get_args

import msgspec

from downslope.report.figures.diagnosis import LABELS, Quantity, draw_strengths
from downslope.report.picture import Picture
from downslope.report.shell import set_page
from downslope.report.style import svg
from downslope.report.tables import Row, Table
from downslope.runs import Run
from downslope.theory import Diagnosis


def write_diagnosis(run: Run, found: Diagnosis, module: str) -> None:
    """Write a diagnosis' JSON, figures and page into a directory.

    Args:
        run: of the directory.
        found: by `downslope.theory.diagnose`.
        module: what the network is called.

    Raises:
        InputError: the directory cannot be written.
    """
    run.write("diagnosis.json", msgspec.json.format(msgspec.json.encode(found), indent=1))
    pictures: dict[str, Picture] = {}
    for quantity in get_args(Quantity):
        picture = Picture(
            f"diagnosis-{quantity}",
            svg(draw_strengths(found, quantity)),
            f"{quantity.capitalize()} by layer, as it is and with the proposed gains.",
            f"{LABELS[quantity].capitalize()}, mean over {found.networks} initializations.",
        )
        run.write(f"figures/{picture.name}.svg", picture.drawing.encode())
        pictures[picture.name] = picture
    page = set_page(
        "diagnosis.html",
        f"Initialization of {module}",
        pictures,
        found=found,
        layers=layer_table(found),
    )
    run.write("diagnosis.html", page.encode())


def layer_table(found: Diagnosis) -> Table:
    """List the layers with all that was measured of each."""
    numbers = ("size", "95 % interval", "signal", "gradient", "gain", "proposed")
    rows: list[Row] = []
    for one in found.layers:
        between = one.size_interval
        values = (one.signal, one.gradient, one.gain, one.proposed_gain)
        after = (one.mended_signal, one.mended_gradient)
        figures = [f"{value:.2g}" for value in (*values, *after)]
        size = [
            f"{one.fan_in}",
            f"{one.size:.2g}",
            f"{between[0]:.2g} to {between[1]:.2g}" if between else "none",
        ]
        rows.append(Row([one.name, *size, *figures]))
    return Table(
        caption="Layers in the order of their first call",
        columns=[
            ("layer", False),
            ("fan in", True),
            *[(name, True) for name in numbers],
            ("signal*", True),
            ("gradient*", True),
        ],
        rows=rows,
    )
