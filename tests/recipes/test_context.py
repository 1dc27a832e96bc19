from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from downslope.data import Dataset, Encoding, Examples, split
from downslope.engines import versions
from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipes import Recipe, free_directory, parse_recipe, run_recipe, stages_again
from downslope.recipes.context import differences, open_run, prepare
from downslope.runs import Run

Make = Callable[..., Dataset]


def timeless(value: Any) -> Any:
    """Everything but seconds."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def change(recipe: Recipe, **changes: object) -> Recipe:
    return msgspec.convert({**msgspec.to_builtins(recipe), **changes}, Recipe)


def test_stages_see_scaled_parts_that_make_up_the_whole(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    data = make_digits()
    context = prepare(tiny_recipe, data, Run(tmp_path / "run"), 1)
    rows, held_out = split(data.training, 40, tiny_recipe.seed)
    pixels = data.training.inputs / 16 - 0.5
    assert (len(context.training), len(context.validation), context.outputs) == (160, 40, 10)
    np.testing.assert_array_equal(context.training.inputs, pixels[rows].astype(np.float32))
    np.testing.assert_array_equal(context.validation.targets, data.training.targets[held_out])
    np.testing.assert_array_equal(context.everything.inputs, pixels.astype(np.float32))
    assert data.test.openings == ()


def test_a_table_is_standardized_by_its_training_rows_alone(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    data = replace(make_digits(), max_pixel=None)
    context = prepare(tiny_recipe, data, Run(tmp_path / "run"), 1)
    rows, _ = split(data.training, 40, tiny_recipe.seed)
    assert context.encoding == Encoding.fit(data, data.training.take(rows))
    means = context.training.inputs.mean(axis=0)
    np.testing.assert_allclose(means, 0, atol=1e-5)
    assert abs(context.validation.inputs.mean(axis=0)).max() > 0.01
    assert "standardized" in context.results.data.scaling


def test_a_center_for_pixels_is_refused_on_a_table(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path
) -> None:
    recipe = parse_recipe(tiny_table | {"data": {"center": 0.25}}, "tiny")
    prepare(recipe, make_digits(), Run(tmp_path / "run"), 1)
    with pytest.raises(InputError, match=r"data: center = 0\.25 has no effect on a table"):
        prepare(recipe, replace(make_digits(), max_pixel=None), Run(tmp_path / "run"), 1)


def test_the_data_are_described(tiny_recipe: Recipe, make_digits: Make, tmp_path: Path) -> None:
    data = make_digits()
    found = prepare(tiny_recipe, data, Run(tmp_path / "run"), 1).results.data
    assert (found.training, found.validation, found.test) == (160, 40, 60)
    assert found.class_counts == [int((data.training.targets == c).sum()) for c in range(10)]
    assert (found.name, found.sha256, found.shape) == ("digits", data.sha256, [8, 8])
    assert found.scaling == "pixels divided by 16, minus 0.5"


def test_a_split_has_its_own_seed_where_it_is_given(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    data = make_digits()
    recipe = change(tiny_recipe, data={"name": "digits", "validation": 40, "split_seed": 99})
    context = prepare(recipe, data, Run(tmp_path / "run"), 1)
    _, held_out = split(data.training, 40, 99)
    np.testing.assert_array_equal(context.validation.targets, data.training.targets[held_out])


def test_one_class_is_no_task(tiny_recipe: Recipe, make_digits: Make, tmp_path: Path) -> None:
    data = make_digits()
    one = replace(
        data,
        class_names=("zero",),
        training=Examples(data.training.inputs, np.zeros(200, np.int64)),
    )
    with pytest.raises(InputError, match="nothing but an autoencoder can learn from it"):
        drain(run_recipe(tiny_recipe, one, Run(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_split_that_leaves_nothing_makes_no_directory(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    recipe = change(tiny_recipe, data={"name": "digits", "validation": 200})
    with pytest.raises(InputError, match="leaves nothing"):
        prepare(recipe, make_digits(), Run(tmp_path / "run"), 1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("at", ["_holds", "write"])
def test_an_interrupt_between_the_first_files_is_no_dead_end(
    tiny_recipe: Recipe,
    make_digits: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    run = Run(tmp_path / "run")
    context = prepare(tiny_recipe, make_digits(), run, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Run, at, interrupt)
        run.prepare()
        with pytest.raises(KeyboardInterrupt):
            open_run(context, ["theory"])
    run.prepare()
    assert open_run(context, ["theory"]) == ["theory"]
    assert {p.name for p in run.path.iterdir()} == {"results.json", "recipe.toml", "manifest.json"}
    assert run.damaged() == []


@pytest.mark.parametrize(
    ("name", "named"),
    [("downslope", "0.0.1"), ("torch", "1.0"), ("python", "3.1.4")],
)
def test_other_versions_are_refused_where_there_is_something_left_to_compute(
    copied: Run,
    tiny_recipe: Recipe,
    make_digits: Make,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    named: str,
) -> None:
    monkeypatch.setattr("downslope.runs.directory.versions", lambda: versions() | {name: named})
    results = copied.read_results()
    copied.commit(results, ["theory"])
    monkeypatch.undo()
    assert open_run(prepare(tiny_recipe, make_digits(), copied, 1), ["theory"]) == []
    del results.seconds["theory"]
    monkeypatch.setattr("downslope.runs.directory.versions", lambda: versions() | {name: named})
    copied.commit(results, ["theory"])
    monkeypatch.undo()
    before = (copied.path / "results.json").read_bytes()
    with pytest.raises(
        InputError, match=rf"of other versions \({name} {named[:3]}.* there, .* here"
    ):
        open_run(prepare(tiny_recipe, make_digits(), copied, 1), ["theory"])
    assert (copied.path / "results.json").read_bytes() == before


def test_another_engine_is_another_version(
    copied: Run, tiny_recipe: Recipe, make_digits: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = copied.read_results()
    del results.seconds["theory"]
    monkeypatch.setattr("downslope.runs.directory.engine_name", lambda: "abacus")
    copied.commit(results, [])
    with pytest.raises(InputError, match=r"engine abacus there, .* here"):
        open_run(prepare(tiny_recipe, make_digits(), copied, 1), ["theory"])


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ({}, {}, ""),
        ({"a": [1, 2]}, {"a": [1, 2]}, ""),
        ({"a": 1}, {"a": 2}, "a = 1 there, 2 here"),
        ({"a": 1}, {}, "a = 1 there, None here"),
        ({"a": 1}, {"a": 1.0}, "a = 1 there, 1.0 here"),
        ({"a": True}, {"a": 1}, "a = True there, 1 here"),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 3}}, "a.c = None there, 3 here"),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, "the order of the keys of a"),
    ],
)
def test_differences_name_the_first(old: object, new: object, named: str) -> None:
    assert differences(old, new) == named


def test_a_free_directory_is_new_empty_or_of_the_same_recipe(
    finished: Run, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = change(tiny_recipe, seed=8)
    assert free_directory("tiny", tiny_recipe) == (Path("runs/tiny"), "")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "tiny").symlink_to(finished.path)
    assert free_directory("tiny", tiny_recipe) == (Path("runs/tiny"), "")
    path, taken = free_directory("tiny", other)
    assert path == Path("runs/tiny-2")
    assert taken == ", as runs/tiny holds a run of another recipe (seed = 7 there, 8 here)"
    (tmp_path / "runs" / "tiny-2").mkdir()
    assert free_directory("tiny", other)[0] == Path("runs/tiny-2")
    (tmp_path / "runs" / "tiny-2" / "thesis.tex").touch()
    (tmp_path / "runs" / "tiny-3").touch()
    assert free_directory("tiny", other)[0] == Path("runs/tiny-4")


def more(table: dict[str, Any], **trials: int) -> Recipe:
    for part, count in trials.items():
        table[part]["trials"] = count
    return parse_recipe(table, "tiny")


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_trials_are_added_to_a_finished_search_to_the_bits_of_a_longer_one(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path, sampler: str
) -> None:
    tiny_table["search"] |= {"sampler": sampler, "space": {"learning_rate": [0.05, 0.1, 0.2]}}
    tiny_table["landscape"] |= {"grid": [2, 2], "curvature": 0}
    short, long = more(tiny_table, search=3), more(tiny_table, search=6)
    stages = ["search", "refit"]
    runs = [Run(tmp_path / name) for name in ("grown", "whole")]
    drain(run_recipe(short, make_digits(), runs[0], stages=stages, threads=1))
    seconds = [t.seconds for t in runs[0].read_results().search.trials]  # type: ignore[union-attr]
    assert stages_again(runs[0], short) == []
    assert stages_again(runs[0], long) == stages
    grown = drain(run_recipe(long, make_digits(), runs[0], stages=["search"], threads=1))
    whole = drain(run_recipe(long, make_digits(), runs[1], stages=stages, threads=1))
    assert grown.search is not None
    assert [t.seconds for t in grown.search.trials[:3]] == seconds  # not trained again
    assert timeless(grown.search) == timeless(whole.search)
    assert timeless(grown.refit) == timeless(whole.refit)
    for name in ("model/seed-7.safetensors", "refit/predictions.npz", "recipe.toml"):
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes()
    reasons = [o.reason for o in grown.test_set.openings]  # what was looked at stays counted
    assert [r for r in reasons if r.endswith("before trials were added")] == reasons[:2]
    assert reasons[2:] == [o.reason for o in whole.test_set.openings]
    assert runs[0].damaged() == []


def test_trials_that_were_pruned_in_a_smaller_cohort_are_not_added_to(
    tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path
) -> None:
    tiny_table["search"]["halving"] = {"method": "halving", "smallest": 0.3}
    run = Run(tmp_path / "run")
    drain(run_recipe(more(tiny_table, search=3), make_digits(), run, stages=["search"], threads=1))
    before = (run.path / "results.json").read_bytes()
    with pytest.raises(InputError, match=r"search.trials = 6: the 3 trials .* nothing was changed"):
        drain(run_recipe(more(tiny_table, search=6), make_digits(), run, stages=["search"]))
    assert (run.path / "results.json").read_bytes() == before
    with pytest.raises(InputError, match=r"another recipe \(search.trials = 3 there, 2 here\)"):
        drain(run_recipe(more(tiny_table, search=2), make_digits(), run, stages=["search"]))


def test_more_trials_of_the_variants_leave_the_rest_alone(
    copied: Run, tiny_table: dict[str, Any], make_digits: Make
) -> None:
    before = copied.read_results()
    recipe = more(tiny_table, variants=3)
    assert stages_again(copied, recipe) == ["variants"]
    after = drain(run_recipe(recipe, make_digits(), copied, stages=["variants"], threads=1))
    assert after.variants is not None
    assert len(after.variants.search.trials) == 3
    assert (after.search, after.refit, after.landscape) == (
        before.search, before.refit, before.landscape
    )  # fmt: skip
