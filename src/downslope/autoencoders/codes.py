"""What codes hold and where an autoencoder errs: units, walks, a map, the best and the worst."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from downslope.autoencoders.autoencoder import Autoencoder


def unit_pictures(coder: Autoencoder, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw what each code unit adds: the decoder's answer to the unit turned up, less the mean's.

    All units stand at their mean over `codes` but one, which goes to its 99th percentile.

    Returns:
        Shape (code size, features), in [-1, 1]; zero for a unit that never varies.
    """
    middle = codes.mean(axis=0, dtype=np.float64).astype(np.float32)
    turned = np.repeat(middle[None], codes.shape[1], axis=0)
    np.fill_diagonal(turned, np.percentile(codes, 99, axis=0))
    return coder.decode_scaled(turned) - coder.decode_scaled(middle[None])


def interpolate(
    coder: Autoencoder, first: NDArray[np.float32], last: NDArray[np.float32], steps: int = 9
) -> NDArray[np.float32]:
    """Walk in a straight line from one scaled example's code to another's, and decode each step.

    Both examples are of shape (features,); the pictures are (steps, features), with both ends.
    """
    ends = coder.encode_scaled(np.stack([first, last]))
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    return coder.decode_scaled((1 - share) * ends[0] + share * ends[1])


def map_codes(codes: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Lay codes out on a plane so that neighbours stay neighbours (t-SNE, van der Maaten 2008).

    Distances between far groups mean nothing on such a map. One thread, so that the same codes
    and seed give the same map.

    Returns:
        Shape (examples, 2); zeros where there are too few examples or codes to tell apart.
    """
    if len(codes) < 8 or not np.ptp(codes, axis=0).any():
        return np.zeros((len(codes), 2), np.float32)
    # Here, not above: scikit-learn takes a second to load, and most commands need none of it.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    with threadpool_limits(1):
        # Components first: single units may be dead, and a start on one point stays there.
        size = min(50, *codes.shape)
        codes = np.asarray(PCA(size, svd_solver="full").fit_transform(codes), np.float32)
        start = codes[:, :2]
        if codes.shape[1] < 2:
            start = np.pad(start, ((0, 0), (0, 1)))
        scale = float(start[:, 0].std()) or 1.0
        tsne = TSNE(
            perplexity=min(30.0, (len(codes) - 1) / 3),
            init=np.asarray(start / scale * 1e-4, np.float32),  # pyright: ignore[reportArgumentType]
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(tsne.fit_transform(codes), np.float32)


def farthest_points(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Choose points that lie far from each other, the first always (Gonzalez 1985).

    >>> farthest_points(np.array([[0, 0], [1, 0], [9, 0], [5, 0]], np.float32), 3).tolist()
    [0, 2, 3]
    """
    chosen: list[int] = []
    nearest = np.full(len(points), np.inf)
    for _ in range(min(count, len(points))):
        # Where points coincide with chosen ones, the earliest that is not chosen yet.
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen, np.int64)


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
