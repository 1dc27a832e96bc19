"""The page of a single landscape, for a network from outside a run, and its animation."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from PIL import Image

from downslope.landscape import LandscapeResult
from downslope.report.blocks import Document, Section
from downslope.report.html import write_page
from downslope.report.interactive import Scene
from downslope.report.landscape import landscape_blocks
from downslope.report.terrain import Contour
from downslope.runs import Run

FRAMES = 60
"""At most; snapshots in between are drawn but not stopped at."""


def write_landscape(run: Run, result: LandscapeResult, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a landscape's JSON, arrays, figures, animation and page into a directory.

    Raises:
        InputError: the directory cannot be written.
    """
    run.write("landscape.json", msgspec.json.format(msgspec.json.encode(result), indent=1))
    run.write_arrays("landscape.npz", arrays)
    run.write("figures/landscape-descent.gif", animate(Contour(result, arrays)))
    blocks = list(landscape_blocks(result, arrays, [Scene(result.module, result, arrays)]))
    title = f"Loss landscape of {result.module}"
    section = Section("landscape", "Landscape", blocks)
    write_page(run, "landscape.html", Document(title, "", [], [section]))


def animate(contour: Contour, *, seconds: float = 6.0) -> bytes:
    """Draw the descent as a GIF that plays for some seconds and rests on its last frame.

    The drawing is that of the contour figure; each frame shows the path up to one snapshot.
    """
    figure = contour.plot()
    figure.set_facecolor("#fefefe")
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    axes = figure.axes[0]
    moving = axes.lines[:2]
    path = np.array([(p.x, p.y) for p in contour.result.path])
    stops = np.unique(np.linspace(0, len(path) - 1, min(FRAMES, len(path))).round().astype(int))
    title = axes.set_title("", loc="right", fontsize=8.5)
    canvas.draw()
    figure.set_layout_engine("none")  # the first frame's layout, so that nothing moves
    frames: list[Image.Image] = []
    for stop in stops:
        for line in moving:
            line.set_data(*path[: stop + 1].T)
        title.set_text(f"step {contour.result.path[stop].step:,}")
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba()))
        frames.append(picture.convert("RGB").quantize(128, dither=Image.Dither.NONE))
    pause = round(1000 * seconds / len(frames))
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[pause] * (len(frames) - 1) + [2000],
        loop=0,
    )
    return buffer.getvalue()
