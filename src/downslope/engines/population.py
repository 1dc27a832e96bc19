"""Train a population: members side by side, each from first to last on one core."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
from downslope.progress import Progress, Steps
from downslope.showing import Shown, to_frame

if TYPE_CHECKING:
    import pandas as pd


class Records(Shown, list[EpochRecord]):
    """All records of a population, in the order in which they came."""

    def facts(self) -> Mapping[str, object]:
        """Return how many members ended how, and the best of them on validation examples."""
        last = self.last()
        outcomes = Counter(record.outcome for record in last)
        best = max((r.validation_accuracy for r in last if r.outcome == "completed"), default=None)
        return {
            "members": ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()),
            "epochs": len(self),
            "best validation accuracy": best,
        }

    def listed(self) -> Sequence[EpochRecord]:
        """Return each member's last record."""
        return self.last()

    def last(self) -> list[EpochRecord]:
        """Return the last record of each member that has ended, by member."""
        return sorted((r for r in self if r.outcome is not None), key=lambda r: r.member)

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with a row for each epoch of each member."""
        return to_frame(self)


class Training(Iterator[EpochRecord]):
    """A population in training: an iterator of its records, which can be watched as a whole.

    >>> import numpy as np
    >>> from downslope import Examples, NetworkSpec, TrainingSpec, drain
    >>> rows = Examples(np.eye(4, dtype=np.float32), np.arange(4))
    >>> training = TrainingSpec(epochs=3)
    >>> member = Member(network=NetworkSpec(widths=(4, 8, 4)), training=training, seed=541)
    >>> records = drain(train([member], rows))  # or watch(...), which draws a bar
    >>> records.to_frame()["epoch"].tolist()
    [1, 2, 3]
    """

    def __init__(
        self, records: Generator[EpochRecord], members: Sequence[Member], examples: int
    ) -> None:
        self._records, self._members, self._examples = records, members, examples

    def __next__(self) -> EpochRecord:
        return next(self._records)

    def close(self) -> None:
        """End the training before its end."""
        self._records.close()

    def steps(self) -> Steps[Records]:
        """Train to the end: yield progress and return all records."""
        costs = [member.expected_cost(self._examples) for member in self._members]
        done = [0.0] * len(costs)
        records, best, ended = Records(), 0.0, 0
        yield Progress("training", 0, sum(costs))
        try:
            for record in self._records:
                records.append(record)
                index, epochs = record.member, self._members[record.member].training.epochs
                done[index] = costs[index] * record.epoch / epochs
                if record.outcome is not None:
                    done[index], ended = costs[index], ended + 1
                    if record.outcome == "completed":
                        best = max(best, record.validation_accuracy)
                note = f"{ended}/{len(costs)} members" + (f", best {best:.4f}" if best else "")
                yield Progress("training", sum(done), sum(costs), note)
        finally:
            self.close()
        return records


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
) -> Training:
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
    records = run_jobs(
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
    return Training(records, members, len(training))


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


def run_jobs(runner: Runner, jobs: Iterable[Job]) -> Generator[EpochRecord]:
    """Submit jobs at once, then train them as their records are asked for; end the runner."""
    for job in jobs:
        runner.submit(job)
    return _drain(runner)


def _drain(runner: Runner) -> Generator[EpochRecord]:
    with runner:
        yield from runner.records()
