"""The page of a single landscape, for a network from outside a run."""

from __future__ import annotations

from typing import Any

import msgspec
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report.animation import animate
from downslope.report.figures.landscape import terrain
from downslope.report.interactive import Scene
from downslope.report.sections.landscape import landscape_pictures, path_table
from downslope.report.shell import set_page
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
    page = set_page(
        "landscape.html",
        f"Loss landscape of {result.module}",
        pictures,
        scenes=[Scene(result.module, result, arrays)],
        land=result,
        path_table=path_table,
    )
    run.write("landscape.html", page.encode())
