"""How a long computation says where it is: it yields `Progress` and returns its result."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of one task is done, in units of expected work.

    Args:
        task: what is being done, a few words.
        done: work finished so far, in the units of `total`.
        total: all the work of this task.
        note: the newest figure worth seeing, for example a validation accuracy.
        stage: of a run that the task belongs to, with its number, such as "[3/6] final training".
    """

    task: str
    done: float
    total: float
    note: str = ""
    stage: str = ""


Steps = Generator[Progress, None, T]
"""A computation that can be watched: yields `Progress`, returns a `T`."""


class Watchable(Protocol[T_co]):
    """Something else that can be watched, as the records of `downslope.train`."""

    def steps(self) -> Steps[T_co]:
        """Return it as a computation to watch."""
        ...


def steps_of(work: Steps[T] | Watchable[T]) -> Steps[T]:
    """Return the steps of a computation, however it is given."""
    return work if isinstance(work, Generator) else work.steps()


def begin(steps: Steps[T]) -> Steps[T]:
    """Run a computation to its first step, so that what it refuses is refused here.

    >>> def count(limit):
    ...     if limit < 1:
    ...         raise ValueError("limit must be 1 or more")
    ...     yield Progress("counting", 1, limit)
    ...     return limit
    >>> begin(count(0))
    Traceback (most recent call last):
    ...
    ValueError: limit must be 1 or more
    >>> drain(begin(count(2)))
    2
    """
    first: list[Progress] = []
    result: list[T] = []
    try:
        first.append(next(steps))
    except StopIteration as end:
        result.append(end.value)

    def rest() -> Steps[T]:
        try:
            yield from first
            return result[0] if result else (yield from steps)
        finally:
            steps.close()

    return rest()


def retold(steps: Steps[T], tell: Callable[[Progress], Progress]) -> Steps[T]:
    """Run a computation as a part of another: yield its progress as that of the whole.

    >>> def count():
    ...     yield Progress("counting", 1, 2)
    ...     return 42
    >>> whole = retold(count(), lambda step: Progress("all", step.done, 2 * step.total))
    >>> next(whole).total
    4
    """
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        yield tell(step)


def drain(work: Steps[T] | Watchable[T]) -> T:
    """Run a computation to its end without watching it and return its result.

    >>> def count():
    ...     yield Progress("counting", 1, 2)
    ...     return 42
    >>> drain(count())
    42
    """
    steps = steps_of(work)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
