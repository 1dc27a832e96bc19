import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from downslope.data import Dataset, Scaling, SealedTestSet, load
from downslope.engines import native, predict, pytorch
from downslope.errors import InputError
from downslope.networks import build, flatten, load_flat
from downslope.progress import drain
from downslope.recipes import STAGES, Recipe, load_recipe, needed, parse_recipe, run_recipe
from downslope.report import advice, summary, write_report
from downslope.results import Results
from downslope.runs import Run
from downslope.statistics import compare

Make = Callable[..., Dataset]


# Which stages


SHIPPED = {name: load_recipe(name) for name in ("hw3", "quick")}


@given(st.lists(st.sampled_from(list(STAGES)), min_size=1, max_size=8), st.booleans())
def test_a_choice_of_stages_is_closed_and_in_order(chosen: list[str], fixed: bool) -> None:
    recipe = SHIPPED["hw3" if fixed else "quick"]
    order = needed(chosen, recipe)
    assert set(chosen) <= set(order)
    assert order == [stage for stage in STAGES if stage in order]
    assert needed(order, recipe) == order
    assert ("refit" in order) >= ("variants" in order or "landscape" in order)
    if not fixed:
        assert ("search" in order) >= ("refit" in order)


def test_a_fixed_choice_needs_no_search() -> None:
    assert needed(["refit"], load_recipe("hw3")) == ["refit"]
    assert needed(["refit"], load_recipe("quick")) == ["search", "refit"]


def test_examples_without_labels_are_for_autoencoders_alone(tmp_path: Path) -> None:
    pixels = load_digits().images
    np.save(tmp_path / "x.npy", pixels / 16)
    recipe = load_recipe("quick", {"autoencoder.training.epochs": 2, "autoencoder.code_sizes": []})
    data = load(tmp_path / "x.npy")
    run = Run(tmp_path / "run")
    with pytest.raises(InputError, match="holds no labels, so nothing but an autoencoder"):
        drain(run_recipe(recipe, data, run))
    assert not run.exists
    coder = drain(run_recipe(recipe, data, run, stages=["autoencoder"])).autoencoder
    assert coder is not None
    assert coder.test_mse is not None
    assert coder.probes == []
    assert "without labels" in write_report(run)[0].read_text()
    known = Scaling.unit(data.training, data.max_pixel).apply(data.training).inputs
    rest = pixels.reshape(-1, 64) / 16
    held = rest[[not (known == row.astype(np.float32)).all(1).any() for row in rest]]
    linear = PCA(coder.code_size).fit(known)
    made = linear.inverse_transform(linear.transform(held)).clip(0, 1)
    assert coder.pca_test_mse == pytest.approx(((made - held) ** 2).mean(), rel=0.02)


def test_a_stage_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match="'tehory' is no stage; stages: search, refit"):
        needed(["tehory"], Recipe())
    with pytest.raises(InputError, match="no stage is named"):
        needed([], Recipe())


# A whole run, checked against what is on disk


def test_a_run_holds_every_stage(finished_results: Results) -> None:
    assert list(finished_results.seconds) == list(STAGES)
    assert all(getattr(finished_results, stage) is not None for stage in STAGES)


def test_the_winner_of_the_search_is_refitted_with_the_recipes_epochs(
    finished_results: Results,
) -> None:
    found, again = finished_results.search, finished_results.refit
    assert found is not None
    assert found.chosen is not None
    assert again is not None
    expected = msgspec.structs.replace(found.chosen.settings, epochs=3).member(64, 10, 7)
    assert again.member == expected
    assert (again.seeds, again.examples) == ([7, 8], 200)
    assert len(again.last_minibatches) == 20


@pytest.mark.parametrize(("stage", "folder"), [("refit", "model"), ("variants", "variants")])
def test_weights_on_disk_predict_what_results_say(
    finished: Run, finished_results: Results, make_digits: Make, stage: str, folder: str
) -> None:
    result = finished_results.refit
    if stage == "variants":
        assert finished_results.variants is not None
        result = finished_results.variants.refit
    assert result is not None
    assert result.test_accuracy is not None
    test = Scaling(divisor=16, shift=0.5).apply(make_digits().test.open("the oracle"))
    for seed, accuracy in zip(result.seeds, result.test_accuracy.per_seed, strict=True):
        state = finished.read_weights(f"{folder}/seed-{seed}.safetensors")
        chosen = predict(result.member.network, state, test.inputs).argmax(1)
        assert accuracy == metrics.accuracy_score(test.targets, chosen)


def test_the_trajectory_begins_at_the_start_and_ends_at_the_weights(
    finished: Run, finished_results: Results
) -> None:
    assert finished_results.refit is not None
    member = finished_results.refit.member
    arrays = finished.read_arrays("refit/trajectory.npz")
    torch.manual_seed(member.seed)
    widths = member.network.widths
    linear = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    start = torch.nn.utils.parameters_to_vector([p for one in linear for p in one.parameters()])
    assert np.array_equal(arrays["vectors"][0], start.detach().numpy())
    state = finished.read_weights(f"model/seed-{member.seed}.safetensors")
    module = build(member.network, torch.Generator())
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    assert np.array_equal(arrays["vectors"][-1], flatten(module))
    steps = -(-200 // member.training.batch_size)
    assert arrays["steps"].tolist()[::2] == [steps * k for k in range(4)]


def test_the_surface_and_the_path_are_those_of_the_weights(
    finished: Run, finished_results: Results, make_digits: Make
) -> None:
    found, again = finished_results.landscape, finished_results.refit
    assert found is not None
    assert again is not None
    surface = finished.read_arrays("landscape/surface.npz")
    everything = Scaling(divisor=16, shift=0.5).apply(make_digits().training)
    rows = np.random.default_rng(7).permutation(200)[:50]
    module = build(again.member.network, torch.Generator()).eval()

    def loss(vector: Any) -> float:
        load_flat(module, vector.astype(np.float32))
        with torch.no_grad():
            outputs = module(torch.from_numpy(everything.inputs[rows])).double().numpy()
        return -log_softmax(outputs, axis=1)[np.arange(50), everything.targets[rows]].mean()

    for j, i in itertools.product(range(3), range(4)):
        at = np.array([surface["x"][i], surface["y"][j]])
        expected = loss(surface["origin"] + at @ surface["directions"])
        assert surface["loss"][j, i] == pytest.approx(expected, rel=1e-6)
    vectors = finished.read_arrays("refit/trajectory.npz")["vectors"]
    assert [p.true_loss for p in found.path] == pytest.approx([loss(v) for v in vectors], rel=1e-6)
    assert (found.grid, found.examples, found.not_finite) == ((4, 3), 50, 0)


def test_hw3_draws_the_published_geometry(make_digits: Make, tmp_path: Path) -> None:
    data = make_digits(1437)
    data = replace(data, training=data.training.take(np.arange(2600) % 1437))
    recipe = load_recipe("hw3", {"data.validation": 100, "landscape.curvature": 0})
    run = Run(tmp_path / "run")
    found = drain(run_recipe(recipe, data, run, stages=["landscape"])).landscape
    assert found is not None
    assert (found.grid, found.margin, found.examples) == ((25, 25), 0.2, 2500)
    vectors = run.read_arrays("refit/trajectory.npz")["vectors"]
    assert len(vectors) == len(found.path) == 50  # the ends of the epochs
    pca = PCA(2, svd_solver="full").fit(vectors)
    surface = run.read_arrays("landscape/surface.npz")
    assert surface["loss"].shape == (25, 25)
    np.testing.assert_allclose(surface["origin"], pca.mean_, atol=1e-6)
    overlap = surface["directions"] @ pca.components_.T
    np.testing.assert_allclose(np.abs(overlap), np.eye(2), atol=1e-5)
    at = pca.transform(vectors) * np.sign(np.diagonal(overlap))
    for axis, places in zip(("x", "y"), at.T, strict=True):
        low, high = places.min(), places.max()
        room = 0.2 * (high - low)
        expected = np.linspace(low - room, high + room, 25)
        np.testing.assert_allclose(surface[axis], expected, atol=1e-4 * (high - low))


def test_the_comparison_is_of_the_two_refits(finished: Run, finished_results: Results) -> None:
    plain, variants = finished_results.refit, finished_results.variants
    assert plain is not None
    assert plain.test_accuracy is not None
    assert variants is not None
    assert variants.refit is not None
    assert variants.refit.test_accuracy is not None
    assert variants.comparison is not None
    hits = [
        kept["predictions"] == kept["truth"]
        for kept in (
            finished.read_arrays(f"{stage}/predictions.npz") for stage in ("refit", "variants")
        )
    ]
    for right, accuracy in zip(
        hits, (plain.test_accuracy, variants.refit.test_accuracy), strict=True
    ):
        assert right.mean(axis=1).tolist() == accuracy.per_seed
    assert variants.comparison == compare(*hits)


def test_every_opening_has_its_reason(finished_results: Results) -> None:
    assert [o.reason for o in finished_results.test_set.openings] == [
        "refit: final accuracy of seed 7",
        "refit: final accuracy of seed 8",
        "variants refit: final accuracy of seed 7",
        "variants refit: final accuracy of seed 8",
        "autoencoder: errors beside PCA, pictures of codes, linear probe",
    ]


def test_no_choice_is_made_with_the_seal_open(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    class Locked(SealedTestSet):
        def open(self, reason: str) -> Any:
            raise AssertionError(reason)

    data = make_digits()
    locked = replace(data, test=Locked(data.training))
    run = Run(tmp_path / "run")
    results = drain(run_recipe(tiny_recipe, locked, run, stages=["theory", "search"], threads=1))
    assert results.search is not None
    assert results.search.best is not None
    with pytest.raises(AssertionError, match="refit: final accuracy of seed 7"):
        drain(run_recipe(tiny_recipe, locked, run, threads=1))


@pytest.mark.parametrize("batch_norm", ["frozen", "recomputed"])
def test_batch_norms_buffers_reach_the_landscape(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path, batch_norm: str
) -> None:
    tiny_table["landscape"]["batch_norm"] = batch_norm
    tiny_table["refit"] = {
        "seeds": 1,
        "choice": {"normalization": "batch", "units": 8},
        "epochs": 2,
    }
    run = Run(tmp_path / "run")
    recipe = parse_recipe(tiny_table, "tiny")
    results = drain(run_recipe(recipe, make_digits(), run, stages=["landscape"], threads=1))
    assert results.refit is not None
    assert results.landscape is not None
    module = build(results.refit.member.network, torch.Generator())
    state = run.read_weights("model/seed-7.safetensors")
    # Strict, shapes included: also the counter of batches, which is a scalar.
    for name, value in module.state_dict().items():
        assert state[name].shape == tuple(value.shape)
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    assert np.array_equal(flatten(module), run.read_arrays("refit/trajectory.npz")["vectors"][-1])
    everything = Scaling(divisor=16, shift=0.5).apply(make_digits().training)
    rows = np.random.default_rng(7).permutation(200)[:50]
    with torch.no_grad():
        if batch_norm == "recomputed":
            for part in module.modules():
                if isinstance(part, torch.nn.BatchNorm1d):
                    part.reset_running_stats()
                    part.momentum = None
            module.train()(torch.from_numpy(everything.inputs[rows]))
        outputs = module.eval()(torch.from_numpy(everything.inputs[rows]))
        expected = torch.nn.functional.cross_entropy(
            outputs, torch.from_numpy(everything.targets[rows])
        )
    assert results.landscape.batch_norm == batch_norm
    assert results.joint_landscape is None  # one seed only
    assert results.landscape.path[-1].true_loss == pytest.approx(float(expected), rel=1e-5)


# What goes wrong


def wild(table: dict[str, Any]) -> dict[str, Any]:
    """Settings that diverge at once, whatever the seed."""
    return table | {"activation": "leaky_relu", "hidden_layers": 2, "learning_rate": 1e6}


def test_a_search_in_which_nothing_completes_leaves_the_other_stages_to_run(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path
) -> None:
    tiny_table["search"] = {"trials": 2, "settings": wild({})}
    run, data = Run(tmp_path / "run"), make_digits()
    drain(run_recipe(parse_recipe(tiny_table, "tiny"), data, run, threads=1))
    results = run.read_results()
    assert results.search is not None
    assert [t.outcome for t in results.search.trials] == ["diverged"] * 2
    assert (results.search.best, results.refit, results.landscape) == (None, None, None)
    assert list(results.seconds) == ["search", "variants", "autoencoder", "theory"]
    assert results.variants is not None
    assert results.variants.comparison is None
    assert results.variants.refit is not None
    assert advice(results).startswith("none of 2 trials completed (2 diverged) at learning rates")
    assert "search.space.learning_rate from 0.01 to 0.1" in advice(results)
    assert b"none of 2 trials completed" in write_report(run)[0].read_bytes()


def test_variants_that_all_diverge_are_stated_without_a_comparison(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path
) -> None:
    tiny_table["variants"] = {"trials": 1, "settings": wild({})}
    run = Run(tmp_path / "run")
    recipe = parse_recipe(tiny_table, "tiny")
    results = drain(run_recipe(recipe, make_digits(), run, stages=["variants"], threads=1))
    assert results.variants is not None
    assert (results.variants.refit, results.variants.comparison) == (None, None)
    assert results.variants.search.trials[0].outcome == "diverged"
    assert msgspec.json.encode(run.read_results()) == msgspec.json.encode(results)


@pytest.mark.parametrize("start", [True, False])
def test_a_refit_that_cannot_be_trained_is_stated_and_has_no_landscape(
    tiny_table: dict[str, Any],
    make_digits: Make,
    tmp_path: Path,
    start: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(native, "build", refuse)
    monkeypatch.setattr(pytorch, "build", refuse)
    tiny_table["refit"] = {"seeds": 1, "choice": {"units": 4}}
    tiny_table["landscape"]["start"] = start
    run, recipe = Run(tmp_path / "run"), parse_recipe(tiny_table, "tiny")
    drain(run_recipe(recipe, make_digits(), run, stages=["landscape"], threads=1))
    results = run.read_results()
    assert advice(results).startswith("no seed of the final training completed (seed 7 failed: ")
    assert results.refit is not None
    assert results.refit.stopped[0].startswith("seed 7 failed: ")
    assert results.refit.test_accuracy is None
    assert results.landscape is None


@pytest.mark.parametrize("name", ["refit/trajectory.npz", "model/seed-7.safetensors"])
def test_a_damaged_file_of_an_earlier_stage_is_named(
    copied: Run, tiny_recipe: Recipe, make_digits: Make, name: str
) -> None:
    results = copied.read_results()
    del results.seconds["landscape"]
    copied.commit(results, [])
    path = copied.path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{name}: not what the run wrote"):
        drain(run_recipe(tiny_recipe, make_digits(), copied))


def test_batch_norm_leaves_a_single_row_out_and_the_summary_says_so(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path
) -> None:
    # 200 rows in batches of 199 leave one row, of which batch norm can take no variance.
    choice = {"normalization": "batch", "batch_size": 199, "units": 4, "epochs": 1}
    tiny_table["refit"] = {"seeds": 1, "choice": choice}
    run, recipe = Run(tmp_path / "run"), parse_recipe(tiny_table, "tiny")
    results = drain(run_recipe(recipe, make_digits(), run, stages=["refit"], threads=1))
    assert results.refit is not None
    assert results.refit.test_accuracy is not None
    assert "one row of each epoch left out" in dict(summary(results))["final model"]


@pytest.mark.parametrize("rate", [1e38, 1e-37])
def test_extreme_rates_that_are_allowed_cost_no_result(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path, rate: float
) -> None:
    tiny_table["search"]["settings"] = {"epochs": 1, "units": 4}
    tiny_table["search"]["space"] = {"learning_rate": [rate, 0.1]}
    tiny_table["refit"] = {"seeds": 1, "settings": {"learning_rate": rate}, "epochs": 1}
    run, recipe = Run(tmp_path / "run"), parse_recipe(tiny_table, "tiny")
    results = drain(run_recipe(recipe, make_digits(), run, stages=["refit"], threads=1))
    assert list(results.seconds) == ["search", "refit"]
    text = advice(results)
    assert not text or "refit.settings.learning_rate = 0.1," in text
