"""Train a population: members side by side, each from first to last on one core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint
from downslope.engines.environment import Engine, choose_engine
from downslope.engines.job import EpochRecord, Job
from downslope.engines.native import evaluate_natively
from downslope.engines.pytorch import evaluate_module
from downslope.engines.runner import MakeRunner, Runner, local_runner
from downslope.errors import InputError
from downslope.networks import Loss, Member, NetworkSpec, build, load_state


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


def evaluate(
    network: NetworkSpec,
    state: Mapping[str, NDArray[Any]],
    examples: Examples,
    loss: Loss = "cross_entropy",
) -> tuple[float, float]:
    """Return a trained network's mean loss and its accuracy, as in an `EpochRecord`.

    Args:
        network: what was trained.
        state: its weights by name.
        examples: scaled as those that it was trained on.
        loss: what to compute; of the mean squared error the accuracy is NaN.

    Raises:
        RuntimeError: the state is not that of the network.

    >>> import numpy as np
    >>> state = {"0.weight": np.eye(2), "0.bias": np.zeros(2)}
    >>> rows = Examples(np.eye(2, dtype=np.float32), np.array([0, 0]))
    >>> evaluate(NetworkSpec(widths=(2, 2)), state, rows)[1]
    0.5
    """
    module = build(network, torch.Generator())
    load_state(module, state)
    if choose_engine("auto") == "native":
        return evaluate_natively(network, module, examples, loss)
    inputs, targets = (torch.from_numpy(a) for a in (examples.inputs, examples.targets))
    return evaluate_module(module, inputs, targets, loss)


def run_jobs(runner: Runner, jobs: Iterable[Job]) -> Iterator[EpochRecord]:
    """Submit jobs at once, then train them as their records are asked for; end the runner."""
    for job in jobs:
        runner.submit(job)
    return _drain(runner)


def _drain(runner: Runner) -> Iterator[EpochRecord]:
    with runner:
        yield from runner.records()
