"""Intervals for accuracies: over test examples, and over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import stats

from downslope.errors import InputError

CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """A test accuracy with its uncertainty.

    Args:
        mean: over seeds, in [0, 1].
        per_seed: one accuracy per seed.
        interval: 95 % Wilson interval of the mean for the sampling of `examples` test examples; it
            says nothing of other seeds.
        spread: standard deviation over seeds; None for a single seed.
        examples: test examples behind each accuracy.
        seed_interval: 95 % t interval of the mean over seeds, for the same examples; None for a
            single seed.
    """

    mean: float
    per_seed: list[float]
    interval: tuple[float, float]
    spread: float | None
    examples: int
    seed_interval: tuple[float, float] | None = None


def accuracy_of(per_seed: Sequence[float], examples: int) -> Accuracy:
    """Summarize the accuracies of several seeds on the same examples.

    Raises:
        InputError: no accuracy to summarize.

    >>> a = accuracy_of([0.87, 0.88], 10_000)
    >>> round(a.mean, 4), [round(end, 4) for end in a.interval], round(a.spread, 4)
    (0.875, [0.8684, 0.8813], 0.0071)
    """
    if not per_seed:
        raise InputError("accuracy: no seed completed, so there is none to state")
    mean = float(np.mean(per_seed))
    return Accuracy(
        mean=mean,
        per_seed=list(per_seed),
        interval=wilson_interval(mean, examples),
        spread=float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None,
        examples=examples,
        seed_interval=mean_interval(per_seed),
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return Student's 95 % interval (1908) of a mean over seeds; None for a single value.

    Two values say little about their spread: the interval then reaches 12.7 standard errors to
    each side, and is right.

    >>> [round(end, 3) for end in mean_interval([0.87, 0.88, 0.89]) or ()]
    [0.855, 0.905]
    """
    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf(TAILS[1], len(values) - 1)) * error
    return mean - half, mean + half


def wilson_interval(share: float, examples: int) -> tuple[float, float]:
    """Return the 95 % score interval of Wilson (1927) for a share of `examples`.

    In closed form, since a mean over seeds need not be a whole number of hits.

    >>> low, high = wilson_interval(0.75, 8)
    >>> found = stats.binomtest(6, 8).proportion_ci(0.95, method="wilson")
    >>> bool(np.allclose([low, high], [found.low, found.high]))
    True
    """
    z = float(stats.norm.ppf(TAILS[1]))
    middle = (share + z * z / (2 * examples)) / (1 + z * z / examples)
    variance = share * (1 - share) / examples + z * z / (4 * examples * examples)
    half = z * math.sqrt(variance) / (1 + z * z / examples)
    return max(0.0, middle - half), min(1.0, middle + half)
