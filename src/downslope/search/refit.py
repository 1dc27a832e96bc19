"""Train a chosen member again on all training examples, with several seeds, and test it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.data import Examples, Scaling, SealedTestSet
from downslope.engines import EpochRecord, Snapshot, predict, train
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps
from downslope.search.intervals import Accuracy, accuracy_of

LAST = 20  # the assignment asks for the training loss of the last 20 iterations


class RefitEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one epoch of a refit.

    Args:
        epoch: from 1.
        train_loss: mean over the seeds that reached this epoch; None where one was not finite.
        test_accuracy: mean over seeds, only where the recipe monitors it.
        train_loss_per_seed: one loss per seed, in the order of the seeds; None where it was not
            finite or the seed had stopped before.
    """

    epoch: int
    train_loss: float | None
    test_accuracy: float | None
    train_loss_per_seed: list[float | None]


class Minibatch(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the training loss of one minibatch."""

    step: int
    train_loss: float | None


class RefitResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a refit.

    Args:
        member: what was trained, with the first seed.
        seeds: of all its trainings.
        examples: how many examples it was trained on, validation included.
        epochs: the training, averaged over seeds.
        last_minibatches: the last 20 minibatches of the first seed.
        test_accuracy: on the sealed test set; None where no seed completed.
        confusion: of the first completed seed, rows true classes, columns predicted ones.
        stopped: a line for each seed that diverged or failed.
    """

    member: Member
    seeds: list[int]
    examples: int
    epochs: list[RefitEpoch]
    last_minibatches: list[Minibatch]
    test_accuracy: Accuracy | None
    confusion: list[list[int]]
    stopped: list[str]


@dataclass(frozen=True, slots=True)
class Refit:
    """Hold a refit with its arrays: trained states by seed, and snapshots.

    Args:
        result: what there is to say.
        states: of the seeds that completed.
        snapshots: of the first seed.
        others: of the other seeds that completed, one an epoch.
    """

    result: RefitResult
    states: dict[int, dict[str, NDArray[np.generic]]]
    snapshots: tuple[Snapshot, ...]
    others: dict[int, tuple[Snapshot, ...]]


def refit(
    member: Member,
    seeds: Sequence[int],
    training: Examples,
    test: SealedTestSet,
    scaling: Scaling,
    *,
    monitor_test: bool = False,
    snapshots_per_epoch: int = 0,
    threads: int | None = None,
    task: str = "refit",
) -> Steps[Refit]:
    """Train a member on all examples with several seeds, then open the test set once per seed.

    Args:
        member: the choice to retrain; its own seed is replaced.
        seeds: one training each.
        training: scaled examples, training and validation together.
        test: sealed; opened once for each completed seed, or once for the whole training where
            `monitor_test` asks for its accuracy after each epoch, as the published procedure does.
        scaling: of the training examples, for the test examples.
        monitor_test: report the test accuracy of each epoch. Nothing is chosen by it.
        snapshots_per_epoch: of the first seed's parameters.
        threads: members trained at the same time.
        task: the name shown with the progress.

    Raises:
        InputError: no seeds, or a seed twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"refit: seeds = {list(seeds)} must be at least one, each once")
    members = [msgspec.structs.replace(member, seed=seed) for seed in seeds]
    monitored = None
    if monitor_test:
        monitored = scaling.apply(test.open(f"{task}: accuracy after each epoch"))
    records: list[list[EpochRecord]] = [[] for _ in members]
    total = float(len(members) * member.training.epochs)
    yield Progress(task, 0, total)
    for record in train(
        members,
        training,
        monitored,
        threads=threads,
        snapshots_per_epoch=snapshots_per_epoch,
    ):
        # The first seed's path is drawn in detail; the others' need less memory.
        kept = record
        if record.member:
            kept = msgspec.structs.replace(record, snapshots=record.snapshots[-1:])
        records[record.member].append(kept)
        note = f"seed {seeds[record.member]}, training loss {record.train_loss:.4f}"
        yield Progress(task, sum(len(r) for r in records), total, note)
    states = {
        seed: last.state
        for seed, (*_, last) in zip(seeds, records, strict=True)
        if last.outcome == "completed" and last.state is not None
    }
    accuracies: list[float] = []
    confusion: list[list[int]] = []
    for seed, state in states.items():
        examples = monitored or scaling.apply(test.open(f"{task}: final accuracy of seed {seed}"))
        classes = examples.targets.astype(np.int64)
        inputs = examples.inputs.astype(np.float32)
        chosen = predict(member.network, state, inputs).argmax(axis=1)
        accuracies.append(float((chosen == classes).mean()))
        confusion = confusion or confusion_matrix(classes, chosen, member.network.widths[-1])
    final = records[0][-1]
    last_losses = np.concatenate([r.batch_losses for r in records[0]])[-LAST:]
    result = RefitResult(
        member=members[0],
        seeds=list(seeds),
        examples=len(training),
        epochs=[_epoch(i, records) for i in range(max(map(len, records)))],
        last_minibatches=[
            Minibatch(
                step=final.step - len(last_losses) + i + 1,
                train_loss=float(loss) if math.isfinite(loss) else None,
            )
            for i, loss in enumerate(last_losses)
        ],
        test_accuracy=accuracy_of(accuracies, len(test)) if accuracies else None,
        confusion=confusion,
        stopped=[
            f"seed {seed} {last.outcome}: {last.reason}"
            for seed, (*_, last) in zip(seeds, records, strict=True)
            if last.outcome != "completed"
        ],
    )
    snapshots = tuple(s for record in records[0] for s in record.snapshots)
    others = {
        seed: tuple(s for record in of for s in record.snapshots)
        for seed, of in zip(seeds[1:], records[1:], strict=True)
        if seed in states
    }
    return Refit(result, states, snapshots, others)


def confusion_matrix(
    truth: NDArray[np.int64], chosen: NDArray[np.int64], classes: int
) -> list[list[int]]:
    """Count examples by true class (row) and predicted class (column).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    [[1, 0], [1, 1]]
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, chosen), 1)
    return counts.tolist()


def _epoch(index: int, records: Sequence[Sequence[EpochRecord]]) -> RefitEpoch:
    reached = [r[index] for r in records if index < len(r)]
    losses = [r.train_loss for r in reached]
    accuracies = [r.validation_accuracy for r in reached]
    mean = float(np.mean(losses))
    accuracy = float(np.mean(accuracies))
    return RefitEpoch(
        epoch=index + 1,
        train_loss=mean if math.isfinite(mean) else None,
        test_accuracy=accuracy if math.isfinite(accuracy) else None,
        train_loss_per_seed=[
            r[index].train_loss if index < len(r) and math.isfinite(r[index].train_loss) else None
            for r in records
        ],
    )
