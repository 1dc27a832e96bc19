"""What a random walk would show: null models of a trajectory's explained variance.

Principal components of a random walk in many dimensions already hold most of its variance
(Antognini and Sohl-Dickstein 2018), so a share means something only beside that of a walk.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from downslope.landscape.trajectory import Trajectory


class NullModel(msgspec.Struct, frozen=True, kw_only=True):
    """The explained variance of walks that know nothing of a loss.

    Args:
        name: "independent" steps, or "autocorrelated" ones.
        mean: share of variance in the plane's two components, mean over walks.
        interval: between the 2.5th and the 97.5th percentile of the walks.
        walks: how many were drawn.
    """

    name: str
    mean: float
    interval: tuple[float, float]
    walks: int


def null_models(
    trajectory: Trajectory, *, components: tuple[int, int] = (1, 2), walks: int = 200, seed: int = 0
) -> list[NullModel]:
    """Draw random walks like a trajectory and measure what their principal components explain.

    "independent" walks have the trajectory's step lengths and directions drawn at random;
    "autocorrelated" walks also have the cosines between steps that the trajectory has on average
    at each lag, made possible by clipping at zero the spectrum of their matrix. Only inner products
    matter, so they are drawn directly: those of Gaussian steps are Wishart distributed (Bartlett
    1933), whatever the number of parameters.

    Args:
        trajectory: at least three snapshots.
        components: which two, counted from 1.
        walks: how many to draw of each.
        seed: of the draws.
    """
    lengths, cosines = _steps(trajectory)
    parameters = trajectory.vectors.shape[1]
    chosen = [c - 1 for c in components]
    count = len(lengths)
    by_lag = np.array([np.diagonal(cosines, lag).mean() for lag in range(count)])
    values, basis = np.linalg.eigh(toeplitz(by_lag))
    root = basis * np.sqrt(np.maximum(values, 0))
    models: list[NullModel] = []
    for name, mixing in (("independent", np.eye(count)), ("autocorrelated", root)):
        generator = np.random.default_rng(seed)
        shares = np.array(
            [_share(mixing, lengths, parameters, chosen, generator) for _ in range(walks)]
        )
        low, high = np.quantile(shares, (0.025, 0.975))
        models.append(
            NullModel(
                name=name,
                mean=float(shares.mean()),
                interval=(float(low), float(high)),
                walks=walks,
            )
        )
    return models


def _steps(trajectory: Trajectory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lengths of the steps between snapshots and their cosines with each other."""
    vectors = trajectory.vectors
    count, size = len(vectors) - 1, vectors.shape[1]
    gram = np.zeros((count, count))
    width = max(1, 2**22 // (count + 1))
    for start in range(0, size, width):
        steps = np.diff(np.asarray(vectors[:, start : start + width], np.float64), axis=0)
        gram += steps @ steps.T
    lengths = np.sqrt(np.diagonal(gram))
    safe = np.where(lengths > 0, lengths, 1.0)
    cosines = gram / np.outer(safe, safe)
    np.fill_diagonal(cosines, 1.0)
    return lengths, cosines


def _share(
    mixing: NDArray[np.float64],
    lengths: NDArray[np.float64],
    parameters: int,
    chosen: list[int],
    generator: np.random.Generator,
) -> float:
    """Draw one walk and return the share of variance along the chosen components."""
    count = len(lengths)
    if parameters <= count:
        drawn = generator.normal(size=(count, parameters))
    else:
        # Bartlett's decomposition: a lower triangle with the inner products of Gaussian rows.
        drawn = np.tril(generator.normal(size=(count, count)), -1)
        drawn[np.diag_indices(count)] = np.sqrt(generator.chisquare(parameters - np.arange(count)))
    steps = mixing @ drawn
    norms = np.linalg.norm(steps, axis=1, keepdims=True)
    steps *= lengths[:, None] / np.where(norms > 0, norms, 1.0)
    walk = np.concatenate([np.zeros((1, steps.shape[1])), np.cumsum(steps, axis=0)])
    variances = np.linalg.svd(walk - walk.mean(axis=0), compute_uv=False) ** 2
    variances = np.pad(variances, (0, max(0, max(chosen) + 1 - len(variances))))
    return float(variances[chosen].sum() / variances.sum())
