"""The page of a single landscape, for a network from outside a run."""

from __future__ import annotations

from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from downslope.landscape import LandscapeResult
from downslope.report import wording
from downslope.report.animation import animate
from downslope.report.figures.landscape import terrain
from downslope.report.interactive import Scene, scenes_json
from downslope.report.packing import packed
from downslope.report.page import asset
from downslope.report.picture import packed_data
from downslope.report.sections.landscape import landscape_pictures, path_table
from downslope.runs import Run


def write_landscape(run: Run, result: LandscapeResult, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a landscape's JSON, arrays, figures, animation and page into a directory.

    Raises:
        InputError: the directory cannot be written.
    """
    run.write("landscape.json", msgspec.json.format(msgspec.json.encode(result), indent=1))
    run.write_arrays("landscape.npz", arrays)
    pictures = {picture.name: picture for picture in landscape_pictures(result, arrays)}
    for name, picture in pictures.items():
        run.write(f"figures/{name}.svg", picture.drawing.encode())
        run.write(f"figures/{name}.csv", picture.data.encode())
    drawn = terrain(result, arrays)
    run.write("figures/landscape-descent.gif", animate(drawn))
    environment = Environment(
        loader=PackageLoader("downslope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=wording.percent, number=wording.figure, loss=wording.loss)
    page = environment.get_template("landscape.html").render(
        land=result,
        pictures=pictures,
        path_table=path_table,
        wording=wording,
        landscape_json=Markup(scenes_json([Scene(result.module, result, arrays)])),
        data_packed=packed_data(pictures),
        plotly=packed(get_plotlyjs()),
        style=asset("page.css"),
        script=asset("saving.js") + asset("landscape.js"),
    )
    run.write("landscape.html", page.encode())
