"""Intervals for accuracies: over test examples, and over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from downslope.errors import InputError

CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """A test accuracy with its uncertainty.

    Args:
        mean: over seeds, in [0, 1].
        per_seed: one accuracy per seed.
        interval: 95 % interval of the mean, by `interval_method`.
        spread: standard deviation over seeds; None for a single seed.
        examples: test examples behind each accuracy.
        seed_interval: of the mean over other seeds on the same examples; only in runs of earlier
            versions, where `interval` says nothing of other seeds.
        interval_method: "crossed" covers other seeds and other examples (`crossed_interval`);
            "wilson" the sampling of test examples alone, as for a single seed and in runs of
            earlier versions.
    """

    mean: float
    per_seed: list[float]
    interval: tuple[float, float]
    spread: float | None
    examples: int
    seed_interval: tuple[float, float] | None = None
    interval_method: Literal["crossed", "wilson"] = "wilson"


def accuracy_of(right: NDArray[np.bool_]) -> Accuracy:
    """Summarize what several seeds classified correctly of the same examples.

    Args:
        right: shape (seeds, examples).

    Raises:
        InputError: no accuracy to summarize.

    >>> a = accuracy_of(np.arange(800).reshape(2, 400) % 8 > 0)
    >>> a.mean, a.spread, [round(end, 4) for end in a.interval], a.interval_method
    (0.875, 0.0, [0.8388, 0.904], 'crossed')
    """
    if not right.size:
        raise InputError("accuracy: no seed completed, so there is none to state")
    per_seed = [float(accuracy) for accuracy in right.mean(axis=1)]
    return Accuracy(
        mean=float(np.mean(per_seed)),
        per_seed=per_seed,
        interval=crossed_interval(right),
        spread=float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None,
        examples=right.shape[1],
        interval_method="crossed" if len(per_seed) > 1 else "wilson",
    )


class Components(NamedTuple):
    """Estimates of the variance of a mean over seeds and examples, by source.

    Args:
        of_examples: over examples; contains `rest`.
        of_seeds: over seeds; contains `rest`; 0 for a single seed.
        rest: of what neither seed nor example explains; 0 for a single seed.
    """

    of_examples: float
    of_seeds: float
    rest: float


def components(right: NDArray[np.bool_]) -> Components:
    """Analyse the variance of crossed factors: seeds and examples.

    Args:
        right: what each seed classified correctly, shape (seeds, examples), 2 examples or more.
    """
    seeds, examples = right.shape
    per_seed, per_example = right.mean(axis=1), right.mean(axis=0)
    mean = float(per_seed.mean())
    by_example = seeds * float(np.square(per_example - mean).sum())
    size = seeds * examples
    of_examples = by_example / (examples - 1) / size
    # Equal seeds have means that may differ from them in the last bit.
    if seeds < 2 or np.ptp(per_seed) == 0:
        by_seed = 0.0
    else:
        by_seed = examples * float(np.square(per_seed - mean).sum())
    if seeds < 2:
        return Components(of_examples, 0.0, 0.0)
    rest = max(0.0, size * mean * (1 - mean) - by_seed - by_example)
    return Components(
        of_examples,
        by_seed / (seeds - 1) / size,
        rest / ((seeds - 1) * (examples - 1)) / size,
    )


def crossed_interval(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Return a 95 % interval of a mean accuracy, over other seeds and other test examples.

    With the components V_e over examples, V_s over seeds and V_r of the rest it reaches to
    h^2 = z^2 (V_e - V_r) + t^2 V_s, and at least z^2 V_e: each source with the quantile of its own
    degrees of freedom (Graybill and Wang 1980). Wilson's interval (1927) has the same reach with as
    many examples as make its variance that large, and does not end at 1 where all answers are
    right. A single seed says nothing of other seeds: the interval is Wilson's.

    Args:
        right: what each seed classified correctly, shape (seeds, examples).
    """
    seeds, examples = right.shape
    mean = float(right.mean())
    if seeds < 2 or examples < 2:
        return wilson_interval(mean, examples)
    estimate = components(right)
    # Half a pseudo-example right and half wrong: few errors say little of how they scatter.
    of_examples = estimate.of_examples + 1 / 4 / examples / (examples - 1)
    variance = max(0.0, of_examples - estimate.rest)
    variance += _ratio(seeds) ** 2 * estimate.of_seeds
    return _score_interval(mean, max(variance, of_examples), examples)


def _ratio(seeds: int) -> float:
    """Return how many times as far Student's interval reaches as the normal one."""
    return float(stdtrit(seeds - 1, TAILS[1]) / ndtri(TAILS[1]))


def _score_interval(mean: float, variance: float, examples: int) -> tuple[float, float]:
    """Return Wilson's interval with as many examples as make its variance the one given."""
    single = mean * (1 - mean)  # 0 where all answers are right, or all wrong
    return wilson_interval(mean, single / variance if single else examples)


def mean_interval(
    values: Sequence[float], *, examples: int | None = None
) -> tuple[float, float] | None:
    """Return a 95 % interval of a mean over seeds; None for a single value.

    Student's (1908). Two values say little about their spread: the interval then reaches 12.7
    standard errors to each side, and is right.

    Args:
        values: one for each seed.
        examples: where the values are accuracies on these same examples, and the mean on other
            examples is asked for; the interval is then that of `crossed_interval`, a little wider,
            since the answers to single examples are not known.

    >>> [round(end, 3) for end in mean_interval([0.87, 0.88, 0.89]) or ()]
    [0.855, 0.905]
    """
    if len(values) < 2:
        return None
    mean = float(np.mean(values))
    of_seeds = float(np.var(values, ddof=1)) / len(values)
    if examples is not None:
        variance = mean * (1 - mean) / examples + _ratio(len(values)) ** 2 * of_seeds
        return _score_interval(mean, variance, examples)
    half = float(stdtrit(len(values) - 1, TAILS[1])) * math.sqrt(of_seeds)
    return mean - half, mean + half


def wilson_interval(share: float, examples: float) -> tuple[float, float]:
    """Return the 95 % score interval of Wilson (1927) for a share of `examples`.

    In closed form, since neither the hits of a mean over seeds nor `examples` need be whole.

    >>> low, high = wilson_interval(0.75, 8)
    >>> from scipy import stats
    >>> found = stats.binomtest(6, 8).proportion_ci(0.95, method="wilson")
    >>> bool(np.allclose([low, high], [found.low, found.high]))
    True
    """
    z = float(ndtri(TAILS[1]))
    middle = (share + z * z / (2 * examples)) / (1 + z * z / examples)
    variance = share * (1 - share) / examples + z * z / (4 * examples * examples)
    half = z * math.sqrt(variance) / (1 + z * z / examples)
    return max(0.0, middle - half), min(1.0, middle + half)
