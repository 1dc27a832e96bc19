"""Members as tasks of a Ray cluster: the coordinator decides and writes, the nodes only train.

Ray is an extra (`pip install 'downslope[ray]'`). Its nodes trust each other: it pickles what passes
between them. Nothing of a run's files does.
"""

from __future__ import annotations

import functools
import heapq
import importlib
import itertools
import math
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

import msgspec

from downslope.data import Examples
from downslope.engines import Checkpoint, EpochRecord, choose_engine, train
from downslope.errors import InputError, one_line
from downslope.installation import difference, identity
from downslope.networks import Member

RETRIES = 3
"""How often in a row a task may end without a new epoch before its member has failed."""

NEWS = 0.2
"""Seconds between messages of a task: epochs of a small network are shorter than a message."""

PATIENCE = 5.0
"""Seconds without any message after which the head is asked whether it is still there."""

STATES = 5.0
"""Seconds of training that a killed worker loses at most, but for the epoch it was in."""


class Stretch(Protocol):
    """What a crew is asked to do: see `RayCrew.submit`."""

    @property
    def trial(self) -> int: ...  # noqa: D102
    @property
    def member(self) -> Member: ...  # noqa: D102
    @property
    def until(self) -> int: ...  # noqa: D102
    @property
    def checkpoint(self) -> Checkpoint | None: ...  # noqa: D102
    @property
    def priority(self) -> tuple[float, ...]: ...  # noqa: D102


class Trainer(Protocol):
    """Train a population as `engines.train` does, here or on a cluster."""

    def __call__(  # noqa: D102
        self,
        members: Sequence[Member],
        training: Examples,
        validation: Examples | None = None,
        *,
        threads: int | None = None,
        snapshots_per_epoch: int = 0,
    ) -> Iterator[EpochRecord]: ...


class Cluster:
    """Be connected to a Ray cluster, or to one that is started on this machine.

    Args:
        address: of the head, as "10.0.0.1:6379", or "auto" for one that runs on this machine;
            None for RAY_ADDRESS or, where that is not set, a new one on this machine.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise InputError(
                "executor ray: Ray is not installed; pip install 'downslope[ray]'"
            ) from None
        # "local": left to itself, Ray would look for a cluster of old, and wait for a dead one.
        where = address or os.environ.get("RAY_ADDRESS") or "local"
        _answers(where)
        handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._ray.init(where, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            reason = one_line(error)
            raise InputError(f"executor ray: no cluster at {where} ({reason})") from None
        finally:
            for number, handler in handlers.items():  # Ray's own end the program with status 15
                signal.signal(number, handler)
        self._head = str(self._ray.get_runtime_context().gcs_address)
        # No retries by Ray: only here is it known which epochs have arrived.
        task = self._ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")
        self._task = task(train_stretch)
        self._data: dict[int, tuple[Examples, Any]] = {}

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data.clear()
        self._ray.shutdown()

    @property
    def cores(self) -> int:
        """Count the cores of all nodes, as of now.

        Raises:
            InputError: the head does not answer any more.
        """
        self._check_head()
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def crew(
        self,
        training: Examples,
        validation: Examples | None,
        threads: int | None = None,
        snapshots_per_epoch: int = 0,
    ) -> RayCrew:
        """Make a crew that trains on some data."""
        return RayCrew(self, training, validation, threads, snapshots_per_epoch)

    def train(
        self,
        members: Sequence[Member],
        training: Examples,
        validation: Examples | None = None,
        *,
        threads: int | None = None,
        snapshots_per_epoch: int = 0,
    ) -> Iterator[EpochRecord]:
        """Train a population on the cluster; a `Trainer`, to the bits of `engines.train`."""
        costs = [member.expected_cost(len(training)) for member in members]
        with self.crew(training, validation, threads, snapshots_per_epoch) as crew:
            for i in sorted(range(len(members)), key=lambda i: -costs[i]):
                epochs = members[i].training.epochs
                crew.submit(_Whole(i, members[i], epochs, None, (-costs[i],)))
            unfinished = len(members)
            while unfinished:
                record = crew.next()
                unfinished -= record.outcome is not None
                yield record

    def held(self, examples: Examples | None) -> Any:
        """Put examples into the object store, once, and return their reference."""
        if examples is None:
            return None
        if id(examples) not in self._data:
            self._data[id(examples)] = (examples, self._ray.put(examples))
        return self._data[id(examples)][1]

    def start(self, *arguments: Any) -> Any:
        """Start `train_stretch` on some node and return the generator of its messages."""
        return self._task.remote(*arguments)

    def next_of(
        self, tasks: Sequence[Any], wait: bool
    ) -> tuple[Any, list[EpochRecord] | str | None] | None:
        """Get a message: the task with its records, None at its end, or how its worker died.

        Args:
            tasks: whose messages.
            wait: until there is one; else the answer may be None.

        Raises:
            InputError: as `train_stretch` does; the head does not answer any more.
        """
        found: list[Any] = []
        while not found:
            found, _ = self._ray.wait(list(tasks), num_returns=1, timeout=PATIENCE if wait else 0)
            if not found and not wait:
                return None
            if not found:
                self._check_head()
        (ready,) = found
        try:
            return ready, self._ray.get(next(ready))
        except StopIteration:
            return ready, None
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None
            reason = one_line(error.cause)
            raise InputError(
                f"executor ray: a node cannot train ({type(error.cause).__name__}: {reason}); is "
                "the same downslope installed there?"
            ) from None
        except self._ray.exceptions.RayError as error:
            return ready, one_line(error)

    def _check_head(self) -> None:
        """Refuse to wait for a dead head: Ray would, and then end this process without a word."""
        try:
            _answers(self._head)
        except InputError:
            raise InputError(
                f"executor ray: the cluster at {self._head} does not answer any more; what was "
                "finished is kept: start it again and repeat the command, or go on without it"
            ) from None

    def cancel(self, task: Any) -> None:
        """End a task and its worker."""
        self._ray.cancel(task, force=True)


_SETTINGS: Final = b"\x04"  # type of a frame, RFC 9113, section 6.5
_GREETING: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)


def _answers(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes."""
    if address == "auto":  # the cluster started last on this machine, which may be dead
        noted = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()), "ray/ray_current_cluster")
        with suppress(OSError):
            address = noted.read_text("utf-8").strip()
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), 10) as connection:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            # Ray's head speaks gRPC, that is HTTP/2: it answers a greeting with its settings.
            connection.sendall(_GREETING)
            if connection.recv(9)[3:4] != _SETTINGS:
                raise InputError(f"executor ray: what answers at {address} is not a Ray cluster")
    except (OSError, UnicodeError, OverflowError) as error:  # no such name, no such port
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"executor ray: no cluster at {address} ({reason})") from None


@dataclass(frozen=True, slots=True)
class _Whole:
    """A stretch from beginning to end."""

    trial: int
    member: Member
    until: int
    checkpoint: Checkpoint | None
    priority: tuple[float, ...]


@dataclass(slots=True)
class _Course:
    """A stretch under way: the state to go on from after a crash, and the epochs that arrived."""

    stretch: Stretch
    checkpoint: Checkpoint | None
    epoch: int = 0
    step: int = 0
    tries: int = 0
    records: list[EpochRecord] = field(default_factory=list[EpochRecord])


class RayCrew:
    """Train stretches of members on a cluster and hand out their records as they come.

    The results depend on neither the nodes nor their number: every record is that which
    `engines.train` yields here. A worker that dies is replaced, and its member goes on from the
    last state that arrived.
    """

    def __init__(
        self,
        cluster: Cluster,
        training: Examples,
        validation: Examples | None,
        threads: int | None = None,
        snapshots_per_epoch: int = 0,
    ) -> None:
        self._cluster = cluster
        self._data = cluster.held(training), cluster.held(validation)
        self._asked, self._snapshots = threads, snapshots_per_epoch
        self._here = identity()
        self._number = itertools.count()
        self._waiting: list[tuple[tuple[float, ...], int, _Course]] = []
        self._running: dict[Any, _Course] = {}
        self._arrived: list[EpochRecord] = []
        self._counted = -math.inf
        self._size = 1

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.clear()
        for task in self._running:
            self._cluster.cancel(task)
        self._running.clear()

    @property
    def size(self) -> int:
        """Count the members that train at the same time; nodes may come and go."""
        if self._asked is not None:
            return self._asked
        if time.monotonic() - self._counted > 5:
            self._size, self._counted = self._cluster.cores, time.monotonic()
        return self._size

    @property
    def waiting(self) -> int:
        """Count the stretches that have not been handed to the cluster."""
        return len(self._waiting)

    def submit(self, stretch: Stretch) -> None:
        """Add a stretch of a member's training.

        Args:
            stretch: `member`, from `checkpoint` or the beginning to the epoch `until`, whose record
                has a checkpoint unless it is the member's last; records carry `trial` as `member`;
                the lowest `priority` is started first.
        """
        course = _Course(stretch, stretch.checkpoint)
        heapq.heappush(self._waiting, (stretch.priority, next(self._number), course))
        self._hand_out()

    def next(self) -> EpochRecord:
        """Wait for the next record of any stretch.

        Raises:
            InputError: a node has other versions or another engine, or data that do not fit.
        """
        while not self._arrived:
            self._take_message(wait=True)
        return self._arrived.pop(0)

    def ready(self) -> bool:
        """Tell whether a record has arrived that `next` would return at once.

        Raises:
            InputError: as `next`.
        """
        while not self._arrived and self._running and self._take_message(wait=False):
            pass
        return bool(self._arrived)

    def _take_message(self, wait: bool) -> bool:
        """Take in one message of any task; return False where there is none and none is awaited."""
        found = self._cluster.next_of(list(self._running), wait)
        if found is None:
            return False
        task, news = found
        course = self._running[task]
        if isinstance(news, list):
            self._arrived += self._new(course, news)
            return True
        del self._running[task]
        if news is not None:
            self._again(course, news)
        self._hand_out()
        return True

    def _hand_out(self) -> None:
        # Two a core: the next one is at its node before the last one ends.
        most = self._asked or 2 * self.size
        while self._waiting and len(self._running) < most:
            self._start(heapq.heappop(self._waiting)[2])

    def _start(self, course: _Course) -> None:
        stretch = course.stretch
        task = self._cluster.start(
            *self._data,
            stretch.member,
            stretch.trial,
            stretch.until,
            self._snapshots,
            course.checkpoint,
            self._here,
        )
        self._running[task] = course

    def _new(self, course: _Course, news: Sequence[EpochRecord]) -> Iterator[EpochRecord]:
        for record in news:
            if record.checkpoint is not None:
                course.checkpoint = record.checkpoint
            # A member that fails does so in the epoch after its last.
            if record.epoch > course.epoch or record.outcome == "failed":
                course.epoch, course.step, course.tries = record.epoch, record.step, 0
                last = record.epoch >= course.stretch.until
                yield record if last else msgspec.structs.replace(record, checkpoint=None)

    def _again(self, course: _Course, reason: str) -> None:
        course.tries += 1
        if course.tries <= RETRIES:
            self._start(course)
            return
        self._arrived.append(
            EpochRecord(
                member=course.stretch.trial,
                epoch=course.epoch,
                step=course.step,
                outcome="failed",
                reason=f"its worker ended {course.tries} times in a row: {reason}",
            )
        )


_identity = functools.cache(identity)


def train_stretch(
    training: Examples,
    validation: Examples | None,
    member: Member,
    index: int,
    until: int,
    snapshots_per_epoch: int,
    checkpoint: Checkpoint | None,
    expected: Mapping[str, str],
) -> Iterator[list[EpochRecord]]:
    """Train a member on this node and yield its records, a few at a time.

    Raises:
        InputError: this node would compute other bits than the coordinator.
    """
    if different := difference(_identity(), expected):
        raise InputError(
            f"executor ray: a node has other versions than this machine ({different}); install the "
            "same on all"
        )
    records = train(
        [member],
        training,
        validation,
        threads=1,
        snapshots_per_epoch=snapshots_per_epoch,
        checkpoint_every=1,
        resume={} if checkpoint is None else {0: checkpoint},
        engine=choose_engine("auto"),
    )
    said = kept = time.monotonic()
    news: list[EpochRecord] = []
    for record in records:
        now, last = time.monotonic(), record.outcome is not None or record.epoch >= until
        if last or now - kept > STATES:
            kept = now
        else:
            record = msgspec.structs.replace(record, checkpoint=None)
        news.append(msgspec.structs.replace(record, member=index))
        if last:
            break
        if now - said > NEWS:
            yield news
            said, news = now, []
    yield news
