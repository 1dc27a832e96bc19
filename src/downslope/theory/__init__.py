"""Initialization theory: the derivation checked by machine, and measured in random networks."""

from downslope.theory.checks import Check, Verdict, checks, compare
from downslope.theory.measurement import Measurement, Moments, measure, record
from downslope.theory.steps import ASSUMPTIONS, Step, derivation
from downslope.theory.study import LayerMoments, TheoryResult, layer_moments, study
from downslope.theory.variances import (
    bias_variance,
    predict_backward,
    predict_forward,
    weight_variance,
)

__all__ = [
    "ASSUMPTIONS",
    "Check",
    "LayerMoments",
    "Measurement",
    "Moments",
    "Step",
    "TheoryResult",
    "Verdict",
    "bias_variance",
    "checks",
    "compare",
    "derivation",
    "layer_moments",
    "measure",
    "predict_backward",
    "predict_forward",
    "record",
    "study",
    "weight_variance",
]
