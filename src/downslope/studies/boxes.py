"""Box counting: how the boundary of a map grows with resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def boundary(trained: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark where two by two neighbours of a map are not alike, shape (rows - 1, columns - 1).

    >>> boundary(np.array([[True, True, True], [True, True, False]])).tolist()
    [[False, True]]
    """
    corners = [trained[:-1, :-1], trained[:-1, 1:], trained[1:, :-1], trained[1:, 1:]]
    return np.any(corners, axis=0) & ~np.all(corners, axis=0)


def box_counts(marked: NDArray[np.bool_], sides: Sequence[int]) -> list[int]:
    """Count the boxes of a grid that hold something marked, for each side of boxes.

    >>> box_counts(np.eye(4, dtype=bool), [1, 2, 4])
    [4, 2, 1]
    """
    counts: list[int] = []
    for side in sides:
        rows, columns = (-(-n // side) for n in marked.shape)
        padded = np.zeros((rows * side, columns * side), bool)
        padded[: marked.shape[0], : marked.shape[1]] = marked
        counts.append(int(padded.reshape(rows, side, columns, side).any((1, 3)).sum()))
    return counts


def box_sides(marked: NDArray[np.bool_]) -> list[int]:
    """Return the sides of boxes that are counted: powers of two up to an eighth of the map."""
    return [2**k for k in range((max(marked.shape) // 8).bit_length())]


def dimension(marked: NDArray[np.bool_], sides: Sequence[int] = ()) -> float:
    """Estimate the box-counting dimension; NaN where nothing is marked.

    Minus the slope of the logarithm of the count over that of the side, by least squares.

    Args:
        marked: a map.
        sides: of boxes; by default `box_sides`.

    >>> round(dimension(np.eye(256, dtype=bool)), 12)
    1.0
    """
    if not marked.any():
        return float("nan")
    sides = sides or box_sides(marked)
    return -float(np.polyfit(np.log(sides), np.log(box_counts(marked, sides)), 1)[0])
