"""The plane of a trajectory's principal components."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from downslope.checked import check, checked
from downslope.errors import InputError
from downslope.landscape.planes import Plane
from downslope.landscape.settings import Components, Origin
from downslope.landscape.trajectory import Trajectory

BLOCK = 32 * 2**20
"""Bytes of float64 snapshots held at a time, so that those on disk are never in memory whole."""


@checked("landscape")
def pca_plane(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    components: Components = (1, 2),
    origin: Origin = "mean",
) -> Plane:
    """Fit the plane of two principal components of the snapshots of one or several runs.

    The components come from the Gram matrix of the centered snapshots, which is small where
    parameters are many (Jolliffe 2002, section 3.5), and is summed over blocks of parameters. Each
    direction's sign is chosen so that the last snapshot has a positive coordinate about the mean.

    Args:
        trajectories: one, or several of the same network for a joint plane.
        components: which two, counted from 1.
        origin: where the plane lies: through the mean of the snapshots, or through the last one
            (Li et al. 2018, section 7). Directions and variances are the same.

    Raises:
        InputError: fewer than three snapshots, snapshots on one line, values that are not finite,
            networks of different size, or components that do not exist.
    """
    runs = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    sizes = {run.vectors.shape[1] for run in runs if len(run)}
    if len(sizes) > 1:
        raise InputError(
            f"landscape: runs of {sorted(sizes)} parameters share no plane; give runs of one "
            "network"
        )
    count = sum(map(len, runs))
    if count < 3:
        raise InputError(
            f"landscape: {count} snapshots span no plane; at least 3 are needed: train "
            "more epochs or set snapshots_per_epoch higher"
        )
    if max(components) >= count:
        raise InputError(
            f"landscape: components = {list(components)}; {count} snapshots have {count - 1}"
        )
    check("landscape", "origin", origin, Origin)
    vectors = [run.vectors for run in runs]
    size = sizes.pop()
    gram, middle = np.zeros((count, count)), np.empty(size)
    width = max(1, BLOCK // (8 * count))
    blocks = [slice(i, min(i + width, size)) for i in range(0, size, width)]
    for block in blocks:
        part = _columns(vectors, block)
        if not np.isfinite(part).all():
            raise InputError("landscape: a snapshot holds a value that is not finite")
        middle[block] = part.mean(axis=0)
        part -= middle[block]
        gram += part @ part.T
    variances, mixing = np.linalg.eigh(gram)
    variances, mixing = np.maximum(variances[::-1], 0), mixing[:, ::-1]
    chosen = [component - 1 for component in components]
    if variances[1] <= 1e-12 * variances[0]:
        raise InputError("landscape: all snapshots lie on one line, which spans no plane")
    if variances[max(chosen)] <= 1e-12 * variances[0]:
        raise InputError(
            f"landscape: components = {list(components)}; the snapshots do not vary along "
            f"component {max(components)}"
        )
    directions, last = np.empty((2, size)), np.zeros(2)
    for block in blocks:
        part = _columns(vectors, block) - middle[block]
        directions[:, block] = mixing[:, chosen].T @ part
        last += directions[:, block] @ part[-1]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Gram-Schmidt once more: the division above loses digits when variances differ widely.
    directions[1] -= (directions[1] @ directions[0]) * directions[0]
    directions[1] /= np.linalg.norm(directions[1])
    directions *= np.where(last < 0, -1.0, 1.0)[:, None]
    shares = variances[chosen] / variances.sum()
    at = middle if origin == "mean" else np.array(vectors[-1][-1], np.float64)
    return Plane(at, directions, (float(shares[0]), float(shares[1])), components)


def share_in_plane(trajectory: Trajectory, plane: Plane) -> float:
    """Return the share of one run's own variance that lies along a plane's directions."""
    within = plane.project(trajectory.vectors)
    vectors = trajectory.vectors
    middle = np.mean(vectors, axis=0, dtype=np.float64)
    total = sum(float(np.sum((np.asarray(v, np.float64) - middle) ** 2)) for v in vectors)
    along = float(((within - within.mean(axis=0)) ** 2).sum())
    return along / total if total > 0 else 0.0


def _columns(vectors: Sequence[NDArray[np.float32]], block: slice) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(v[:, block], np.float64) for v in vectors if len(v)])
