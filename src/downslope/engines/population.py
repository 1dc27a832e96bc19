"""Train a population: members side by side, each from first to last on one core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint
from downslope.engines.environment import Engine
from downslope.engines.job import EpochRecord, Job
from downslope.engines.runner import MakeRunner, Runner, local_runner
from downslope.errors import InputError
from downslope.networks import Member


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
    make_runner: MakeRunner | None = None,
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
        make_runner: makes what trains elsewhere, on its own engine: `Cluster.runner`.

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
    for index in (resume := resume or {}):
        if not 0 <= index < len(members):
            raise InputError(
                f"train: resume names member {index}; there are members 0 to {len(members) - 1}"
            )
    if make_runner is None:
        runner = local_runner(training, validation, threads, engine=engine, device=device)
    else:
        runner = make_runner(training, validation, threads)
    return run_jobs(
        runner,
        [
            Job(
                member=member,
                index=index,
                snapshots_per_epoch=snapshots_per_epoch,
                checkpoint_every=checkpoint_every,
                checkpoint=resume.get(index),
            )
            for index, member in enumerate(members)
        ],
    )


def run_jobs(runner: Runner, jobs: Iterable[Job]) -> Iterator[EpochRecord]:
    """Submit jobs at once, then train them as their records are asked for; end the runner."""
    for job in jobs:
        runner.submit(job)
    return _drain(runner)


def _drain(runner: Runner) -> Iterator[EpochRecord]:
    with runner:
        yield from runner.records()
