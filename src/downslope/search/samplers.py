"""How a search chooses the settings of its trials."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import numpy as np

from downslope.errors import InputError
from downslope.search.settings import Settings, Value
from downslope.search.spaces import Range, Space

Sampler = Literal["random", "published"]


def propose(space: Space, sampler: Sampler, seed: int, trials: int) -> list[Settings]:
    """Return the settings of the first `trials` trials of a search.

    A longer search begins with the trials of a shorter one.

    Args:
        space: what may vary.
        sampler: "random" draws trial k from a generator seeded with (seed, k); "published" draws
            all trials in turn from NumPy's legacy generator, one choice per setting in the
            space's order, as the published assignment does after `np.random.seed(seed)`.
        seed: of the search.
        trials: how many.

    Raises:
        InputError: the published sampler on a range, or with a seed of 2**32 or above.

    >>> space = Space(base=Settings(), values={"hidden_layers": [2, 3, 4, 5, 6]})
    >>> [s.hidden_layers for s in propose(space, "published", 541, 3)]
    [2, 5, 6]
    """
    draws = _published(space, seed) if sampler == "published" else _random(space, seed)
    return [space.base.replace(draw) for draw in islice(draws, trials)]


def _random(space: Space, seed: int) -> Iterator[dict[str, Value]]:
    trial = 0
    while True:
        generator = np.random.default_rng([seed, trial])
        yield {name: _draw(values, generator) for name, values in space.values.items()}
        trial += 1


def _draw(values: list[Value] | Range, generator: np.random.Generator) -> Value:
    if not isinstance(values, Range):
        return values[int(generator.integers(len(values)))]
    low, high = values.low, values.high
    if values.whole:
        if not values.log:
            return int(generator.integers(int(low), int(high), endpoint=True))
        # Half a unit more at each end gives the end values their share.
        drawn = math.exp(generator.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return int(min(max(round(drawn), low), high))
    if values.log:
        return min(max(math.exp(generator.uniform(math.log(low), math.log(high))), low), high)
    return generator.uniform(low, high)


def _published(space: Space, seed: int) -> Iterator[dict[str, Value]]:
    if seed >= 2**32:
        raise InputError(f"seed = {seed}: the published sampler needs one below 2**32")
    # The legacy generator: what the published procedure seeded and drew from.
    generator = np.random.RandomState(seed)
    choices: dict[str, list[Value]] = {}
    for name, values in space.values.items():
        if isinstance(values, Range):
            raise InputError(f"space: {name} is a range; the published sampler needs a list")
        choices[name] = values
    while True:
        # choice(list) draws an index; drawing it directly keeps the values' own types.
        yield {name: values[generator.choice(len(values))] for name, values in choices.items()}
