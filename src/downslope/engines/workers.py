"""Worker processes: they train members side by side for `population.train`.

A plain Python loop holds the interpreter's lock, so threads would wait for each other. Workers are
started as commands and speak msgpack over pipes: nothing is pickled, and the caller's `__main__`
is never imported again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import torch

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint
from downslope.engines.pytorch import train_member
from downslope.engines.records import EpochRecord, Order, fail_gently
from downslope.networks import Member

RETRIES = 3
"""How often in a row a worker may end without a new epoch before its member has failed."""


class _Job(msgspec.Struct, tag=True):
    """One member for a worker."""

    index: int
    member: Member
    snapshots_per_epoch: int
    checkpoint_every: int
    resume: Checkpoint | None


def _encode_array(value: Any) -> Any:
    array = np.asarray(value)
    return (array.dtype.str, array.shape, array.tobytes())


def _decode_array(_: type, value: Any) -> Any:
    dtype, shape, content = value
    return np.frombuffer(content, dtype).reshape(shape)


_records = msgspec.msgpack.Decoder(EpochRecord, dec_hook=_decode_array)
_jobs = msgspec.msgpack.Decoder(_Job, dec_hook=_decode_array)
_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array)


def _send(pipe: IO[bytes], message: object) -> None:
    content = _encoder.encode(message)
    pipe.write(len(content).to_bytes(8, "little") + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    """Read one message; None where the other side has gone, even in the middle of one."""
    header = pipe.read(8)
    length = int.from_bytes(header, "little")
    content = pipe.read(length) if len(header) == 8 else b""
    return content if header and len(content) == length else None


def _save(folder: Path, name: str, examples: Examples | None) -> None:
    if examples is None:
        return
    np.save(folder / f"{name}-inputs.npy", examples.inputs, allow_pickle=False)
    if examples.targets is not examples.inputs:
        np.save(folder / f"{name}-targets.npy", examples.targets, allow_pickle=False)


def _open(folder: Path, name: str) -> Examples | None:
    path = folder / f"{name}-inputs.npy"
    if not path.exists():
        return None
    # Copy-on-write maps: all workers share one copy in the page cache.
    inputs = np.load(path, mmap_mode="c", allow_pickle=False)
    targets = folder / f"{name}-targets.npy"
    if not targets.exists():
        return Examples(inputs, inputs)
    return Examples(inputs, np.load(targets, mmap_mode="c", allow_pickle=False))


def train_in_workers(order: Order, workers: int) -> Iterator[EpochRecord]:
    """Train members in worker processes; see `population.train`."""
    with tempfile.TemporaryDirectory(prefix="downslope-") as name:
        folder = Path(name)
        _save(folder, "training", order.training)
        _save(folder, "validation", order.validation)
        jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in order.queue:
            jobs.put(index)
        records: queue.SimpleQueue[EpochRecord] = queue.SimpleQueue()
        processes = [_start_worker(folder) for _ in range(workers)]

        closing = threading.Event()

        def serve(worker: int) -> None:
            while not closing.is_set():
                try:
                    index = jobs.get_nowait()
                except queue.Empty:
                    return
                job = _Job(
                    index,
                    order.members[index],
                    order.snapshots_per_epoch,
                    order.checkpoint_every,
                    order.resume.get(index),
                )
                deaths, last = 0, EpochRecord(member=index, epoch=0, step=0)
                while last.outcome is None and not closing.is_set():
                    for record in _ask(processes[worker], job):
                        job.resume = record.checkpoint or job.resume
                        # What a replaced worker does again is known already.
                        if record.epoch > last.epoch or record.outcome is not None:
                            deaths, last = 0, record
                            records.put(record)
                    if last.outcome is None and not closing.is_set():
                        deaths += 1
                        status = processes[worker].returncode
                        processes[worker] = _start_worker(folder)
                        if deaths > RETRIES:
                            reason = (
                                f"its worker process ended {deaths} times in a row, with status "
                                f"{status}"
                            )
                            last = EpochRecord(
                                member=index,
                                epoch=last.epoch,
                                step=last.step,
                                outcome="failed",
                                reason=reason,
                            )
                            records.put(last)

        threads = [threading.Thread(target=serve, args=(w,), daemon=True) for w in range(workers)]
        try:
            for thread in threads:
                thread.start()
            unfinished = len(order.members)
            while unfinished:
                record = records.get()
                unfinished -= record.outcome is not None
                yield record
        finally:
            closing.set()
            for thread, worker in zip(threads, range(workers), strict=True):
                while thread.is_alive():  # a thread may just have replaced its worker
                    processes[worker].kill()
                    thread.join(0.05)
                _end(processes[worker])


def _ask(process: subprocess.Popen[bytes], job: _Job) -> Iterator[EpochRecord]:
    """Hand a job to a worker and yield its records; without an outcome where the worker ends."""
    assert process.stdin is not None and process.stdout is not None
    try:
        _send(process.stdin, job)
        while (content := _receive(process.stdout)) is not None:
            record = _records.decode(content)
            yield record
            if record.outcome is not None:
                return
    except OSError:
        pass  # the pipe broke: the worker has ended
    _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _start_worker(folder: Path) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    command = [sys.executable, "-c", "from downslope.engines.workers import work; work()"]
    # A process group of its own: Ctrl-C reaches the parent alone, which then ends its workers.
    return subprocess.Popen(
        [*command, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0 if os.name == "posix" else None,
    )


def work() -> None:
    """Serve as a worker: train the members that come in on standard input, until it closes."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    training, validation = _open(folder, "training"), _open(folder, "validation")
    assert training is not None
    pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing but records may reach the pipe
    try:
        while (content := _receive(pipe_in)) is not None:
            job = _jobs.decode(content)
            records = train_member(
                job.member,
                training,
                validation,
                index=job.index,
                snapshots_per_epoch=job.snapshots_per_epoch,
                checkpoint_every=job.checkpoint_every,
                resume=job.resume,
            )
            for record in fail_gently(records, job.index):
                _send(pipe_out, record)
    except BrokenPipeError:  # the parent has gone; there is nobody to tell
        os._exit(1)
