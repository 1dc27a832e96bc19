"""Train many small networks at once, tune them honestly, and see how each came downslope.

>>> import downslope
>>> digits = downslope.load("digits")
>>> len(digits.training), len(digits.test), len(digits.test.openings)
(1437, 360, 0)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from downslope.errors import InputError

if TYPE_CHECKING:
    from downslope.bars import set_progress, watch
    from downslope.data import Dataset, Examples, load
    from downslope.engines import EpochRecord, predict, train
    from downslope.landscape import Trajectory, compute_landscape
    from downslope.models import Model, load_model
    from downslope.networks import Member, NetworkSpec, TrainingSpec, build
    from downslope.progress import drain
    from downslope.recipes import load_recipe, run_recipe
    from downslope.runs import Run
    from downslope.showing import to_frame

__all__ = [
    "Dataset",
    "EpochRecord",
    "Examples",
    "InputError",
    "Member",
    "Model",
    "NetworkSpec",
    "Run",
    "TrainingSpec",
    "Trajectory",
    "build",
    "compute_landscape",
    "drain",
    "load",
    "load_model",
    "load_recipe",
    "predict",
    "run_recipe",
    "set_progress",
    "to_frame",
    "train",
    "watch",
]

# Names are imported when first used: `downslope --help` must not wait for torch.
_HOMES = {
    name: home
    for home, names in {
        "bars": ("set_progress", "watch"),
        "data": ("Dataset", "Examples", "load"),
        "engines": ("EpochRecord", "predict", "train"),
        "landscape": ("Trajectory", "compute_landscape"),
        "models": ("Model", "load_model"),
        "networks": ("Member", "NetworkSpec", "TrainingSpec", "build"),
        "progress": ("drain",),
        "recipes": ("load_recipe", "run_recipe"),
        "runs": ("Run",),
        "showing": ("to_frame",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'downslope' has no attribute {name!r}")
    return getattr(import_module(f"downslope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
