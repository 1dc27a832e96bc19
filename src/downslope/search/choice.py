"""The choice among the best trials: train them again, and believe the mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from downslope.data import Encoder, Encodings, Examples
from downslope.engines import MakeRunner, local_runner
from downslope.progress import Steps
from downslope.search.result import Candidate, Choice, Evidence, SearchResult, objective, ranked
from downslope.search.study import search
from downslope.search.trials import Trial
from downslope.statistics import mean_interval


@dataclass(frozen=True, slots=True)
class Round:
    """One pair of training and held-out examples, and how often each candidate trains.

    Args:
        columns: as in `search`.
    """

    training: Examples
    held_out: Examples
    repeats: int = 1
    columns: Mapping[str | None, tuple[int, int]] | None = None


def choose(
    found: SearchResult,
    rounds: Sequence[Round],
    *,
    evidence: Evidence,
    top: int,
    classes: int,
    seed: int,
    store: Path,
    threads: int | None = None,
    task: str = "choice",
    make_runner: MakeRunner = local_runner,
) -> Steps[Choice]:
    """Train the best trials again with new seeds and choose by their mean accuracy.

    The best of many on one set of examples is partly lucky; its new trainings are not.

    Args:
        found: the search; at least one of its trials completed.
        rounds: on what the candidates are trained and compared.
        evidence: what the rounds are, for the result.
        top: how many trials are candidates.
        seed: of the first new training; each has its own.
        store: SQLite file of the new trainings; its name is completed for further rounds.
        classes, threads, task, make_runner: as in `search`.
    """
    best = ranked(found.trials)[:top]
    again: list[list[Trial]] = [[] for _ in best]
    for number, one in enumerate(rounds):
        proposals = [trial.settings for _ in range(one.repeats) for trial in best]
        trained = yield from search(
            proposals,
            one.training,
            one.held_out,
            classes=classes,
            seed=seed,
            store=round_store(store, number),
            threads=threads,
            task=f"{task}, round {number + 1} of {len(rounds)}" if len(rounds) > 1 else task,
            make_runner=make_runner,
            columns=one.columns,
        )
        seed += len(proposals)
        for trial in trained.trials:
            again[trial.id % len(best)].append(trial)
    # Other examples than these decide; folds have others each time.
    examples = len(rounds[0].held_out) if evidence == "second" else None
    candidates = [_candidate(t.id, own, examples) for t, own in zip(best, again, strict=True)]
    return Choice(
        evidence=evidence,
        examples=len(rounds[0].held_out),
        seeds=sum(one.repeats for one in rounds),
        candidates=candidates,
        chosen=_chosen(candidates),
        **_selection_bias(best[0], candidates[0]),
    )


def round_store(store: Path, number: int) -> Path:
    """Return the file of one round's trainings.

    >>> str(round_store(Path("choice.sqlite"), 1))
    'choice-2.sqlite'
    """
    return store if number == 0 else store.with_stem(f"{store.stem}-{number + 1}")


def folds(
    everything: Examples,
    count: int,
    seed: int,
    fit: Callable[[Examples], Encoder | Encodings] | None = None,
) -> list[Round]:
    """Split examples into folds: each is held out once and trained on otherwise.

    Args:
        everything: the examples.
        count: of folds.
        seed: of the split.
        fit: makes an encoding of those that are trained on, so that what is held out has no part in
            it; None where the examples are encoded already.

    >>> rows = Examples(np.zeros((7, 1), np.float32), np.arange(7))
    >>> [len(one.held_out) for one in folds(rows, 3, seed=0)]
    [3, 2, 2]
    """
    order = np.random.default_rng(seed).permutation(len(everything))
    parts = np.array_split(order, count)
    rounds: list[Round] = []
    for i, part in enumerate(parts):
        training = everything.take(np.sort(np.concatenate([*parts[:i], *parts[i + 1 :]])))
        held_out = everything.take(np.sort(part))
        columns = None
        if fit is not None:
            encoding = fit(training)
            training, held_out = encoding.apply(training), encoding.apply(held_out)
            columns = encoding.columns if isinstance(encoding, Encodings) else None
        rounds.append(Round(training, held_out, columns=columns))
    return rounds


def _candidate(number: int, again: Sequence[Trial], examples: int | None) -> Candidate:
    ended = [t.curve[-1] for t in again if t.outcome == "completed"]
    accuracies = [objective(last) for last in ended]
    if any(last.validation_accuracy is None for last in ended):
        examples = None  # how errors of numbers scatter over examples is not known here
    return Candidate(
        trial=number,
        accuracies=accuracies,
        mean=float(np.mean(accuracies)) if accuracies else None,
        interval=mean_interval(accuracies, examples=examples),
        interval_method="t" if examples is None else "crossed",
        stopped=[
            f"seed {t.member.seed} {t.outcome}: {t.reason}"
            for t in again
            if t.outcome != "completed"
        ],
    )


def _chosen(candidates: Sequence[Candidate]) -> int | None:
    """Prefer what completes most often, then the mean, then the better rank in the search."""
    able = [c for c in candidates if c.mean is not None]
    best = max(able, key=lambda c: (len(c.accuracies), cast(float, c.mean)), default=None)
    return None if best is None else best.trial


def _selection_bias(best: Trial, again: Candidate) -> dict[str, Any]:
    # The accuracy in the search is known; what new trainings would reach on average is not, nor,
    # on examples that ranked nothing, what they would reach on others.
    if again.mean is None:
        return {"selection_bias": None}
    reached = objective(best.curve[-1])
    interval = again.interval and (reached - again.interval[1], reached - again.interval[0])
    return {"selection_bias": reached - again.mean, "selection_bias_interval": interval}
