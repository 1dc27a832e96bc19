"""Successive halving and Hyperband: who goes on at each rung, whatever order the news come in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from downslope.checked import Checked

Method = Literal["none", "halving", "hyperband"]
LARGEST_COHORT = 500
LEARNING_COHORT = 10

Score = tuple[float, float, int]
"""What trials are ranked by: accuracy, minus the loss, minus the id; higher is better."""


class Halving(Checked, frozen=True, kw_only=True):
    """How trials that do badly are stopped early.

    A cohort of trials trains to its first rung, a share of each trial's own epochs. The best
    1/factor of them go on from where they are to the next rung, at factor times the share, until
    the last have trained in full; the others are pruned.

    Args:
        method: "none" trains every trial in full; "halving" is successive halving (Jamieson and
            Talwalkar 2016); "hyperband" (Li et al. 2018) cycles through brackets that start with
            many trials at a small share and with few at a large one, against the risk that good
            trials start slowly.
        factor: one in how many goes on.
        smallest: the least share of its epochs that any trial gets.
        cohort: trials in a cohort; 0 for all of them, or for 10 where the sampler learns
            (`factor` times as many with rungs as are needed for one to go all the way). Hyperband
            has sizes of its own.

    Raises:
        InputError: a field is outside of what is allowed; the message names it.

    >>> Halving(method="halving", smallest=0.1).shares
    (0.111..., 0.333...)
    """

    method: Method = "none"
    factor: Annotated[int, Meta(ge=2, le=100)] = 3
    smallest: Annotated[float, Meta(ge=1e-4, le=1)] = 0.1
    cohort: Annotated[int, Meta(ge=0, le=LARGEST_COHORT)] = 0

    def faults(self) -> Iterator[str]:
        """Yield what has no effect with the method, and rungs that leave nothing to prune at."""
        plain = Halving.__struct_defaults__
        wins = {"none": ("factor", "smallest"), "hyperband": ("cohort",)}.get(self.method, ())
        for name, default in zip(Halving.__struct_fields__, plain, strict=True):
            if name in wins and (value := getattr(self, name)) != default:
                yield (
                    f"{name} = {value} has no effect with method = {self.method!r}; leave "
                    "it out, or set method = 'halving'"
                )
        if self.method != "none" and self.smallest * self.factor > 1 + 1e-9:
            yield (
                f"smallest = {self.smallest} with factor = {self.factor} leaves no rung "
                f"to prune at; smallest must be 1/{self.factor} or less"
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """List the shares of a trial's epochs at which it is compared, before its end."""
        if self.method == "none":
            return ()
        # A little above, so that a smallest share of 1/9 is two rungs of factor 3.
        rungs = int(math.log(1 / self.smallest, self.factor) + 1e-9)
        return tuple(self.factor**-k for k in range(rungs, 0, -1))

    def cohorts(self, trials: int, learns: bool) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Yield size and shares of one cohort after another, `trials` in all.

        >>> list(Halving(method="hyperband", smallest=0.3).cohorts(7, learns=False))
        [(3, (0.333...,)), (2, ()), (2, (0.333...,))]
        """
        rungs = len(self.shares)
        left = trials
        while left > 0:
            if self.method == "hyperband":
                for rung in range(rungs, -1, -1):
                    size = math.ceil((rungs + 1) / (rung + 1) * self.factor**rung)
                    if left > 0:
                        yield min(size, left), self.shares[rungs - rung :]
                        left -= size
                continue
            size = self.cohort or (
                (self.factor ** (rungs + 1) if rungs else LEARNING_COHORT) if learns else left
            )
            size = min(size, left, LARGEST_COHORT)
            yield size, self.shares
            left -= size

    def longest_kept(self, trials: int, more: int, learns: bool) -> int:
        """Count the first trials of a search that fare the same in one with more trials.

        A cohort that the end of the search cut short prunes other trials than the whole one.

        >>> rungs = Halving(method="halving", cohort=9)
        >>> rungs.longest_kept(18, 30, learns=False), rungs.longest_kept(20, 30, learns=False)
        (18, 18)
        """
        kept = 0
        for old, new in zip(self.cohorts(trials, learns), self.cohorts(more, learns), strict=False):
            if old != new and old[1]:
                return kept
            kept += old[0]
        return kept


@dataclass(frozen=True, slots=True)
class Pruned:
    """A trial that does not go on: the rung, its rank there, and how many went on of all."""

    trial: int
    rung: int
    rank: int
    kept: int
    entrants: int


@dataclass(slots=True)
class _Rung:
    planned: int
    keep: int
    entrants: set[int] = field(default_factory=set[int])
    scores: dict[int, Score | None] = field(default_factory=dict[int, Score | None])
    promoted: set[int] = field(default_factory=set[int])
    settled: bool = False


class Cohort:
    """Decide for one cohort which trials go on.

    Decisions depend on the scores alone, not on the order in which they arrive. A trial is sent on
    as soon as its place among the best is certain, before the last one has reached the rung.

    Args:
        trials: ids.
        shares: of a trial's epochs at each rung before its end.
        factor: one in how many goes on.
        epochs: of a trial, by id.
    """

    def __init__(
        self,
        trials: Sequence[int],
        shares: Sequence[float],
        factor: int,
        epochs: Callable[[int], int],
    ) -> None:
        self._shares = shares
        self._epochs = epochs
        self._rungs: list[_Rung] = []
        self._at = dict.fromkeys(trials, 0)
        planned = len(trials)
        for _ in shares:
            keep = max(1, planned // factor)
            self._rungs.append(_Rung(planned=planned, keep=keep))
            planned = keep
        if self._rungs:
            self._rungs[0].entrants |= set(trials)
        self.open = set(trials)
        """Trials that have neither ended nor been pruned."""

    def until(self, trial: int) -> int:
        """Return the epoch to which a trial trains now."""
        return self._epoch(trial, self._at[trial])

    def rung_epochs(self, trial: int) -> list[int]:
        """List the epochs at which a trial is compared, its last one included."""
        return [self._epoch(trial, rung) for rung in range(len(self._shares) + 1)]

    def _epoch(self, trial: int, rung: int) -> int:
        epochs = self._epochs(trial)
        return max(1, round(self._shares[rung] * epochs)) if rung < len(self._shares) else epochs

    def arrived(self, trial: int, score: Score | None) -> tuple[list[int], list[Pruned]]:
        """Take note that a trial has reached where it trained to, or has ended without a score.

        Returns:
            The trials that go on, and those that were pruned.
        """
        goes_on: list[int] = []
        pruned: list[Pruned] = []
        rung = self._at[trial]
        if score is None or rung == len(self._rungs):
            self.open.discard(trial)
        for r in range(rung, len(self._rungs)):
            if r == rung:
                self._rungs[r].scores[trial] = score
            self._promote(r, goes_on)
            self._settle(r, pruned)
        return goes_on, pruned

    def _promote(self, index: int, goes_on: list[int]) -> None:
        rung = self._rungs[index]
        scores = {t: s for t, s in rung.scores.items() if s is not None}
        missing = rung.planned - len(rung.scores)
        if self._complete(index):
            missing = 0
        best = sorted(scores, key=lambda t: scores[t], reverse=True)
        for better, trial in enumerate(best[: rung.keep]):
            if better + missing < rung.keep and trial not in rung.promoted:
                rung.promoted.add(trial)
                self._at[trial] = index + 1
                if index + 1 < len(self._rungs):
                    self._rungs[index + 1].entrants.add(trial)
                goes_on.append(trial)

    def _complete(self, index: int) -> bool:
        """Tell whether all that can reach a rung have reached it."""
        before = index == 0 or self._rungs[index - 1].settled
        rung = self._rungs[index]
        return before and len(rung.scores) == len(rung.entrants)

    def _settle(self, index: int, pruned: list[Pruned]) -> None:
        rung = self._rungs[index]
        if rung.settled or not self._complete(index):
            return
        rung.settled = True
        scores = {t: s for t, s in rung.scores.items() if s is not None}
        best = sorted(scores, key=lambda t: scores[t], reverse=True)
        for rank, trial in enumerate(best, 1):
            if trial not in rung.promoted:
                self.open.discard(trial)
                pruned.append(
                    Pruned(trial, index + 1, rank, len(rung.promoted), len(rung.entrants))
                )
