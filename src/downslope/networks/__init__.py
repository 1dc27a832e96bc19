"""Specs of networks and trainings, their modules, and the flat parameter layout."""

from downslope.networks.factories import load_factory, make_module
from downslope.networks.flat import flatten, load_flat, unflatten
from downslope.networks.guard import guarded
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
    "guarded",
    "initialize",
    "load_factory",
    "load_flat",
    "make_module",
    "unflatten",
]
