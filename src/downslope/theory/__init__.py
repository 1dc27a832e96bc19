"""Initialization theory: the derivation checked by machine, and measured in random networks."""

from downslope.theory.activations import ACTIVATIONS, Activation, find_activation
from downslope.theory.checks import Check, Verdict, checks, compare
from downslope.theory.gains import Gain, compute_gain
from downslope.theory.measurement import Measurement, Moments, measure, record
from downslope.theory.refutations import CounterExample, Mutation, counterexamples, mutations
from downslope.theory.run import LayerMoments, LayerSpread, TheoryResult, layer_moments, run_theory
from downslope.theory.signal_propagation import Diagnosis, LayerDiagnosis, diagnose
from downslope.theory.steps import ASSUMPTIONS, Step, derivation
from downslope.theory.trainability import (
    DeepNetwork,
    PredictedDepth,
    TrainabilityResult,
    TrainabilitySpec,
    deep_networks,
    train_deep_networks,
)
from downslope.theory.variance_map import VarianceMap, edge_of_chaos, variance_map
from downslope.theory.variances import predict_backward, predict_forward, predict_spread

__all__ = [
    "ACTIVATIONS",
    "ASSUMPTIONS",
    "Activation",
    "Check",
    "CounterExample",
    "DeepNetwork",
    "Diagnosis",
    "Gain",
    "LayerDiagnosis",
    "LayerMoments",
    "LayerSpread",
    "Measurement",
    "Moments",
    "Mutation",
    "PredictedDepth",
    "Step",
    "TheoryResult",
    "TrainabilityResult",
    "TrainabilitySpec",
    "VarianceMap",
    "Verdict",
    "checks",
    "compare",
    "compute_gain",
    "counterexamples",
    "deep_networks",
    "derivation",
    "diagnose",
    "edge_of_chaos",
    "find_activation",
    "layer_moments",
    "measure",
    "mutations",
    "predict_backward",
    "predict_forward",
    "predict_spread",
    "record",
    "run_theory",
    "train_deep_networks",
    "variance_map",
]
