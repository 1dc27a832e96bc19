"""The path of a trajectory over a plane, with its true losses beside the projected ones."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.landscape.components import share_in_plane
from downslope.landscape.evaluation import Measure, evaluate
from downslope.landscape.planes import Plane
from downslope.landscape.shortcuts import evaluate_on_plane
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss
from downslope.progress import Steps


class PathPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Place one snapshot over the plane.

    Args:
        step: minibatches seen.
        x: coordinate along the plane's first direction.
        y: coordinate along the second.
        true_loss: of the snapshot itself; None if not finite.
        projected_loss: of its projection onto the plane; None if not finite.
        residual: distance of the snapshot from the plane, in the units of the parameters.
        standard_error: of the true loss, from the number of examples; None if not known.
    """

    step: int
    x: float
    y: float
    true_loss: float | None
    projected_loss: float | None
    residual: float
    standard_error: float | None = None


class RunPath(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one run's path over a plane.

    Args:
        label: names the run.
        path: its snapshots.
        share: of the run's own variance about its mean, the part along the plane's directions.
    """

    label: str
    path: list[PathPoint]
    share: float


def losses_at(
    module: nn.Module,
    vectors: NDArray[np.float32],
    examples: Examples,
    loss: Loss | Measure = "cross_entropy",
    *,
    task: str = "losses",
) -> Steps[NDArray[np.float64]]:
    """Compute the loss of a network at many parameter vectors on the same examples.

    Args:
        module: the network; it comes back exactly as it was. See `evaluate`.
        vectors: shape (n, parameters).
        examples: scaled examples.
        loss: what to compute.
        task: the name shown with the progress.

    Returns:
        Losses, shape (n,); not finite where the network's loss is not.

    Raises:
        InputError: see `evaluate`.
    """
    measure = loss if isinstance(loss, Measure) else Measure(loss)
    values = yield from evaluate(module, vectors, len(vectors), examples, measure, task=task)
    return values.loss


def trace_path(
    module: nn.Module,
    plane: Plane,
    trajectory: Trajectory,
    examples: Examples,
    loss: Loss | Measure = "cross_entropy",
) -> Steps[list[PathPoint]]:
    """Place a trajectory over a plane, with both its true and its projected losses."""
    measure = loss if isinstance(loss, Measure) else Measure(loss)
    vectors = trajectory.vectors
    coordinates = plane.project(vectors)
    true = yield from evaluate(module, vectors, len(vectors), examples, measure, task="path")
    projected = yield from evaluate_on_plane(
        module, plane, coordinates, examples, measure, task="projected path"
    )
    residuals = plane.residuals(vectors)
    return [
        PathPoint(
            step=step,
            x=float(coordinates[i, 0]),
            y=float(coordinates[i, 1]),
            true_loss=_finite(true.loss[i]),
            projected_loss=_finite(projected.loss[i]),
            residual=float(residuals[i]),
            standard_error=_finite(true.error[i]),
        )
        for i, step in enumerate(trajectory.steps)
    ]


def trace_run(
    label: str,
    module: nn.Module,
    plane: Plane,
    trajectory: Trajectory,
    examples: Examples,
    measure: Measure,
) -> Steps[RunPath]:
    """Place one of several runs over a plane; see `trace_path`."""
    path = yield from trace_path(module, plane, trajectory, examples, measure)
    return RunPath(label=label, path=path, share=share_in_plane(trajectory, plane))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
