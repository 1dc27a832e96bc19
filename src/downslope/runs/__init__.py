"""Run directories: the only place that writes or reads them."""

from downslope.runs.directory import Run
from downslope.runs.manifest import Manifest

__all__ = ["Manifest", "Run"]
