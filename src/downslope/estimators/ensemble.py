"""The candidates combined: greedily, on what each predicts of rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 50


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Estimators of a kind, each trained on a fold, with a weight.

    Args:
        parts: weight of a candidate and its estimators, one a fold; weights add up to 1.
    """

    parts: Sequence[tuple[float, Sequence[Any]]]

    def combine(self, predict: Callable[[Any], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the weighted mean of what the estimators predict.

        Args:
            predict: of one estimator, shape (rows, ...).
        """
        return np.sum(
            [
                weight * np.mean([predict(each) for each in estimators], axis=0)
                for weight, estimators in self.parts
            ],
            axis=0,
        )


def greedy_weights(
    predictions: Sequence[NDArray[np.float64]],
    score: Callable[[NDArray[np.float64]], float],
) -> list[float]:
    """Choose weights greedily: again and again the candidate whose addition scores best.

    Ensemble selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries
    of models", section 2.1); the best of the steps is kept, the shortest of equal ones.

    Args:
        predictions: of each candidate, of the same rows.
        score: of combined predictions; higher is better.

    Returns:
        A weight per candidate; they add up to 1.

    >>> truth = np.array([0.0, 0.0])
    >>> one, two = np.array([1.0, 1.0]), np.array([-1.0, -1.0])
    >>> greedy_weights([one, two, 9 * one], lambda p: -np.abs(p - truth).sum())
    [0.5, 0.5, 0.0]
    """
    counts = np.zeros(len(predictions), np.int64)
    total = np.zeros_like(predictions[0])
    best, kept = -np.inf, counts
    for step in range(1, MOST_STEPS + 1):
        scores = [score((total + each) / step) for each in predictions]
        chosen = int(np.argmax(scores))
        counts = counts + (np.arange(len(counts)) == chosen)
        total = total + predictions[chosen]
        if scores[chosen] > best:
            best, kept = scores[chosen], counts
    return (kept / kept.sum()).tolist()
