"""Train a chosen member again on all training examples, with several seeds, and test it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.data import Encoder, Examples, NumberMethod, SealedTestSet
from downslope.engines import EpochRecord, MakeRunner, Snapshot, local_runner, predict, train
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps
from downslope.search.baseline import DEGENERATE, ChanceLevel
from downslope.showing import Shown, to_frame
from downslope.statistics import (
    Accuracy,
    RegressionScore,
    accuracy_of,
    class_scores,
    confidence_of,
    confident_mistakes,
    regression_score,
)

if TYPE_CHECKING:
    import pandas as pd

LAST = 20  # the assignment asks for the training loss of the last 20 iterations

MISTAKES = 24  # kept to be looked at


class RefitEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """One epoch of a final training.

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
    """The training loss of one minibatch."""

    step: int
    train_loss: float | None


class RefitResult(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A final training.

    Args:
        member: what was trained, with the first seed that completed, or the first if none did.
        seeds: of all its trainings.
        examples: how many examples it was trained on, validation included.
        epochs: the training, averaged over seeds.
        last_minibatches: the last 20 minibatches of that seed.
        test_accuracy: on the sealed test set; None where no seed completed, and of numbers.
        test_error: of numbers to predict, on the sealed test set, in their units.
        confusion: of the first completed seed, rows true classes, columns predicted ones.
        stopped: a line for each seed that diverged or failed.
        encoding: of a table's numbers, where the settings name one; else None, for the recipe's.
    """

    member: Member
    seeds: list[int]
    examples: int
    epochs: list[RefitEpoch]
    last_minibatches: list[Minibatch]
    test_accuracy: Accuracy | None
    test_error: RegressionScore | None = None
    confusion: list[list[int]]
    stopped: list[str]
    encoding: NumberMethod | None = None

    def facts(self) -> Mapping[str, object]:
        """Return what was trained, and what it reached on the test set."""
        accuracy, reached = self.test_accuracy, ""
        if accuracy is not None:
            low, high = accuracy.interval
            reached = f"{accuracy.mean:.4f} (95 % {low:.4f} to {high:.4f})"
        return {
            **self.member.facts(),
            "seed": "",
            "seeds": self.seeds,
            "examples": self.examples,
            "test accuracy": reached,
            "test error": self.test_error,
            "stopped": "; ".join(self.stopped),
        }

    def to_frame(self, class_names: Sequence[str] = ()) -> pd.DataFrame:
        """Return the test scores of each class, of the first completed seed; see `class_scores`.

        Args:
            class_names: as `results.data.class_names` has them; by default numbers from 0.
        """
        frame = to_frame(class_scores(self.confusion))
        if class_names:
            frame.insert(0, "class", list(class_names)[: len(frame)])
        return frame

    @property
    def completed(self) -> bool:
        """Tell whether a seed did."""
        return self.test_accuracy is not None or self.test_error is not None


@dataclass(frozen=True, slots=True)
class Refit:
    """A final training with its arrays.

    Args:
        result: what goes into the results.
        states: trained states by seed, of those that completed.
        snapshots: of the path of `result.member`.
        predictions: classes of the test examples, shape (completed seeds, examples); or numbers
            in the target's units, float64.
        confidences: probability of those predictions, of the same shape; empty of numbers.
        truth: their true classes, shape (examples,); empty where no seed completed.
        mistakes: test examples that the first completed seed gets wrong most confidently.
        mistake_inputs: their inputs, scaled, shape (mistakes, features).
        others: snapshots of the other seeds that completed, one an epoch.
        test_inputs: encoded test examples, shape (examples, features).
    """

    result: RefitResult
    states: dict[int, dict[str, NDArray[np.generic]]]
    snapshots: tuple[Snapshot, ...]
    predictions: NDArray[np.int64] | NDArray[np.float64]
    confidences: NDArray[np.float32]
    truth: NDArray[np.int64] | NDArray[np.float64]
    mistakes: NDArray[np.int64]
    mistake_inputs: NDArray[np.float32]
    others: dict[int, tuple[Snapshot, ...]]
    test_inputs: NDArray[np.float32]


def refit(
    member: Member,
    seeds: Sequence[int],
    training: Examples,
    test: SealedTestSet,
    encoding: Encoder,
    *,
    numbers_of: Callable[[NDArray[Any]], NDArray[np.float64]] | None = None,
    monitor_test: bool = False,
    snapshots_per_epoch: int = 0,
    threads: int | None = None,
    task: str = "refit",
    make_runner: MakeRunner = local_runner,
) -> Steps[Refit]:
    """Train a member on all examples with several seeds, then open the test set once per seed.

    Args:
        member: the choice to retrain; its own seed is replaced.
        seeds: one training each.
        training: scaled examples, training and validation together.
        test: sealed; opened once for each completed seed, or once for the whole training where
            `monitor_test` asks for its accuracy after each epoch, as the published procedure does.
        encoding: of the training examples, for the test examples.
        numbers_of: of outputs and encoded targets, shape (rows, 1), the numbers in their units;
            None where classes are predicted.
        monitor_test: report the test accuracy of each epoch. Nothing is chosen by it.
        snapshots_per_epoch: of the parameters of the first seed that completes.
        threads, task, make_runner: as in `search`.

    Raises:
        InputError: no seeds, or a seed twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"refit: seeds = {list(seeds)} must be at least one, each once")
    members = [msgspec.structs.replace(member, seed=seed) for seed in seeds]
    monitored = None
    if monitor_test:
        monitored = encoding.apply(test.open(f"{task}: accuracy after each epoch"))
    records: list[list[EpochRecord]] = [[] for _ in members]
    total = float(len(members) * member.training.epochs)
    yield Progress(task, 0, total)
    for record in train(
        members,
        training,
        monitored,
        threads=threads,
        snapshots_per_epoch=snapshots_per_epoch,
        make_runner=make_runner,
    ):
        # The first seed's path is drawn in detail; the others' need less memory.
        kept = record
        if record.member:
            kept = msgspec.structs.replace(record, snapshots=record.snapshots[-1:])
        if kept.outcome == "completed" and (lost := _lost(kept, members[0], training)):
            kept = msgspec.structs.replace(kept, outcome="diverged", reason=lost)
        records[record.member].append(kept)
        note = f"seed {seeds[record.member]}, training loss {record.train_loss:.4f}"
        yield Progress(task, sum(len(r) for r in records), total, note)
    states = {
        seed: last.state
        for seed, (*_, last) in zip(seeds, records, strict=True)
        if last.outcome == "completed" and last.state is not None
    }
    path = next((i for i, r in enumerate(records) if r[-1].outcome == "completed"), 0)
    if path and snapshots_per_epoch:
        # Rare, and cheaper than to hold every seed's snapshots: the same bits once more.
        again = train(
            [members[path]],
            training,
            threads=1,
            snapshots_per_epoch=snapshots_per_epoch,
            make_runner=make_runner,
        )
        records[path] = []
        for record in again:
            records[path].append(record)
            note = f"the path of seed {seeds[path]}, as seed {seeds[0]} did not complete"
            yield Progress(task, total, total, note)
    confusion: list[list[int]] = []
    predictions: list[NDArray[Any]] = []
    confidences: list[NDArray[np.float32]] = []
    mistakes = np.empty(0, np.int64)
    truth: NDArray[Any] = mistakes
    inputs = mistake_inputs = np.empty((0, member.network.widths[0]), np.float32)
    # Here, not above: scikit-learn takes a second to load, and most commands need none of it.
    from sklearn.metrics import confusion_matrix

    for seed, state in states.items():
        examples = monitored or encoding.apply(test.open(f"{task}: final accuracy of seed {seed}"))
        inputs = examples.inputs.astype(np.float32)
        outputs = predict(member.network, state, inputs)
        if numbers_of is not None:
            truth = numbers_of(examples.targets)
            predictions.append(numbers_of(outputs))
            continue
        truth = examples.targets.astype(np.int64)
        chosen = outputs.argmax(axis=1)
        predictions.append(chosen)
        confidences.append(confidence_of(outputs))
        if len(predictions) == 1:
            mistakes = confident_mistakes(confidences[0], chosen == truth, MISTAKES)
            mistake_inputs = inputs[mistakes]
            classes = range(member.network.widths[-1])
            confusion = confusion_matrix(truth, chosen, labels=classes).tolist()
    final = records[path][-1]
    last_losses = np.concatenate([r.batch_losses for r in records[path]])[-LAST:]
    middle = 0.0 if numbers_of is None else numbers_of(training.targets).mean()
    result = RefitResult(
        member=members[path],
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
        test_accuracy=accuracy_of(np.array(predictions) == truth) if confidences else None,
        test_error=regression_score(np.array(predictions), truth, float(middle))
        if predictions and not confidences
        else None,
        confusion=confusion,
        stopped=[
            f"seed {seed} {last.outcome}: {last.reason}"
            for seed, (*_, last) in zip(seeds, records, strict=True)
            if last.outcome != "completed"
        ],
    )
    snapshots = tuple(s for record in records[path] for s in record.snapshots)
    others = {
        seed: tuple(s for record in of for s in record.snapshots[-1:])
        for i, (seed, of) in enumerate(zip(seeds, records, strict=True))
        if i != path and seed in states
    }
    return Refit(
        result,
        states,
        snapshots,
        np.array(predictions, truth.dtype).reshape(len(predictions), len(truth)),
        np.array(confidences, np.float32).reshape(len(confidences), len(truth)),
        truth,
        mistakes,
        mistake_inputs,
        others,
        inputs,
    )


def _lost(last: EpochRecord, member: Member, training: Examples) -> str:
    """Say why a refit that ended with finite losses is lost; empty if it is not."""
    chance = ChanceLevel.of(training, member.network.widths[-1])
    if last.state is None or last.train_loss <= DEGENERATE * chance.loss:
        return ""
    outputs = predict(member.network, last.state, training.inputs.astype(np.float32))
    accuracy = None
    if chance.accuracy is not None:
        accuracy = float((outputs.argmax(axis=1) == training.targets).mean())
    return chance.degeneracy(last.epoch, [last.train_loss], accuracy)


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
