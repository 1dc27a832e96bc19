"""Specs of networks and trainings, their modules, and the flat parameter layout."""

from downslope.networks.factories import load_factory
from downslope.networks.flat import flatten, load_flat, unflatten
from downslope.networks.modules import activation_module, build, initialize
from downslope.networks.specs import (
    Activation,
    DecayOn,
    Initialization,
    Loss,
    Member,
    NetworkSpec,
    Normalization,
    Optimizer,
    Output,
    Schedule,
    TrainingSpec,
)

__all__ = [
    "Activation",
    "DecayOn",
    "Initialization",
    "Loss",
    "Member",
    "NetworkSpec",
    "Normalization",
    "Optimizer",
    "Output",
    "Schedule",
    "TrainingSpec",
    "activation_module",
    "build",
    "flatten",
    "initialize",
    "load_factory",
    "load_flat",
    "unflatten",
]
