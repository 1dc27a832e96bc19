"""scikit-learn's own checks of what an estimator must be, all of them."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from downslope.estimators import (
    MLPClassifier,
    MLPRegressor,
    MLPSearchClassifier,
    MLPSearchRegressor,
)

# Some of the checks' own data warn (a column vector as y, folds smaller than a class).
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

SMALL: dict[str, Any] = {
    "space": {"units": [16, 32]},
    "settings": {"epochs": 20, "learning_rate": 0.01, "batch_size": 16},
    "trials": 2,
    "candidates": 1,
    "cv": 2,
}


@parametrize_with_checks(
    [
        MLPClassifier(epochs=30),
        MLPRegressor(epochs=30),
        MLPClassifier(early_stopping=True, validation_fraction=0.3),
    ]
)
def test_estimators_keep_scikit_learns_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([MLPSearchClassifier(**SMALL), MLPSearchRegressor(**SMALL)])
def test_searches_keep_scikit_learns_conventions(estimator: Any, check: Any) -> None:
    check(estimator)
