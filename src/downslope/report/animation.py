"""The descent as an animation: the path grows over the surface from above."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from downslope.report.figures.landscape import TRUE, Terrain, draw_contour

FRAMES = 60
"""At most; snapshots in between are drawn but not stopped at."""


def animate(terrain: Terrain, *, seconds: float = 6.0) -> bytes:
    """Draw the descent as a GIF that plays for some seconds and rests on its last frame.

    The drawing is that of the contour figure; each frame shows the path up to one snapshot.
    """
    figure = draw_contour(terrain)
    figure.set_facecolor("#fefefe")
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    axes = figure.axes[0]
    moving = [line for line in axes.lines if line.get_color() == TRUE][:2]
    count = len(terrain.path)
    stops = np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round().astype(int))
    title = axes.set_title("", loc="right", fontsize=8.5)
    canvas.draw()
    figure.set_layout_engine("none")  # the first frame's layout, so that nothing moves
    frames: list[Image.Image] = []
    for stop in stops:
        for line in moving:
            line.set_data(*terrain.path[: stop + 1].T)
        title.set_text(f"step {terrain.steps[stop]:,}")
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
