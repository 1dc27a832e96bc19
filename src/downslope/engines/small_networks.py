"""Maps of learning rates: many networks of one start that differ in their two rates alone.

Here lanes are networks: a register of the compiled core trains as many of them as it holds doubles,
each through the same operations in the same order. So the bits of a network do not depend on its
neighbours, nor on the instruction set wherever multiply-adds are fused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.engines.environment import cores
from downslope.engines.native import MISSING, core, instruction_set, instruction_sets
from downslope.errors import InputError, one_line
from downslope.progress import Progress, Steps

Values = NDArray[np.float64]

PIECE = 512
"""Networks that a core takes at once."""


@dataclass(frozen=True, slots=True)
class SmallNetworks:
    """A start and its task: y = second . tanh(first x) / units, the loss the mean of (y - t)^2.

    Args:
        inputs: shape (examples, features); examples a multiple of 16, features even.
        targets: shape (examples,).
        first: weights of the hidden units, shape (units, features); units a multiple of 8.
        second: weights of the output, shape (units,).
    """

    inputs: Values
    targets: Values
    first: Values
    second: Values


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """What became of networks, each of shape (networks,); losses are relative to the first one.

    Args:
        losses: their sum over the steps before a network diverged.
        inverses: the sum of one over each of these.
        last: mean of the last ones; infinite where the network diverged.
        steps: done, the one at which it diverged included.
    """

    losses: Values
    inverses: Values
    last: Values
    steps: Values


def train_small_networks(
    task: SmallNetworks,
    rates: Values,
    *,
    steps: int,
    tail: int = 20,
    limit: float = 1e6,
    threads: int | None = None,
) -> Steps[Outcomes]:
    """Train a network for each pair of learning rates by full-batch gradient descent, in float64.

    A network has diverged, and ends, once its loss before an update is not finite or more than
    `limit` times its first one.

    Args:
        task: the start of all networks, and what they learn.
        rates: of `first` and of `second`, shape (networks, 2).
        steps: of each network.
        tail: steps at the end whose losses are averaged.
        limit: of the loss over the first one.
        threads: of the computation, by default one per core; the result does not depend on it.

    Raises:
        InputError: shapes that do not fit, or the compiled engine is not installed.

    >>> from downslope.progress import drain
    >>> draw = np.random.default_rng(0).normal
    >>> task = SmallNetworks(draw(size=(16, 2)), draw(size=16), draw(size=(8, 2)), draw(size=8))
    >>> slow_and_fast = np.array([[0.1, 0.1], [1e6, 1e6]])
    >>> outcomes = drain(train_small_networks(task, slow_and_fast, steps=50))
    >>> bool(outcomes.last[0] < 1), float(outcomes.last[1])
    (True, inf)
    """
    if not instruction_sets():
        raise InputError(f"small networks: {MISSING}")
    isa = instruction_set()
    arrays = {
        name: np.ascontiguousarray(getattr(task, name), np.float64)
        for name in ("inputs", "targets", "first", "second")
    }
    rates = np.ascontiguousarray(rates, np.float64)
    if rates.ndim != 2 or rates.shape[1] != 2:
        raise InputError(f"small networks: rates of shape {rates.shape}; it must be (networks, 2)")
    if threads is not None and threads < 1:
        raise InputError(f"small networks: threads = {threads}; it must be 1 or above")
    outcomes = np.zeros((len(rates), 4))

    def compute(start: int) -> None:
        rows = slice(start, start + PIECE)
        core().train_small_networks(
            isa,
            **arrays,
            rates=rates[rows],
            steps=steps,
            tail=tail,
            limit=limit,
            outcomes=outcomes[rows],
        )

    starts = range(0, len(rates), PIECE)
    pool = ThreadPoolExecutor(threads or cores())
    try:
        for done, _ in enumerate(pool.map(compute, starts), 1):
            yield Progress("small networks", done, len(starts))
    except (TypeError, ValueError) as error:  # the core's own words about shapes
        raise InputError(f"small networks: {one_line(error)}") from None
    finally:
        pool.shutdown(cancel_futures=True)
    return Outcomes(
        losses=outcomes[:, 0],
        inverses=outcomes[:, 1],
        last=outcomes[:, 2],
        steps=outcomes[:, 3],
    )
