"""What the page's interactive landscapes are drawn from: surfaces and paths as JSON.

The page's own script (`templates/landscape.js`) makes plotly's traces of it, because what is drawn
depends on what the reader chooses: the landscape, the runs, loss or accuracy, training or
validation examples, a linear or a logarithmic scale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult, PathPoint
from downslope.report.style import RUN_COLOURS, SLOPE_STOPS
from downslope.report.terrain import axis_labels

DIGITS = 6
"""Significant digits of numbers on the page; the run's files hold all of them."""

Table = list[list[float | None]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A landscape that a reader can choose: its title, its result, its arrays."""

    title: str
    result: LandscapeResult
    arrays: dict[str, NDArray[Any]]


def scenes_json(scenes: Sequence[Scene]) -> str:
    """Write landscapes as JSON that may stand within a script element, the same text every time."""
    data = {"stops": SLOPE_STOPS, "scenes": [_scene(scene) for scene in scenes]}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # No markup characters: text within must not be able to end the element.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _scene(scene: Scene) -> dict[str, Any]:
    result, arrays = scene.result, scene.arrays
    surfaces: dict[str, Table] = {}
    for key in _FIELDS:
        quantity, examples = key.split()
        name = quantity if examples == "training" else f"validation_{quantity}"
        if name in arrays and np.isfinite(arrays[name]).any():
            surfaces[key] = [_numbers(row) for row in arrays[name]]
    return {
        "title": scene.title,
        "labels": axis_labels(result),
        "loss": result.loss,
        "x": _numbers(arrays["x"]),
        "y": _numbers(arrays["y"]),
        "surfaces": surfaces,
        "runs": [
            {"name": run.label, "colour": RUN_COLOURS[i % len(RUN_COLOURS)], **_path(run.path)}
            for i, run in enumerate(result.runs)
        ],
    }


_FIELDS = {
    "loss training": ("true_loss", "projected_loss"),
    "accuracy training": ("true_accuracy", "projected_accuracy"),
    "loss validation": ("validation_loss", "projected_validation_loss"),
    "accuracy validation": ("validation_accuracy", "projected_validation_accuracy"),
}
"""Of a point of a path, by what is shown: its own value, and that of its projection."""


def _path(path: Sequence[PathPoint]) -> dict[str, Any]:
    def column(name: str) -> list[float | None]:
        return _numbers([getattr(point, name) for point in path])

    return {
        "step": [point.step for point in path],
        **{name: column(name) for name in ("x", "y", "residual")},
        "true": {shown: column(true) for shown, (true, _) in _FIELDS.items()},
        "projected": {shown: column(projected) for shown, (_, projected) in _FIELDS.items()},
    }


def _numbers(values: Sequence[float | None] | NDArray[Any]) -> list[float | None]:
    """Round to what a figure can show; None where not finite."""
    return [
        float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None
        for value in values
    ]
