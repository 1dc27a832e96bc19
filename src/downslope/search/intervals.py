"""Intervals for accuracies and for differences between them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import stats

from downslope.errors import InputError

CONFIDENCE = 0.95


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a test accuracy with its uncertainty.

    Args:
        mean: over seeds, in [0, 1].
        per_seed: one accuracy per seed.
        interval: 95 % Wilson interval of the mean for the sampling of `examples` test examples.
        spread: standard deviation over seeds; None for a single seed.
        examples: test examples behind each accuracy.
    """

    mean: float
    per_seed: list[float]
    interval: tuple[float, float]
    spread: float | None
    examples: int


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
    )


def wilson_interval(share: float, examples: int) -> tuple[float, float]:
    """Return the 95 % score interval of Wilson (1927) for a share of `examples`."""
    hits = round(share * examples)
    found = stats.binomtest(hits, examples).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the difference of two mean accuracies against the spread over seeds.

    Args:
        difference: second mean minus first.
        interval: 95 % Welch interval of the difference over seeds; None where a side has fewer
            than two seeds, or no seed differs from another, which says nothing about spread.
        seed_spread: pooled standard deviation over seeds, None like the interval.
        verdict: "better", "worse" or "undecided" for the second, by whether the interval
            excludes zero.
    """

    difference: float
    interval: tuple[float, float] | None
    seed_spread: float | None
    verdict: str


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare the accuracies of two members over seeds (Welch 1947).

    >>> compare([0.870, 0.872, 0.871], [0.884, 0.886, 0.885]).verdict
    'better'
    """
    difference = float(np.mean(second) - np.mean(first))
    undecided = Comparison(
        difference=difference, interval=None, seed_spread=None, verdict="undecided"
    )
    if min(len(first), len(second)) < 2:
        return undecided
    # Equal seeds have means that may differ from them in the last bit.
    variances = [0.0 if len({*s}) == 1 else float(np.var(s, ddof=1)) for s in (first, second)]
    if not any(variances):
        return undecided
    spread = float(np.sqrt(np.mean(variances)))
    reach = _welch_reach(variances, (len(first), len(second)))
    low, high = difference - reach, difference + reach
    verdict = "better" if low > 0 else "worse" if high < 0 else "undecided"
    return Comparison(
        difference=difference, interval=(low, high), seed_spread=spread, verdict=verdict
    )


def _welch_reach(variances: Sequence[float], counts: Sequence[int]) -> float:
    # Written out: scipy's ttest_ind warns where one side has no spread, which is no mistake here.
    parts = np.divide(variances, counts)
    # Shares of the whole, because the square of a small variance underflows.
    shares = parts / parts.sum()
    freedom = 1 / float(np.sum(shares**2 / np.subtract(counts, 1)))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(parts.sum()))
