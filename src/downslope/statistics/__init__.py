"""Intervals, comparisons, calibration and scores by class: what a number is worth."""

from downslope.statistics.bootstrap import bootstrap_intervals
from downslope.statistics.calibration import (
    Reliability,
    confidence_of,
    confident_mistakes,
    reliability,
)
from downslope.statistics.classes import ClassScore, class_scores
from downslope.statistics.comparison import Comparison, PairedTest, compare
from downslope.statistics.intervals import Accuracy, accuracy_of, mean_interval, wilson_interval
from downslope.statistics.regression import RegressionScore, regression_score

__all__ = [
    "Accuracy",
    "ClassScore",
    "Comparison",
    "PairedTest",
    "RegressionScore",
    "Reliability",
    "accuracy_of",
    "bootstrap_intervals",
    "class_scores",
    "compare",
    "confidence_of",
    "confident_mistakes",
    "mean_interval",
    "regression_score",
    "reliability",
    "wilson_interval",
]
