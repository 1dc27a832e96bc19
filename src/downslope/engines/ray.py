"""Members as tasks of a Ray cluster: the coordinator decides and writes, the nodes only train.

Ray is an extra (`pip install 'downslope[ray]'`). Its nodes trust each other: it pickles what passes
between them. Nothing of a run's files does.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec

from downslope.data import Examples
from downslope.engines.environment import Engine, fingerprint, first_difference
from downslope.engines.job import EpochRecord, Job
from downslope.engines.ray_address import check_address
from downslope.engines.runner import Attempts, Runner, local_runner
from downslope.errors import InputError, one_line

NEWS = 0.2
"""Seconds between messages of a task: epochs of a small network are shorter than a message."""

PATIENCE = 5.0
"""Seconds without any message after which the head is asked whether it is still there."""

STATES = 5.0
"""Seconds of training that a killed worker loses at most, but for the epoch it was in."""


class Cluster:
    """A connection to a Ray cluster, or to one that is started on this machine.

    Args:
        address: of the head, as "10.0.0.1:6379", or "auto" for one that runs on this machine;
            None for RAY_ADDRESS or, where that is not set, a new one on this machine.

    Raises:
        InputError: Ray is not installed, there is no cluster at the address, or it has no cores.
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
        check_address(where)
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
        if not self._ray.cluster_resources().get("CPU"):  # Ray would wait for ever, silently
            self._ray.shutdown()
            raise InputError(
                f"executor ray: the cluster at {where} has no cores; start a node: ray start, "
                f"with its address {self._head}"
            )
        # No retries by Ray: only here is it known which epochs have arrived.
        task = self._ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")
        self._task = task(train_on_node)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    @property
    def cores(self) -> int:
        """Count the cores of all nodes, as of now.

        Raises:
            InputError: the head does not answer any more.
        """
        self._check_head()
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def runner(
        self,
        training: Examples,
        validation: Examples | None = None,
        threads: int | None = None,
        *,
        engine: Engine = "auto",
    ) -> RayRunner:
        """Make a runner that trains on some data, by default on all cores; a `MakeRunner`."""
        return RayRunner(self, training, validation, threads, engine)

    def put(self, examples: Examples | None) -> Any:
        """Put examples into the object store and return their reference."""
        return None if examples is None else self._ray.put(examples)

    def start(self, *arguments: Any) -> Any:
        """Start `train_on_node` on some node and return the generator of its messages."""
        return self._task.remote(*arguments)

    def next_of(
        self, tasks: Sequence[Any], wait: bool
    ) -> tuple[Any, list[EpochRecord] | str | None] | None:
        """Get a message: the task with its records, None at its end, or how its worker died.

        Args:
            tasks: whose messages.
            wait: until there is one; else the answer may be None.

        Raises:
            InputError: as `train_on_node` does; the head does not answer any more.
        """
        ready: list[Any] = []
        while not ready:
            ready, _ = self._ray.wait(list(tasks), num_returns=1, timeout=PATIENCE if wait else 0)
            if not ready and not wait:
                return None
            if not ready:
                self._check_head()
        (task,) = ready
        try:
            return task, self._ray.get(next(task))
        except StopIteration:
            return task, None
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None
            reason = one_line(error.cause)
            raise InputError(
                f"executor ray: a node cannot train ({type(error.cause).__name__}: {reason}); is "
                "the same downslope installed there?"
            ) from None
        except self._ray.exceptions.RayError as error:
            return task, one_line(error)

    def _check_head(self) -> None:
        """Refuse to wait for a dead head: Ray would, and then end this process without a word."""
        try:
            check_address(self._head)
        except InputError:
            raise InputError(
                f"executor ray: the cluster at {self._head} does not answer any more; what was "
                "finished is kept: start it again and repeat the command, or go on without it"
            ) from None

    def cancel(self, task: Any) -> None:
        """End a task and its worker."""
        self._ray.cancel(task, force=True)


class RayRunner(Runner):
    """Members on the nodes of a cluster.

    The results depend on neither the nodes nor their number: every record is that which
    `engines.train` yields here. A worker that dies is replaced, and its member goes on from the
    last state that arrived.
    """

    def __init__(
        self,
        cluster: Cluster,
        training: Examples,
        validation: Examples | None = None,
        threads: int | None = None,
        engine: Engine = "auto",
    ) -> None:
        super().__init__(training, validation, 1)  # a node has the memory of one at least
        self._cluster = cluster
        self._references = [cluster.put(examples) for examples in self._data]
        self._asked, self._engine = threads, engine
        self._here = fingerprint()
        self._running: dict[Any, Attempts] = {}
        self._arrived: deque[EpochRecord] = deque()
        self._counted = -math.inf
        self._size = 1

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride] - only read
        """Count the members that train at the same time; nodes may come and go."""
        if self._asked is not None:
            return self._asked
        if time.monotonic() - self._counted > 5:
            self._size, self._counted = self._cluster.cores, time.monotonic()
        return self._size

    def ready(self) -> bool:
        """Tell whether a record has arrived that `records` would yield at once.

        Raises:
            InputError: a node has other versions or another engine, or data that do not fit.
        """
        while not self._arrived and self._running and self._take_message(wait=False):
            pass
        return bool(self._arrived)

    def cancel(self) -> None:
        """End all tasks and their workers."""
        self._unfinished.clear()
        for task in self._running:
            self._cluster.cancel(task)
        self._running.clear()

    def _next(self) -> EpochRecord:
        # Two a core: the next one is at its node before the last one ends.
        most = self._asked or 2 * self.size
        while True:
            while not self._waiting.empty() and len(self._running) < most:
                job = self._waiting.get_nowait()[2]
                assert job is not None
                # States arrive now and then, to go on from where a worker dies.
                self._start(Attempts(msgspec.structs.replace(job, checkpoint_every=1)))
            if self._arrived:
                return self._arrived.popleft()
            self._take_message(wait=True)

    def _start(self, attempts: Attempts) -> None:
        task = self._cluster.start(*self._references, attempts.job, self._here, self._engine)
        self._running[task] = attempts

    def _take_message(self, wait: bool) -> bool:
        """Take in one message of any task; return False where there is none and none is awaited."""
        message = self._cluster.next_of(list(self._running), wait)
        if message is None:
            return False
        task, news = message
        attempts = self._running[task]
        if isinstance(news, list):
            for record in attempts.new(news):
                if not self._unfinished[record.member].keeps_checkpoint(record.epoch):
                    record = msgspec.structs.replace(record, checkpoint=None)
                self._arrived.append(record)
            return True
        del self._running[task]
        if news is not None and not attempts.ended:  # how its worker died
            failure = attempts.died("worker", f": {news}")
            if failure is None:
                self._start(attempts)
            else:
                self._arrived.append(failure)
        return True


_fingerprint = functools.cache(fingerprint)


def train_on_node(
    training: Examples,
    validation: Examples | None,
    job: Job,
    expected: Mapping[str, str],
    engine: Engine = "auto",
) -> Iterator[list[EpochRecord]]:
    """Train a job on this node and yield its records, a few at a time.

    Raises:
        InputError: this node would compute other bits than the coordinator.
    """
    if different := first_difference(_fingerprint(), expected):
        raise InputError(
            f"executor ray: a node has other versions than this machine ({different}); install the "
            "same on all"
        )
    last_message = last_state = time.monotonic()
    news: list[EpochRecord] = []
    with local_runner(training, validation, 1, engine=engine) as runner:
        runner.submit(job)
        for record in runner.records():
            now = time.monotonic()
            if job.ends_with(record) or now - last_state > STATES:
                last_state = now
            else:
                record = msgspec.structs.replace(record, checkpoint=None)
            news.append(record)
            if now - last_message > NEWS:
                yield news
                last_message, news = now, []
    yield news
