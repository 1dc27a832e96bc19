"""Engines: they train populations and yield epoch records."""

from downslope.engines.population import cores, train
from downslope.engines.pytorch import predict, train_member
from downslope.engines.records import EpochRecord, Outcome, Snapshot

__all__ = [
    "EpochRecord",
    "Outcome",
    "Snapshot",
    "cores",
    "predict",
    "train",
    "train_member",
]
