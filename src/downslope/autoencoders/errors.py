"""Where an autoencoder errs: by example, class and feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_squared_error(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Average the squared difference over all elements, in double precision.

    >>> mean_squared_error(np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32))
    1.0
    """
    return float(squared_errors(a, b).mean())


def squared_errors(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the squared differences in double precision, shape (examples, features)."""
    return np.square(a.astype(np.float64) - b)


def errors_by_class(
    errors: NDArray[np.float64], labels: NDArray[np.int64], classes: int
) -> list[float | None]:
    """Average the errors of examples over each class; None where a class has none.

    >>> errors_by_class(np.array([0.1, 0.3, 0.5]), np.array([0, 0, 2]), 3)
    [0.2, None, 0.5]
    """
    return [
        float(errors[labels == c].mean()) if (labels == c).any() else None for c in range(classes)
    ]


def ranked_examples(errors: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the best, the middle and the worst examples, `count` of each, or as many as there are.

    Returns:
        Rows of shape (3, count): lowest errors first; around the median, ascending; highest first.

    >>> ranked_examples(np.array([0.5, 0.1, 0.3, 0.2, 0.4]), 1).tolist()
    [[1], [2], [0]]
    """
    count = min(count, len(errors))
    order = np.argsort(errors, kind="stable")
    middle = (len(order) - count) // 2
    return np.stack([order[:count], order[middle : middle + count], order[::-1][:count]])


def shown_examples(labels: NDArray[np.int64], per_class: int = 2) -> NDArray[np.int64]:
    """Choose the examples to show by position alone, so that nobody picks the pretty ones.

    Returns:
        The first two examples of the test set, then the first `per_class` of each class.

    >>> shown_examples(np.array([1, 1, 0, 0, 1]), per_class=1)
    array([0, 1, 2, 0])
    """
    firsts = [np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)]
    return np.concatenate([np.arange(min(2, len(labels))), *firsts])
