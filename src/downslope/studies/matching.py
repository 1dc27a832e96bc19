"""Matching the units of two networks by their weights (Ainsworth et al. 2023, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Vector = NDArray[np.float32]


def layers(vector: Vector, widths: Sequence[int]) -> list[Vector]:
    """Cut a dense network's flat vector into a matrix a layer, the biases its last column."""
    cut: list[Vector] = []
    at = 0
    for fan_in, units in pairwise(widths):
        weights = vector[at : at + fan_in * units].reshape(units, fan_in)
        at += fan_in * units
        cut.append(np.column_stack([weights, vector[at : at + units]]))
        at += units
    return cut


def match_units(first: Vector, second: Vector, widths: Sequence[int], seed: int = 0) -> Vector:
    """Reorder the hidden units of the second network so that its weights are nearest the first's.

    The network computes the same. One layer after the other, in random order, is assigned anew
    with the others as they are (`scipy.optimize.linear_sum_assignment`), until nothing changes:
    a local optimum, as in the paper.

    Args:
        first: flat parameters of a dense network, shape (parameters,).
        second: likewise.
        widths: of both.
        seed: of the order of layers.

    Returns:
        The second network's parameters reordered.

    >>> widths, random = (3, 5, 2), np.random.default_rng(0)
    >>> vector = random.normal(size=32).astype(np.float32)
    >>> order = random.permutation(5)
    >>> hidden, output = layers(vector, widths)
    >>> shuffled = np.concatenate([
    ...     hidden[order, :-1].ravel(), hidden[order, -1], output[:, order].ravel(), output[:, -1]])
    >>> bool((match_units(vector, shuffled, widths) == vector).all())
    True
    """
    ours, theirs = layers(first, widths), layers(second, widths)
    hidden = range(len(widths) - 2)
    random = np.random.default_rng(seed)
    changed = True
    while changed:
        changed = False
        for i in random.permutation(len(hidden)):
            score = ours[i] @ theirs[i].T + ours[i + 1][:, :-1].T @ theirs[i + 1][:, :-1]
            order = linear_sum_assignment(score, maximize=True)[1]
            now = np.trace(score, dtype=np.float64)
            best = score[np.arange(len(order)), order].sum(dtype=np.float64)
            if best > now + 1e-6 * abs(now):
                changed = True
                theirs[i] = theirs[i][order]
                theirs[i + 1] = np.column_stack(
                    [theirs[i + 1][:, :-1][:, order], theirs[i + 1][:, -1]]
                )
    parts = [piece for layer in theirs for piece in (layer[:, :-1].ravel(), layer[:, -1])]
    return np.concatenate(parts)
