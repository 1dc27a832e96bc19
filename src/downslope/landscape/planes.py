"""Planes in parameter space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downslope.errors import InputError
from downslope.landscape.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Plane:
    """Hold an origin and two orthonormal directions in parameter space.

    Args:
        origin: shape (parameters,), float64.
        directions: shape (2, parameters), float64, orthonormal.
        explained_variance: share of the trajectory's variance along each direction, or None for
            a plane that was not fitted to one.

    Raises:
        InputError: shapes that do not fit, or directions that are not orthonormal.
    """

    origin: NDArray[np.float64]
    directions: NDArray[np.float64]
    explained_variance: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.directions.shape != (2, self.origin.size):
            raise InputError(
                f"plane: directions of shape {self.directions.shape} do not fit an origin of "
                f"{self.origin.size} parameters; they must be (2, {self.origin.size})"
            )
        gram = self.directions @ self.directions.T
        if not np.allclose(gram, np.eye(2), atol=1e-8):
            raise InputError(
                "plane: directions must be orthonormal; their inner products are "
                f"{np.round(gram, 6).tolist()}"
            )

    def project(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the coordinates of vectors (n, parameters) in the plane, shape (n, 2)."""
        return (np.asarray(vectors, np.float64) - self.origin) @ self.directions.T

    def points(self, coordinates: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the flat vectors of coordinates (n, 2), shape (n, parameters)."""
        return (self.origin + np.asarray(coordinates) @ self.directions).astype(np.float32)

    def residuals(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the distance of each vector (n, parameters) from the plane, shape (n,)."""
        centered = np.asarray(vectors, np.float64) - self.origin
        return np.linalg.norm(centered - (centered @ self.directions.T) @ self.directions, axis=1)


def pca_plane(trajectory: Trajectory) -> Plane:
    """Fit the plane of a trajectory's first two principal components, through its mean.

    The components come from the Gram matrix of the centered snapshots, which is small where
    parameters are many (Jolliffe 2002, section 3.5). Each direction's sign is chosen so that the
    last snapshot has a positive coordinate.

    Raises:
        InputError: fewer than three snapshots, or snapshots on one line.
    """
    if len(trajectory) < 3:
        raise InputError(
            f"landscape: {len(trajectory)} snapshots span no plane; at least 3 are needed: train "
            "more epochs or set snapshots_per_epoch higher"
        )
    vectors = trajectory.vectors.astype(np.float64)
    if not np.isfinite(vectors).all():
        raise InputError("landscape: a snapshot holds a value that is not finite")
    origin = vectors.mean(axis=0)
    centered = vectors - origin
    variances, mixing = np.linalg.eigh(centered @ centered.T)
    variances, mixing = variances[::-1], mixing[:, ::-1]
    if variances[1] <= 1e-12 * variances[0]:
        raise InputError("landscape: all snapshots lie on one line, which spans no plane")
    directions = mixing[:, :2].T @ centered
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Gram-Schmidt once more: the division above loses digits when variances differ widely.
    directions[1] -= (directions[1] @ directions[0]) * directions[0]
    directions[1] /= np.linalg.norm(directions[1])
    directions *= np.where(centered[-1] @ directions.T < 0, -1.0, 1.0)[:, None]
    shares = variances[:2] / variances.sum()
    return Plane(origin, directions, (float(shares[0]), float(shares[1])))
