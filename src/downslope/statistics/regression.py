"""How far predicted numbers are off, in the units of what is predicted."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from downslope.statistics.intervals import TAILS


class RegressionScore(msgspec.Struct, frozen=True, kw_only=True):
    """The test errors of numbers predicted by several seeds, in the target's units.

    Args:
        rmse: root mean squared error of each seed.
        mean: of them.
        interval: 95 % of that mean, over other seeds and other test examples.
        mae: mean absolute error, mean over seeds.
        r2: share of the variance of the test examples that is explained, mean over seeds; None
            where all are the same.
        chance: the root mean squared error of always predicting the mean of the training rows.
        examples: test examples behind each error.
    """

    rmse: list[float]
    mean: float
    interval: tuple[float, float]
    mae: float
    r2: float | None
    chance: float
    examples: int


def regression_score(
    predictions: NDArray[np.floating], truth: NDArray[np.floating], middle: float
) -> RegressionScore:
    """Summarize the predictions of several seeds.

    The interval is of the mean squared error, of which the root is taken. It adds the variance
    over examples and that over seeds, each with the quantile of its own degrees of freedom.

    Args:
        predictions: shape (seeds, examples).
        truth: shape (examples,).
        middle: mean of the training rows.

    >>> score = regression_score(np.array([[1.0, 2.0, 4.0]]), np.array([1.0, 2.0, 3.0]), 2.0)
    >>> round(score.mean, 4), round(score.r2, 4), round(score.chance, 4)
    (0.5774, 0.5, 0.8165)
    """
    seeds, examples = predictions.shape
    errors = predictions.astype(np.float64) - truth
    squares = np.square(errors)
    per_seed, per_example = squares.mean(axis=1), squares.mean(axis=0)
    variance = 0.0
    if examples > 1:
        variance += float(ndtri(TAILS[1])) ** 2 * float(per_example.var(ddof=1)) / examples
    if seeds > 1:
        variance += float(stdtrit(seeds - 1, TAILS[1])) ** 2 * float(per_seed.var(ddof=1)) / seeds
    mean, half = float(squares.mean()), math.sqrt(variance)
    rmse = np.sqrt(per_seed)
    whole = float(np.square(truth - truth.mean()).mean())
    return RegressionScore(
        rmse=rmse.tolist(),
        mean=float(rmse.mean()),
        interval=(math.sqrt(max(0.0, mean - half)), math.sqrt(mean + half)),
        mae=float(np.abs(errors).mean()),
        r2=1 - mean / whole if whole else None,
        chance=float(np.sqrt(np.square(truth - middle).mean())),
        examples=examples,
    )
