"""scikit-learn estimators: one network, or a searched one, on the compiled engine."""

from downslope.estimators.plain import MLPClassifier, MLPRegressor
from downslope.estimators.tuned import MLPSearchClassifier, MLPSearchRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "MLPSearchClassifier", "MLPSearchRegressor"]
