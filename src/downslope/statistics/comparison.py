"""The difference of two networks' accuracies: one interval over seeds and test examples."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from downslope.errors import InputError
from downslope.statistics.intervals import CONFIDENCE


class PairedTest(msgspec.Struct, frozen=True, kw_only=True):
    """Two networks, one of each side, on the same examples: a detail that decides nothing.

    Args:
        examples: on which both were tested.
        first_only: examples that only the first side's first seed classified correctly.
        second_only: examples that only the second side's first seed classified correctly.
        p_value: of McNemar's exact test (1947) on those two counts.
    """

    examples: int
    first_only: int
    second_only: int
    p_value: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of two mean accuracies, with the interval that decides.

    Args:
        difference: second mean minus first.
        interval: 95 % interval of the difference for what `covers` says; None only in runs of
            earlier versions.
        seed_spread: pooled standard deviation over seeds; None where a side has a single seed.
        verdict: "better" or "worse" for the second side where the interval covers seeds and
            examples and excludes zero; else "undecided".
        paired: the first seeds of both sides, example by example.
        covers: "seeds and examples"; "examples" alone where a side has a single seed, so that
            nothing is known of other seeds; "seeds" alone in runs of earlier versions.
        comparisons: how many such intervals hold together with 95 % (Bonferroni).
    """

    difference: float
    interval: tuple[float, float] | None
    seed_spread: float | None
    verdict: str
    paired: PairedTest | None = None
    covers: Literal["seeds and examples", "examples", "seeds"] = "seeds"
    comparisons: int = 1


def compare(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, comparisons: int = 1
) -> Comparison:
    """Compare two networks that were trained with several seeds, on the same test examples.

    The mean over seeds and examples varies with three sources: how good a seed is, how hard the
    examples are for one side and not for the other, and what is left, by which seeds differ on
    single examples. With V_e the variance of the mean over examples, V_s that over seeds and V_r
    that of the rest, which both contain (analysis of variance of crossed factors), the interval
    reaches to

        h^2 = t_e^2 (V_e - V_r) + t_s^2 V_s, and at least t_e^2 V_e.

    Each source has Student's quantile for its own degrees of freedom, as in the limits of Graybill
    and Wang (1980) for sums of variances: a single quantile for the sum (Satterthwaite) gives up
    to 7 % of wrong verdicts with two seeds. V_s is once that of Welch (1947), once pooled, and the
    wider interval decides: the degrees of freedom that Welch's estimates are too many where one
    side has few seeds, the pooled ones where one side scatters more. Seeds of two sides share
    nothing and are not paired. Measured coverage: docs/statistics.md.

    Args:
        first: what each seed of the first side classified correctly, shape (seeds, examples).
        second: likewise on the same examples; its seeds may be fewer or more.
        comparisons: how many comparisons stand together on a page (Bonferroni).

    Raises:
        InputError: the examples are not the same number, or fewer than two.

    >>> hits = np.arange(60).reshape(3, 20) % 5 > 0
    >>> compare(hits, hits).verdict
    'undecided'
    """
    if first.shape[1:] != second.shape[1:] or min(*first.shape, *second.shape) < 1:
        raise InputError(
            f"comparison: shapes {first.shape} and {second.shape} are not of the same examples"
        )
    examples = first.shape[1]
    if examples < 2:
        raise InputError("comparison: one test example is too few; 2 or more are needed")
    quantile = (1 + CONFIDENCE) / 2 if comparisons < 2 else 1 - (1 - CONFIDENCE) / 2 / comparisons
    sides = first, second
    seeds = np.array([len(side) for side in sides])
    differences = second.mean(axis=0) - first.mean(axis=0)
    difference = float(differences.mean())
    # Half a pseudo-example for and half against (Agresti and Min 2005): few errors say little.
    squares = float(np.square(differences - difference).sum()) + float(np.mean(1 / seeds))
    of_examples = squares / (examples * (examples - 1))
    reach = float(stats.t.ppf(quantile, examples - 1)) ** 2 * of_examples
    spread = None
    if min(seeds) > 1:
        per_seed = [side.mean(axis=1) for side in sides]
        # Equal seeds have means that may differ from them in the last bit.
        variances = np.array([0.0 if np.ptp(p) == 0 else p.var(ddof=1) for p in per_seed])
        rest = sum(_rest(side, p) for side, p in zip(sides, per_seed, strict=True))
        alone = float(stats.t.ppf(quantile, examples - 1)) ** 2 * max(0.0, of_examples - rest)
        pooled = float(variances @ (seeds - 1)) / float(seeds.sum() - 2)
        for variance, freedom in (
            _welch(variances, seeds),
            (pooled * float(np.sum(1 / seeds)), float(seeds.sum() - 2)),
        ):
            reach = max(reach, alone + float(stats.t.ppf(quantile, freedom)) ** 2 * variance)
        spread = float(np.sqrt(variances.mean()))
    half = float(np.sqrt(reach))
    low, high = difference - half, difference + half
    verdict = "undecided"
    if spread is not None and (low > 0 or high < 0):
        verdict = "better" if low > 0 else "worse"
    return Comparison(
        difference=difference,
        interval=(low, high),
        seed_spread=spread,
        verdict=verdict,
        paired=_paired_test(first[0], second[0]),
        covers="examples" if spread is None else "seeds and examples",
        comparisons=comparisons,
    )


def _welch(variances: NDArray[np.float64], seeds: NDArray[np.int64]) -> tuple[float, float]:
    """Return the variance of the difference over seeds, and its degrees of freedom."""
    parts = variances / seeds
    if not parts.any():
        return 0.0, 1.0
    # Shares of the whole, because the square of a small variance underflows.
    shares = parts / parts.sum()
    return float(parts.sum()), 1 / float(np.sum(shares**2 / (seeds - 1)))


def _rest(right: NDArray[np.bool_], per_seed: NDArray[np.float64]) -> float:
    """Return the variance of a mean by what neither seed nor example explains."""
    seeds, examples = right.shape
    mean = float(per_seed.mean())
    total = seeds * examples * mean * (1 - mean)
    by_seed = examples * float(np.square(per_seed - mean).sum())
    by_example = seeds * float(np.square(right.mean(axis=0) - mean).sum())
    freedom = (seeds - 1) * (examples - 1)
    return max(0.0, total - by_seed - by_example) / freedom / (seeds * examples)


def _paired_test(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedTest:
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = first_only + second_only
    return PairedTest(
        examples=len(first),
        first_only=first_only,
        second_only=second_only,
        p_value=float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0,
    )
