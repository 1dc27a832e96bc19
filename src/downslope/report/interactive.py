"""The landscape as an interactive figure: surface, path at its true loss, path as projected."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from downslope.report.figures.landscape import PROJECTED, TRUE, Terrain
from downslope.report.figures.style import SLOPE_STOPS

HERE = "here"
"""The name of the trace that the page's slider moves along the path."""


def interactive(terrain: Terrain) -> go.Figure:
    """Draw a terrain in three dimensions with plotly.

    Where losses are drawn on a logarithmic scale, heights are their decimal logarithms and the
    ticks name the losses: plotly's own logarithmic axis hides surfaces with holes.
    """
    height = np.log10 if terrain.logarithmic else np.asarray
    colour = np.log10 if terrain.wide else np.asarray
    scale = [[i / (len(SLOPE_STOPS) - 1), colour] for i, colour in enumerate(SLOPE_STOPS)]
    x, y = terrain.path.T
    true, projected = height(terrain.true), height(terrain.projected)
    columns = (terrain.steps, terrain.true, terrain.projected, terrain.residual)
    # A list, which the page's script reads as it is; arrays are packed.
    facts = [list(row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    hover = (
        "step %{customdata[0]:,}<br>true loss %{customdata[1]:.4f}<br>"
        "projected loss %{customdata[2]:.4f}<br>"
        "distance from the plane %{customdata[3]:.3f}<extra></extra>"
    )
    low, high = terrain.range
    ticks = _ticks(low, high, terrain.logarithmic)
    axis = {"showbackground": False, "zeroline": False, "nticks": 6}
    return go.Figure(
        data=[
            go.Surface(
                x=terrain.x,
                y=terrain.y,
                z=height(terrain.loss),
                customdata=terrain.loss,
                colorscale=scale,
                surfacecolor=colour(terrain.loss),
                cmin=float(colour(low)),
                cmax=float(colour(high)),
                opacity=0.82,
                showscale=False,
                lighting={"ambient": 0.82, "diffuse": 0.35, "specular": 0.05, "roughness": 0.9},
                contours={
                    "z": {"show": False, "highlight": False},
                    "x": {"highlight": False},
                    "y": {"highlight": False},
                },
                hovertemplate="loss %{customdata:.4f}<extra></extra>",
                name="surface",
            ),
            _line(*_stems(x, y, true, projected), colour="#7d8790", width=2, name="stems"),
            go.Scatter3d(
                x=x,
                y=y,
                z=projected,
                customdata=facts,
                hovertemplate=hover,
                mode="lines",
                line={"color": PROJECTED, "width": 4, "dash": "dash"},
                name="projected path",
            ),
            go.Scatter3d(
                x=x,
                y=y,
                z=true,
                customdata=facts,
                hovertemplate=hover,
                mode="lines+markers",
                line={"color": TRUE, "width": 6},
                marker={"color": TRUE, "size": 2.6},
                name="path at its true loss",
            ),
            go.Scatter3d(
                x=x[-1:],
                y=y[-1:],
                z=true[-1:],
                hoverinfo="skip",
                mode="markers",
                marker={
                    "color": "#ffffff",
                    "size": 7,
                    "symbol": "circle",
                    "line": {"color": TRUE, "width": 3},
                },
                showlegend=False,
                name=HERE,
            ),
        ],
        layout={
            "template": "none",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "font": {"family": "system-ui, sans-serif", "size": 12},
            "legend": {"x": 0, "y": 1, "bgcolor": "rgba(0,0,0,0)"},
            "uirevision": "path",  # the slider must not turn the camera back
            "scene": {
                "xaxis": {**axis, "title": {"text": _short(terrain.labels[0])}},
                "yaxis": {**axis, "title": {"text": _short(terrain.labels[1])}},
                "zaxis": {
                    **axis,
                    "title": {"text": terrain.height_label.replace("cross-entropy ", "")},
                    "tickvals": [float(height(t)) for t in ticks],
                    "ticktext": [f"{t:g}" for t in ticks],
                },
                "aspectmode": "manual",
                "aspectratio": {"x": 1.25, "y": 1.1, "z": 0.75},
                "camera": {
                    "eye": {"x": 1.15, "y": -1.45, "z": 0.95},
                    "center": {"x": 0, "y": 0, "z": -0.2},
                },
            },
        },
    )


def figure_json(figure: go.Figure) -> str:
    """Write a figure as JSON that may stand within a script element, the same text every time."""
    # Sorted keys and no markup characters: text within must not be able to end the element.
    text = json.dumps(json.loads(str(figure.to_json())), sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
        every = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
    else:
        step = 10.0 ** np.floor(np.log10(max(high - low, 1e-12)))
        step = step if (high - low) / step >= 4 else step / 2
        every = [float(t) for t in np.arange(np.ceil(low / step), high / step + 1) * step]
    return [round(t, 10) for t in every if low <= t <= high]


def _stems(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """Join pairs of points by one broken line."""
    both = np.isfinite(first) & np.isfinite(second)
    columns: list[list[float | None]] = []
    for one, two in ((x, x), (y, y), (first, second)):
        column: list[float | None] = []
        for a, b in zip(one[both], two[both], strict=True):
            column += [float(a), float(b), None]
        columns.append(column)
    return columns[0], columns[1], columns[2]


def _line(
    x: list[float | None],
    y: list[float | None],
    z: list[float | None],
    *,
    colour: str,
    width: int,
    name: str,
) -> Any:
    line = {"color": colour, "width": width}
    return go.Scatter3d(
        x=x, y=y, z=z, mode="lines", line=line, hoverinfo="skip", showlegend=False, name=name
    )


def _short(label: str) -> str:
    return label.replace(" principal", "").replace(" of variance", "")
