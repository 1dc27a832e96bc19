"""Losses on a rectangular grid over a plane."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.checked import checked
from downslope.data import content_digest
from downslope.files import write_whole
from downslope.landscape.evaluation import LossOptions
from downslope.landscape.fast_paths import evaluate_on_plane
from downslope.landscape.fitting import Arrays, LossFunction, Sample
from downslope.landscape.planes import Plane
from downslope.landscape.refinement import refine
from downslope.landscape.settings import Grid, Tolerance
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss
from downslope.progress import Progress, Steps, drain, retold
from downslope.showing import Shown

SAVE_EVERY = 5.0
"""Seconds between two writes of a surface in progress."""


@dataclass(frozen=True, slots=True, repr=False)
class Surface(Shown):
    """Losses on a rectangular grid.

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
    plane: Plane, trajectories: Trajectory | Sequence[Trajectory], grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the axes of a grid that spans one or several projected paths and its margin."""
    runs = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    coordinates = np.concatenate([plane.project(run.vectors) for run in runs])
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    room = grid.margin * (high - low)
    low, high = low - room, high + room
    center = plane.project(runs[0].vectors[-1:])[0]
    x, y = (
        np.linspace(low[i], high[i], count)
        if grid.spacing == "linear"
        else _log_axis(low[i], high[i], center[i], count)
        for i, count in enumerate((grid.columns, grid.rows))
    )
    return x, y


def _log_axis(low: float, high: float, center: float, count: int) -> NDArray[np.float64]:
    """Space points evenly in asinh of the distance from a center, over two decades."""
    unit = max(high - low, 1e-300) / 100
    ends = np.arcsinh((np.array([low, high]) - center) / unit)
    axis = center + unit * np.sinh(np.linspace(float(ends[0]), float(ends[1]), count))
    axis[0], axis[-1] = low, high
    return axis


@checked("landscape")
def evaluate_surface(
    module: nn.Module,
    plane: Plane,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    examples: Arrays | Sample,
    loss: Loss | LossFunction | LossOptions = "cross_entropy",
    *,
    tolerance: Tolerance = 0.0,
    seed: int = 0,
    save: Path | None = None,
    task: str = "surface",
) -> Steps[Surface]:
    """Compute the loss and the accuracy on a rectangular grid over a plane.

    Args:
        module: the network, as for `evaluate`.
        plane: where the grid lies.
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second direction, shape (rows,).
        examples: as for `evaluate`.
        loss: what to compute, by name or as a `LossOptions`.
        tolerance: 0 computes every point; above it only those where the surface bends, the others
            are interpolated to this share of a loss; see `refine`.
        seed: of the interpolated points that are checked.
        save: an npz file for what is finished, written every few seconds where every point is
            computed. Where it exists and was begun for the same work, its points are not computed
            again.
        task: the name shown with the progress.

    Raises:
        InputError: a tolerance out of range; see `evaluate`; `save` cannot be written.
    """
    options = LossOptions.of(loss)
    sample = options.fit(module, examples)
    if tolerance:
        refined = refine(
            lambda points, task: evaluate_on_plane(
                module, plane, points, sample, options, task=task
            ),
            x, y, tolerance, seed, task,
        )  # fmt: skip
        return Surface(x, y, *(yield from refined))
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    losses, accuracies = np.full(len(points), np.nan), np.full(len(points), np.nan)
    key, done = "", 0
    if save is not None:
        key = _fingerprint(module, plane, points, sample, options)
        finished = _saved(save, key, len(points))
        if count := finished.shape[1]:
            # Code of the user's own may have changed behind equal names.
            last = points[count - 1 : count]
            again = drain(evaluate_on_plane(module, plane, last, sample, options, task=task))
            if np.allclose(again.loss, finished[0, -1], rtol=1e-5, equal_nan=True):
                done = count
                losses[:done], accuracies[:done] = finished
    # In one piece where nothing is saved on the way: the compiled engine goes by examples.
    yield Progress(task, done, len(points))
    piece = len(points) if save is None else 256
    written = time.monotonic()
    while done < len(points):
        part = slice(done, min(done + piece, len(points)))
        size = part.stop - done
        values = yield from retold(
            evaluate_on_plane(module, plane, points[part], sample, options, task=task),
            lambda step, start=done, size=size: Progress(
                task, start + step.done / step.total * size, len(points)
            ),
        )
        losses[part], accuracies[part] = values.loss, values.accuracy
        done = part.stop
        if save is not None and (done == len(points) or time.monotonic() - written > SAVE_EVERY):
            _write(save, key, losses[:done], accuracies[:done])
            written = time.monotonic()
    shape = (len(y), len(x))
    return Surface(x, y, losses.reshape(shape), accuracies.reshape(shape), np.ones(shape, np.bool_))


def _fingerprint(
    module: nn.Module,
    plane: Plane,
    points: NDArray[np.float64],
    sample: Sample,
    options: LossOptions,
) -> str:
    name = options.loss if isinstance(options.loss, str) else getattr(options.loss, "__name__", "")
    words = np.array(f"{module!r} {name} {options.batch_norm} {sample.names}")
    arrays = (plane.origin, plane.directions, points, *sample.arrays)
    buffers = (buffer.detach().cpu().numpy() for buffer in module.buffers())
    return content_digest(words, *arrays, *buffers)


def _saved(path: Path, key: str, count: int) -> NDArray[np.float64]:
    """Read the losses and accuracies that are finished; none if they are of other work."""
    damage = suppress(OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile)
    with damage, np.load(path, allow_pickle=False) as arrays:
        if str(arrays["key"]) == key and len(arrays["loss"]) <= count:
            return np.stack([arrays["loss"], arrays["accuracy"]])
    return np.empty((2, 0))


def _write(path: Path, key: str, loss: NDArray[np.float64], accuracy: NDArray[np.float64]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, key=np.array(key), loss=loss, accuracy=accuracy)
    with suppress(OSError):  # where it fails, so does the writing, which says why
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())
