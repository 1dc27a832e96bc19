"""The search of the estimators: trials, then the best of them on folds, then one or an ensemble."""

from __future__ import annotations

import numbers
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast, get_args

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import check_scoring
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, check_cv
from sklearn.utils.validation import check_is_fitted

from downslope.bars import watch
from downslope.checked import read
from downslope.data import Encodings, Examples, NumberMethod
from downslope.errors import InputError, one_line
from downslope.estimators.ensemble import Ensemble, greedy_weights
from downslope.estimators.fitting import fit_scaling, scaled
from downslope.estimators.preparation import (
    check_count,
    check_method,
    check_rows,
    fit_encoding,
    hold_out,
    name_columns,
    repeated,
    seed_of,
    take,
    warn_of_columns,
)
from downslope.estimators.scoring import defined, log_loss_or_error, score
from downslope.estimators.space import make_space
from downslope.estimators.tags import TakesTables
from downslope.estimators.task import Plain, Task
from downslope.models import Model
from downslope.progress import Progress, Steps
from downslope.search import Halving, Sampler, SamplerName, Settings, Space, Trial, search

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]

_Fitted = tuple[Plain | None, float, NDArray[np.float64]]
"""A network of a fold where an ensemble wants it, its score, its absolute residuals of numbers."""


class MLPSearch(TakesTables, ABC):
    """Search the settings of a network; what it is trained on is the subclass's."""

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        trials: int = 50,
        sampler: Any = "random",
        halving: Any = "halving",
        candidates: int = 5,
        cv: Any = 5,
        scoring: Any = None,
        ensemble: bool = False,
        validation_fraction: float = 0.2,
        numbers: str | Sequence[str] = "standard",
        class_weight: Any = None,
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: bool = False,
    ) -> None:
        self.space = space
        self.settings = settings
        self.trials = trials
        self.sampler = sampler
        self.halving = halving
        self.candidates = candidates
        self.cv = cv
        self.scoring = scoring
        self.ensemble = ensemble
        self.validation_fraction = validation_fraction
        self.numbers = numbers
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @abstractmethod
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None, groups: Any = None
    ) -> Self:
        """Search, choose and train on rows and targets."""

    @abstractmethod
    def make_plain(self, trial: Trial, seed: int) -> Plain:
        """Make the estimator of one network."""

    def to_model(self, *, target: str = "") -> Model:
        """Return the chosen network as a `Model`, to save, export and use without scikit-learn.

        Numbers come with an interval from the residuals on the folds: of networks that have not
        seen those rows, and were trained on a little fewer than the chosen one.

        Args:
            target: the label column's name; `downslope predict` scores rows that have it.

        Raises:
            InputError: there is an ensemble, or several numbers are predicted at once.
        """
        check_is_fitted(self)
        if self.ensemble_ is not None:
            raise InputError("to_model: an ensemble is no single network; set ensemble=False")
        model = self.best_estimator_.to_model(target=target)
        encoding = name_columns(model.encoding, self)
        return replace(model, encoding=encoding, residuals=getattr(self, "residuals_", None))

    def _predictions(self, X: ArrayLike, predict: Callable[[Any, Any], Any]) -> Any:
        """Let the chosen network predict, or the ensemble together."""
        check_is_fitted(self)
        rows, _ = check_rows(self, X)
        if self.ensemble_ is None:
            return predict(self.best_estimator_, rows)
        return self.ensemble_.combine(lambda estimator: predict(estimator, rows))

    def _fit(self, task: Task) -> None:
        name = type(self).__name__
        for parameter in ("trials", "candidates"):
            check_count(f"{name}: {parameter}", getattr(self, parameter))
        if isinstance(self.cv, numbers.Number):
            check_count(f"{name}: cv", self.cv, 2)
        if self.sampler not in get_args(SamplerName):
            allowed = ", ".join(map(repr, get_args(SamplerName)))
            raise InputError(f"{name}: sampler = {self.sampler!r}; it must be one of {allowed}")
        seed = seed_of(self.random_state)
        loss = "mean_squared_error" if task.classes is None else "cross_entropy"
        methods = self._methods()
        varied = None if isinstance(self.numbers, str) else methods
        if task.classes is None and "none" in methods and len(methods) > 1:
            raise InputError(
                f"{name}: numbers = {self.numbers!r}; 'none' leaves y alone too, so it stands "
                "alone for a regressor"
            )
        space = make_space(self.space, self.settings, loss, name, encodings=varied)
        threads = int(cast(int, effective_n_jobs(cast(int, self.n_jobs))))
        splits = self._splits(task)  # before the search: a mistake costs nothing

        self.trials_ = self._search(task, space, seed, threads)
        best = self._best(self.trials_)
        fitted = watch(self._on_folds(task, best, seed, splits, threads), quiet=not self.verbose)
        scores = np.array([[s for _, s, _ in folds] for folds in fitted])
        means = scores.mean(axis=1)
        if np.isnan(means).all():
            raise InputError(
                f"{name}: none of the {len(best)} best trials could be trained on all folds; give "
                "lower learning rates in the space"
            )
        self.best_index_ = int(np.nanargmax(means))
        self.best_score_ = float(means[self.best_index_])
        varied = [self._params(trial, space) for trial in best]
        self.best_params_ = varied[self.best_index_]
        self.cv_results_ = {
            "params": varied,
            "trial": np.array([trial.id for trial in best]),
            **{f"split{k}_test_score": scores[:, k] for k in range(scores.shape[1])},
            "mean_test_score": means,
            "std_test_score": scores.std(axis=1),
            "rank_test_score": 1 + (means[None, :] > means[:, None]).sum(axis=1),
        }
        self.n_splits_ = len(splits)
        if task.classes is None:
            self.residuals_ = np.concatenate([r for *_, r in fitted[self.best_index_]])
        self.ensemble_ = self._combine(task, fitted, splits) if self.ensemble else None
        self.best_estimator_: Any = self._quiet(best[self.best_index_], seed).fit(
            task.rows, task.truth, task.weights
        )
        warn_of_columns(self.best_estimator_.encoding_, name)

    def _search(self, task: Task, space: Space, seed: int, threads: int) -> list[Trial]:
        """Train the trials, all on the same rows."""
        name = type(self).__name__
        kept, held_out = hold_out(
            len(task.truth), self.validation_fraction, seed, task.codes, task.groups
        )
        weighty = kept if task.weights is None else kept[task.weights[kept] > 0]
        methods = self._methods()
        rows = take(task.rows, weighty)
        encodings = Encodings({method: fit_encoding(rows, method, name) for method in methods})
        targets = task.targets
        if task.classes is None:
            targets = scaled(fit_scaling(task.targets[weighty], methods[0]), task.targets)
        examples = Examples(encodings.transform(task.rows, "X"), targets)
        with tempfile.TemporaryDirectory(prefix="downslope-") as folder:
            steps = search(
                Sampler(space, self.sampler, seed),
                examples.take(repeated(kept, task.weights, seed)),
                examples.take(repeated(held_out, task.weights, seed)),
                classes=targets.shape[1] if task.classes is None else len(task.classes),
                seed=seed,
                store=Path(folder) / "trials.sqlite",
                trials=self.trials,
                halving=read(Halving, {"method": self.halving}, f"{name}: halving"),
                threads=threads,
                columns=None if isinstance(self.numbers, str) else encodings.columns,
            )
            return watch(steps, quiet=not self.verbose).trials

    def _quiet(self, trial: Trial, seed: int) -> Plain:
        estimator = self.make_plain(trial, seed)
        estimator.warns_of_columns = False  # once, for the chosen one, is enough
        return estimator

    def _methods(self) -> list[NumberMethod]:
        """List the encodings of numbers among which the search chooses."""
        name = type(self).__name__
        numbers = [self.numbers] if isinstance(self.numbers, str) else list(self.numbers)
        methods: list[NumberMethod] = [check_method(method, name) for method in numbers]
        if not methods or len(set(methods)) < len(methods):
            raise InputError(
                f"{name}: numbers = {self.numbers!r}; it must be an encoding, or a list of them, "
                "each once"
            )
        return methods

    def _numbers(self, trial: Trial) -> str:
        """Return the encoding of numbers that a trial saw."""
        return self.numbers if isinstance(self.numbers, str) else str(trial.settings.encoding)

    def _params(self, trial: Trial, space: Space) -> dict[str, Any]:
        params = {name: getattr(trial.settings, name) for name in space.values}
        if not isinstance(self.numbers, str):
            params["numbers"] = params.pop("encoding")
        return params

    def _best(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the best trials, of different settings each: completed ones, then pruned ones.

        Those that were pruned last, and with the best rank, make up for what halving leaves.
        """
        if not any(trial.outcome == "completed" for trial in trials):
            raise InputError(
                f"{type(self).__name__}: none of the {len(trials)} trials completed (trial "
                f"0: {trials[0].reason}); give lower learning rates in the space"
            )

        def place(trial: Trial) -> tuple[Any, ...]:
            if trial.outcome == "completed":
                score = (-(trial.validation_accuracy or 0.0), trial.validation_loss or 0.0)
                return (0, *score, trial.id)
            return (1, -(trial.rung or 0), trial.rank or 0, trial.id)

        best: dict[Settings, Trial] = {}
        for trial in sorted(trials, key=place):
            if trial.outcome in ("completed", "pruned"):
                best.setdefault(trial.settings, trial)
        return list(best.values())[: self.candidates]

    def _splits(self, task: Task) -> list[Fold]:
        """Split the rows as cv says, into as many folds as the smallest class has rows at most.

        Raises:
            InputError: cv cannot split these rows, or into folds that cannot be scored.
        """
        name, rows, codes = type(self).__name__, len(task.truth), task.codes
        cv: Any = self.cv
        if isinstance(cv, int) and codes is not None:
            cv = max(2, min(cv, int(np.bincount(codes).min())))
        if isinstance(cv, int) and task.groups is not None:
            cv = min(cv, len(np.unique(task.groups)))
            cv = GroupKFold(cv) if codes is None else StratifiedGroupKFold(cv)
        try:
            splitter: Any = check_cv(cv, task.truth, classifier=codes is not None)
            splits = list(splitter.split(np.zeros((rows, 1)), task.truth, task.groups))
        except ValueError as error:
            reason = one_line(error)
            advice = "; give them to fit, as groups" if "groups" in reason else ""
            raise InputError(f"{name}: cv = {self.cv!r}: {reason}{advice}") from None
        smallest = min((len(test) for _, test in splits), default=0)
        if smallest < 2 and codes is None and self.scoring in (None, "r2"):
            raise InputError(
                f"{name}: cv = {self.cv!r} leaves {smallest} of {rows} rows in a fold, on "
                "which R2 is not defined; give fewer folds or scoring = 'neg_mean_squared_error'"
            )
        return splits

    def _on_folds(
        self,
        task: Task,
        best: Sequence[Trial],
        seed: int,
        splits: Sequence[Fold],
        threads: int,
    ) -> Steps[list[list[_Fitted]]]:
        """Train each of the best trials on every fold; return by trial, then fold, what it does."""
        jobs = [(trial, *split) for trial in best for split in splits]
        trained = Parallel(n_jobs=threads, prefer="threads", return_as="generator")(
            delayed(task.fitted)(self._quiet(trial, seed), train) for trial, train, _ in jobs
        )
        fitted: list[_Fitted] = []
        undefined = 0
        for (_, _, test), estimator in zip(jobs, trained, strict=True):
            score, residuals = np.nan, np.empty(0)
            if estimator is not None:
                rows = take(task.rows, test)
                scorer: Any = check_scoring(estimator, self.scoring)
                score = float(scorer(estimator, rows, task.truth[test]))
                undefined = len(test) if np.isnan(score) else undefined
                if task.classes is None:
                    residuals = np.abs(estimator.predict(rows) - task.truth[test])
            fitted.append((estimator if self.ensemble else None, score, residuals))
            yield Progress("choice", len(fitted), len(jobs), f"{len(best)} best trials on folds")
        if undefined:
            defined(np.nan, self.scoring, undefined, type(self).__name__)
        folds = len(splits)
        return [fitted[i : i + folds] for i in range(0, len(fitted), folds)]

    def _combine(
        self,
        task: Task,
        fitted: Sequence[Sequence[_Fitted]],
        splits: Sequence[Fold],
    ) -> Ensemble:
        """Weigh the candidates by what their folds' networks predict of the rows held out."""
        whole = [[e for e, *_ in folds if e is not None] for folds in fitted]
        library = [estimators for estimators in whole if len(estimators) == len(splits)]
        held_out = np.unique(np.concatenate([test for _, test in splits]))
        predictions = [self._out_of_fold(task, each, splits)[held_out] for each in library]
        truth = task.truth[held_out]

        def judge(values: NDArray[np.float64]) -> float:
            predicted = task.predicted(values)
            if self.scoring is None:
                return log_loss_or_error(predicted, truth)
            return score(predicted, self.scoring, truth, type(self).__name__)

        weights = greedy_weights(predictions, judge)
        return Ensemble([(w, e) for w, e in zip(weights, library, strict=True) if w > 0])

    def _out_of_fold(
        self, task: Task, estimators: Sequence[Any], splits: Sequence[Fold]
    ) -> NDArray[np.float64]:
        """Predict each row by the networks that have not seen it; NaN where there is none."""
        total: NDArray[np.float64] | None = None
        times = np.zeros(len(task.truth))
        for estimator, (_, test) in zip(estimators, splits, strict=True):
            values = task.predictions(estimator, take(task.rows, test))
            if total is None:
                total = np.zeros((len(times), *values.shape[1:]))
            np.add.at(total, test, values)
            np.add.at(times, test, 1)
        assert total is not None
        with np.errstate(invalid="ignore"):
            return total / times.reshape(-1, *[1] * (total.ndim - 1))
