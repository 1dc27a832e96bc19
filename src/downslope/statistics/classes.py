"""How a classifier does class by class: precision, recall and F1, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from downslope.statistics.intervals import TAILS, wilson_interval

DRAWS = 2000


class ClassScore(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the scores of one class; one that cannot be computed is None, like its interval.

    Args:
        examples: of this class.
        precision: share of those answered with this class that are of it.
        recall: share of those of this class that were answered with it.
        f1: harmonic mean of both.
        precision_interval: 95 %, Wilson (1927).
        recall_interval: 95 %, Wilson (1927).
        f1_interval: 95 %, bootstrap over examples.
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
    # Drawing examples again is drawing how often each cell of the matrix comes.
    rows, columns = np.nonzero(counts)
    total = int(counts.sum())
    draws = np.random.default_rng(0).multinomial(total, counts[rows, columns] / total, DRAWS)
    found: list[ClassScore] = []
    for k in range(len(counts)):
        both = draws[:, (rows == k) & (columns == k)].sum(axis=1)
        sizes = draws[:, rows == k].sum(axis=1) + draws[:, columns == k].sum(axis=1)
        drawn = 2 * both[sizes > 0] / sizes[sizes > 0]
        low, high = np.quantile(drawn, TAILS) if len(drawn) else (0.0, 0.0)
        n, m, hit = int(true[k]), int(answered[k]), int(hits[k])
        found.append(
            ClassScore(
                examples=n,
                precision=hit / m if m else None,
                recall=hit / n if n else None,
                f1=2 * hit / (n + m) if n + m else None,
                precision_interval=wilson_interval(hit / m, m) if m else None,
                recall_interval=wilson_interval(hit / n, n) if n else None,
                f1_interval=(float(low), float(high)) if n + m else None,
            )
        )
    return found
