"""What measurements say of a claim: an interval, the bound that the claim names, and power."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from downslope.errors import InputError
from downslope.statistics.intervals import TAILS, mean_interval

Verdict = Literal["reproduced", "not reproduced", "undecided"]

POWER: Final = 0.8


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity that a claim says is above, or below, a bound.

    Args:
        what: the quantity, in words.
        estimate: its mean over seeds.
        interval: 95 % interval of the mean (`mean_interval`).
        claimed: on which side of the bound the claim has it.
        bound: that the claim names.
        detectable: how far from the bound a true mean must be for such an interval to leave the
            bound out in 80 % of repetitions: (t_0.975 + t_0.8) standard errors.
        seeds: behind the mean.
    """

    what: str
    estimate: float
    interval: tuple[float, float]
    claimed: Literal["above", "below"]
    bound: float
    detectable: float
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """Decide by the interval alone."""
        low, high = self.interval
        above, below = low > self.bound, high < self.bound
        if above or below:
            return "reproduced" if above == (self.claimed == "above") else "not reproduced"
        return "undecided"


def effect(
    what: str, values: Sequence[float], claimed: Literal["above", "below"], bound: float
) -> Effect:
    """Judge a mean over seeds.

    Args:
        what: the quantity, in words.
        values: one for each seed, two or more.
        claimed: on which side of the bound the claim has the mean.
        bound: that the claim names.

    Raises:
        InputError: fewer than two values, or one that is not finite.

    >>> seen = effect("gain", [1.1, 1.2, 1.3], "above", 1.0)
    >>> seen.verdict, round(seen.estimate, 2), [round(end, 2) for end in seen.interval]
    ('undecided', 1.2, [0.95, 1.45])
    >>> round(seen.detectable, 2)
    0.31
    """
    interval = mean_interval(values)
    if interval is None or not np.isfinite(values).all():
        raise InputError(f"{what}: two finite values or more are needed, not {list(values)}")
    count = len(values)
    error = float(np.std(values, ddof=1)) / math.sqrt(count)
    reach = float(stdtrit(count - 1, TAILS[1]) + stdtrit(count - 1, POWER))
    return Effect(
        what=what,
        estimate=float(np.mean(values)),
        interval=interval,
        claimed=claimed,
        bound=bound,
        detectable=reach * error,
        seeds=count,
    )


def verdict_of(effects: Sequence[Effect]) -> Verdict:
    """Judge a claim that consists of several effects: all must hold, and one refutes it.

    "reproduced" needs no correction for the number of effects (Berger 1982). "not reproduced" has
    none: where a claim holds, each effect refutes it with a chance of up to 2.5 %.
    """
    verdicts = {each.verdict for each in effects}
    if "not reproduced" in verdicts:
        return "not reproduced"
    return "reproduced" if verdicts == {"reproduced"} else "undecided"


def pseudovalues(
    pairs: Mapping[str, NDArray[np.float64]],
    statistic: Callable[[Mapping[str, NDArray[np.float64]]], float],
) -> list[float]:
    """Turn a quantity of all pairs of seeds into a value for each seed (Tukey's jackknife, 1958).

    Pairs that share a seed depend on each other; the values that come out are about independent,
    and their mean is the quantity without its bias of first order.

    Args:
        pairs: symmetric, each of shape (seeds, seeds), three seeds or more.
        statistic: of the pairs of different seeds, each of shape (seeds * (seeds - 1) / 2,), by
            name.

    >>> distances = {"of": np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]])}
    >>> pseudovalues(distances, lambda pairs: float(pairs["of"].mean()))
    [0.0, 2.0, 4.0]
    """
    count = len(next(iter(pairs.values())))

    def of(seeds: NDArray[np.int64]) -> float:
        upper = np.triu_indices(len(seeds), 1)
        return statistic({k: v[np.ix_(seeds, seeds)][upper] for k, v in pairs.items()})

    everyone = np.arange(count)
    whole = of(everyone)
    return [count * whole - (count - 1) * of(np.delete(everyone, i)) for i in range(count)]
