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
from downslope.statistics.effects import Effect, Verdict, effect, pseudovalues, verdict_of
from downslope.statistics.intervals import Accuracy, accuracy_of, mean_interval, wilson_interval
from downslope.statistics.regression import RegressionScore, regression_score

__all__ = [
    "Accuracy",
    "ClassScore",
    "Comparison",
    "Effect",
    "PairedTest",
    "RegressionScore",
    "Reliability",
    "Verdict",
    "accuracy_of",
    "bootstrap_intervals",
    "class_scores",
    "compare",
    "confidence_of",
    "confident_mistakes",
    "effect",
    "mean_interval",
    "pseudovalues",
    "regression_score",
    "reliability",
    "verdict_of",
    "wilson_interval",
]
