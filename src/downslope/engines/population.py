"""Train a population: members side by side, each from first to last on one core.

With one thread the members run in this process; with more, in worker processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from downslope.data import Examples
from downslope.engines.pytorch import check_fit, fail_gently, one_thread, train_member
from downslope.engines.records import EpochRecord
from downslope.engines.workers import train_in_workers
from downslope.errors import InputError
from downslope.networks import Member

# Below this expected work (about microseconds), starting workers costs more than they save.
WORTH_WORKERS = 6e6


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
    device: str = "cpu",
) -> Iterator[EpochRecord]:
    """Train a population and yield an `EpochRecord` per epoch of each member, as they come.

    The records of one member come in order and depend only on the member, the data and the kind
    of processor: not on its neighbours, nor on `threads`. Members with the most expected work
    start first. A member that cannot be trained ends with outcome "failed"; the others go on.

    Args:
        members: what to train.
        training: scaled examples, float32 inputs of shape (examples, features).
        validation: evaluated after each epoch, without influence on the training.
        threads: members trained at the same time; by default all cores.
        snapshots_per_epoch: flat parameter vectors kept per epoch of each member.
        device: "cpu", or a torch device on which the members then run one after another.

    Raises:
        InputError: the data do not fit a member, or threads is below 1.

    >>> import numpy as np
    >>> from downslope.networks import NetworkSpec, TrainingSpec
    >>> rows = Examples(np.eye(4, dtype=np.float32), np.arange(4))
    >>> network = NetworkSpec(widths=(4, 8, 4))
    >>> member = Member(network=network, training=TrainingSpec(epochs=3), seed=541)
    >>> [record.epoch for record in train([member], rows)]
    [1, 2, 3]
    """
    if threads is not None and threads < 1:
        raise InputError(f"train: threads = {threads} is not allowed; it must be 1 or more")
    if snapshots_per_epoch < 0:
        raise InputError(f"train: snapshots_per_epoch = {snapshots_per_epoch} is below 0")
    for member in members:
        for examples in (training, validation):
            if examples is not None:
                check_fit(member, examples)
    costs = [member.expected_cost(len(training)) for member in members]
    order = sorted(range(len(members)), key=lambda i: -costs[i])
    workers = min(threads or cores(), len(members))
    if workers > 1 and sum(costs) > WORTH_WORKERS and device == "cpu":
        return train_in_workers(members, order, training, validation, workers, snapshots_per_epoch)
    return _train_here(members, order, training, validation, snapshots_per_epoch, device)


def _train_here(
    members: Sequence[Member],
    order: Sequence[int],
    training: Examples,
    validation: Examples | None,
    snapshots_per_epoch: int,
    device: str,
) -> Iterator[EpochRecord]:
    for index in order:
        records = train_member(
            members[index],
            training,
            validation,
            index=index,
            snapshots_per_epoch=snapshots_per_epoch,
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
