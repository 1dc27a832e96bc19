"""Worker processes of the PyTorch engine: how they are started and spoken to, and what they do.

Workers are started as commands and speak msgpack over pipes: nothing is pickled, and the caller's
`__main__` is never imported again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import torch

from downslope.data import Examples
from downslope.engines.job import EpochRecord, Job, record_failure
from downslope.engines.pytorch import train_member


def _encode_array(value: Any) -> Any:
    array = np.asarray(value)
    return (array.dtype.str, array.shape, array.tobytes())


def _decode_array(_: type, value: Any) -> Any:
    dtype, shape, content = value
    return np.frombuffer(content, dtype).reshape(shape)


_records = msgspec.msgpack.Decoder(EpochRecord, dec_hook=_decode_array)
_jobs = msgspec.msgpack.Decoder(Job, dec_hook=_decode_array)
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


def save(folder: Path, training: Examples, validation: Examples | None) -> None:
    """Write the examples where workers map them into their memory."""
    for name, examples in (("training", training), ("validation", validation)):
        if examples is None:
            continue
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


def ask(process: subprocess.Popen[bytes], job: Job) -> Iterator[EpochRecord]:
    """Hand a job to a worker and yield its records; not to the last where the worker ends."""
    assert process.stdin is not None and process.stdout is not None
    try:
        _send(process.stdin, job)
        while (content := _receive(process.stdout)) is not None:
            record = _records.decode(content)
            yield record
            if job.ends_with(record):
                return
    except OSError:
        pass  # the pipe broke: the worker has ended
    end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a worker, if it has not ended yet."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a worker on the examples in a folder."""
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
            for record in record_failure(train_member(job, training, validation), job.index):
                _send(pipe_out, record)
    except BrokenPipeError:  # the parent has gone; there is nobody to tell
        os._exit(1)
