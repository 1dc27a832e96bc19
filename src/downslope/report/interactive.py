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
    for quantity in ("loss", "accuracy"):
        for examples, name in (("training", quantity), ("validation", f"validation_{quantity}")):
            if name in arrays and np.isfinite(arrays[name]).any():
                surfaces[f"{quantity} {examples}"] = [_numbers(row) for row in arrays[name]]
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


def _path(path: Sequence[PathPoint]) -> dict[str, Any]:
    true = {
        "loss training": [p.true_loss for p in path],
        "accuracy training": [p.true_accuracy for p in path],
        "loss validation": [p.validation_loss for p in path],
        "accuracy validation": [p.validation_accuracy for p in path],
    }
    projected = {
        "loss training": [p.projected_loss for p in path],
        "accuracy training": [p.projected_accuracy for p in path],
        "loss validation": [p.projected_validation_loss for p in path],
        "accuracy validation": [p.projected_validation_accuracy for p in path],
    }
    return {
        "step": [p.step for p in path],
        "x": _numbers([p.x for p in path]),
        "y": _numbers([p.y for p in path]),
        "residual": _numbers([p.residual for p in path]),
        "true": {name: _numbers(values) for name, values in true.items()},
        "projected": {name: _numbers(values) for name, values in projected.items()},
    }


def _numbers(values: Sequence[float | None] | NDArray[Any]) -> list[float | None]:
    """Round to what a figure can show; None where not finite."""
    return [
        float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None
        for value in values
    ]
