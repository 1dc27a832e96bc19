"""Bootstrap intervals for means over initializations."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BAND: Final = 0.95
"""The confidence of the intervals, layer by layer."""

RESAMPLES: Final = 2000


def bootstrap_intervals(
    samples: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 95 % intervals for the means of positive, skewed columns, by resampling whole rows.

    A row is one initialization: its layers depend on each other and stay together. The interval is
    the studentized bootstrap of the logarithm of the mean (Efron and Tibshirani 1993, section
    12.5); percentiles of the mean itself would be too short by far for skewed samples.

    Args:
        samples: shape (networks, columns), 2 networks or more.
        seed: of the resampling.

    Returns:
        Lower and upper ends, shape (columns,).

    >>> low, high = bootstrap_intervals(np.array([[0.9], [1.0], [1.1], [1.0]]), seed=541)
    >>> bool(low[0] < 1 < high[0])
    True
    """
    count = len(samples)
    mean = samples.mean(axis=0)
    error = samples.std(axis=0, ddof=1) / np.sqrt(count)
    random = np.random.default_rng([seed, 2])
    around = samples - mean  # keeps the digits of small spreads
    block = max(1, 2**22 // count)  # bounds the memory for many networks
    parts: list[NDArray[np.float64]] = []
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        times = random.multinomial(count, np.full(count, 1 / count), size) / count
        shift = times @ around
        variance = np.maximum(times @ around**2 - shift**2, 0) * count / (count - 1)
        resampled = mean + shift
        with np.errstate(divide="ignore", invalid="ignore"):
            # The error of a logarithm is the relative error.
            parts.append(np.log(resampled / mean) * resampled / np.sqrt(variance / count))
    tails = [(1 - BAND) / 2, (1 + BAND) / 2]
    with np.errstate(all="ignore"):
        pivots = np.concatenate(parts)
        # A resample of one network alone has no spread; it says nothing.
        pivots[~np.isfinite(pivots)] = np.nan
        pivots[:, np.isnan(pivots).all(axis=0)] = 0.0
        low, high = np.nanquantile(pivots, tails, axis=0)
    return mean * np.exp(-high * error / mean), mean * np.exp(-low * error / mean)
