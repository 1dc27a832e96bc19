"""Runners: they train jobs side by side on this machine and hand out the records as they come."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import queue
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, Self

import msgspec

from downslope.data import Examples
from downslope.engines import workers
from downslope.engines.environment import Engine, choose_engine, cores
from downslope.engines.job import EpochRecord, Job, check_fit, record_failure
from downslope.engines.memory import MemoryBudget
from downslope.engines.native import CancelToken, train_member_natively
from downslope.engines.pytorch import one_thread, train_member
from downslope.errors import InputError

WORTH_WORKERS = 20_000
"""Steps of the PyTorch engine below which starting worker processes costs more than they save."""

RETRIES = 3
"""How often in a row a worker may end without a new epoch before its member has failed."""


class Runner(ABC):
    """What trains jobs, here or on a cluster; a context that ends whatever still trains.

    Checked jobs wait by priority. Which waits for which has no influence on any record.

    Args:
        training: scaled examples, float32 inputs of shape (examples, features).
        validation: evaluated after each epoch, without influence on the training.
        at_once: members that share the memory of this machine.
    """

    size: int
    """How many members train at the same time."""

    def __init__(self, training: Examples, validation: Examples | None, at_once: int) -> None:
        self._data = _unchanging(training), None if validation is None else _unchanging(validation)
        self._budget = MemoryBudget(len(training), at_once)
        self._number = itertools.count()
        self._waiting: queue.PriorityQueue[tuple[tuple[float, ...], int, Job | None]]
        self._waiting = queue.PriorityQueue()
        self._unfinished: dict[int, Job] = {}
        self._admitted: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def submit(self, job: Job) -> None:
        """Check a job and let it wait; its index must be that of no unfinished one.

        Raises:
            InputError: the data do not fit it, or the memory is too small.
        """
        for examples in self._data:
            if examples is not None:
                check_fit(job.member, job.seen(examples))
        if job.index not in self._admitted:  # a member that goes on needs no more than before
            self._budget.add(job.member, job.snapshots_per_epoch)
            self._admitted.add(job.index)
        self._unfinished[job.index] = job
        priority = job.priority or (-job.member.expected_cost(len(self._data[0])),)
        self._waiting.put((priority, next(self._number), job))

    def records(self) -> Iterator[EpochRecord]:
        """Train what was submitted, and what is submitted meanwhile, until nothing is left.

        Nothing trains before the first record is asked for. Records of one job come in order.
        """
        while self._unfinished:
            record = self._next()
            if self._unfinished[record.member].ends_with(record):
                del self._unfinished[record.member]
            yield record

    @abstractmethod
    def _next(self) -> EpochRecord:
        """Wait for the next record of any unfinished job."""

    @abstractmethod
    def ready(self) -> bool:
        """Tell whether a record has arrived that `records` would yield at once."""

    @abstractmethod
    def cancel(self) -> None:
        """Stop all training, each after its minibatch, and wait for it."""


class MakeRunner(Protocol):
    """Makes a runner for training and validation examples, with so many members at a time."""

    def __call__(
        self,
        training: Examples,
        validation: Examples | None,
        threads: int | None,
        /,
        *,
        engine: Engine = "auto",
    ) -> Runner:
        """Make it, for an engine where not every one can train the jobs."""
        ...


class ThreadRunner(Runner):
    """Members on the compiled engine, each in a thread that holds no interpreter lock."""

    def __init__(
        self, training: Examples, validation: Examples | None = None, threads: int | None = None
    ) -> None:
        self.size = threads or cores()
        super().__init__(training, validation, self.size)
        self._token = CancelToken()
        self._arrived: queue.SimpleQueue[EpochRecord | BaseException] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def ready(self) -> bool:
        """Tell whether a record has arrived that `records` would yield at once."""
        return not self._arrived.empty()

    def cancel(self) -> None:
        """Stop all training, each after its minibatch, and wait for it."""
        self._token.cancel()
        self._unfinished.clear()
        for _ in self._threads:  # those that wait for work
            self._waiting.put(((float("-inf"),), next(self._number), None))
        for thread in self._threads:
            if thread.ident is not None:  # one that never started cannot be joined
                self._join(thread)
        with contextlib.suppress(queue.Empty):
            while True:  # what came between the last record that was read and the end
                self._arrived.get_nowait()
        _RUNNING.discard(self)

    def _next(self) -> EpochRecord:
        while len(self._threads) < min(self.size, len(self._unfinished)):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            _RUNNING.add(self)
            self._threads[-1].start()
        record = self._arrived.get()
        if isinstance(record, BaseException):
            raise record
        return record

    def _work(self) -> None:
        try:
            while (job := self._waiting.get()[2]) is not None and not self._token.cancelled:
                for record in record_failure(self._train(job), job.index):
                    self._arrived.put(record)
        except BaseException as error:  # told to the caller, who would wait for ever otherwise
            self._arrived.put(error)

    def _train(self, job: Job) -> Iterator[EpochRecord]:
        return train_member_natively(job, *self._data, token=self._token)

    def _join(self, thread: threading.Thread) -> None:
        thread.join()


_RUNNING: set[ThreadRunner] = set()


@atexit.register
def _end_all() -> None:  # pyright: ignore[reportUnusedFunction] - atexit calls it
    """End what nobody closed: a thread must not come back to an interpreter that is gone."""
    for runner in list(_RUNNING):
        runner.cancel()


class Attempts:
    """A job on workers that may die: what has arrived, and where the next one goes on from."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._deaths = 0
        self._last = EpochRecord(member=job.index, epoch=0, step=0)

    @property
    def ended(self) -> bool:
        """Tell whether the job's last record has arrived."""
        return self.job.ends_with(self._last)

    def new(self, records: Iterable[EpochRecord]) -> Iterator[EpochRecord]:
        """Pass on records but those of epochs that have arrived before."""
        for record in records:
            if record.checkpoint is not None:
                self.job = msgspec.structs.replace(self.job, checkpoint=record.checkpoint)
            # A member that fails does so in the epoch after its last.
            if record.epoch > self._last.epoch or record.outcome == "failed":
                self._deaths, self._last = 0, record
                yield record

    def died(self, worker: str, how: str) -> EpochRecord | None:
        """Count a death; the member's last record where there were too many in a row."""
        self._deaths += 1
        if self._deaths <= RETRIES:
            return None
        self._last = EpochRecord(
            member=self.job.index,
            epoch=self._last.epoch,
            step=self._last.step,
            outcome="failed",
            reason=f"its {worker} ended {self._deaths} times in a row{how}",
        )
        return self._last


class ProcessRunner(ThreadRunner):
    """Members on the PyTorch engine: a thread each, that hands them to a worker process.

    A plain Python loop holds the interpreter's lock, so threads alone would wait for each other.
    Small work stays in the caller, and so does what cannot be sent: hooks, or another device.
    """

    def __init__(
        self,
        training: Examples,
        validation: Examples | None = None,
        threads: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(training, validation, threads)
        self._device = device
        self._here: Iterator[EpochRecord] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def cancel(self) -> None:
        """End all workers."""
        super().cancel()
        for process in self._processes.values():
            workers.end(process)
        if self._folder is not None:
            self._folder.cleanup()

    def _next(self) -> EpochRecord:
        if self._folder is None and (self._here is not None or not self._worth_workers()):
            return self._next_here()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="downslope-")
            workers.save(Path(self._folder.name), *self._data)
        return super()._next()

    def _worth_workers(self) -> bool:
        jobs = [job for *_, job in self._waiting.queue if job is not None]
        if self._device != "cpu" or any(job.corrupt or job.penalty for job in jobs):
            return False
        rows = len(self._data[0])
        steps = sum(len(job.epochs) * job.member.steps_per_epoch(rows) for job in jobs)
        return min(self.size, len(jobs)) > 1 and steps > WORTH_WORKERS

    def _next_here(self) -> EpochRecord:
        if self._here is None:
            job = self._waiting.get_nowait()[2]
            assert job is not None
            records = train_member(job, *self._data, device=self._device)
            self._here = record_failure(records, job.index)
        with one_thread():  # between records the caller's number of threads is back
            record = next(self._here)
        if self._unfinished[record.member].ends_with(record):
            self._here = None
        return record

    def _train(self, job: Job) -> Iterator[EpochRecord]:
        attempts = Attempts(job)
        while not self._token.cancelled:
            process = self._process()
            yield from attempts.new(workers.ask(process, attempts.job))
            if attempts.ended or self._token.cancelled:
                return
            how = f", with status {process.returncode}"
            if (failure := attempts.died("worker process", how)) is not None:
                yield failure
                return

    def _process(self) -> subprocess.Popen[bytes]:
        """Return the worker process of this thread, a new one where the last has ended."""
        thread, folder = threading.get_ident(), self._folder
        assert folder is not None
        if thread not in self._processes or self._processes[thread].poll() is not None:
            self._processes[thread] = workers.start(Path(folder.name))
        return self._processes[thread]

    def _join(self, thread: threading.Thread) -> None:
        while thread.is_alive():  # it may just have replaced its worker
            with contextlib.suppress(KeyError):
                self._processes[thread.ident or 0].kill()
            thread.join(0.05)


def local_runner(
    training: Examples,
    validation: Examples | None = None,
    threads: int | None = None,
    *,
    engine: Engine = "auto",
    device: str = "cpu",
) -> Runner:
    """Make the runner of this machine for an engine and a device; arguments are those of `train`.

    Raises:
        InputError: a number is out of range, or the engine is not here.
    """
    if threads is not None and threads < 1:
        raise InputError(f"train: threads = {threads} is not allowed; it must be 1 or more")
    if choose_engine(engine, device) == "native":
        return ThreadRunner(training, validation, threads)
    return ProcessRunner(training, validation, threads, device)


def _unchanging(examples: Examples) -> Examples:
    """Copy the targets: classes are indices, and are read while the caller goes on."""
    if examples.targets is examples.inputs:  # an autoencoder's are no indices: not held twice
        return examples
    return Examples(examples.inputs, examples.targets.copy())
