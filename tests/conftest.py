"""A tiny data set, a tiny recipe, and one finished run of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import settings

from downslope.data import Dataset, Examples, SealedTestSet, fashion_mnist, load
from downslope.files import CACHE, cache_folder
from downslope.progress import drain
from downslope.recipes import Recipe, parse_recipe, run_recipe
from downslope.results import Results
from downslope.runs import Run

TINY: dict[str, Any] = {
    "title": "tiny",
    "seed": 7,
    "data": {"name": "digits", "validation": 40},
    "theory": {
        "depth": 3,
        "width": 32,
        "repetitions": 3,
        "examples": 8,
        "trainability": {
            "depths": [2, 3],
            "map_depths": [2, 3],
            "weight_variances": [1.0, 2.0],
            "width": 8,
            "learning_rates": [0.1],
            "epochs": 1,
            "examples": 64,
        },
    },
    "search": {
        "trials": 3,
        "settings": {"epochs": 2, "units": 12},
        "space": {
            "hidden_layers": [1, 2],
            "learning_rate": {"low": 0.02, "high": 0.2, "log": True},
        },
    },
    "refit": {"seeds": 2, "epochs": 3},
    "variants": {
        "trials": 2,
        "settings": {"epochs": 1, "units": 8, "learning_rate": 0.05, "hidden_layers": 1},
        "space": {"normalization": ["none", "batch"], "activation": ["prelu", "elu"]},
        "refit": {"seeds": 2, "epochs": 2},
    },
    "landscape": {"grid": [4, 3], "examples": 50, "snapshots_per_epoch": 2},
    "autoencoder": {
        "hidden": [16, 8, 16],
        "training": {"epochs": 2},
    },
}


def pytest_configure(config: pytest.Config) -> None:
    """Give all of a session's processes a cache of their own, with the user's Fashion-MNIST."""
    if hasattr(config, "workerinput"):
        return
    data = cache_folder() / fashion_mnist.NAME
    folder = tempfile.TemporaryDirectory(prefix="downslope-cache-")
    config.add_cleanup(folder.cleanup)
    os.environ[CACHE] = folder.name
    if data.is_dir():
        (Path(folder.name) / data.name).symlink_to(data.absolute())


# A busy machine takes as long as it takes: no test asserts a time.
settings.register_profile("downslope", deadline=None)
settings.load_profile("downslope")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Share the cores among the workers and the processes they start: else each takes all."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // len(specs))))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests: at the end the workers then finish together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def make_digits() -> Callable[..., Dataset]:
    """Make the first rows of scikit-learn's digits, behind a seal of their own each time."""
    whole = load("digits")
    held_out = whole.test.open("tests")

    def make(training: int = 200, test: int = 60) -> Dataset:
        return Dataset(
            name=whole.name,
            source=whole.source,
            shape=whole.shape,
            class_names=whole.class_names,
            training=whole.training.take(np.arange(training)),
            test=SealedTestSet(held_out.take(np.arange(test))),
            max_pixel=whole.max_pixel,
            sha256=whole.sha256,
        )

    return make


@pytest.fixture(scope="session")
def scaled(make_digits: Callable[..., Dataset]) -> Examples:
    """The 200 training digits with pixels in [0, 1]."""
    rows = make_digits().training
    return Examples((rows.inputs / 16).astype(np.float32), rows.targets)


@pytest.fixture
def tiny_table() -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(TINY))


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return parse_recipe(TINY, "tiny")


@pytest.fixture(scope="session")
def finished(
    tiny_recipe: Recipe,
    make_digits: Callable[..., Dataset],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """A run of the tiny recipe that nothing interrupted. Only read it; copy it to change it."""
    run = Run(tmp_path_factory.mktemp("finished") / "run")
    drain(run_recipe(tiny_recipe, make_digits(), run, threads=1))
    return run


@pytest.fixture(scope="session")
def finished_results(finished: Run) -> Results:
    return finished.read_results()


@pytest.fixture
def copied(finished: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(finished.path, tmp_path / "copy")))
