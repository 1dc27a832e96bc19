"""The best linear autoencoder of any code size: principal component analysis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
        # Here, not above: scikit-learn takes a second to load, and most commands need none of it.
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
