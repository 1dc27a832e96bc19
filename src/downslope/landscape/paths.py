"""The path of a trajectory over a plane, with its true losses beside the projected ones."""

from __future__ import annotations

import math

import msgspec
from torch import nn

from downslope.landscape.evaluation import Losses, LossOptions, evaluate
from downslope.landscape.fast_paths import evaluate_on_plane
from downslope.landscape.fitting import Arrays, LossFunction, Sample
from downslope.landscape.planes import Plane
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss
from downslope.progress import Steps


class PathPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot over the plane.

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
    """One run's path over a plane.

    Args:
        label: names the run.
        path: its snapshots.
        share: of the run's own variance about its mean, the part along the plane's directions.
    """

    label: str
    path: list[PathPoint]
    share: float


def trace_path(
    module: nn.Module,
    plane: Plane,
    trajectory: Trajectory,
    examples: Arrays | Sample,
    loss: Loss | LossFunction | LossOptions = "cross_entropy",
    validation: Arrays | Sample | None = None,
) -> Steps[list[PathPoint]]:
    """Place a trajectory over a plane, with both its true and its projected losses."""
    options = LossOptions.of(loss)
    vectors = trajectory.vectors
    coordinates, residuals = plane.project(vectors), plane.residuals(vectors)

    def losses(rows: Arrays | Sample | None, name: str) -> Steps[tuple[Losses, Losses]]:
        """Compute the losses of the snapshots, and those of their projections."""
        if rows is None:
            return Losses.none(len(vectors)), Losses.none(len(vectors))
        rows = options.fit(module, rows)
        true = yield from evaluate(module, vectors, len(vectors), rows, options, task=name)
        projected = yield from evaluate_on_plane(
            module, plane, coordinates, rows, options, task=f"projected {name}"
        )
        return true, projected

    true, projected = yield from losses(examples, "path")
    true_held, projected_held = yield from losses(validation, "validation path")
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
            validation_loss=_finite(true_held.loss[i]),
            projected_validation_loss=_finite(projected_held.loss[i]),
            validation_accuracy=_finite(true_held.accuracy[i]),
            projected_validation_accuracy=_finite(projected_held.accuracy[i]),
        )
        for i, step in enumerate(trajectory.steps)
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
