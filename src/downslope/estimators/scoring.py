"""Predictions that are there already, as estimators that scikit-learn's scorers take."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import check_scoring

from downslope.errors import InputError, one_line


class PredictedClasses(ClassifierMixin, BaseEstimator):
    """Probabilities of some rows, shape (rows, classes), whatever rows are asked about."""

    def __init__(self, classes: NDArray[Any], probabilities: NDArray[np.float64]) -> None:
        self.classes = classes
        self.classes_ = classes
        self.probabilities = probabilities

    def fit(self, X: Any, y: Any) -> Self:
        """Do nothing; scorers ask for it."""
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable label of each row."""
        return self.classes_[self.probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities."""
        return self.probabilities


class PredictedNumbers(RegressorMixin, BaseEstimator):
    """Predicted numbers of some rows, shape (rows,) or (rows, outputs)."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values

    def fit(self, X: Any, y: Any) -> Self:
        """Do nothing; scorers ask for it."""
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the numbers."""
        return self.values


Predicted = PredictedClasses | PredictedNumbers


def score(predicted: Predicted, scoring: Any, truth: NDArray[Any], name: str) -> float:
    """Return what a scorer of scikit-learn says of predictions; higher is better.

    Args:
        predicted: of some rows.
        scoring: name of a scorer, or a scorer; None for accuracy or R².
        truth: their labels or numbers.
        name: of the estimator, for errors.

    Raises:
        InputError: there is no such scorer, or it cannot score these.
    """
    try:
        scorer: Any = check_scoring(predicted, scoring)
        value = float(scorer(predicted, np.zeros((len(truth), 1)), truth))
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: scoring = {scoring!r}: {one_line(error)}") from None
    return defined(value, scoring, len(truth), name)


def defined(value: float, scoring: Any, rows: int, name: str) -> float:
    """Return a score that can be compared.

    Raises:
        InputError: it is not a number: no choice can rest on it.
    """
    if np.isnan(value):
        raise InputError(
            f"{name}: scoring = {scoring!r} is not defined on the {rows} rows held out; hold out "
            "more of them, or give another scorer"
        )
    return value


def log_loss_or_error(predicted: Predicted, truth: NDArray[Any]) -> float:
    """Return minus the mean log loss, or minus the mean squared error over all outputs."""
    if isinstance(predicted, PredictedNumbers):
        return -float(np.mean((predicted.values - truth) ** 2))
    at = np.searchsorted(predicted.classes_, truth)
    chosen = predicted.probabilities[np.arange(len(truth)), at]
    return float(np.log(np.maximum(chosen, 1e-15)).mean())
