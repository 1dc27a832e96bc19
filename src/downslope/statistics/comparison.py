"""The difference of two networks' accuracies: one interval over seeds and test examples."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit

from downslope.errors import InputError
from downslope.statistics.intervals import CONFIDENCE, components

FEW_SEEDS: Final = 0.15
"""How much of the bound on both sides' own quantiles counts where a side has 2 to 4 seeds."""


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

    The interval is that of `half_width`, after each side's variance over seeds was taken at the
    accuracy of the other where it is larger there. A side with a single seed leaves the verdict
    open. Seeds of two sides share nothing and are not paired.

    Measured coverage: docs/statistics.md.

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
    sides = first, second
    seeds = np.array([len(side) for side in sides])
    differences = second.mean(axis=0) - first.mean(axis=0)
    difference = float(differences.mean())
    # Half a pseudo-example for and half against (Agresti and Min 2005): few errors say little.
    squares = float(np.square(differences - difference).sum()) + float(np.mean(1 / seeds))
    of_examples = squares / (examples * (examples - 1))
    parts = [components(side) for side in sides]
    of_seeds = np.array([part.of_seeds for part in parts])
    single = min(seeds) < 2
    half = float(
        half_width(
            of_examples,
            None if single else of_seeds * _at_the_others_accuracy(sides),
            sum(part.rest for part in parts),
            seeds,
            examples,
            comparisons=comparisons,
        )
    )
    spread = None if single else float(np.sqrt(np.mean(of_seeds * seeds)))
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


def half_width(
    of_examples: float,
    of_seeds: NDArray[np.float64] | None,
    rest: float,
    seeds: NDArray[np.int64],
    examples: int,
    *,
    comparisons: int = 1,
) -> NDArray[np.float64]:
    """Return how far the interval of a difference reaches to each side.

    A mean over seeds and examples varies with three sources: how good a seed is, how hard the
    examples are for one side and not for the other, and what is left, by which seeds differ on
    single examples. With V_e the variance of the mean over examples, V_i that over the seeds of
    side i and V_r that of the rest, which both contain (analysis of variance of crossed factors),
    the interval reaches to

        h^2 = t_e^2 (V_e - V_r) + Q, and at least t_e^2 V_e,

    where Q is the larger of two. One pools the seeds of both sides. The other lies between
    t_f^2 (V_1 + V_2) with the degrees of freedom f of Welch (1947) and t_1^2 V_1 + t_2^2 V_2, a
    bound that never gives more than 5 % of wrong verdicts in a normal model (Banerjee 1961: the
    distribution function of a square is concave). Welch's alone gives up to 9 %, where one side has
    2 seeds and scatters more. The bound counts half there and where several intervals hold
    together, `FEW_SEEDS` of it with fewer than 5 seeds, and nothing with more. Then no verdict in
    that model is wrong in more than 6 %.

    Args:
        of_examples: V_e.
        of_seeds: V_1 and V_2, shape (2, ...); None where nothing is known of them.
        rest: V_r.
        seeds: of each side, shape (2,).
        examples: how many.
        comparisons: how many such intervals hold together with 95 % (Bonferroni).
    """
    level = (1 + CONFIDENCE) / 2 if comparisons < 2 else 1 - (1 - CONFIDENCE) / 2 / comparisons

    def squared(freedom: NDArray[np.floating[Any]] | float) -> NDArray[np.float64]:
        return np.square(stdtrit(freedom, level))

    least = np.asarray(squared(examples - 1.0) * of_examples)
    if of_seeds is None:
        return np.sqrt(least)
    alone = squared(examples - 1.0) * max(0.0, of_examples - rest)
    freedom = (seeds - 1.0).reshape(2, *[1] * (of_seeds.ndim - 1))
    counts = freedom + 1
    total = of_seeds.sum(axis=0)
    # Shares of the whole, because the square of a small variance underflows.
    shares = of_seeds / np.where(total > 0, total, 1.0)
    welch = squared(1 / np.where(total > 0, (shares**2 / freedom).sum(axis=0), 1.0)) * total
    bound = (squared(freedom) * of_seeds).sum(axis=0)
    both = float(freedom.sum())
    pooled = (of_seeds * counts * freedom).sum(axis=0) / both * float(np.sum(1 / seeds))
    weight = _weight_of_bound(int(seeds.min()), int(seeds.max()), comparisons)
    own = welch + weight * (bound - welch)
    return np.sqrt(np.maximum(least, alone + np.maximum(own, squared(both) * pooled)))


def _at_the_others_accuracy(
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """Return what each side's variance over seeds grows by if the other's mean is also its own.

    It shrinks toward an accuracy of 1, as p (1 - p) does in a beta distribution of one precision:
    seeds that happen to be good agree, and hide how far others lie below. Without this 7.5 % of the
    verdicts between equals were wrong at 0.99 and a spread of 0.5 points.
    """
    # Half a pseudo-example right and half wrong, so that no variance is zero.
    means = np.array([(side.sum() + 0.5) / (side.size + 1) for side in sides])
    variances = means * (1 - means)
    return np.maximum(1.0, variances[::-1] / variances)


def _weight_of_bound(fewest: int, most: int, comparisons: int) -> float:
    if comparisons > 1 or fewest == 2 < most:
        return 0.5
    return FEW_SEEDS if fewest < 5 else 0.0


def _paired_test(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedTest:
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = first_only + second_only
    return PairedTest(
        examples=len(first),
        first_only=first_only,
        second_only=second_only,
        # Both tails of a fair coin are alike.
        p_value=min(1.0, 2 * float(bdtr(min(first_only, second_only), discordant, 0.5))),
    )
