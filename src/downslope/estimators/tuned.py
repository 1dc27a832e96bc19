"""A searched network as a scikit-learn estimator: search, choose on folds, train on everything."""

from __future__ import annotations

import numbers
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import msgspec
import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from downslope.checked import read
from downslope.data import Examples
from downslope.errors import InputError, one_line
from downslope.estimators.fitting import check_count, seed_of
from downslope.estimators.plain import MLPClassifier, MLPRegressor
from downslope.estimators.preparation import (
    Standardization,
    check_inputs,
    check_labelled,
    check_measured,
    hold_out,
)
from downslope.progress import Progress, Steps
from downslope.search import (
    Halving,
    Range,
    Sampler,
    SamplerName,
    SearchResult,
    Settings,
    Space,
    Trial,
    search,
)
from downslope.watch import watch

DEFAULT_SETTINGS: dict[str, Any] = {"optimizer": "adam", "schedule": "cosine", "epochs": 100}
DEFAULT_SPACE: dict[str, Any] = {
    "hidden_layers": [1, 2, 3],
    "units": Range(low=8, high=128, log=True),
    "learning_rate": Range(low=1e-3, high=3e-2, log=True),
    "weight_decay": [0.0, 1e-5, 1e-4, 1e-3, 1e-2],
    "batch_size": [16, 32, 64],
    "dropout": [0.0, 0.1, 0.3],
}


class _MLPSearch(BaseEstimator, ABC):
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
        validation_fraction: float = 0.2,
        standardize: bool = True,
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
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Search, choose and train on rows and targets."""

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict with the network of the chosen settings, trained on all rows."""
        check_is_fitted(self)
        return self.best_estimator_.predict(check_inputs(self, X))

    def _space(self, loss: Literal["cross_entropy", "mean_squared_error"]) -> Space:
        """Make the space, of settings whose loss is that of the task."""
        if "loss" in (self.space or {}):
            raise InputError(
                f"{type(self).__name__}: space: loss is that of the task, {loss}; leave it out"
            )
        fixed = _plain(self.settings or {})
        try:
            base = Settings().replace({**DEFAULT_SETTINGS, **fixed, "loss": loss})
            if self.space is None:  # what is fixed is not varied
                values = {n: v for n, v in DEFAULT_SPACE.items() if n not in fixed}
            else:
                values = {name: _values(name, value) for name, value in self.space.items()}
            if both := [name for name in values if name in fixed]:
                raise InputError(
                    f"settings: {both[0]} = {fixed[both[0]]!r} has no effect, because space varies "
                    "it; leave one of the two out"
                )
            space = Space(base=base, values=values)
            allowed = {*_parameters(base), "hidden_layers", "units", "label_smoothing"}
            for name in {**fixed, **values}:
                if name not in allowed:
                    raise InputError(f"{name} has no effect on the estimators; leave it out")
            space.check_combinations()
            return space
        except InputError as error:
            raise InputError(f"{type(self).__name__}: {error}") from None

    def _fit(
        self,
        rows: NDArray[np.floating],
        targets: NDArray[Any],
        codes: NDArray[Any],
        outputs: int,
        plain: Callable[[Settings, int], MLPClassifier | MLPRegressor],
    ) -> None:
        """Search and choose; `codes` are the targets as a network sees them."""
        name = type(self).__name__
        for parameter in ("trials", "candidates"):
            check_count(f"{name}: {parameter}", getattr(self, parameter))
        if isinstance(self.cv, numbers.Number):
            check_count(f"{name}: cv", self.cv, 2)
        for parameter in ("space", "settings"):
            given = getattr(self, parameter)
            if given is not None and not isinstance(given, Mapping):
                raise InputError(
                    f"{name}: {parameter} = {given!r}; it must be a dict by setting, or None"
                )
        if self.sampler not in get_args(SamplerName):
            allowed = ", ".join(map(repr, get_args(SamplerName)))
            raise InputError(f"{name}: sampler = {self.sampler!r}; it must be one of {allowed}")
        seed = seed_of(self.random_state)
        classes = codes if codes.ndim == 1 else None
        space = self._space("mean_squared_error" if classes is None else "cross_entropy")
        halving = self._halving()
        threads = int(cast(int, effective_n_jobs(cast(int, self.n_jobs))))

        splits = self._splits(rows, targets, classes)  # before the search: a mistake costs nothing
        kept, held_out = hold_out(len(rows), self.validation_fraction, seed, classes)
        inputs = Standardization(rows[kept], self.standardize, "X").apply(rows)
        answers = codes
        if classes is None:
            answers = Standardization(codes[kept], self.standardize, "y").apply(codes)
        examples = Examples(inputs, answers)
        with tempfile.TemporaryDirectory(prefix="downslope-") as folder:
            steps = search(
                Sampler(space, self.sampler, seed),
                examples.take(kept),
                examples.take(held_out),
                classes=outputs,
                seed=seed,
                store=Path(folder) / "trials.sqlite",
                trials=self.trials,
                halving=halving,
                threads=threads,
            )
            found = watch(steps, quiet=not self.verbose)
        self.trials_ = found.trials
        best = self._best_trials(found)

        scores = watch(
            self._scores(best, plain, seed, rows, targets, splits, threads),
            quiet=not self.verbose,
        )
        means = scores.mean(axis=1)
        if np.isnan(means).all():
            raise InputError(
                f"{name}: none of the {len(best)} best trials could be trained on all folds; give "
                "lower learning rates in the space"
            )
        self.best_index_ = int(np.nanargmax(means))
        chosen = best[self.best_index_]
        self.best_params_ = {name: getattr(chosen.settings, name) for name in space.values}
        self.best_score_ = float(means[self.best_index_])
        self.cv_results_ = {
            "params": [{n: getattr(t.settings, n) for n in space.values} for t in best],
            "trial": np.array([t.id for t in best]),
            **{f"split{k}_test_score": scores[:, k] for k in range(scores.shape[1])},
            "mean_test_score": means,
            "std_test_score": scores.std(axis=1),
            "rank_test_score": 1 + (means[None, :] > means[:, None]).sum(axis=1),
        }
        self.n_splits_ = len(splits)
        self.best_estimator_: Any = plain(chosen.settings, seed).fit(rows, targets)

    def _halving(self) -> Halving:
        return read(Halving, {"method": self.halving}, f"{type(self).__name__}: halving")

    def _best_trials(self, found: SearchResult) -> list[Trial]:
        """Return the best completed trials, of different settings each."""
        completed = [t for t in found.trials if t.outcome == "completed"]
        if not completed:
            reason = found.trials[0].reason
            raise InputError(
                f"{type(self).__name__}: none of the {len(found.trials)} trials completed (trial "
                f"0: {reason}); give lower learning rates in the space"
            )
        completed.sort(
            key=lambda t: (-(t.validation_accuracy or 0.0), t.validation_loss or 0.0, t.id)
        )
        best: list[Trial] = []
        for trial in completed:
            if len(best) < self.candidates and all(trial.settings != t.settings for t in best):
                best.append(trial)
        return best

    def _folds(self, classes: NDArray[np.int64] | None) -> Any:
        """Return cv, as many folds as the smallest class has rows at the most."""
        if classes is None or not isinstance(self.cv, int):
            return self.cv
        return max(2, min(self.cv, int(np.bincount(classes).min())))

    def _splits(
        self, rows: NDArray[np.floating], targets: NDArray[Any], classes: NDArray[Any] | None
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Split the rows as cv says.

        Raises:
            InputError: cv cannot split these rows, or into folds that cannot be scored.
        """
        name = type(self).__name__
        try:
            splitter: Any = check_cv(self._folds(classes), targets, classifier=classes is not None)
            splits = list(splitter.split(rows, targets))
        except ValueError as error:
            reason = one_line(error)
            advice = ""
            if "groups" in reason:
                advice = "; fit takes no groups: give cv = list(splitter.split(X, y, groups))"
            raise InputError(f"{name}: cv = {self.cv!r}: {reason}{advice}") from None
        smallest = min((len(test) for _, test in splits), default=0)
        if smallest < 2 and classes is None and self.scoring in (None, "r2"):
            raise InputError(
                f"{name}: cv = {self.cv!r} leaves {smallest} of {len(rows)} rows in a fold, on "
                "which R2 is not defined; give fewer folds or scoring = 'neg_mean_squared_error'"
            )
        return splits

    def _scores(
        self,
        best: Sequence[Trial],
        plain: Callable[[Settings, int], MLPClassifier | MLPRegressor],
        seed: int,
        rows: NDArray[np.floating],
        targets: NDArray[Any],
        splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
        threads: int,
    ) -> Steps[NDArray[np.float64]]:
        """Train each of the best trials on every fold; return scores of shape (trials, folds)."""
        jobs = [(t, train, test) for t in best for train, test in splits]
        fitted = Parallel(n_jobs=threads, prefer="threads", return_as="generator")(
            delayed(_fitted)(plain(t.settings, seed), rows[train], targets[train])
            for t, train, _ in jobs
        )
        scores: list[float] = []
        for (_, _, test), estimator in zip(jobs, fitted, strict=True):
            if estimator is None:
                scores.append(np.nan)
            else:
                scorer: Any = check_scoring(estimator, self.scoring)
                scores.append(float(scorer(estimator, rows[test], targets[test])))
            yield Progress("choice", len(scores), len(jobs), f"{len(best)} best trials on folds")
        return np.array(scores).reshape(len(best), len(splits))


class MLPSearchClassifier(ClassifierMixin, _MLPSearch):
    """Search the settings of a classifier, choose on folds, train the choice on all rows.

    First, all trials are trained on the same part of the rows and ranked on the rest. Then the best
    `candidates` are trained anew on each fold of `cv` and the mean score decides: the best of many
    on one split is luck in part. Last, the chosen settings are trained on all rows. What comes out
    depends on the data, the parameters and `random_state`, not on `n_jobs`.

    Args:
        space: by setting, a list of choices or a `downslope.search.Range`; None for a space of
            1 to 3 hidden layers that suits small tables. Settings are the fields of
            `downslope.search.Settings`: `hidden_layers`, `units`, `learning_rate`, `dropout`, ...
        settings: of what is not varied; over adam with a cosine schedule and 100 epochs.
        trials: how many settings are drawn.
        sampler: how, for example "random", "quasi_random" or "tpe"; see `downslope.search`.
        halving: "halving" prunes trials that do badly and lets the best third go on at each rung,
            "hyperband" does so in several brackets, "none" trains all in full.
        candidates: how many of the best are trained on folds, at most: halving leaves one of 6 or 8
            trials trained in full, two of 20, five of 50. `cv_results_` has those that were.
        cv: number of folds, or a scikit-learn splitter. No more folds than the smallest class has
            rows.
        scoring: as in scikit-learn's searches; None for accuracy (R² for the regressor).
        validation_fraction: of the rows, to rank the trials on.
        standardize: bring columns to mean 0 and variance 1, on the training rows of each fold.
        random_state: seed of the draws, splits and networks.
        n_jobs: networks trained at the same time; -1 for all cores.
        verbose: show the progress.

    Attributes:
        best_estimator_: the `MLPClassifier` of the chosen settings, trained on all rows.
        best_params_: the chosen values of the space.
        best_score_: their mean score over the folds. It is the highest of the candidates' means,
            so a little optimistic: for an honest figure score rows that fit has not seen.
        cv_results_: scores of the candidates on the folds, as in scikit-learn's searches.
        trials_: every `Trial`, its settings, outcome and learning curve.
        classes_: the labels, sorted.

    Raises:
        InputError: (a `ValueError`) a setting is not allowed, or no trial could be trained.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> search = MLPSearchClassifier({"units": [4, 16]}, trials=4, candidates=2, random_state=541)
    >>> bool(search.fit(X, y).best_score_ > 0.9)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Search on rows of shape (rows, features) and labels of shape (rows,) of any type.

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        rows, labels = check_labelled(self, X, y)
        classes, codes = np.unique(labels, return_inverse=True)

        def plain(settings: Settings, seed: int) -> MLPClassifier:
            return MLPClassifier(
                **_parameters(settings),
                label_smoothing=settings.label_smoothing,
                standardize=self.standardize,
                random_state=seed,
            )

        self._fit(rows, labels, codes.astype(np.int64), len(classes), plain)
        self.classes_ = classes
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class, shape (rows, classes)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(check_inputs(self, X))

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each class, shape (rows, classes)."""
        check_is_fitted(self)
        return self.best_estimator_.predict_log_proba(check_inputs(self, X))


class MLPSearchRegressor(RegressorMixin, _MLPSearch):
    """Search the settings of a regressor, choose on folds, train the choice on all rows.

    Parameters and attributes are those of `MLPSearchClassifier`; trials are ranked on the
    validation loss, the candidates on R² unless `scoring` says otherwise.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = MLPSearchRegressor({"units": [4, 16]}, trials=4, candidates=2, random_state=541)
    >>> bool(search.fit(X, y).best_score_ > 0.3)
    True
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Search on rows of shape (rows, features) and numbers, (rows,) or (rows, outputs).

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        rows, targets = check_measured(self, X, y)
        columns = targets.reshape(len(targets), -1)

        def plain(settings: Settings, seed: int) -> MLPRegressor:
            return MLPRegressor(
                **_parameters(settings), standardize=self.standardize, random_state=seed
            )

        self._fit(rows, targets, columns, columns.shape[1], plain)
        return self


def _fitted(
    estimator: MLPClassifier | MLPRegressor, rows: NDArray[np.floating], targets: NDArray[Any]
) -> MLPClassifier | MLPRegressor | None:
    """Train on a fold; None where the training diverges."""
    try:
        return estimator.fit(rows, targets)
    except InputError:
        return None


def _parameters(settings: Settings) -> dict[str, Any]:
    """Name the parameters of a plain estimator that are these settings."""
    allowed = set(MLPRegressor().get_params(deep=False))
    own = {k: v for k, v in msgspec.structs.asdict(settings).items() if k in allowed}
    return {"hidden_layer_sizes": (settings.units,) * settings.hidden_layers, **own}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return NumPy's numbers as Python's, which msgspec asks for."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}


def _values(name: str, values: Any) -> list[Any] | Range:
    if isinstance(values, Range):
        return values
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise InputError(
            f"space: {name} = {values!r}; it must be a list of choices or a downslope.search.Range"
        )
    return [v.item() if isinstance(v, np.generic) else v for v in cast(Sequence[Any], values)]
