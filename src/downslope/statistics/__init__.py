"""Intervals, comparisons, calibration and scores by class: what a number is worth."""

from downslope.statistics.bootstrap import bootstrap_intervals
from downslope.statistics.calibration import (
    Reliability,
    confidence_of,
    confident_mistakes,
    reliability,
)
from downslope.statistics.classes import ClassScore, class_scores
from downslope.statistics.intervals import (
    Accuracy,
    Comparison,
    PairedTest,
    accuracy_of,
    bootstrap_interval,
    compare,
    paired_test,
    wilson_interval,
)

__all__ = [
    "Accuracy",
    "ClassScore",
    "Comparison",
    "PairedTest",
    "Reliability",
    "accuracy_of",
    "bootstrap_interval",
    "bootstrap_intervals",
    "class_scores",
    "compare",
    "confidence_of",
    "confident_mistakes",
    "paired_test",
    "reliability",
    "wilson_interval",
]
