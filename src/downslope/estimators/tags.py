"""What scikit-learn is told of the estimators."""

from __future__ import annotations

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags


class TakesTables(BaseEstimator):
    """An estimator that takes sparse rows and missing values."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


class PredictsNumbers(RegressorMixin):
    """A regressor of one or several numbers a row."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
