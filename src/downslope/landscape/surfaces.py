"""Losses on a rectangular grid over a plane."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape.evaluation import Measure
from downslope.landscape.planes import Plane
from downslope.landscape.settings import check_settings
from downslope.landscape.shortcuts import evaluate_on_plane
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss
from downslope.progress import Progress, Steps

SAVE_EVERY = 5.0
"""Seconds between two writes of a surface in progress."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Hold losses on a rectangular grid.

    Args:
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second direction, shape (rows,).
        loss: shape (rows, columns): loss[j, i] belongs to (x[i], y[j]). Not finite where the
            network's loss is not.
        accuracy: as `loss`; NaN where there are no classes.
        computed: as `loss`: False where a value was interpolated from computed ones.
        interpolation_error: largest absolute error seen where values were interpolated, on
            points that were computed to check; 0 where all points are computed.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    computed: NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 0), np.bool_))
    interpolation_error: float = 0.0


def fit_grid(
    plane: Plane,
    trajectories: Trajectory | Sequence[Trajectory],
    shape: tuple[int, int],
    margin: float,
    *,
    spacing: str = "linear",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the axes of a grid that spans the projected paths plus a margin on each side.

    Args:
        plane: to project onto.
        trajectories: the path or paths.
        shape: (columns, rows), along the first and second direction.
        margin: share of the path's extent added on each side, for example 0.2.
        spacing: "linear", or "log" for points that lie closer the nearer they are to the end of
            the (first) path, where a valley is narrow.

    Raises:
        InputError: a grid or a margin out of range, see `check_settings`, or another spacing.
    """
    check_settings("landscape", grid=shape, margin=margin)
    if spacing not in ("linear", "log"):
        raise InputError(f"landscape: spacing = {spacing!r}; it must be 'linear' or 'log'")
    runs = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    coordinates = np.concatenate([plane.project(run.vectors) for run in runs])
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    room = margin * (high - low)
    low, high = low - room, high + room
    if spacing == "linear":
        return np.linspace(low[0], high[0], shape[0]), np.linspace(low[1], high[1], shape[1])
    end = plane.project(runs[0].vectors[-1:])[0]
    return _log_axis(low[0], high[0], end[0], shape[0]), _log_axis(
        low[1], high[1], end[1], shape[1]
    )


def _log_axis(low: float, high: float, center: float, count: int) -> NDArray[np.float64]:
    """Space points evenly in asinh of the distance from a center, over two decades."""
    unit = max(high - low, 1e-300) / 100
    ends = np.arcsinh((np.array([low, high]) - center) / unit)
    axis = center + unit * np.sinh(np.linspace(float(ends[0]), float(ends[1]), count))
    axis[0], axis[-1] = low, high
    return axis


def evaluate_surface(
    module: nn.Module,
    plane: Plane,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    examples: Examples,
    loss: Loss | Measure = "cross_entropy",
    *,
    save: Path | None = None,
    task: str = "surface",
) -> Steps[Surface]:
    """Compute the loss and the accuracy at every point of a rectangular grid over a plane.

    Args:
        module: the network; it comes back exactly as it was.
        plane: where the grid lies.
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second direction, shape (rows,).
        examples: scaled examples.
        loss: what to compute, by name or as a `Measure`.
        save: an npz file for what is finished, written every few seconds. Where it exists and was
            begun for the same work, its points are not computed again.
        task: the name shown with the progress.

    Raises:
        InputError: see `evaluate`; `save` cannot be written.
    """
    check_settings("landscape", grid=(max(2, len(x)), max(2, len(y))))  # one point may be alone
    measure = loss if isinstance(loss, Measure) else Measure(loss)
    examples = measure.fit(module, examples)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    losses, accuracies = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    key = "" if save is None else _fingerprint(module, plane, grid, examples, measure)
    done = 0
    if save is not None:
        held, held_accuracy = _saved(save, key, len(grid))
        done = len(held)
        losses[:done], accuracies[:done] = held, held_accuracy
    # In one piece where nothing is saved on the way: the compiled engine goes by examples.
    yield Progress(task, done, len(grid))
    piece = len(grid) if save is None else 256
    written = time.monotonic()
    while done < len(grid):
        part = slice(done, min(done + piece, len(grid)))
        steps = evaluate_on_plane(module, plane, grid[part], examples, measure, task=task)
        while True:
            try:
                within = next(steps)
            except StopIteration as end:
                values = end.value
                break
            share = within.done / within.total
            yield Progress(task, done + share * (part.stop - done), len(grid))
        losses[part], accuracies[part] = values.loss, values.accuracy
        done = part.stop
        if save is not None and (done == len(grid) or time.monotonic() - written > SAVE_EVERY):
            _write(save, key, losses[:done], accuracies[:done])
            written = time.monotonic()
    shape = (len(y), len(x))
    return Surface(x, y, losses.reshape(shape), accuracies.reshape(shape), np.ones(shape, np.bool_))


def _fingerprint(
    module: nn.Module,
    plane: Plane,
    grid: NDArray[np.float64],
    examples: Examples,
    measure: Measure,
) -> str:
    digest = hashlib.sha256()
    name = measure.loss if isinstance(measure.loss, str) else getattr(measure.loss, "__name__", "")
    digest.update(f"{module!r} {name} {measure.statistics}".encode())
    arrays = [plane.origin, plane.directions, grid, examples.inputs, examples.targets]
    arrays += [buffer.detach().cpu().numpy() for buffer in module.buffers()]
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _saved(path: Path, key: str, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the points of a surface that are finished; none if they are of other work."""
    none = np.empty(0), np.empty(0)
    try:
        with np.load(path, allow_pickle=False) as held:
            if str(held["key"]) != key or len(held["loss"]) > count:
                return none
            return held["loss"], held["accuracy"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return none


def _write(path: Path, key: str, loss: NDArray[np.float64], accuracy: NDArray[np.float64]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, key=np.array(key), loss=loss, accuracy=accuracy)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole under a temporary name, then renamed: an interrupt leaves the old file or the new.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        with os.fdopen(handle, "wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
