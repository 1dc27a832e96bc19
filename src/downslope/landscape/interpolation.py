"""One-dimensional slices: losses along a straight line through parameter space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.errors import InputError
from downslope.landscape.evaluation import LossOptions, evaluate
from downslope.landscape.fitting import Arrays, LossFunction, Sample
from downslope.networks import Loss
from downslope.progress import Steps


@dataclass(frozen=True, slots=True)
class Slice:
    """Losses along a line.

    Args:
        positions: share of the way from start (0) to end (1), shape (n,).
        loss: shape (n,), not finite where the network's loss is not.
        accuracy: shape (n,); NaN where there are no classes.
        error: standard error of each loss from the number of examples, shape (n,).
        distance: from start to end, in the units of the parameters.
    """

    positions: NDArray[np.float64]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: NDArray[np.float64]
    distance: float


def interpolate(
    module: nn.Module,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    examples: Arrays | Sample,
    loss: Loss | LossFunction | LossOptions = "cross_entropy",
) -> Steps[Slice]:
    """Compute losses along the straight line between two networks (Goodfellow et al. 2015).

    There are 51 positions, from a quarter of the way before the start to a quarter behind the end.

    Start and end are flat vectors, shape (parameters,); the rest is as for `evaluate`.

    Raises:
        InputError: vectors of different shapes, or no way between them.
    """
    if start.shape != end.shape:
        raise InputError(f"slice: from shape {start.shape} to {end.shape}; they must be alike")
    first = np.asarray(start, np.float64)
    way = np.asarray(end, np.float64) - first
    distance = float(np.linalg.norm(way))
    if not distance > 0:
        raise InputError("slice: start and end are the same point")
    at = np.linspace(-0.25, 1.25, 51)
    vectors = ((first + share * way).astype(np.float32) for share in at)
    values = yield from evaluate(
        module, vectors, len(at), examples, LossOptions.of(loss), task="slice"
    )
    return Slice(at, values.loss, values.accuracy, values.error, distance)
