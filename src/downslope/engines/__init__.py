"""Engines: they train populations and yield epoch records."""

from downslope.engines.benchmark import describe_engine, measure_rates
from downslope.engines.checkpoints import Checkpoint
from downslope.engines.environment import (
    Engine,
    choose_engine,
    cores,
    engine_name,
    fingerprint,
    first_difference,
    hardware,
    versions,
)
from downslope.engines.job import EpochRecord, Job, Snapshot
from downslope.engines.memory import memory_here, memory_of
from downslope.engines.native import (
    MISSING,
    instruction_set,
    instruction_sets,
)
from downslope.engines.planes import losses_on_plane
from downslope.engines.population import Records, Training, evaluate, run_jobs, train
from downslope.engines.pytorch import predict, train_member
from downslope.engines.runner import MakeRunner, Runner, local_runner
from downslope.engines.schedules import learning_rates
from downslope.engines.small_networks import Outcomes, SmallNetworks, train_small_networks

__all__ = [
    "MISSING",
    "Checkpoint",
    "Engine",
    "EpochRecord",
    "Job",
    "MakeRunner",
    "Outcomes",
    "Records",
    "Runner",
    "SmallNetworks",
    "Snapshot",
    "Training",
    "choose_engine",
    "cores",
    "describe_engine",
    "engine_name",
    "evaluate",
    "fingerprint",
    "first_difference",
    "hardware",
    "instruction_set",
    "instruction_sets",
    "learning_rates",
    "local_runner",
    "losses_on_plane",
    "measure_rates",
    "memory_here",
    "memory_of",
    "predict",
    "run_jobs",
    "train",
    "train_member",
    "train_small_networks",
    "versions",
]
