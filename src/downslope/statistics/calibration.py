"""Whether a classifier is as sure as it may be: reliability, calibration error, mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar

from downslope.errors import InputError
from downslope.statistics.intervals import TAILS, wilson_interval

BINS = 15
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Bin:
    """The examples whose confidence lies in one range.

    Args:
        low: of the range, excluded.
        high: of the range, included.
        examples: how many, over all seeds.
        confidence: their mean.
        accuracy: share that is right.
        interval: 95 % Wilson interval of that share, for the examples of one seed.
    """

    low: float
    high: float
    examples: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reliability:
    """How confidence and accuracy agree.

    Args:
        bins: those that hold examples.
        error: expected calibration error, Guo et al. (2017), equation 5.
        interval: 95 % of it, for the sampling of examples. It may lie below `error`, which is
            too large on average: noise moves a bin's accuracy away from its confidence.
        confidence: mean over all.
        accuracy: mean over all.
    """

    bins: list[Bin]
    error: float
    interval: tuple[float, float]
    confidence: float
    accuracy: float


def confidence_of(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the probability that a softmax gives the class that is answered, by row.

    >>> confidence_of(np.log([[1.0, 3.0]])).tolist()
    [0.75]
    """
    exact = np.asarray(logits, np.float64)
    apart = exact - exact.max(axis=1, keepdims=True)
    return (1 / np.exp(apart).sum(axis=1)).astype(np.float32)


def reliability(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> Reliability:
    """Compare confidence with accuracy in 15 bins of equal width (Guo et al. 2017, section 2).

    Args:
        confidences: probability of the answers, shape (seeds, examples).
        right: whether they are right, likewise.

    Raises:
        InputError: the shapes differ, or there are no examples.

    >>> found = reliability(np.array([[0.9, 0.9, 0.6]]), np.array([[True, True, False]]))
    >>> round(found.error, 4), len(found.bins)
    (0.2667, 2)
    """
    if confidences.shape != right.shape or confidences.ndim != 2 or not confidences.size:
        raise InputError(
            f"reliability: shapes {confidences.shape} and {right.shape} must be the same two "
            "dimensions, seeds and examples"
        )
    seeds, examples = confidences.shape
    sure = np.clip(np.asarray(confidences, np.float64), 0, 1)
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    # By bin, how much confidence exceeds accuracy, of each example over its seeds.
    excess = np.zeros((examples, BINS))
    for own_place, own_sure, own_right in zip(place, sure, right, strict=True):
        excess[np.arange(examples), own_place] += own_sure - own_right
    bins: list[Bin] = []
    for k in range(BINS):
        there = place == k
        if count := int(there.sum()):
            accuracy = float(right[there].mean())
            bins.append(
                Bin(
                    low=k / BINS,
                    high=(k + 1) / BINS,
                    examples=count,
                    confidence=float(sure[there].mean()),
                    accuracy=accuracy,
                    # Seeds answer for the same examples: they do not count as more of them.
                    interval=wilson_interval(accuracy, max(1, round(count / seeds))),
                )
            )
    gaps = excess.sum(axis=0) / (seeds * examples)
    return Reliability(
        bins=bins,
        error=float(np.abs(gaps).sum()),
        interval=_error_interval(gaps, excess / seeds),
        confidence=float(sure.mean()),
        accuracy=float(right.mean()),
    )


def _error_interval(gaps: NDArray[np.float64], excess: NDArray[np.float64]) -> tuple[float, float]:
    """Invert a test along the gaps that were seen, times a factor (Carpenter 1999).

    Of a calibrated classifier too the bins' gaps are not zero, so quantiles of a bootstrap lie all
    above its true error, 0. Here the bootstrap gives the noise alone: a factor belongs to the
    interval where the error that was seen is none of the rarest 2.5 % to either side.
    """
    generator = np.random.default_rng(0)
    examples = len(excess)
    noise = np.empty((DRAWS, excess.shape[1]))
    for draw in noise:
        times = np.bincount(generator.integers(examples, size=examples), minlength=examples)
        draw[:] = times @ excess / examples - gaps
    error = float(np.abs(gaps).sum())

    ends: list[float] = []
    for tail in reversed(TAILS):

        def beyond(factor: float, tail: float = tail) -> float:
            return float(np.quantile(np.abs(factor * gaps + noise).sum(axis=1), tail)) - error

        if not error or beyond(0.0) >= 0:
            ends.append(0.0)
            continue
        top = 1.0
        while beyond(top) < 0:
            top *= 2
        ends.append(float(root_scalar(beyond, bracket=(0.0, top)).root) * error)
    return ends[0], ends[1]


def confident_mistakes(
    confidences: NDArray[np.floating], right: NDArray[np.bool_], count: int
) -> NDArray[np.int64]:
    """Return the examples that are answered wrongly with the most confidence, the surest first.

    >>> sure, right = np.array([0.9, 0.5, 0.8, 0.9]), np.array([False, False, True, False])
    >>> confident_mistakes(sure, right, 2).tolist()
    [0, 3]
    """
    wrong = np.flatnonzero(~right)
    return wrong[np.argsort(-confidences[wrong], kind="stable")][:count].astype(np.int64)
