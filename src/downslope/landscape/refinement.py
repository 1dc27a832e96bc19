"""Fine surfaces for a fraction of the evaluations: points are computed where the surface bends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CloughTocher2DInterpolator
from scipy.ndimage import maximum_filter

from downslope.landscape.evaluation import Losses
from downslope.progress import Steps

COARSEST = 16
"""Grid steps between the points of the first pass."""
CHECKS = 200
"""Interpolated points that are computed after all, to state the error."""

Mask = NDArray[np.bool_]
Heights = NDArray[np.float64]


def refine(
    evaluate: Callable[[Heights, str], Steps[Losses]],
    x: Heights,
    y: Heights,
    tolerance: float,
    seed: int,
    task: str,
) -> Steps[tuple[Heights, Heights, Mask, float]]:
    """Compute a fine surface where it bends and interpolate where it does not.

    Passes halve the spacing from 16 grid steps to 1. A cell is refined further where a pass's new
    points in or beside it differ from what was interpolated there by more than the tolerance: a
    share of a loss where all are above zero, else of their range. The rest is interpolated with
    cubics (Clough and Tocher 1965). At the end some interpolated points, drawn at random, are
    computed after all: the largest difference is the error that is stated.

    Returns:
        Losses, accuracies and which points were computed, of shape (rows, columns), and the error.
    """
    shape = (len(y), len(x))
    losses, accuracies = np.full(shape, np.nan), np.full(shape, np.nan)
    computed = np.zeros(shape, np.bool_)

    def compute(mask: Mask, task: str) -> Steps[None]:
        rows, columns = np.nonzero(mask & ~computed)
        if not len(rows):
            return
        values = yield from evaluate(np.column_stack([x[columns], y[rows]]), task)
        losses[rows, columns], accuracies[rows, columns] = values.loss, values.accuracy
        computed[rows, columns] = True

    # Two whole passes, so that a small feature between the coarsest points is not overlooked.
    yield from compute(_lattice(shape, COARSEST), f"{task}, first points")
    bends = np.ones(shape, np.bool_)
    step = COARSEST // 2
    while step >= 1:
        selected = _lattice(shape, step) & bends & ~computed
        if not selected.any():
            break
        interpolated = _interpolate(losses, computed)
        yield from compute(selected, f"{task}, every {step} grid steps")
        off = np.abs(_height(losses, losses) - _height(interpolated, losses))
        finite = losses[computed & np.isfinite(losses)]
        unit = 1.0 if _positive(losses) else float(np.ptp(finite)) if finite.size else 1.0
        # Where one of the two is not finite the edge between them is what bends.
        differ = selected & ~(off <= tolerance * max(unit, 1e-300))
        # All points within two steps of one that differs.
        bends = np.asarray(maximum_filter(differ, 4 * step + 1, mode="constant"), np.bool_)
        step //= 2
    filled = _interpolate(losses, computed)
    rows, columns = np.nonzero(~computed & np.isfinite(filled))
    chosen = np.random.default_rng(seed).permutation(len(rows))[:CHECKS]
    check = ~computed & ~np.isfinite(filled)
    check[rows[chosen], columns[chosen]] = True
    sure = computed.copy()
    yield from compute(check, f"{task}, checking what was interpolated")
    seen = check & np.isfinite(filled)
    error = float(np.max(np.abs(losses[seen] - filled[seen]), initial=0.0))
    accuracy = _interpolate(accuracies, sure, log=False)
    losses = np.where(computed, losses, filled)
    return losses, np.where(computed, accuracies, accuracy), computed, error


def _lattice(shape: tuple[int, int], step: int) -> Mask:
    """Mark every step-th row and column, and always the last of each."""
    mask = np.zeros(shape, np.bool_)
    mask[np.ix_(*(np.unique([*range(0, size, step), size - 1]) for size in shape))] = True
    return mask


def _positive(values: Heights) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0)


def _height(values: Heights, scale: Heights) -> Heights:
    with np.errstate(all="ignore"):
        return np.log(values) if _positive(scale) else values


def _interpolate(values: Heights, known: Mask, *, log: bool = True) -> Heights:
    """Interpolate over the grid from known finite points; NaN where that needs other ones."""
    usable = known & np.isfinite(values)
    if usable.sum() < 4:
        return np.where(usable, values, np.nan)
    rows, columns = np.nonzero(usable)
    logarithmic = log and _positive(values)
    heights = values[usable]
    heights = np.log(heights) if logarithmic else heights
    # In grid steps, so that neither axis is favoured by its units.
    fit = CloughTocher2DInterpolator(np.column_stack([columns, rows]).astype(float), heights)
    j, i = np.mgrid[0 : values.shape[0], 0 : values.shape[1]]
    surface = fit(i, j)
    return np.exp(surface) if logarithmic else surface
