"""Train a population: members side by side, each from first to last on one core.

On the compiled engine members run in threads; on the PyTorch engine in worker processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from downslope.data import Examples
from downslope.engines import native
from downslope.engines.checkpoints import Checkpoint
from downslope.engines.memory import check_memory
from downslope.engines.pytorch import check_fit, one_thread, train_member
from downslope.engines.records import EpochRecord, Order, fail_gently
from downslope.engines.workers import train_in_workers
from downslope.errors import InputError
from downslope.networks import Member

Engine = Literal["auto", "native", "pytorch"]

# Steps of the pytorch engine below which starting worker processes costs more than they save.
WORTH_WORKERS = 20_000


def cores() -> int:
    """Count the cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def train(
    members: Sequence[Member],
    training: Examples,
    validation: Examples | None = None,
    *,
    threads: int | None = None,
    snapshots_per_epoch: int = 0,
    checkpoint_every: int = 0,
    resume: Mapping[int, Checkpoint] | None = None,
    engine: Engine = "auto",
    device: str = "cpu",
) -> Iterator[EpochRecord]:
    """Train a population and yield an `EpochRecord` per epoch of each member, as they come.

    The records of one member come in order and depend only on the member, the data, the engine
    and the kind of processor: not on its neighbours, on `threads`, nor on being paused. Members
    with the most expected work start first. A member that cannot be trained ends with outcome
    "failed"; the others go on.

    Args:
        members: what to train.
        training: scaled examples, float32 inputs of shape (examples, features).
        validation: evaluated after each epoch, without influence on the training.
        threads: members trained at the same time; by default all cores.
        snapshots_per_epoch: flat parameter vectors kept per epoch of each member.
        checkpoint_every: epochs between checkpoints in a member's records; 0 for none.
        resume: checkpoints to go on from, by position in `members`.
        engine: "native" is compiled and runs on the CPU, "pytorch" anywhere; "auto" takes the
            first that is here and fits the device.
        device: "cpu", or a torch device on which the members then run one after another.

    Raises:
        InputError: the data do not fit a member, the members not the memory, a number is out of
            range, the engine is not here, or a checkpoint is of another member, of its end or of
            none.

    >>> import numpy as np
    >>> from downslope.networks import NetworkSpec, TrainingSpec
    >>> rows = Examples(np.eye(4, dtype=np.float32), np.arange(4))
    >>> network = NetworkSpec(widths=(4, 8, 4))
    >>> member = Member(network=network, training=TrainingSpec(epochs=3), seed=541)
    >>> [record.epoch for record in train([member], rows)]
    [1, 2, 3]
    """
    members = list(members)
    if threads is not None and threads < 1:
        raise InputError(f"train: threads = {threads} is not allowed; it must be 1 or more")
    if snapshots_per_epoch < 0:
        raise InputError(f"train: snapshots_per_epoch = {snapshots_per_epoch} is below 0")
    if checkpoint_every < 0:
        raise InputError(f"train: checkpoint_every = {checkpoint_every} is below 0")
    for member in members:
        for examples in (training, validation):
            if examples is not None:
                check_fit(member, examples)
    resume = resume or {}
    for index, checkpoint in resume.items():
        if not 0 <= index < len(members):
            raise InputError(
                f"train: resume names member {index}; there are members 0 to {len(members) - 1}"
            )
        if checkpoint.member != members[index]:
            raise InputError(f"train: the checkpoint for member {index} is of another member")
        if not 0 <= checkpoint.epoch < checkpoint.member.training.epochs:
            raise InputError(
                f"train: the checkpoint for member {index} is of epoch {checkpoint.epoch} of "
                f"{checkpoint.member.training.epochs}; at least one must be left to train"
            )
    workers = min(threads or cores(), len(members))
    check_memory(members, len(training), workers, snapshots_per_epoch)
    costs = [member.expected_cost(len(training)) for member in members]
    order = Order(
        members=members,
        queue=sorted(range(len(members)), key=lambda i: -costs[i]),
        training=training,
        validation=validation,
        snapshots_per_epoch=snapshots_per_epoch,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )
    if choose_engine(engine, device) == "native":
        return native.train_in_threads(order, workers)
    steps = sum(m.training.epochs * m.steps_per_epoch(len(training)) for m in members)
    if workers > 1 and steps > WORTH_WORKERS and device == "cpu":
        return train_in_workers(order, workers)
    return _one_after_another(order, device)


def choose_engine(engine: Engine, device: str = "cpu") -> Engine:
    """Return "native" or "pytorch": what is asked for, or the best that is here.

    Raises:
        InputError: an engine that does not exist, is not installed or cannot use the device, or
            DOWNSLOPE_ISA names an instruction set that is not here.
    """
    if engine not in get_args(Engine):
        raise InputError(f"train: engine = {engine!r}; it must be one of {get_args(Engine)}")
    here = bool(native.instruction_sets())
    if engine == "native":
        if not here:
            raise InputError(f"train: engine = 'native': {native.MISSING}")
        if device != "cpu":
            raise InputError(f"train: engine = 'native' runs on the CPU, not on {device!r}")
    if engine == "auto":
        engine = "native" if here and device == "cpu" else "pytorch"
    if engine == "native":
        native.instruction_set()  # a name that is not here is refused before anything begins
    return engine


def _one_after_another(order: Order, device: str) -> Iterator[EpochRecord]:
    for index in order.queue:
        records = train_member(
            order.members[index],
            order.training,
            order.validation,
            index=index,
            snapshots_per_epoch=order.snapshots_per_epoch,
            checkpoint_every=order.checkpoint_every,
            resume=order.resume.get(index),
            device=device,
        )
        yield from _with_one_thread(fail_gently(records, index))


def _with_one_thread(records: Iterator[EpochRecord]) -> Iterator[EpochRecord]:
    """Advance a training with one torch thread: the order of its sums must not depend on cores."""
    while True:
        with one_thread():
            record = next(records, None)
        if record is None:
            return
        yield record
