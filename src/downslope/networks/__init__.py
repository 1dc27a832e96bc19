"""Specs of networks and trainings, their modules, and the flat parameter layout."""

from downslope.networks.factories import load_function, make_module
from downslope.networks.flat import flatten, load_flat, unflatten
from downslope.networks.guard import guarded
from downslope.networks.modules import (
    activation_module,
    bias_variance,
    build,
    initialize,
    weight_variance,
)
from downslope.networks.outputs import describe_outputs, pick_output
from downslope.networks.specs import (
    Activation,
    Initialization,
    Loss,
    Member,
    NetworkSpec,
    TrainingSpec,
)
from downslope.networks.state import (
    batch_norms,
    has_batch_norm,
    load_running_statistics,
    load_state,
    running_statistics,
)

__all__ = [
    "Activation",
    "Initialization",
    "Loss",
    "Member",
    "NetworkSpec",
    "TrainingSpec",
    "activation_module",
    "batch_norms",
    "bias_variance",
    "build",
    "describe_outputs",
    "flatten",
    "guarded",
    "has_batch_norm",
    "initialize",
    "load_flat",
    "load_function",
    "load_running_statistics",
    "load_state",
    "make_module",
    "pick_output",
    "running_statistics",
    "unflatten",
    "weight_variance",
]
