"""A searched network as a scikit-learn estimator: search, choose on folds, train on everything."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from downslope.estimators.plain import MLPClassifier, MLPRegressor, refuse_for_numbers
from downslope.estimators.preparation import check_rows, weights_of
from downslope.estimators.searching import MLPSearch
from downslope.estimators.space import parameters_of
from downslope.estimators.tags import PredictsNumbers
from downslope.estimators.task import Task, all_probabilities, check_groups
from downslope.search import Trial


class MLPSearchClassifier(ClassifierMixin, MLPSearch):
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
        candidates: how many of the best are trained on folds. Where halving leaves fewer trained
            in full, those that it pruned last make up for it.
        cv: number of folds, or a scikit-learn splitter. No more folds than the smallest class has
            rows.
        scoring: as in scikit-learn's searches; None for accuracy (R² for the regressor).
        ensemble: predict with the candidates together, in place of the best one trained on all
            rows: the mean of each candidate's networks of the folds, weighted greedily by what
            they predict of the rows held out (Caruana et al. 2004), by `scoring` or, where that
            is None, by the log loss (the squared error for the regressor).
        validation_fraction: of the rows, to rank the trials on.
        numbers: how columns of numbers are encoded, as in `MLPClassifier`; a list of encodings
            is searched like a setting of the space.
        class_weight: as in `MLPClassifier`.
        random_state: seed of the draws, splits and networks.
        n_jobs: networks trained at the same time; -1 for all cores.
        verbose: show the progress.

    Attributes:
        best_estimator_: the `MLPClassifier` of the chosen settings, trained on all rows.
        ensemble_: weights and networks, with `ensemble`; else None.
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

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None, groups: Any = None
    ) -> Self:
        """Search.

        Args:
            X: rows of shape (rows, columns), in a frame of any columns too.
            y: labels of any type, shape (rows,).
            sample_weight: of each row, shape (rows,), at least 0; scores are not weighted.
            groups: of each row, shape (rows,): no group is trained on and judged by at once.

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        rows, labels = check_rows(self, X, y)
        classes, codes = np.unique(labels, return_inverse=True)
        weights = weights_of(sample_weight, self.class_weight, X, labels)
        self._fit(
            Task(rows, labels, codes.astype(np.int64), classes, weights, check_groups(rows, groups))
        )
        self.classes_ = classes
        return self

    def make_plain(self, trial: Trial, seed: int) -> MLPClassifier:
        """Make the estimator of one network."""
        parameters = parameters_of(trial.settings)
        return MLPClassifier(**parameters, numbers=self._numbers(trial), random_state=seed)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each row, shape (rows,)."""
        probabilities = self.predict_proba(X)  # which refuses before fit
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class, shape (rows, classes)."""
        return self._predictions(
            X, lambda estimator, rows: all_probabilities(estimator, rows, self.classes_)
        )

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each class, shape (rows, classes)."""
        check_is_fitted(self)
        if self.ensemble_ is None:  # exact where a probability is too small for a float
            return self.best_estimator_.predict_log_proba(check_rows(self, X)[0])
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class MLPSearchRegressor(PredictsNumbers, MLPSearch):
    """Search the settings of a regressor, choose on folds, train the choice on all rows.

    Parameters and attributes are those of `MLPSearchClassifier`; trials are ranked on the
    validation loss, the candidates on R² unless `scoring` says otherwise. `residuals_` has the
    chosen settings' absolute residuals on the folds.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = MLPSearchRegressor({"units": [4, 16]}, trials=4, candidates=2, random_state=541)
    >>> bool(search.fit(X, y).best_score_ > 0.3)
    True
    """

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None, groups: Any = None
    ) -> Self:
        """Search.

        Args:
            X: rows of shape (rows, columns), in a frame of any columns too.
            y: numbers, (rows,) or (rows, outputs).
            sample_weight: of each row, shape (rows,), at least 0; scores are not weighted.
            groups: of each row, shape (rows,): no group is trained on and judged by at once.

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        refuse_for_numbers(self)
        rows, targets = check_rows(self, X, y, regression=True)
        columns = targets.reshape(len(targets), -1)
        weights = weights_of(sample_weight, None, X, None)
        self._fit(Task(rows, targets, columns, None, weights, check_groups(rows, groups)))
        return self

    def make_plain(self, trial: Trial, seed: int) -> MLPRegressor:
        """Make the estimator of one network."""
        parameters = parameters_of(trial.settings)
        return MLPRegressor(**parameters, numbers=self._numbers(trial), random_state=seed)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the predicted numbers, of as many dimensions as y had."""
        return self._predictions(X, lambda estimator, rows: estimator.predict(rows))
