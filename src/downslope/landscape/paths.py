"""The path of a trajectory over a plane, with its true losses beside the projected ones."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.landscape.components import share_in_plane
from downslope.landscape.evaluation import Measure, Values, evaluate
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
        true_accuracy: of the snapshot itself, in [0, 1]; None where there are no classes.
        projected_accuracy: of its projection.
        validation_loss: as `true_loss`, on validation examples; None where there are none.
        projected_validation_loss: likewise.
        validation_accuracy: likewise.
        projected_validation_accuracy: likewise.
    """

    step: int
    x: float
    y: float
    true_loss: float | None
    projected_loss: float | None
    residual: float
    standard_error: float | None = None
    true_accuracy: float | None = None
    projected_accuracy: float | None = None
    validation_loss: float | None = None
    projected_validation_loss: float | None = None
    validation_accuracy: float | None = None
    projected_validation_accuracy: float | None = None


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
    validation: Examples | None = None,
) -> Steps[list[PathPoint]]:
    """Place a trajectory over a plane, with both its true and its projected losses."""
    measure = loss if isinstance(loss, Measure) else Measure(loss)
    vectors = trajectory.vectors
    coordinates = plane.project(vectors)
    true = yield from evaluate(module, vectors, len(vectors), examples, measure, task="path")
    projected = yield from evaluate_on_plane(
        module, plane, coordinates, examples, measure, task="projected path"
    )
    held, projected_held = _nothing(len(vectors)), _nothing(len(vectors))
    if validation is not None:
        held = yield from evaluate(
            module, vectors, len(vectors), validation, measure, task="validation path"
        )
        projected_held = yield from evaluate_on_plane(
            module, plane, coordinates, validation, measure, task="projected validation path"
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
            true_accuracy=_finite(true.accuracy[i]),
            projected_accuracy=_finite(projected.accuracy[i]),
            validation_loss=_finite(held.loss[i]),
            projected_validation_loss=_finite(projected_held.loss[i]),
            validation_accuracy=_finite(held.accuracy[i]),
            projected_validation_accuracy=_finite(projected_held.accuracy[i]),
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
    validation: Examples | None = None,
) -> Steps[RunPath]:
    """Place one of several runs over a plane; see `trace_path`."""
    path = yield from trace_path(module, plane, trajectory, examples, measure, validation)
    return RunPath(label=label, path=path, share=share_in_plane(trajectory, plane))


def _nothing(count: int) -> Values:
    none = np.full(count, np.nan)
    return Values(none, none, none)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
