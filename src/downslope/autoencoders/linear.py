"""Linear models: the best linear autoencoder of any code size, and a classifier of codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

# scikit-learn is imported where it is used: it takes a second, and most commands need none of it.

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4)
"""Weights of the squared weights that a probe may choose."""


@dataclass(frozen=True, slots=True)
class LinearCodes:
    """The principal components of some examples, all of them, the strongest first.

    No linear code of the same size has a smaller squared error on those examples (Eckart and
    Young 1936; Baldi and Hornik 1989 for linear autoencoders).

    Args:
        mean: shape (features,).
        components: orthonormal rows, shape (components, features).

    >>> rows = np.array([[0, 0], [1, 1], [0.5, 0.5]], np.float32)
    >>> LinearCodes.fit(rows).reconstruct(rows, 1).round(3).tolist()
    [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @staticmethod
    def fit(inputs: NDArray[np.float32]) -> LinearCodes:
        """Find the components of examples, shape (examples, features)."""
        from sklearn.decomposition import PCA

        pca = PCA(min(inputs.shape), svd_solver="covariance_eigh").fit(inputs)
        return LinearCodes(
            np.asarray(pca.mean_, np.float32), np.asarray(pca.components_, np.float32)
        )

    def encode(self, inputs: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Return the first `size` coordinates of examples, or as many as there are."""
        return np.asarray((inputs - self.mean) @ self.components[:size].T, np.float32)

    def reconstruct(self, inputs: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """Return examples after their way through `size` components, clipped to [0, 1].

        Clipping can only lower the error on examples in [0, 1], and a sigmoid does as much.
        """
        decoded = self.encode(inputs, size) @ self.components[:size] + self.mean
        return np.asarray(decoded.clip(0, 1), np.float32)


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
    """Fit a linear classifier to standardized features and test it (Alain and Bengio 2017).

    It is ridge regression onto the classes: solved exactly, where logistic regression on hundreds
    of correlated pixels overfits long before it converges. Its penalty is chosen on the last fifth
    of the training examples, then it is fitted to all of them. Features are of shape (examples,
    size), classes (examples,); the name `features` is that of the result.

    >>> rows = np.array([[0.0], [1.0]] * 10, np.float32)
    >>> classes = np.array([0, 1] * 10)
    >>> probe("code", rows, classes, rows, classes).accuracy
    1.0
    """
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
