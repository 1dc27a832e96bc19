"""The search: train every proposal, store every outcome, choose on validation data alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from downslope.cluster import Trainer
from downslope.data import Examples
from downslope.engines import EpochRecord, train
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps
from downslope.search.spaces import Settings
from downslope.search.trials import Trial, TrialEpoch, TrialStore


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold all trials of a search and the best one.

    Args:
        trials: by id, whatever their outcome.
        best: the completed trial with the highest validation accuracy (then the lowest
            validation loss, then the lowest id); None where no trial completed.
        validation_examples: how many examples the choice was made on.
    """

    trials: list[Trial]
    best: Trial | None
    validation_examples: int


def search(
    proposals: Sequence[Settings],
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    seed: int,
    store: Path,
    threads: int | None = None,
    task: str = "search",
    trainer: Trainer = train,
) -> Steps[SearchResult]:
    """Train every proposal and choose the best on validation examples.

    Trials that the store already holds are not trained again, so an interrupted search goes on
    where it was.

    Args:
        proposals: settings of trial 0, 1, ...; trial i has the seed `seed + i`.
        training: scaled examples to train on.
        validation: scaled examples to choose on.
        classes: outputs of the networks.
        seed: of trial 0.
        store: SQLite file of the trials.
        threads: members trained at the same time.
        task: the name shown with the progress.
        trainer: what trains, here or on a cluster.

    Raises:
        InputError: no proposals, or a store that holds other trials than these.
    """
    if not proposals:
        raise InputError("search: trials = 0; at least one is needed")
    features = training.inputs.shape[1]
    members = [s.member(features, classes, seed + i) for i, s in enumerate(proposals)]
    with TrialStore(store) as trials:
        done = {trial.id: trial for trial in trials.trials() if trial.id < len(members)}
        for trial in done.values():
            if trial.member != members[trial.id]:
                raise InputError(
                    f"{store}: trial {trial.id} is of another search; give another --out or "
                    "remove it"
                )
        rest = [i for i in range(len(members)) if i not in done]
        curves: dict[int, list[EpochRecord]] = {i: [] for i in rest}
        costs = [members[i].expected_cost(len(training)) for i in rest]
        worked, total = 0.0, sum(costs)
        yield Progress(task, worked, total, _note(done, len(members)))
        records = trainer([members[i] for i in rest], training, validation, threads=threads)
        for record in records:
            i = rest[record.member]
            worked += costs[record.member] / members[i].training.epochs
            curves[i].append(record)
            if record.outcome is not None:
                done[i] = make_trial(i, proposals[i], members[i], curves.pop(i))
                trials.add(done[i])
                # A member that stopped early has no more work to wait for.
                left = members[i].training.epochs - record.epoch
                worked += costs[record.member] / members[i].training.epochs * left
            yield Progress(task, worked, total, _note(done, len(members)))
    ordered = [done[i] for i in range(len(members))]
    return SearchResult(trials=ordered, best=best_of(ordered), validation_examples=len(validation))


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Choose the best completed trial on validation accuracy; None where none completed."""
    completed = [t for t in trials if t.outcome == "completed"]
    return max(
        completed,
        key=lambda t: (
            t.validation_accuracy or 0.0,
            -math.inf if t.validation_loss is None else -t.validation_loss,
            -t.id,
        ),
        default=None,
    )


def make_trial(
    number: int, settings: Settings, member: Member, records: Sequence[EpochRecord]
) -> Trial:
    """Turn the records of one member into its trial."""
    last = records[-1]
    assert last.outcome is not None
    completed = last.outcome == "completed"
    return Trial(
        id=number,
        settings=settings,
        member=member,
        outcome=last.outcome,
        reason=last.reason,
        validation_accuracy=_finite(last.validation_accuracy) if completed else None,
        validation_loss=_finite(last.validation_loss) if completed else None,
        train_loss=_finite(last.train_loss),
        curve=[
            TrialEpoch(
                epoch=r.epoch,
                train_loss=_finite(r.train_loss),
                validation_loss=_finite(r.validation_loss),
                validation_accuracy=_finite(r.validation_accuracy),
            )
            for r in records
            if r.outcome != "failed"
        ],
        seconds=sum(r.seconds for r in records),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _note(done: dict[int, Trial], total: int) -> str:
    best = best_of(list(done.values()))
    text = f"{len(done)}/{total} trials"
    if best is not None and best.validation_accuracy is not None:
        text += f", best {best.validation_accuracy:.4f}"
    return text
