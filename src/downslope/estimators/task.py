"""What a searching estimator learns, and how one network of it is trained and asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import indexable

from downslope.errors import InputError
from downslope.estimators.plain import MLPClassifier, MLPRegressor
from downslope.estimators.preparation import take
from downslope.estimators.scoring import Predicted, PredictedClasses, PredictedNumbers

Plain = MLPClassifier | MLPRegressor


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned: rows, what the user wants predicted, and the same as a network sees it.

    Args:
        rows: from `check_rows`.
        truth: labels of shape (rows,), or numbers of shape (rows,) or (rows, outputs).
        targets: codes of shape (rows,), or numbers of shape (rows, outputs).
        classes: the labels, sorted; None for numbers.
        weights: of the rows; None where all are the same.
        groups: of the rows, that folds keep whole; None without any.
    """

    rows: Any
    truth: NDArray[Any]
    targets: NDArray[Any]
    classes: NDArray[Any] | None
    weights: NDArray[np.float64] | None
    groups: NDArray[Any] | None

    @property
    def codes(self) -> NDArray[np.int64] | None:
        """The classes as numbers, shape (rows,); None for numbers to predict."""
        return None if self.classes is None else self.targets

    def fitted(self, estimator: Plain, at: NDArray[np.int64]) -> Plain | None:
        """Train on some rows; None where the training diverges."""
        own = None if self.weights is None else self.weights[at]
        try:
            return estimator.fit(take(self.rows, at), self.truth[at], own)
        except InputError:
            return None

    def predictions(self, estimator: Any, rows: Any) -> NDArray[np.float64]:
        """Return probabilities of all classes, shape (rows, classes), or numbers."""
        if self.classes is None:
            return estimator.predict(rows)
        return all_probabilities(estimator, rows, self.classes)

    def predicted(self, values: NDArray[np.float64]) -> Predicted:
        """Return what `predictions` returned as scorers take it."""
        if self.classes is None:
            return PredictedNumbers(values)
        return PredictedClasses(self.classes, values)


def check_groups(rows: Any, groups: Any) -> NDArray[Any] | None:
    """Return groups as an array.

    Raises:
        ValueError: they are not one a row.
    """
    if groups is None:
        return None
    indexable(rows, groups)
    return np.asarray(groups)


def all_probabilities(estimator: Any, rows: Any, classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return probabilities of all classes, 0 of those that the estimator has not seen."""
    own = estimator.predict_proba(rows)
    whole = np.zeros((len(own), len(classes)))
    whole[:, np.searchsorted(classes, estimator.classes_)] = own
    return whole
