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

__all__ = [
    "Accuracy",
    "ClassScore",
    "Comparison",
    "PairedTest",
    "Reliability",
    "accuracy_of",
    "bootstrap_intervals",
    "class_scores",
    "compare",
    "confidence_of",
    "confident_mistakes",
    "mean_interval",
    "reliability",
    "wilson_interval",
]
