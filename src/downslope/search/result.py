"""What a search found: its trials, the best of them, and the choice among the best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from downslope.search.settings import Settings
from downslope.search.trials import Trial, TrialEpoch
from downslope.showing import Drawn, to_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Evidence = Literal["validation", "second", "folds"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One of the best trials, trained again.

    Args:
        trial: its id.
        accuracies: of each training that completed, in [0, 1]; of numbers to predict, the
            negative mean squared errors of the scaled targets, so that higher is better, too.
        mean: of the accuracies; None where none completed.
        interval: 95 % interval of the mean, by `interval_method`; None below two.
        stopped: a line for each training that did not complete.
        interval_method: "t" over trainings; "crossed" over trainings and other examples, where
            they were compared on a "second" part; "bootstrap" over trainings in runs of earlier
            versions.
    """

    trial: int
    accuracies: list[float]
    mean: float | None
    interval: tuple[float, float] | None
    stopped: list[str]
    interval_method: Literal["t", "crossed", "bootstrap"] = "bootstrap"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The choice among the best trials, by what they reach when trained again.

    Args:
        evidence: what they were compared on: the "validation" examples that ranked the trials, a
            "second" part of them that ranked nothing, or "folds" of all training examples.
        examples: behind each accuracy.
        seeds: trainings of each candidate.
        candidates: the best trials first.
        chosen: id of the trial with the highest mean, of those of which most trainings completed;
            None where none completed.
        selection_bias: by how much the best trial's accuracy in the search lies above the mean of
            its new trainings: the best of many looks better than it is. None where none completed.
        selection_bias_interval: 95 % of it, by the best trial's interval over its new trainings;
            None below two.
    """

    evidence: Evidence
    examples: int
    seeds: int
    candidates: list[Candidate]
    chosen: int | None
    selection_bias: float | None
    selection_bias_interval: tuple[float, float] | None = None


class SearchResult(Drawn, msgspec.Struct, frozen=True, kw_only=True):
    """All trials of a search and the best one.

    Args:
        trials: by id, whatever their outcome.
        best: the completed trial with the highest validation accuracy (then the lowest
            validation loss, then the lowest id); None where no trial completed.
        validation_examples: how many examples the trials were ranked on.
        choice: the best trials trained again; None where that was not asked for.
        importances: of each varied setting for the validation accuracy, adding up to 1 (fANOVA,
            Hutter et al. 2014); empty where too few trials completed.
    """

    trials: list[Trial]
    best: Trial | None
    validation_examples: int
    choice: Choice | None = None
    importances: dict[str, float] = {}

    def facts(self) -> Mapping[str, object]:
        """Return how many trials ended how, and the best of them."""
        outcomes = Counter(trial.outcome for trial in self.trials)
        ended = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        best, chosen = self.best, self.chosen
        score = best and (
            best.validation_loss if best.validation_accuracy is None else best.validation_accuracy
        )
        return {
            "trials": f"{len(self.trials)} ({ended})" if ended else "0",
            "best": best and f"trial {best.id}, {objective_name(best)} {score:.4g}",
            "chosen": chosen and f"trial {chosen.id}, {chosen.member.network.label}",
            "validation examples": self.validation_examples,
        }

    def listed(self) -> Sequence[Trial]:
        """Return the trials, the best first."""
        best = ranked(self.trials)
        return [*best, *(trial for trial in self.trials if trial.outcome != "completed")]

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with a row for each trial, by id, and what it reached.

        Of the settings it has those in which trials differ; `to_frame(search.trials)` has all.
        """
        frame = to_frame(self.trials)
        names = set(Settings.__struct_fields__) & set(frame.columns)
        return frame.drop(columns=[name for name in names if len({*frame[name].tolist()}) < 2])

    def plot_history(self) -> Figure:
        """Draw how each trial learned: its validation accuracy after each epoch."""
        return self.plot("curves")

    @property
    def chosen(self) -> Trial | None:
        """Return the trial whose settings are trained finally: the choice, else the best."""
        if self.choice is None or self.choice.chosen is None:
            return self.best
        return next(t for t in self.trials if t.id == self.choice.chosen)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Choose the best completed trial on validation accuracy; None where none completed."""
    return next(iter(ranked(trials)), None)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Sort the completed trials, the best first."""
    completed = [t for t in trials if t.outcome == "completed"]
    return sorted(
        completed, key=lambda t: score(t.validation_accuracy, t.validation_loss, t.id), reverse=True
    )


def objective_name(trial: Trial) -> str:
    """Say what trials were ranked on."""
    ranked_on = "loss" if trial.validation_accuracy is None else "accuracy"
    return f"validation {ranked_on}"


def objective(point: TrialEpoch) -> float:
    """Return the number that a sampler learns from; higher is better.

    The accuracy, or where targets are numbers the negative loss.
    """
    if point.validation_accuracy is not None:
        return point.validation_accuracy
    return -math.inf if point.validation_loss is None else -point.validation_loss


def score(accuracy: float | None, loss: float | None, number: int) -> tuple[float, float, int]:
    """Return what trials are ranked by; higher is better.

    >>> score(0.9, 0.5, 3) > score(0.9, 0.6, 2) > score(0.9, 0.6, 4) > score(0.8, 0.1, 0)
    True
    """
    return accuracy or 0.0, -math.inf if loss is None else -loss, -number
