"""How a search proposes the settings of its trials: Optuna's samplers, by ask and tell."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from itertools import count, product
from math import exp, log, prod
from typing import Literal, get_args

import numpy as np
from scipy.stats import qmc

from downslope.errors import InputError
from downslope.search.optuna import optuna
from downslope.search.settings import Settings, Value
from downslope.search.spaces import Range, Space

SamplerName = Literal["random", "quasi_random", "grid", "tpe", "published"]

MOST_REDRAWS = 1000  # of one trial, until it meets the constraints
MOST_POINTS = 1_000_000  # of a grid
_OUT_OF_REACH = "no proposal in {} meets the constraints; loosen search.constraints"


class Sampler:
    """A source of settings for one trial after another.

    Trial k is drawn from a generator seeded with (seed, k) alone, so a longer search begins with
    the trials of a shorter one; Optuna's own grid and Sobol samplers keep no such promise. Where a
    sampler learns ("tpe"), a proposal depends also on which outcomes were told before it was asked
    for, and in which order; on nothing else.

    Args:
        space: what may vary.
        sampler: "random"; "quasi_random", the scrambled sequence of Sobol (1967), which covers the
            space evenly; "grid", every combination of lists, in an order drawn from the seed;
            "tpe", the tree-structured Parzen estimator of Bergstra et al. (2011); "published",
            draws all trials in turn from NumPy's legacy generator, one choice per setting in the
            space's order, as the published assignment does after `np.random.seed(seed)`.
        seed: of the search.

    Raises:
        InputError: a sampler that does not exist, the published or the grid sampler on a range, the
            published one with a seed of 2**32 or above or with constraints, or a grid of more than
            a million points.
    """

    def __init__(self, space: Space, sampler: SamplerName, seed: int) -> None:
        if sampler not in get_args(SamplerName):
            names = ", ".join(get_args(SamplerName))
            raise InputError(f"search: sampler = {sampler!r}; it must be one of {names}")
        self.space = space
        self.adaptive = sampler == "tpe"
        self._seed = seed
        self._points = _points(space, sampler, seed)
        self._study = quiet_study()
        self._asked: list[optuna.Trial] = []

    def ask(self) -> Settings | None:
        """Propose the next trial; None where a grid has no more.

        Raises:
            InputError: nothing in the space meets its constraints.
        """
        for attempt in range(MOST_REDRAWS):
            self._study.sampler = self._seeded(attempt)
            if self._points is not None:
                point = next(self._points, None)
                if point is None:
                    return None
                self._study.enqueue_trial(point)
            trial = self._study.ask()
            settings = self._draw(trial)
            if self.space.allows(settings):
                self._asked.append(trial)
                return settings
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise InputError(_OUT_OF_REACH.format(f"{MOST_REDRAWS:,}"))

    def tell(self, number: int, scores: Sequence[float], outcome: str) -> None:
        """Tell what became of a trial, so that later proposals can learn from it.

        Args:
            number: of the trial, from 0 in the order of asking.
            scores: what it reached at each rung and, if completed, at its end; higher is better.
            outcome: a diverged trial counts as the worst, a failed one not at all.
        """
        trial = self._asked[number]
        if outcome == "completed":
            self._study.tell(trial, scores[-1])
        elif outcome == "pruned":
            for rung, score in enumerate(scores):
                trial.report(score, rung)
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif outcome == "diverged":
            self._study.tell(trial, -math.inf)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _seeded(self, attempt: int) -> optuna.samplers.BaseSampler:
        """Make the sampler of the next trial, seeded with the search's seed and its number."""
        words = np.random.SeedSequence([self._seed, len(self._asked), attempt])
        seed = int(words.generate_state(1)[0])
        if not self.adaptive:
            return optuna.samplers.RandomSampler(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older versions call constant_liar experimental
            # Trials still in training count as bad ones: neighbours in a cohort keep a distance.
            return optuna.samplers.TPESampler(seed=seed, constant_liar=True)

    def _draw(self, trial: optuna.Trial) -> Settings:
        settings = self.space.base
        for name, values in self.space.values.items():
            if self.space.varies(name, settings):
                settings = settings.replace({name: _suggest(trial, name, values)})
        return settings


def propose(space: Space, sampler: SamplerName, seed: int, trials: int) -> list[Settings]:
    """Return the settings of the first `trials` trials of a search; fewer if a grid has fewer.

    A learning sampler is asked here before any outcome is known.

    Raises:
        InputError: see `Sampler`.

    >>> space = Space(base=Settings(), values={"hidden_layers": [2, 3, 4, 5, 6]})
    >>> [s.hidden_layers for s in propose(space, "published", 541, 3)]
    [2, 5, 6]
    """
    source = Sampler(space, sampler, seed)
    proposals = (source.ask() for _ in range(trials))
    return [settings for settings in proposals if settings is not None]


def quiet_study() -> optuna.Study:
    """Make a study in memory, without Optuna's line about it on the user's terminal."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(level)


def ordered(values: Sequence[Value]) -> list[Value]:
    """Return choices in an order that means something, where they have one."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return sorted(values) if numbers else list(values)  # pyright: ignore[reportArgumentType] - then no words


def _suggest(trial: optuna.Trial, name: str, values: list[Value] | Range) -> Value:
    if isinstance(values, Range):
        if values.whole:
            return trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
        return trial.suggest_float(name, values.low, values.high, log=values.log)
    choices = ordered(values)
    if isinstance(choices[0], str | bool):
        return choices[trial.suggest_categorical(name, range(len(choices)))]
    # By position, so that a sampler that learns knows which choices are neighbours.
    return choices[trial.suggest_int(name, 0, len(choices) - 1)]


def _points(space: Space, sampler: SamplerName, seed: int) -> Iterator[dict[str, Value]] | None:
    """Return what is not left to Optuna: by setting, a number, or the position of a choice."""
    if sampler == "published":
        return _published(space, seed)
    if sampler == "grid":
        return _grid(space, seed)
    return _quasi_random(space, seed) if sampler == "quasi_random" else None


def _lists(space: Space, sampler: str) -> dict[str, list[Value]]:
    for name, values in space.values.items():
        if isinstance(values, Range):
            raise InputError(f"space: {name} is a range; the {sampler} sampler needs a list")
    return {name: v for name, v in space.values.items() if not isinstance(v, Range)}


def _published(space: Space, seed: int) -> Iterator[dict[str, Value]]:
    if seed >= 2**32:
        raise InputError(f"seed = {seed}: the published sampler needs one below 2**32")
    if space.constraints:
        raise InputError("constraints: the published sampler draws each trial once; leave them out")
    choices = _lists(space, "published")
    # The legacy generator: what the published procedure seeded and drew from.
    generator = np.random.RandomState(seed)

    def draw() -> Iterator[dict[str, Value]]:
        while True:
            # choice(list) draws an index.
            yield {
                name: ordered(values).index(values[generator.choice(len(values))])
                for name, values in choices.items()
            }

    return draw()


def _grid(space: Space, seed: int) -> Iterator[dict[str, Value]]:
    choices = _lists(space, "grid")
    size = prod(len(values) for values in choices.values())
    if size > MOST_POINTS:
        raise InputError(f"space: a grid of {size:,} points; at most {MOST_POINTS:,} are possible")
    order = np.random.default_rng(seed).permutation(size)
    points = list(product(*(range(len(values)) for values in choices.values())))

    def walk() -> Iterator[dict[str, Value]]:
        seen: set[bytes] = set()
        for i in order:
            # Where a condition leaves a setting out, several points are one trial.
            drawn = {
                name: ordered(choices[name])[at]
                for name, at in zip(choices, points[i], strict=True)
            }
            settings = space.settings(drawn)
            key = repr(settings).encode()
            if key not in seen and space.allows(settings):
                seen.add(key)
                yield dict(zip(choices, points[i], strict=True))

    return walk()


def _quasi_random(space: Space, seed: int) -> Iterator[dict[str, Value]]:
    if not space.values:
        return ({} for _ in count())
    sequence = qmc.Sobol(len(space.values), scramble=True, rng=np.random.default_rng(seed))

    def walk() -> Iterator[dict[str, Value]]:
        while True:
            cube = sequence.random(1)[0]
            yield {
                name: _at(values, float(share))
                for (name, values), share in zip(space.values.items(), cube, strict=True)
            }

    return walk()


def _at(values: list[Value] | Range, share: float) -> Value:
    """Return the value below which lies a share of a range, or the position of a choice."""
    if not isinstance(values, Range):
        return min(int(share * len(values)), len(values) - 1)
    # Half a unit more at each end gives the end values of whole numbers their share.
    low, high = (values.low - 0.5, values.high + 0.5) if values.whole else (values.low, values.high)
    value = (
        exp(log(low) + share * (log(high) - log(low))) if values.log else low + share * (high - low)
    )
    value = min(max(value, values.low), values.high)
    return round(value) if values.whole else value
