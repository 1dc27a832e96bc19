"""Intervals for accuracies and for differences between them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from downslope.errors import InputError

CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
RESAMPLES = 10_000


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a test accuracy with its uncertainty.

    Args:
        mean: over seeds, in [0, 1].
        per_seed: one accuracy per seed.
        interval: 95 % Wilson interval of the mean for the sampling of `examples` test examples.
        spread: standard deviation over seeds; None for a single seed.
        examples: test examples behind each accuracy.
        seed_interval: 95 % bootstrap interval of the mean over seeds; None below three seeds.
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
        seed_interval=bootstrap_interval(per_seed),
    )


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % bootstrap percentile interval of a mean over seeds (Efron 1979).

    With few seeds it is too short, so `compare` judges by Welch's interval. The draws are always
    the same. None below three values, which say too little about their spread.

    >>> [round(end, 3) for end in bootstrap_interval([0.87, 0.88, 0.89]) or ()]
    [0.87, 0.89]
    """
    if len(values) < 3:
        return None
    found = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).integers(len(found), size=(RESAMPLES, len(found)))
    low, high = np.quantile(found[draws].mean(axis=1), TAILS)
    return float(low), float(high)


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


class PairedTest(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the comparison of two members on the same examples.

    Args:
        examples: on which both were tested.
        interval: 95 % bootstrap interval of the difference (second minus first) of the mean
            accuracies over seeds, for the sampling of examples, which are drawn in pairs.
        first_only: examples that only the first member's first seed got right.
        second_only: examples that only the second member's first seed got right.
        p_value: of McNemar's exact test (1947) on those two counts.
    """

    examples: int
    interval: tuple[float, float]
    first_only: int
    second_only: int
    p_value: float


def paired_test(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedTest:
    """Compare two members example by example.

    Args:
        first: what each seed of the first member got right, shape (seeds, examples).
        second: likewise, of the same examples; its seeds may be fewer or more.

    Raises:
        InputError: the examples are not the same number, or there are none.

    >>> hits = np.array([[True, True, False, False]])
    >>> paired_test(hits, ~hits).p_value
    1.0
    """
    if first.shape[1:] != second.shape[1:] or not first.size or not second.size:
        raise InputError(
            f"paired test: shapes {first.shape} and {second.shape} are not of the same examples"
        )
    examples = first.shape[1]
    differences = second.mean(axis=0) - first.mean(axis=0)
    # Few values repeat many times: resampling examples is drawing how often each value comes.
    values, counts = np.unique(differences, return_counts=True)
    draws = np.random.default_rng(0).multinomial(examples, counts / examples, RESAMPLES)
    low, high = np.quantile(draws @ values / examples, TAILS)
    first_only = int((first[0] & ~second[0]).sum())
    second_only = int((second[0] & ~first[0]).sum())
    discordant = first_only + second_only
    return PairedTest(
        examples=examples,
        interval=(float(low), float(high)),
        first_only=first_only,
        second_only=second_only,
        p_value=float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0,
    )


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the difference of two mean accuracies against the spread over seeds.

    Args:
        difference: second mean minus first.
        interval: 95 % Welch interval of the difference over seeds; None where a side has fewer
            than two seeds, or no seed differs from another, which says nothing about spread.
        seed_spread: pooled standard deviation over seeds, None like the interval.
        verdict: "better", "worse" or "undecided" for the second, by whether the interval, and
            that of the paired test where there is one, exclude zero on the same side.
        paired: both members example by example; None where predictions were not kept.
    """

    difference: float
    interval: tuple[float, float] | None
    seed_spread: float | None
    verdict: str
    paired: PairedTest | None = None


def compare(
    first: Sequence[float], second: Sequence[float], paired: PairedTest | None = None
) -> Comparison:
    """Compare the accuracies of two members over seeds (Welch 1947) and over examples (paired).

    The interval over seeds says what other seeds would do on these examples, the paired one what
    these networks would do on other examples. Both must agree for a verdict.

    >>> compare([0.870, 0.872, 0.871], [0.884, 0.886, 0.885]).verdict
    'better'
    """
    difference = float(np.mean(second) - np.mean(first))
    undecided = Comparison(
        difference=difference,
        interval=None,
        seed_spread=None,
        verdict="undecided",
        paired=paired,
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
    lowest = low if paired is None else min(low, paired.interval[0])
    highest = high if paired is None else max(high, paired.interval[1])
    return Comparison(
        difference=difference,
        interval=(low, high),
        seed_spread=spread,
        verdict="better" if lowest > 0 else "worse" if highest < 0 else "undecided",
        paired=paired,
    )


def _welch_reach(variances: Sequence[float], counts: Sequence[int]) -> float:
    # Written out: scipy's ttest_ind warns where one side has no spread, which is no mistake here.
    parts = np.divide(variances, counts)
    # Shares of the whole, because the square of a small variance underflows.
    shares = parts / parts.sum()
    freedom = 1 / float(np.sum(shares**2 / np.subtract(counts, 1)))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(parts.sum()))
