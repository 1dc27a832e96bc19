"""How much of the classes a linear classifier reads from codes (Alain and Bengio 2017)."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4)


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The accuracy of a linear classifier on some features.

    Args:
        features: what it saw: "code", "components" or "pixels".
        size: how many of them.
        accuracy: on the test set.
        penalty: of the squared weights, chosen on a fifth of the training examples.
    """

    features: str
    size: int
    accuracy: float
    penalty: float


def probe(
    features: str,
    training: NDArray[np.float32],
    classes: NDArray[np.int64],
    test: NDArray[np.float32],
    test_classes: NDArray[np.int64],
) -> ProbeResult:
    """Fit a linear classifier to standardized features and test it.

    It is ridge regression onto the classes: solved exactly, where logistic regression on hundreds
    of correlated pixels overfits long before it converges. Its penalty is chosen on the last fifth
    of the training examples, then it is fitted to all of them.

    Args:
        features: the name of the result.
        training: shape (examples, size).
        classes: shape (examples,).
        test: shape (test examples, size).
        test_classes: shape (test examples,).

    >>> rows = np.array([[0.0], [1.0]] * 10, np.float32)
    >>> classes = np.array([0, 1] * 10)
    >>> probe("code", rows, classes, rows, classes).accuracy
    1.0
    """
    # Here, not above: scikit-learn takes a second to load, and most commands need none of it.
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(training)
    seen, new = (np.asarray(scaler.transform(rows), np.float32) for rows in (training, test))
    cut = len(seen) - max(1, len(seen) // 5)
    scores = [
        _fit(seen[:cut], classes[:cut], penalty).score(seen[cut:], classes[cut:])
        if len(np.unique(classes[:cut])) > 1
        else 0.0
        for penalty in PENALTIES
    ]
    penalty = PENALTIES[int(np.argmax(scores))]
    fitted = _fit(seen, classes, penalty)
    return ProbeResult(
        features=features,
        size=training.shape[1],
        accuracy=float(fitted.score(new, test_classes)),
        penalty=penalty,
    )


def _fit(rows: NDArray[np.float32], classes: NDArray[np.int64], penalty: float) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=penalty, solver="cholesky").fit(rows, classes)
