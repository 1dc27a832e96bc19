"""Engines: they train populations and yield epoch records."""

from downslope.engines.checkpoints import Checkpoint
from downslope.engines.diagnosis import Rates, describe_engine, measure_rates
from downslope.engines.memory import check_memory, memory_here, memory_of
from downslope.engines.native import (
    MISSING,
    instruction_set,
    instruction_sets,
    train_member_natively,
)
from downslope.engines.planes import losses_on_plane
from downslope.engines.population import Engine, choose_engine, cores, train
from downslope.engines.pytorch import check_fit, predict, train_member
from downslope.engines.records import EpochRecord, Outcome, Snapshot
from downslope.engines.schedules import learning_rates

__all__ = [
    "MISSING",
    "Checkpoint",
    "Engine",
    "EpochRecord",
    "Outcome",
    "Rates",
    "Snapshot",
    "check_fit",
    "check_memory",
    "choose_engine",
    "cores",
    "describe_engine",
    "instruction_set",
    "instruction_sets",
    "learning_rates",
    "losses_on_plane",
    "measure_rates",
    "memory_here",
    "memory_of",
    "predict",
    "train",
    "train_member",
    "train_member_natively",
]
