"""Cores that train stretches of members, fed while they run."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import msgspec

from downslope.data import Examples
from downslope.engines import (
    Checkpoint,
    EpochRecord,
    choose_engine,
    cores,
    train,
    train_member_natively,
)
from downslope.engines.native import Threads
from downslope.engines.records import fail_gently
from downslope.networks import Member


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hold a stretch of a member's training.

    Args:
        trial: its id, which its records carry as `member`.
        member: what to train.
        until: the epoch after which to stop, with a checkpoint unless it is the last.
        checkpoint: where to go on from; None to begin.
        priority: of stretches that wait, the lowest is started first.
    """

    trial: int
    member: Member
    until: int
    checkpoint: Checkpoint | None
    priority: tuple[float, ...]


class AnyCrew(Protocol):
    """What trains stretches, here or on a cluster."""

    @property
    def size(self) -> int:
        """Count the members that train at the same time."""
        ...

    @property
    def waiting(self) -> int:
        """Count the stretches that have not been begun."""
        ...

    def ready(self) -> bool:
        """Tell whether a record has arrived that `next` would return at once."""
        ...

    def submit(self, stretch: Stretch) -> None:
        """Add a stretch."""
        ...

    def next(self) -> EpochRecord:
        """Wait for the next record of any stretch."""
        ...

    def __enter__(self) -> AnyCrew: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


Hire = Callable[[Examples, Examples | None, int | None], AnyCrew]
"""Make a crew for training and validation examples, with so many members at a time."""


class Crew:
    """Train stretches side by side, one per core, and hand out their records as they come.

    Which stretch waits for which has no influence on any record.
    """

    def __init__(
        self, training: Examples, validation: Examples | None, threads: int | None = None
    ) -> None:
        self._native = choose_engine("auto") == "native"
        self._waiting: queue.PriorityQueue[tuple[tuple[float, ...], int, Stretch | None]]
        self._waiting = queue.PriorityQueue()
        self._records: queue.SimpleQueue[EpochRecord | BaseException] = queue.SimpleQueue()
        self._number = itertools.count()
        self._threads = Threads(training, validation, self._wake)
        self._asked = threads
        # Without the compiled module one thread hands members on to worker processes.
        self._size = (threads or cores()) if self._native else 1

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.end()

    def _wake(self) -> None:
        for _ in range(len(self._threads)):
            self._waiting.put(((float("-inf"),), next(self._number), None))

    @property
    def size(self) -> int:
        """Count the members that train at the same time."""
        return self._size

    @property
    def waiting(self) -> int:
        """Count the stretches that no core has begun."""
        return self._waiting.qsize()

    def ready(self) -> bool:
        """Tell whether a record has arrived that `next` would return at once."""
        return not self._records.empty()

    def submit(self, stretch: Stretch) -> None:
        """Add a stretch."""
        self._waiting.put((stretch.priority, next(self._number), stretch))
        if len(self._threads) < self._size:
            self._threads.start(self._work)

    def next(self) -> EpochRecord:
        """Wait for the next record of any stretch."""
        record = self._records.get()
        if isinstance(record, BaseException):
            raise record
        return record

    def _work(self) -> None:
        try:
            while (stretch := self._waiting.get()[2]) is not None and not self._threads.stop.asked:
                if self._native:
                    self._train_natively(stretch)
                else:
                    self._train_in_python([stretch, *self._others()])
        except BaseException as error:  # told to the caller, who would wait for ever otherwise
            self._records.put(error)

    def _train_natively(self, stretch: Stretch) -> None:
        own = train_member_natively(
            stretch.member,
            *self._threads.data,
            index=stretch.trial,
            checkpoint_every=stretch.until,
            resume=stretch.checkpoint,
            stop=self._threads.stop,
        )
        for record in fail_gently(own, stretch.trial):
            self._records.put(record)
            if record.epoch >= stretch.until:
                return

    def _others(self) -> list[Stretch]:
        found: list[Stretch] = []
        while not self._waiting.empty():
            stretch = self._waiting.get()[2]
            if stretch is not None:
                found.append(stretch)
        return found

    def _train_in_python(self, stretches: list[Stretch]) -> None:
        """Train without the compiled module: what goes to its end side by side in processes."""
        whole = [s for s in stretches if s.until == s.member.training.epochs]
        parts = [[s] for s in stretches if s.until < s.member.training.epochs]
        for group in [*parts, whole] if whole else parts:
            records = train(
                [s.member for s in group],
                *self._threads.data,
                threads=self._asked,
                checkpoint_every=group[0].until,
                resume={i: s.checkpoint for i, s in enumerate(group) if s.checkpoint is not None},
            )
            for record in records:
                stretch = group[record.member]
                self._records.put(msgspec.structs.replace(record, member=stretch.trial))
                if self._threads.stop.asked or (len(group) == 1 and record.epoch >= stretch.until):
                    break
            if self._threads.stop.asked:
                return
