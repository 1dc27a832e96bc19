"""How a classifier does class by class: precision, recall and F1, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from downslope.statistics.intervals import wilson_interval


class ClassScore(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one class; one that cannot be computed is None, like its interval.

    Args:
        examples: of this class.
        precision: share of those answered with this class that are of it.
        recall: share of those of this class that were answered with it.
        f1: harmonic mean of both.
        precision_interval: 95 %, Wilson (1927).
        recall_interval: 95 %, Wilson (1927).
        f1_interval: 95 %, from Wilson's for the share J of those that are of the class and answered
            with it among those that are one of both: F1 = 2 J / (1 + J), which increases with J.
    """

    examples: int
    precision: float | None
    recall: float | None
    f1: float | None
    precision_interval: tuple[float, float] | None
    recall_interval: tuple[float, float] | None
    f1_interval: tuple[float, float] | None


def class_scores(confusion: Sequence[Sequence[int]]) -> list[ClassScore]:
    """Score each class from a confusion matrix (rows true classes, columns predicted ones).

    >>> first, _ = class_scores([[3, 1], [2, 4]])
    >>> first.precision, first.recall, round(first.f1, 3)
    (0.6, 0.75, 0.667)
    """
    counts = np.asarray(confusion, np.int64)
    if not counts.size or not counts.sum():
        return []
    true, answered, hits = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    scores: list[ClassScore] = []
    for k in range(len(counts)):
        n, m, hit = int(true[k]), int(answered[k]), int(hits[k])
        either = n + m - hit
        low, high = wilson_interval(hit / either, either) if either else (0.0, 0.0)
        scores.append(
            ClassScore(
                examples=n,
                precision=hit / m if m else None,
                recall=hit / n if n else None,
                f1=2 * hit / (n + m) if n + m else None,
                precision_interval=wilson_interval(hit / m, m) if m else None,
                recall_interval=wilson_interval(hit / n, n) if n else None,
                f1_interval=(2 * low / (1 + low), 2 * high / (1 + high)) if either else None,
            )
        )
    return scores
