"""The reference solution gives a run's own numbers, and those of libraries."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope.assignment import reference
from downslope.data import Dataset, Examples, Scaling
from downslope.engines import Job, local_runner
from downslope.engines.pytorch import one_thread, train_member
from downslope.networks import build, flatten
from downslope.progress import drain
from downslope.recipes import Recipe, load_recipe, run_recipe
from downslope.runs import Run
from downslope.search import Settings, search


@pytest.fixture(autouse=True)
def as_an_engine_computes() -> Iterator[None]:
    with torch.random.fork_rng(), one_thread():
        yield


@pytest.fixture(scope="module")
def run(
    tiny_recipe: Recipe,
    make_digits: Callable[..., Dataset],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    run = Run(tmp_path_factory.mktemp("pytorch") / "run")
    steps = run_recipe(
        tiny_recipe,
        make_digits(),
        run,
        stages=["refit", "variants", "landscape"],
        threads=1,
        make_runner=partial(local_runner, engine="pytorch"),
    )
    drain(steps)
    return run


def tensors(examples: Examples) -> TensorDataset:
    return TensorDataset(torch.from_numpy(examples.inputs), torch.from_numpy(examples.targets))


def configuration(member: Any) -> dict[str, Any]:
    names = ("batch_size", "learning_rate", "epochs", "weight_decay", "decay_on", "schedule")
    return {name: getattr(member.training, name) for name in names} | {
        "optimizer": member.training.optimizer
    }


def test_the_final_training_is_the_runs_bit_for_bit(
    run: Run, tiny_recipe: Recipe, make_digits: Callable[..., Dataset]
) -> None:
    refit = run.read_results().refit
    assert refit
    everything = scaled_as_in(tiny_recipe, make_digits())
    widths = refit.member.network.widths
    torch.manual_seed(refit.member.seed)
    model = reference.build_mlp(widths[0], len(widths) - 2, widths[1], widths[-1])
    losses, snapshots = reference.final_training(
        [tensors(everything)], model, configuration(refit.member), snapshots_per_epoch=2
    )
    kept = run.read_arrays("refit/trajectory.npz", ("vectors", "steps"))
    vectors = kept["vectors"][kept["steps"] > 0]
    np.testing.assert_array_equal(snapshots, vectors)
    assert losses == pytest.approx([e.train_loss_per_seed[0] for e in refit.epochs], rel=1e-12)


def scaled_as_in(recipe: Recipe, dataset: Dataset) -> Examples:
    scaling = Scaling.fit(dataset.training, dataset.max_pixel, recipe.data.center)
    return scaling.apply(dataset.training)


def test_a_variants_training_is_the_runs_bit_for_bit(
    run: Run, tiny_recipe: Recipe, make_digits: Callable[..., Dataset]
) -> None:
    variants = run.read_results().variants
    assert variants and variants.refit
    member = variants.refit.member
    network = member.network
    torch.manual_seed(member.seed)
    model = reference.build_enhanced_mlp(
        network.widths[0],
        len(network.widths) - 2,
        network.widths[1],
        network.widths[-1],
        network.normalization == "batch",
        network.dropout,
        network.activation,
    )
    everything = tensors(scaled_as_in(tiny_recipe, make_digits()))
    losses, _ = reference.final_training([everything], model, configuration(member))
    expected = [epoch.train_loss_per_seed[0] for epoch in variants.refit.epochs]
    assert losses == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_configuration_is_the_plain_loops(
    scaled: Examples, optimizer: Any, schedule: Any
) -> None:
    settings = Settings(
        epochs=3, optimizer=optimizer, schedule=schedule, weight_decay=0.01, learning_rate=0.01
    )
    member = settings.member(64, 10, 3)
    records = list(train_member(Job(member=member, snapshots_per_epoch=1), scaled))
    torch.manual_seed(3)
    widths = member.network.widths
    model = reference.build_mlp(64, len(widths) - 2, widths[1], 10)
    losses, snapshots = reference.final_training([tensors(scaled)], model, configuration(member))
    assert losses == pytest.approx([record.train_loss for record in records], rel=1e-12)
    np.testing.assert_array_equal(snapshots[-1], records[-1].snapshots[-1].parameters)


def test_the_search_is_the_published_recipes(scaled: Examples, tmp_path: Path) -> None:
    recipe = load_recipe("hw3", {})
    training, validation = scaled.take(np.arange(150)), scaled.take(np.arange(150, 200))
    result = drain(
        search(
            recipe.search.make_sampler(541),
            training,
            validation,
            trials=4,
            classes=10,
            seed=541,
            store=tmp_path / "trials.sqlite",
            threads=1,
            make_runner=partial(local_runner, engine="pytorch"),
        )
    )
    assert result.best
    config, accuracy = reference.hyperparam_tuning(
        tensors(training), tensors(validation), 541, attempts=4
    )
    best = result.trials[result.best.id]
    assert config == {name: getattr(best.settings, name) for name in config}
    assert accuracy == pytest.approx(best.validation_accuracy, abs=1e-12)


def test_the_autoencoder_is_the_published_recipes(scaled: Examples) -> None:
    images = torch.nn.functional.interpolate(
        torch.from_numpy(scaled.inputs).reshape(-1, 1, 8, 8), (28, 28)
    ).reshape(-1, 784)
    recipe = load_recipe("hw3", {"autoencoder.training.epochs": 2}).autoencoder
    pixels = images.numpy()
    records = list(train_member(Job(member=recipe.member(784, 5)), Examples(pixels, pixels)))
    torch.manual_seed(5)
    model = reference.Autoencoder()
    assert sum(p.numel() for p in model.parameters()) == 218_192
    np.testing.assert_array_equal(
        flatten(model),
        flatten(build(recipe.member(784, 5).network, torch.Generator().manual_seed(5))),
    )
    loader = DataLoader(TensorDataset(images, torch.zeros(len(images))), 128, shuffle=True)
    _, losses = reference.train_autoencoder(model, loader, epochs=2)
    assert losses == pytest.approx([record.train_loss for record in records], rel=1e-12)


def test_the_plane_is_that_of_scikit_learn() -> None:
    snapshots = np.random.default_rng(0).normal(size=(7, 30)).cumsum(axis=0)
    center, directions, coordinates = reference.pca_plane(snapshots)
    oracle = PCA(2).fit(snapshots)
    np.testing.assert_allclose(center, oracle.mean_)
    np.testing.assert_allclose(np.abs(directions @ oracle.components_.T), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(np.abs(coordinates), np.abs(oracle.transform(snapshots)), atol=1e-9)


def test_the_surface_is_the_loss_at_its_points(scaled: Examples) -> None:
    torch.manual_seed(0)
    model = reference.build_mlp(64, 1, 5, 10)
    loader = DataLoader(tensors(scaled), 64)
    vector = flatten(model)
    directions = np.random.default_rng(0).normal(size=(2, len(vector)))
    xs, ys = np.array([-1.0, 0.0, 1.0]), np.array([0.0, 0.5])
    surface = reference.loss_surface(
        model, loader, nn.CrossEntropyLoss(), vector, directions, xs, ys
    )
    np.testing.assert_array_equal(flatten(model), vector)
    assert surface.shape == (2, 3)
    inputs, targets = torch.from_numpy(scaled.inputs), torch.from_numpy(scaled.targets)
    assert surface[0, 1] == pytest.approx(
        nn.functional.cross_entropy(model(inputs), targets).item()
    )
    at = reference.path_losses(model, loader, nn.CrossEntropyLoss(), vector[None])
    assert at[0] == surface[0, 1]
    figure = reference.plot_landscape(xs, ys, surface, np.zeros((1, 2)), at)
    assert "principal component" in figure.axes[0].get_xlabel()


def test_the_files_of_the_course_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    for name in ("train", "test"):
        np.save(tmp_path / f"fashion_mnist_{name}_images.npy", images)
        np.save(tmp_path / f"fashion_mnist_{name}_labels.npy", np.arange(20) % 10)
    dataset = reference.load_fashion_mnist("train", str(tmp_path))
    pixels = torch.stack([row for row, _ in dataset])
    torch.testing.assert_close(pixels.numpy(), (images.reshape(20, -1) / 255 - 0.5).astype("f4"))
    training, validation = reference.split_validation(dataset)
    assert (len(training), len(validation)) == (16, 4)
    monkeypatch.chdir(tmp_path)
    train_loader, _ = reference.prepare_data(batch_size=8)
    batch, labels = next(iter(train_loader))
    assert batch.shape == (8, 784) and labels.dtype == torch.int64
    assert batch.min() >= 0 and batch.max() == 1
    figure = reference.plot_reconstructions(reference.Autoencoder(), batch[:2])
    assert len(figure.axes) == 4
