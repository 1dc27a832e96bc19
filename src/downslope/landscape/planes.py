"""Planes in parameter space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.errors import InputError
from downslope.networks import flatten
from downslope.showing import Shown


@dataclass(frozen=True, slots=True, repr=False)
class Plane(Shown):
    """An origin and two orthonormal directions in parameter space.

    Directions that are not orthonormal are refused, never mended in silence; `orthonormal` does it.

    Args:
        origin: shape (parameters,), float64.
        directions: shape (2, parameters), float64, orthonormal.
        explained_variance: share of the trajectory's variance along each direction, or None for
            a plane that was not fitted to one.
        components: which principal components the directions are, counted from 1.
        lengths: of the directions before they were unit vectors, where that length means
            something: coordinates (lengths[0], 0) are one whole direction away.

    Raises:
        InputError: shapes that do not fit, or directions that are not orthonormal.
    """

    origin: NDArray[np.float64]
    directions: NDArray[np.float64]
    explained_variance: tuple[float, float] | None = None
    components: tuple[int, int] = (1, 2)
    lengths: tuple[float, float] | None = None

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
                f"{np.round(gram, 6).tolist()}; orthonormal() makes them so"
            )

    def project(self, vectors: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the coordinates of vectors (n, parameters) in the plane, shape (n, 2)."""
        # One at a time: vectors may lie on disk and be larger than memory.
        rows = [self.directions @ (np.asarray(v, np.float64) - self.origin) for v in vectors]
        return np.array(rows).reshape(-1, 2)

    def points(self, coordinates: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the flat vectors of coordinates (n, 2), shape (n, parameters)."""
        # What float32 cannot hold is infinite there, and so is its loss, or NaN.
        with np.errstate(over="ignore"):
            return (self.origin + np.asarray(coordinates) @ self.directions).astype(np.float32)

    def residuals(self, vectors: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the distance of each vector (n, parameters) from the plane, shape (n,)."""
        distances: list[float] = []
        for vector in vectors:
            centered = np.asarray(vector, np.float64) - self.origin
            within = (self.directions @ centered) @ self.directions
            distances.append(float(np.linalg.norm(centered - within)))
        return np.array(distances)


def orthonormal(directions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return two orthonormal directions that span what the given two span.

    The first keeps its direction; of the second, what lies along the first is taken away.

    Args:
        directions: shape (2, parameters).

    Raises:
        InputError: they are parallel, zero or not finite.

    >>> orthonormal(np.array([[2.0, 0.0], [3.0, 4.0]])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    # Sizes are taken out first, so that squares neither overflow nor vanish.
    sizes = np.abs(directions).max(axis=1, keepdims=True)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise InputError("plane: a direction is zero or not finite")
    unit = np.asarray(directions, np.float64) / sizes
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    beside = unit[1] - (unit[1] @ unit[0]) * unit[0]
    length = float(np.linalg.norm(beside))
    if length < 1e-7:
        raise InputError("plane: the two directions are parallel, which spans no plane")
    beside /= length
    beside -= (beside @ unit[0]) * unit[0]  # again: the subtraction above loses digits
    unit[1] = beside / np.linalg.norm(beside)
    return unit


def filter_normalized_plane(module: nn.Module, seed: int, *, biases: bool = False) -> Plane:
    """Draw a plane of two random directions, filter-normalized (Li et al. 2018, section 4).

    Each filter of a direction (a row of a matrix, an output channel of a convolution) is scaled
    to the norm of the module's filter. `Plane.lengths` are the directions' lengths, so that
    coordinates (lengths[0], 0) are where Li et al. write (1, 0). What the second direction has
    along the first, by chance about 1/sqrt(parameters) of it, is taken away.

    Args:
        module: where the plane lies; it is only read.
        seed: of the draw.
        biases: let vectors (biases, slopes, norm layers) vary too; else they stay as they are.

    Raises:
        InputError: no parameter varies.

    >>> plane = filter_normalized_plane(nn.Linear(3, 2), seed=0)
    >>> np.allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    True
    """
    generator = torch.Generator().manual_seed(seed)
    raw = np.stack([_direction(module, generator, biases) for _ in range(2)])
    first, second = map(float, np.linalg.norm(raw, axis=1))
    return Plane(flatten(module).astype(np.float64), orthonormal(raw), lengths=(first, second))


def _direction(module: nn.Module, generator: torch.Generator, biases: bool) -> NDArray[np.float64]:
    parts: list[torch.Tensor] = []
    for parameter in module.parameters():
        weights = parameter.detach().to("cpu", torch.float64)
        if weights.dim() < 2 and not biases:
            parts.append(torch.zeros(weights.numel(), dtype=torch.float64))
            continue
        drawn = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
        rows = drawn.reshape(weights.shape[0] if weights.dim() > 1 else 1, -1)
        filters = weights.reshape(rows.shape)
        scale = filters.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True)
        parts.append((rows * scale).reshape(-1))
    return torch.cat(parts).numpy()
