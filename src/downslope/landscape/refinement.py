"""Fine surfaces for a fraction of the evaluations: points are computed where the surface bends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CloughTocher2DInterpolator
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape.evaluation import Measure
from downslope.landscape.planes import Plane
from downslope.landscape.settings import check_settings
from downslope.landscape.shortcuts import evaluate_on_plane
from downslope.landscape.surfaces import Surface
from downslope.networks import Loss
from downslope.progress import Steps

COARSEST = 16
"""Grid steps between the points of the first pass."""
CHECKS = 200
"""Interpolated points that are computed after all, to state the error."""


def refine_surface(
    module: nn.Module,
    plane: Plane,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    examples: Examples,
    loss: Loss | Measure = "cross_entropy",
    *,
    tolerance: float = 0.01,
    seed: int = 0,
    task: str = "surface",
) -> Steps[Surface]:
    """Compute a fine surface where it bends and interpolate where it does not.

    Passes halve the spacing from 16 grid steps to 1. A cell is refined further where a pass's new
    points in or beside it differ from what was interpolated there by more than the tolerance.
    The rest is interpolated with cubics (Clough and Tocher 1965). At the end some interpolated
    points, drawn at random, are computed after all: the largest difference is
    `Surface.interpolation_error`, and these points then hold their computed values.

    Args:
        module: the network; it comes back exactly as it was.
        plane: where the grid lies.
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second direction, shape (rows,).
        examples: scaled examples.
        loss: what to compute.
        tolerance: share of a loss where all are above zero, else of their range.
        seed: of the points that are checked.
        task: the name shown with the progress.

    Raises:
        InputError: a tolerance that is not above 0; see `evaluate`.
    """
    if not tolerance > 0:
        raise InputError(f"landscape: tolerance = {tolerance}; it must be above 0")
    check_settings("landscape", tolerance=tolerance, grid=(max(2, len(x)), max(2, len(y))))
    measure = loss if isinstance(loss, Measure) else Measure(loss)
    shape = (len(y), len(x))
    losses, accuracies = np.full(shape, np.nan), np.full(shape, np.nan)
    computed, wanted = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)

    def compute(mask: NDArray[np.bool_], task: str) -> Steps[None]:
        rows, columns = np.nonzero(mask & ~computed)
        if not len(rows):
            return
        points = np.column_stack([x[columns], y[rows]])
        values = yield from evaluate_on_plane(module, plane, points, examples, measure, task=task)
        losses[rows, columns], accuracies[rows, columns] = values.loss, values.accuracy
        computed[rows, columns] = True

    # Two whole passes, so that a small feature between the coarsest points is not overlooked.
    yield from compute(_lattice(shape, COARSEST), f"{task}, first points")
    bends = np.ones(shape, np.bool_)
    step = COARSEST // 2
    while step >= 1:
        wanted = _lattice(shape, step) & bends & ~computed
        if not wanted.any():
            break
        guess = _interpolate(x, y, losses, computed)
        yield from compute(wanted, f"{task}, every {step} grid steps")
        off = np.abs(_height(losses, losses) - _height(guess, losses))
        finite = losses[computed & np.isfinite(losses)]
        unit = 1.0 if _positive(losses) else float(np.ptp(finite)) if finite.size else 1.0
        # Where one of the two is not finite the edge between them is what bends.
        bad = wanted & ~(off <= tolerance * max(unit, 1e-300))
        bends = _spread(bad, 2 * step)
        step //= 2
    filled = _interpolate(x, y, losses, computed)
    rows, columns = np.nonzero(~computed & np.isfinite(filled))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:CHECKS]
    check = np.zeros(shape, np.bool_)
    check[rows[chosen], columns[chosen]] = True
    check |= ~computed & ~np.isfinite(filled)
    sure = computed.copy()
    yield from compute(check, f"{task}, checking what was interpolated")
    seen = check & np.isfinite(filled)
    error = float(np.max(np.abs(losses[seen] - filled[seen]), initial=0.0))
    accuracy = _interpolate(x, y, accuracies, sure, log=False)
    losses = np.where(computed, losses, filled)
    accuracies = np.where(computed, accuracies, accuracy)
    return Surface(x, y, losses, accuracies, computed, error)


def _lattice(shape: tuple[int, int], step: int) -> NDArray[np.bool_]:
    """Mark every step-th row and column, and always the last of each."""
    mask = np.zeros(shape, np.bool_)
    picked = [np.unique([*range(0, size, step), size - 1]) for size in shape]
    mask[np.ix_(*picked)] = True
    return mask


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Mark all points within `reach` grid steps of a marked one."""
    wide = np.pad(mask, reach).astype(np.int64)
    sums = np.pad(wide.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    size = 2 * reach + 1
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return inside > 0


def _positive(values: NDArray[np.float64]) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0)


def _height(values: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        return np.log(values) if _positive(scale) else values


def _interpolate(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    values: NDArray[np.float64],
    known: NDArray[np.bool_],
    *,
    log: bool = True,
) -> NDArray[np.float64]:
    """Interpolate over the grid from known finite points; NaN where that needs other ones."""
    usable = known & np.isfinite(values)
    if usable.sum() < 4:
        return np.where(usable, values, np.nan)
    rows, columns = np.nonzero(usable)
    # In grid steps, so that neither axis is favoured by its units.
    logarithmic = log and _positive(values)
    heights = values[rows, columns]
    heights = np.log(heights) if logarithmic else heights
    fit = CloughTocher2DInterpolator(np.column_stack([columns, rows]).astype(float), heights)
    j, i = np.mgrid[0 : len(y), 0 : len(x)]
    found = fit(i, j)
    return np.exp(found) if logarithmic else found
