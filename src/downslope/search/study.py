"""The search: train every proposal, store every outcome, choose on validation data alone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.data import Examples
from downslope.engines import Checkpoint, EpochRecord, Job, MakeRunner, Runner, local_runner
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps
from downslope.search.baseline import ChanceLevel
from downslope.search.halving import Cohort, Halving, Pruned
from downslope.search.result import SearchResult, best_of, objective, score
from downslope.search.samplers import Sampler
from downslope.search.settings import Settings
from downslope.search.snapshots import check_room, pack, snapshot_bytes, unpack
from downslope.search.trials import Outcome, PausedTrial, Trial, TrialEpoch, TrialStore

NO_HALVING = Halving()


class _ListSampler:
    """A sampler that proposes what stands in a list."""

    adaptive = False

    def __init__(self, proposals: Sequence[Settings]) -> None:
        self._rest = iter(proposals)

    def ask(self) -> Settings | None:
        return next(self._rest, None)

    def tell(self, number: int, scores: Sequence[float], outcome: str) -> None:
        pass


def search(
    proposals: Sequence[Settings] | Sampler,
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    seed: int,
    store: Path,
    trials: int | None = None,
    halving: Halving = NO_HALVING,
    threads: int | None = None,
    task: str = "search",
    make_runner: MakeRunner = local_runner,
    snapshots_per_epoch: int = 0,
    columns: Mapping[str | None, tuple[int, int]] | None = None,
) -> Steps[SearchResult]:
    """Train every proposal and choose the best on validation examples.

    What is found depends on the proposals, the data and the seed only: not on threads, timing or
    interruptions. Trials that the store already holds are not trained again, and those that wait
    at a rung go on from there.

    Args:
        proposals: settings of trial 0, 1, ...; trial i has the seed `seed + i`.
        training: scaled examples to train on.
        validation: scaled examples to choose on.
        classes: outputs of the networks.
        seed: of trial 0.
        store: SQLite file of the trials.
        trials: how many; needed where `proposals` is not a list.
        halving: how trials that do badly are stopped early.
        threads: members trained at the same time.
        task: the name shown with the progress.
        make_runner: makes what trains, here or on a cluster.
        snapshots_per_epoch: parameters to keep of every trial, in `store`, as differences in
            float16; `trial_snapshots` reads them. The trials are the same bits with and without.
        columns: of the inputs, those that a trial sees by the encoding in its settings; None where
            there is one encoding, and all see everything. See `Encodings`.

    Raises:
        InputError: no proposals, examples that do not fit them, no room for the snapshots, or a
            store that holds other trials than these.
    """
    sampler = proposals if isinstance(proposals, Sampler) else _ListSampler(proposals)
    if not isinstance(proposals, Sampler):
        trials = len(proposals)
    if not trials:
        raise InputError("search: trials = 0; at least one is needed")
    if snapshots_per_epoch < 0:
        raise InputError(f"search: snapshots_per_epoch = {snapshots_per_epoch} is below 0")
    with TrialStore(store) as trial_store, make_runner(training, validation, threads) as runner:
        scheduler = _TrialScheduler(
            sampler,
            trials,
            halving,
            trial_store,
            runner,
            training,
            classes,
            seed,
            snapshots_per_epoch,
            columns,
        )
        note = scheduler.check_room() if snapshots_per_epoch else ""
        yield scheduler.progress(task, note)
        for record in runner.records():
            scheduler.take(record)
            yield scheduler.progress(task)
            if not runner.ready():
                trial_store.commit()  # while the cores train
        ended = [scheduler.done[i] for i in sorted(scheduler.done)]
    return SearchResult(trials=ended, best=best_of(ended), validation_examples=len(validation))


@dataclass(slots=True)
class _Course:
    """A trial on its way: what it has done so far, here or before an interruption."""

    id: int
    settings: Settings
    member: Member
    cohort: int
    cost: float
    curve: list[TrialEpoch] = field(default_factory=list[TrialEpoch])
    seconds: float = 0.0
    stored: Trial | None = None
    worked: float = 0.0
    parameters: NDArray[np.float32] | None = None
    """As the snapshots kept so far have them; None where there are none."""

    def ended(self, outcome: Outcome, reason: str) -> Trial:
        last = self.curve[-1] if self.curve else None
        final = last if outcome == "completed" else None
        return Trial(
            id=self.id,
            settings=self.settings,
            member=self.member,
            outcome=outcome,
            reason=reason,
            validation_accuracy=final and final.validation_accuracy,
            validation_loss=final and final.validation_loss,
            train_loss=last and last.train_loss,
            curve=self.curve,
            seconds=self.seconds,
            cohort=self.cohort,
        )

    def paused(self) -> PausedTrial:
        return PausedTrial(
            id=self.id,
            settings=self.settings,
            member=self.member,
            curve=self.curve,
            seconds=self.seconds,
        )


class _TrialScheduler:
    """Decide what is trained next, from the records that come and from the store."""

    def __init__(
        self,
        sampler: Sampler | _ListSampler,
        trials: int,
        halving: Halving,
        store: TrialStore,
        runner: Runner,
        training: Examples,
        classes: int,
        seed: int,
        snapshots_per_epoch: int,
        columns: Mapping[str | None, tuple[int, int]] | None,
    ) -> None:
        self._columns = columns
        self._sampler, self._store, self._runner = sampler, store, runner
        self._snapshots_per_epoch = snapshots_per_epoch
        self._training = training
        self._unfinished = 0  # jobs
        self._classes, self._seed = classes, seed
        self._chance = ChanceLevel.of(training, classes)
        self._factor = halving.factor
        self._sizes = list(halving.cohorts(trials, sampler.adaptive))
        self._planned = trials
        self._cohorts: list[Cohort] = []
        self._members: list[list[int]] = []
        self._told = 0
        # Sums kept up to date: progress is said after every epoch of hundreds of trials.
        self._cost = self._worked = 0.0
        self._best: float | None = None
        self._courses: dict[int, _Course] = {}
        self._held = {t.id: t for t in store.trials() if t.id < trials}
        self._paused = {t.id: t for t in store.paused() if t.id < trials}
        self.done: dict[int, Trial] = {}
        self._open_cohorts()

    def check_room(self) -> str:
        """Say how much the snapshots take; refuse what the disk has no room for."""
        members = [course.member for course in self._courses.values()]
        size = snapshot_bytes(members, self._planned, self._snapshots_per_epoch)
        return check_room(size, self._store.path)

    def progress(self, task: str, note: str = "") -> Progress:
        """Say how much is done; what is not proposed yet counts as the mean of the rest."""
        total = self._cost * self._planned / max(1, len(self._courses))
        if note:
            return Progress(task, self._worked, total, note)
        text = f"{len(self.done)}/{self._planned} trials"
        if self._best is not None:
            text += f", best {self._best:.4f}"
        return Progress(task, self._worked, total, text)

    def take(self, record: EpochRecord) -> None:
        """Take a record in: store what has ended or waits, and submit what goes on."""
        course = self._courses[record.member]
        course.seconds += record.seconds
        self._work(course, course.cost / course.member.training.epochs)
        if record.snapshots:
            self._keep(course, record)
        if record.outcome != "failed":
            course.curve.append(
                TrialEpoch(
                    epoch=record.epoch,
                    train_loss=_finite(record.train_loss),
                    validation_loss=_finite(record.validation_loss),
                    validation_accuracy=_finite(record.validation_accuracy),
                )
            )
        cohort = self._cohorts[course.cohort]
        if record.outcome is not None:
            self._unfinished -= 1
            outcome, reason = record.outcome, record.reason
            if outcome == "completed":
                last = course.curve[-1]
                losses = last.validation_loss, last.train_loss
                reason = self._chance.degeneracy(last.epoch, losses, last.validation_accuracy)
                outcome = "diverged" if reason else "completed"
            self._end(course.ended(outcome, reason))
            self._arrived(course.id)
        elif record.epoch == cohort.until(course.id):
            self._unfinished -= 1
            assert record.checkpoint is not None
            self._store.pause(course.paused(), record.checkpoint.to_bytes())
            self._arrived(course.id)
        self._open_cohorts()

    def _keep(self, course: _Course, record: EpochRecord) -> None:
        """Store an epoch's snapshots: at the next commit with the trial, or before it."""
        if course.parameters is None and record.epoch > 1:  # it goes on from before a kill
            before = unpack(self._store.kept(course.id, record.epoch - 1))
            if not before:  # by a search that kept none: the path of this trial has no beginning
                return
            course.parameters = before[-1].parameters
        content = pack(record.snapshots, course.parameters)
        course.parameters = unpack([content], course.parameters)[-1].parameters
        self._store.keep(course.id, record.epoch, content)

    def _open_cohorts(self) -> None:
        """Propose as many cohorts as keep all cores busy."""
        while len(self._cohorts) < len(self._sizes):
            number = len(self._cohorts)
            # An adaptive sampler knows all cohorts but the one before: its last trials may still be
            # running, and no core waits for them.
            if self._sampler.adaptive:
                if any(cohort.open for cohort in self._cohorts[: max(0, number - 1)]):
                    return
                self._tell_up_to(number - 1)
            if self._unfinished >= 3 * self._runner.size:  # two wait for each that trains
                return
            self._propose(number)

    def _propose(self, number: int) -> None:
        size, shares = self._sizes[number]
        first = len(self._courses)
        for i in range(first, first + size):
            settings = self._sampler.ask()
            if settings is None:  # a grid has ended
                self._planned = len(self._courses)
                del self._sizes[number + 1 :]
                if not self._planned:
                    raise InputError("search: no point of the grid meets the constraints")
                break
            first_input, end = self._seen(settings) or (0, self._training.inputs.shape[1])
            member = settings.member(end - first_input, self._classes, self._seed + i)
            for stored in (self._held.get(i), self._paused.get(i)):
                if stored is not None and stored.member != member:
                    raise self._another(i)
            cost = member.expected_cost(len(self._training))
            self._courses[i] = _Course(i, settings, member, number, cost)
            self._cost += cost
        ids = list(range(first, len(self._courses)))
        self._members.append(ids)
        self._cohorts.append(
            Cohort(ids, shares, self._factor, lambda i: self._courses[i].member.training.epochs)
        )
        for i in ids:
            course = self._courses[i]
            course.stored = self._held.get(i)
            before = course.stored or self._paused.get(i)
            if before is not None:
                course.curve, course.seconds = list(before.curve), before.seconds
                done = course.cost * len(course.curve) / course.member.training.epochs
                self._work(course, done)
        for i in ids:
            self._advance(i)

    def _seen(self, settings: Settings) -> tuple[int, int] | None:
        return None if self._columns is None else self._columns[settings.encoding]

    def _advance(self, number: int) -> None:
        """Train a trial to where it is compared next, unless the store knows what comes of it."""
        course = self._courses[number]
        until = self._cohorts[course.cohort].until(number)
        stored, done = course.stored, len(course.curve)
        if stored is not None:
            # A diverged trial's last epoch is in its curve, that in which one failed is not.
            ended = (stored.outcome == "diverged" and done <= until) or (
                stored.outcome == "failed" and done < until
            )
            if ended or (stored.outcome == "completed" and until == done):
                self._finish(course, stored)
            elif done < until:
                raise self._another(number)
        if done >= until or number in self.done:
            self._arrived(number)
            return
        checkpoint = None
        if course.curve:
            checkpoint = Checkpoint.from_bytes(self._store.state(number))
        left = course.cost * (until - len(course.curve)) / course.member.training.epochs
        self._unfinished += 1
        self._runner.submit(
            Job(
                member=course.member,
                index=number,
                until=until,
                snapshots_per_epoch=self._snapshots_per_epoch,
                checkpoint=checkpoint,
                priority=(course.cohort, -left),
                columns=self._seen(course.settings),
            )
        )

    def _arrived(self, number: int) -> None:
        """Let the cohort decide on everything that follows from one trial's arrival."""
        queue = deque([number])
        while queue:
            course = self._courses[queue.popleft()]
            cohort = self._cohorts[course.cohort]
            ended = self.done.get(course.id)
            lost = ended is not None and ended.outcome != "completed"
            goes_on, pruned = cohort.arrived(course.id, None if lost else self._score_at(course))
            for out in pruned:
                if out.trial not in self.done:
                    self._end(self._pruned(out))
            for trial in goes_on:
                if trial in self.done:
                    queue.append(trial)
                else:
                    self._advance(trial)

    def _score_at(self, course: _Course) -> tuple[float, float, int]:
        """Score a trial at the epoch at which it is compared, whatever else the store knows."""
        point = course.curve[self._cohorts[course.cohort].until(course.id) - 1]
        return score(point.validation_accuracy, point.validation_loss, course.id)

    def _pruned(self, out: Pruned) -> Trial:
        course = self._courses[out.trial]
        epochs = course.member.training.epochs
        reason = (
            f"rank {out.rank} of {out.entrants} at rung {out.rung} (epoch {len(course.curve)} of "
            f"{epochs}), of which {out.kept} went on"
        )
        trial = course.ended("pruned", reason)
        return msgspec.structs.replace(trial, rung=out.rung, rank=out.rank)

    def _end(self, trial: Trial) -> None:
        stored = self._courses[trial.id].stored
        if stored is None:
            self._store.add(trial)
        elif stored.outcome != trial.outcome:
            raise self._another(trial.id)
        self._finish(self._courses[trial.id], stored or trial)

    def _finish(self, course: _Course, trial: Trial) -> None:
        self.done[trial.id] = trial
        course.parameters = None
        self._work(course, course.cost - course.worked)  # what is left of it will not be done
        if trial.outcome == "completed" and trial.validation_accuracy is not None:
            self._best = max(self._best or 0.0, trial.validation_accuracy)

    def _work(self, course: _Course, cost: float) -> None:
        course.worked += cost
        self._worked += cost

    def _another(self, number: int) -> InputError:
        return InputError(
            f"{self._store.path}: trial {number} is of another search; remove the file, or begin "
            "in another directory"
        )

    def _tell_up_to(self, cohort: int) -> None:
        """Tell the outcomes of all cohorts below one, in the order of ids."""
        for number in range(self._told, cohort):
            for i in self._members[number]:
                trial = self.done[i]
                epochs = self._cohorts[number].rung_epochs(i)
                seen = [e for e in epochs if e <= len(trial.curve)]
                scores = [objective(trial.curve[e - 1]) for e in seen]
                self._sampler.tell(i, scores, trial.outcome)
        self._told = max(self._told, cohort)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
