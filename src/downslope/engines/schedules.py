"""Learning rates step by step, in closed form, as torch's schedulers give them."""

import math

import numpy as np
from numpy.typing import NDArray

from downslope.networks import TrainingSpec


def learning_rates(spec: TrainingSpec, steps_per_epoch: int) -> NDArray[np.float64]:
    """Return the learning rate of every step of a training, shape (epochs * steps_per_epoch,).

    "cosine" is Loshchilov and Hutter (2017), eq. 5, without restarts; "one_cycle" is Smith and
    Topin (2018) as in `OneCycleLR`: a cosine from 1/25 of the peak over the first 30 % of the
    steps, then one down to 1/250,000 of it.

    >>> spec = TrainingSpec(schedule="cosine", learning_rate=0.1, epochs=2)
    >>> learning_rates(spec, 2).round(4).tolist()
    [0.1, 0.0854, 0.05, 0.0146]
    """
    total = spec.epochs * steps_per_epoch
    step = np.arange(total, dtype=np.float64)
    peak = spec.learning_rate
    match spec.schedule:
        case "constant":
            return np.full(total, peak)
        case "cosine":
            return peak * (1 + np.cos(math.pi * step / total)) / 2
        case "one_cycle":
            start, low, top = peak / 25, peak / 250_000, 0.3 * (total + 1) - 1
            rising = _cosine(start, peak, step / top) if top > 0 else np.full(total, peak)
            falling = _cosine(peak, low, (step - top) / (total - top))
            return np.where(step <= top, rising, falling)


def _cosine(start: float, end: float, share: NDArray[np.floating]) -> NDArray[np.float64]:
    return end + (start - end) / 2 * (1 + np.cos(math.pi * share))
