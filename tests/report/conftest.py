import shutil
from pathlib import Path

import msgspec
import pytest

from downslope.data import load
from downslope.progress import drain
from downslope.recipes import load_recipe, run_recipe
from downslope.results import Results
from downslope.runs import Run

SMALL = [
    "theory.depth=4",
    "theory.width=32",
    "theory.repetitions=3",
    "theory.examples=32",
    "theory.trainability={depths=[2, 4], map_depths=[2, 4], weight_variances=[1.0, 2.0, 3.0], "
    "width=8, epochs=1, examples=100}",
    "search.trials=3",
    "search.space.epochs=[2]",
    "refit.epochs=3",
    "refit.seeds=2",
    "refit.monitor_test=true",
    "variants.trials=2",
    "variants.settings.epochs=2",
    "variants.refit.epochs=2",
    "variants.refit.seeds=2",
    "landscape.grid=[7, 5]",
    "landscape.examples=64",
    "autoencoder.training.epochs=8",
]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of every stage on digits; read only."""
    run = Run(tmp_path_factory.mktemp("runs") / "digits")
    drain(run_recipe(load_recipe("quick", SMALL), load("digits"), run))
    return run


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Run:
    """A copy of that run, to change."""
    shutil.copytree(finished.path, tmp_path / "run")
    return Run(tmp_path / "run")


@pytest.fixture
def results(finished: Run) -> Results:
    """The results of that run, to change."""
    return msgspec.json.decode(msgspec.json.encode(finished.read_results()), type=Results)
