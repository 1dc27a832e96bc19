"""The document to hand in: what the assignment asks for, in its order; code that runs."""

import io
import json
import runpy
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from pypdf import PdfReader

from downslope.assignment.checker import small_data
from downslope.assignment.handin import compose_handin, write_handin
from downslope.assignment.notebook import listings_used
from downslope.assignment.submission import FUNCTIONS
from downslope.data import load
from downslope.engines import local_runner
from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipes import Recipe, parse_recipe, run_recipe
from downslope.report.arrays import arrays
from downslope.runs import Run
from downslope.toml import parse_toml, write_toml

AUTHORS = ["Ada Lovelace", "Emmy Noether <b>"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits as the course hands out Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("data")
    for name, array in small_data().items():
        np.save(folder / f"fashion_mnist_{name}.npy", array)
    return folder


@pytest.fixture(scope="module")
def run(images: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of every stage on the PyTorch engine, whose numbers are the listings' to the bit."""
    table: dict[str, Any] = parse_toml(write_toml(tiny_recipe))
    table["data"] = {"name": str(images), "validation": 24}
    table["autoencoder"] = {
        "hidden": [128, 64, 128],
        "training": {"epochs": 2, "optimizer": "adam", "schedule": "one_cycle"},
    }
    table["refit"]["choice"] = {
        "hidden_layers": 2,
        "units": 12,
        "schedule": "one_cycle",
    }
    run = Run(tmp_path_factory.mktemp("handin") / "run")
    runner = partial(local_runner, engine="pytorch")
    recipe = parse_recipe(table, "tiny")
    drain(run_recipe(recipe, load(str(images)), run, threads=1, make_runner=runner))
    return run


@pytest.fixture(scope="module")
def files(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("out")
    paths = write_handin(run, folder, AUTHORS, "CS 541, homework 3")
    return {path.suffix: path.read_bytes() for path in paths}


# What the assignment wants, and words that are on the page of it.
DELIVERABLES = {
    "1.1": ["1.1 Assumptions", "uncorrelated weights"],
    "1.2": ["1.2 The variance", "first given identity", "second identity"],
    "1.3 a": ["(a)"],
    "1.3 b": ["(b)"],
    "1.3 c": ["(c)"],
    "1.3 d": ["(d)"],
    "1.3 e": ["(e)", "by cases"],
    "2.1": [
        "2.1 The network",
        "def build_mlp",
        "def extract_model_params",
        "def load_params_into_model",
    ],
    "2.2": ["2.2 Search", "def train_epoch", "def evaluate", "def compute_loss"],
    "2.2 search": ["def hyperparam_tuning"],
    "2.2 best configuration": ["best configuration, complete", "weight decay", "schedule"],
    "2.3": ["2.3 Final", "def final_training"],
    "2.3 last iterations": [
        "Training loss of the last 3 epochs",
        "minibatches (nats)",
    ],
    "2.4": ["2.4 Batch", "def build_enhanced_mlp"],
    "3": ["Problem 3", "def pca_plane", "def loss_surface"],
    "4.1": ["4.1 The data", "def prepare_data"],
    "4.2": ["4.2 The model", "class Autoencoder"],
    "4.3": ["4.3 Training", "def train_autoencoder"],
    "4.4": ["4.4 Two test images", "def plot_reconstructions"],
}


def test_every_deliverable_has_its_page_and_they_are_in_order(files: dict[str, bytes]) -> None:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(files[".pdf"])).pages]
    pages = [" ".join(text.split()) for text in pages]
    assert len(pages) <= 12
    ticked: dict[str, int] = {}
    for name, texts in DELIVERABLES.items():
        at = [[i for i, page in enumerate(pages, 1) if text in page] for text in texts]
        assert all(at), (name, texts, at)
        ticked[name] = at[0][0]
    assert list(ticked.values()) == sorted(ticked.values()), ticked
    assert all(author in pages[0] for author in AUTHORS)
    assert "CS 541, homework 3" in pages[0]


def test_page_and_notebook_have_every_function_that_is_asked_for(
    run: Run, files: dict[str, bytes]
) -> None:
    results = run.read_results()
    document = compose_handin(results, arrays(run, results), AUTHORS)
    assert set(FUNCTIONS) <= set(listings_used(document))
    page = files[".html"].decode()
    assert "Emmy Noether &lt;b&gt;" in page and "Emmy Noether <b>" not in page
    for display in document.displays():
        assert f'data-figure="{display.name}"' in page


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom_and_gives_the_runs_numbers(
    run: Run,
    files: dict[str, bytes],
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = json.loads(files[".ipynb"])
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    script = "\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "code")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebook.py").write_text(script.replace("plt.show()", "plt.close('all')"))
    with torch.random.fork_rng(), one_thread():
        names = runpy.run_path(str(tmp_path / "notebook.py"))
    results = run.read_results()
    assert results.refit and results.refit.test_accuracy and results.variants
    assert results.variants.refit and results.variants.refit.test_accuracy and results.autoencoder
    vectors = run.read_arrays("refit/trajectory.npz", ("vectors", "steps"))
    np.testing.assert_array_equal(names["snapshots"], vectors["vectors"][vectors["steps"] > 0])
    expected = [epoch.train_loss_per_seed[0] for epoch in results.refit.epochs]
    assert names["losses"] == pytest.approx(expected, rel=1e-12)
    assert names["accuracy"] == results.refit.test_accuracy.per_seed[0]
    assert names["variant_accuracy"] == results.variants.refit.test_accuracy.per_seed[0]
    # This stage trains on the compiled engine where there is one, which agrees to rounding;
    # test_reference.py compares with the PyTorch engine to the bit.
    losses = [epoch.train_loss for epoch in results.autoencoder.epochs]
    assert names["autoencoder_losses"] == pytest.approx(losses, rel=1e-6)


def test_a_run_without_stages_says_what_is_missing(run: Run) -> None:
    results = run.read_results()
    bare = msgspec.structs.replace(
        results, theory=None, search=None, refit=None, variants=None, landscape=None,
        autoencoder=None, seconds={},
    )  # fmt: skip
    document = compose_handin(bare, arrays(run, bare), AUTHORS)
    text = str(document)
    for stage in ("theory", "search", "refit", "variants", "landscape", "autoencoder"):
        assert f"the run has no {stage} stage" in text


@pytest.mark.parametrize("authors", [[], [" "], ["Ada", " "]])
def test_no_author_is_one_line(run: Run, tmp_path: Path, authors: list[str]) -> None:
    with pytest.raises(InputError, match="author is missing"):
        write_handin(run, tmp_path, authors)
