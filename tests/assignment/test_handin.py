"""The document to hand in: what the assignment asks for, in its order; code that runs."""

import io
import json
import runpy
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from pypdf import PdfReader

from downslope.assignment.agreement import agreement
from downslope.assignment.checker import small_data
from downslope.assignment.handin import compose_handin, write_handin
from downslope.assignment.notebook import listings_used
from downslope.assignment.submission import FUNCTIONS
from downslope.data import load
from downslope.engines import instruction_sets
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
def recipe(images: Path, tiny_recipe: Recipe) -> Recipe:
    table: dict[str, Any] = parse_toml(write_toml(tiny_recipe))
    table["data"] = {"name": str(images), "validation": 24}
    table["autoencoder"] = {
        "hidden": [128, 64, 128],
        "initialization": "orthogonal",
        "training": {"epochs": 2, "optimizer": "adam", "schedule": "one_cycle"},
    }
    table["refit"]["choice"] = {
        "hidden_layers": 2,
        "units": 12,
        "schedule": "one_cycle",
    }
    return parse_recipe(table, "tiny")


@pytest.fixture(scope="module")
def run(images: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of every stage as where the compiled engine is missing."""
    run = Run(tmp_path_factory.mktemp("handin") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("downslope.engines.native._native", None)
        drain(run_recipe(recipe, load(str(images)), run, threads=1))
    return run


@pytest.fixture(scope="module")
def executed(
    files: dict[str, bytes], images: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the hand-in's notebook leaves, executed from top to bottom."""
    script = "\n".join(
        cell["source"]
        for cell in json.loads(files[".ipynb"])["cells"]
        if cell["cell_type"] == "code"
    )
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "notebook.py").write_text(script.replace("plt.show()", "plt.close('all')"))
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(), one_thread():
        patch.setenv("MPLBACKEND", "Agg")
        patch.chdir(folder)
        return runpy.run_path(str(folder / "notebook.py"))


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
    "2.2 search": ["def hyperparam_tuning", "drew its trials at random from hidden layers 1, 2"],
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
    "4.3": [
        "4.3 Training",
        "def start_orthogonal",
        "def train_autoencoder",
        "After 2 epochs the mean squared error is",
    ],
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


def test_the_notebook_is_one(files: dict[str, bytes]) -> None:
    notebook = json.loads(files[".ipynb"])
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@pytest.mark.slow
def test_without_the_compiled_engine_the_listings_numbers_are_the_runs_bit_for_bit(
    run: Run, executed: dict[str, Any]
) -> None:
    results = run.read_results()
    manifest = run.read_manifest()
    assert manifest and "bit for bit" in " ".join(agreement(results, manifest.engine))
    assert results.refit and results.refit.test_accuracy and results.variants
    assert results.variants.refit and results.variants.refit.test_accuracy and results.autoencoder
    kept = run.read_arrays("refit/trajectory.npz", ("vectors", "steps"))
    np.testing.assert_array_equal(executed["snapshots"], kept["vectors"][kept["steps"] > 0])
    # The run sums a loss over an epoch in another order, in float64.
    expected = [epoch.train_loss_per_seed[0] for epoch in results.refit.epochs]
    assert executed["losses"] == pytest.approx(expected, rel=1e-12)
    assert executed["accuracy"] == results.refit.test_accuracy.per_seed[0]
    assert executed["variant_accuracy"] == results.variants.refit.test_accuracy.per_seed[0]
    losses = [epoch.train_loss for epoch in results.autoencoder.epochs]
    assert executed["autoencoder_losses"] == pytest.approx(losses, rel=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(not instruction_sets(), reason="the compiled engine is not installed")
def test_with_the_compiled_engine_they_agree_to_rounding(
    recipe: Recipe, images: Path, executed: dict[str, Any], tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    drain(run_recipe(recipe, load(str(images)), run, stages=["refit", "autoencoder"], threads=1))
    results, manifest = run.read_results(), run.read_manifest()
    assert manifest and "to float32 rounding" in " ".join(agreement(results, manifest.engine))
    assert results.refit and results.autoencoder
    kept = run.read_arrays("refit/trajectory.npz", ("vectors", "steps"))
    vectors = kept["vectors"][kept["steps"] > 0]
    np.testing.assert_allclose(executed["snapshots"], vectors, rtol=0, atol=2e-6)
    expected = [epoch.train_loss_per_seed[0] for epoch in results.refit.epochs]
    assert executed["losses"] == pytest.approx(expected, rel=1e-5)
    losses = [epoch.train_loss for epoch in results.autoencoder.epochs]
    assert executed["autoencoder_losses"] == pytest.approx(losses, rel=1e-5)


def test_what_the_listings_leave_out_is_said(run: Run) -> None:
    results = run.read_results()
    assert results.refit and results.autoencoder and results.variants and results.variants.refit
    assert "leaves out" not in " ".join(agreement(results, "pytorch"))
    member = results.refit.member
    changed = msgspec.structs.replace(
        member,
        network=msgspec.structs.replace(member.network, initialization="he"),
        training=msgspec.structs.replace(member.training, momentum=0.9, schedule="cosine"),
    )
    variant = results.variants.refit
    dropped = msgspec.structs.replace(variant.member.network, dropout=0.2)
    others = msgspec.structs.replace(
        results,
        refit=msgspec.structs.replace(results.refit, member=changed),
        variants=msgspec.structs.replace(
            results.variants,
            refit=msgspec.structs.replace(
                variant, member=msgspec.structs.replace(variant.member, network=dropped)
            ),
        ),
    )
    said = " ".join(agreement(others, "native"))
    assert "final training also has momentum 0.9, initialization he, a cosine schedule" in said
    assert "other masks" in said and "other masks" not in " ".join(agreement(others, "pytorch"))


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
