"""The landscape of one training: plane, surface and path in one call."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape.planes import Plane, pca_plane
from downslope.landscape.surfaces import (
    PathPoint,
    Surface,
    evaluate_surface,
    fit_grid,
    trace_path,
)
from downslope.landscape.trajectory import Trajectory
from downslope.networks import Loss
from downslope.progress import Steps


class LandscapeResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a landscape figure shows, apart from the surface itself.

    Args:
        explained_variance: share of the trajectory's variance along each direction.
        path: the snapshots over the plane.
        grid: (columns, rows) of the surface.
        margin: share of the path's extent added on each side.
        examples: training examples behind each loss.
        loss_range: lowest and highest finite loss of the surface.
        not_finite: grid points whose loss is not finite.
        module: the network's shape, in words.
    """

    explained_variance: tuple[float, float]
    path: list[PathPoint]
    grid: tuple[int, int]
    margin: float
    examples: int
    loss_range: tuple[float, float]
    not_finite: int
    module: str


@dataclass(frozen=True, slots=True)
class Landscape:
    """Hold a landscape with its arrays."""

    result: LandscapeResult
    plane: Plane
    surface: Surface


def compute_landscape(
    module: nn.Module,
    trajectory: Trajectory,
    examples: Examples,
    *,
    loss: Loss = "cross_entropy",
    grid: tuple[int, int] = (25, 25),
    margin: float = 0.2,
    subset: int = 2500,
    seed: int = 0,
    label: str = "",
) -> Steps[Landscape]:
    """Compute the loss landscape around a trajectory, on a random subset of examples.

    Args:
        module: the network; it comes back exactly as it was.
        trajectory: at least three snapshots of its parameters.
        examples: scaled examples to draw the subset from.
        loss: what to compute.
        grid: (columns, rows).
        margin: share of the path's extent added on each side.
        subset: examples behind each loss; all if there are fewer.
        seed: of the subset.
        label: names the network in the result.

    Raises:
        InputError: too few snapshots, or a subset of none.
    """
    if subset < 1:
        raise InputError(f"landscape: examples = {subset}; it must be 1 or more")
    plane = pca_plane(trajectory)
    assert plane.explained_variance is not None
    chosen = np.random.default_rng(seed).permutation(len(examples))[:subset]
    sample = examples.take(chosen)
    x, y = fit_grid(plane, trajectory, grid, margin)
    path = yield from trace_path(module, plane, trajectory, sample, loss)
    surface = yield from evaluate_surface(module, plane, x, y, sample, loss)
    finite = surface.loss[np.isfinite(surface.loss)]
    if not finite.size:
        raise InputError("landscape: the loss is not finite anywhere on the grid")
    result = LandscapeResult(
        explained_variance=plane.explained_variance,
        path=path,
        grid=grid,
        margin=margin,
        examples=len(sample),
        loss_range=(float(finite.min()), float(finite.max())),
        not_finite=int(surface.loss.size - finite.size),
        module=label,
    )
    return Landscape(result, plane, surface)
