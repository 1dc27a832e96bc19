"""Losses over a plane, and the path of a trajectory over that surface."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from downslope.data import Examples
from downslope.engines.pytorch import loss_of, one_thread
from downslope.errors import InputError
from downslope.landscape.planes import Plane
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss, unflatten
from downslope.progress import Progress, Steps


class PathPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Place one snapshot over the plane.

    Args:
        step: minibatches seen.
        x: coordinate along the plane's first direction.
        y: coordinate along the second.
        true_loss: of the snapshot itself; None if not finite.
        projected_loss: of its projection onto the plane; None if not finite.
        residual: distance of the snapshot from the plane, in the units of the parameters.
    """

    step: int
    x: float
    y: float
    true_loss: float | None
    projected_loss: float | None
    residual: float


@dataclass(frozen=True, slots=True)
class Surface:
    """Hold losses on a rectangular grid.

    Args:
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second direction, shape (rows,).
        loss: shape (rows, columns): loss[j, i] belongs to (x[i], y[j]). Not finite where the
            network's loss is not.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    loss: NDArray[np.float64]


def fit_grid(
    plane: Plane, trajectory: Trajectory, shape: tuple[int, int], margin: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the axes of a grid that spans the projected path plus a margin on each side.

    Args:
        plane: to project onto.
        trajectory: the path.
        shape: (columns, rows), along the first and second direction.
        margin: share of the path's extent added on each side, for example 0.2.

    Raises:
        InputError: fewer than 2 columns or rows, or a margin below 0.
    """
    if min(shape) < 2:
        raise InputError(f"landscape: grid = {list(shape)}; columns and rows must be 2 or more")
    if not (margin >= 0 and math.isfinite(margin)):
        raise InputError(f"landscape: margin = {margin} must be 0 or above")
    coordinates = plane.project(trajectory.vectors)
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    room = margin * (high - low)
    low, high = low - room, high + room
    return np.linspace(low[0], high[0], shape[0]), np.linspace(low[1], high[1], shape[1])


def losses_at(
    module: nn.Module,
    vectors: NDArray[np.float32],
    examples: Examples,
    loss: Loss = "cross_entropy",
    *,
    task: str = "losses",
) -> Steps[NDArray[np.float64]]:
    """Compute the loss of a network at many parameter vectors on the same examples.

    The module given is copied and only read: parameters, buffers, mode and gradients stay as they
    are. The copy runs in evaluation mode, so batch norm uses the buffers as they are.

    Args:
        module: the network.
        vectors: shape (n, parameters).
        examples: scaled examples; all are used in one batch.
        loss: what to compute.
        task: the name shown with the progress.

    Returns:
        Losses, shape (n,); not finite where the network's loss is not.

    Raises:
        InputError: vectors of another length than the module has parameters.
    """
    frozen = copy.deepcopy(module).eval()
    inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs))
    targets = torch.from_numpy(np.ascontiguousarray(examples.targets))
    losses = np.empty(len(vectors))
    for i, vector in enumerate(vectors):
        with one_thread(), torch.no_grad():
            outputs = functional_call(frozen, unflatten(frozen, vector), (inputs,))
            losses[i] = float(loss_of(loss, outputs, targets))
        yield Progress(task, i + 1, len(vectors))
    return losses


def evaluate_surface(
    module: nn.Module,
    plane: Plane,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    examples: Examples,
    loss: Loss = "cross_entropy",
) -> Steps[Surface]:
    """Compute the loss at every point of a rectangular grid over a plane; see `losses_at`.

    Args:
        module: the network; it comes back exactly as it was.
        plane: where the grid lies.
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second direction, shape (rows,).
        examples: scaled examples.
        loss: what to compute.
    """
    losses = np.empty((len(y), len(x)))
    for j, row in enumerate(y):
        points = plane.points(np.column_stack([x, np.full(len(x), row)]))
        # A row of vectors at a time: a fine grid over a large network must not be held whole.
        steps = losses_at(module, points, examples, loss)
        while True:
            try:
                within = next(steps)
            except StopIteration as end:
                losses[j] = end.value
                break
            yield Progress("surface", j * len(x) + within.done, losses.size)
    return Surface(x, y, losses)


def trace_path(
    module: nn.Module,
    plane: Plane,
    trajectory: Trajectory,
    examples: Examples,
    loss: Loss = "cross_entropy",
) -> Steps[list[PathPoint]]:
    """Place a trajectory over a plane, with both its true and its projected losses."""
    vectors = trajectory.vectors
    coordinates = plane.project(vectors)
    true = yield from losses_at(module, vectors, examples, loss, task="path")
    projected = yield from losses_at(
        module, plane.points(coordinates), examples, loss, task="projected path"
    )
    residuals = plane.residuals(vectors)
    return [
        PathPoint(
            step=step,
            x=float(coordinates[i, 0]),
            y=float(coordinates[i, 1]),
            true_loss=float(true[i]) if math.isfinite(true[i]) else None,
            projected_loss=float(projected[i]) if math.isfinite(projected[i]) else None,
            residual=float(residuals[i]),
        )
        for i, step in enumerate(trajectory.steps)
    ]
