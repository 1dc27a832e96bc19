"""Run directories: the only place that writes or reads them."""

from downslope.runs.directory import Run
from downslope.runs.manifest import Manifest
from downslope.runs.toml import recipe_toml, without_none

__all__ = ["Manifest", "Run", "recipe_toml", "without_none"]
