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


def order_matters(estimator: Any) -> dict[str, str]:
    """Name the checks that no network on minibatches passes, scikit-learn's own neither."""
    reason = "they shuffle the weighted rows: the minibatches are others"
    name = "check_sample_weight_equivalence_on_{}_data"
    return {name.format(kind): reason for kind in ("dense", "sparse")}


@parametrize_with_checks(
    [
        MLPClassifier(epochs=30),
        MLPRegressor(epochs=30),
        MLPClassifier(early_stopping=True, validation_fraction=0.3),
    ],
    expected_failed_checks=order_matters,
)
def test_estimators_keep_scikit_learns_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [MLPSearchClassifier(**SMALL), MLPSearchRegressor(**SMALL, ensemble=True)],
    expected_failed_checks=order_matters,
)
def test_searches_keep_scikit_learns_conventions(estimator: Any, check: Any) -> None:
    check(estimator)
