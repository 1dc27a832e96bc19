"""Runs that are interrupted and gone on with end as whole ones; others are refused untouched."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from downslope.data import Dataset
from downslope.engines import runner
from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipes import STAGES, Recipe, load_recipe, parse_recipe, run_recipe
from downslope.results import Results
from downslope.runs import Run
from downslope.search import (
    TrialStore,
)

Make = Callable[..., Dataset]


def timeless(value: Any) -> Any:
    """Everything but seconds."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def same_run(one: Run, other: Run) -> None:
    """Equal results and equal bytes of every file that holds no seconds."""
    first, second = (msgspec.to_builtins(r.read_results()) for r in (one, other))
    assert timeless(first) == timeless(second)
    assert list(first["seconds"]) == list(second["seconds"])
    names = {p.relative_to(one.path) for p in one.path.rglob("*") if p.is_file()}
    assert names == {p.relative_to(other.path) for p in other.path.rglob("*") if p.is_file()}
    for name in sorted(names):
        if name.suffix in (".safetensors", ".npz", ".toml"):
            assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


@pytest.fixture(scope="module")
def after(
    finished: Run, make_digits: Make, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Run, list[str]]]:
    """By stage, a run as it stands after it, and the tasks of its steps: a stage at a time."""
    folder = tmp_path_factory.mktemp("after")
    recipe, run = load_recipe(str(finished.path / "recipe.toml")), Run(folder / "run")
    stages: dict[str, tuple[Run, list[str]]] = {}
    for stage in STAGES:
        steps = run_recipe(recipe, make_digits(), run, stages=[stage], threads=1)
        tasks = [step.task for step in steps]
        stages[stage] = Run(Path(shutil.copytree(run.path, folder / stage))), tasks
    return stages


def test_a_stage_at_a_time_of_the_recipe_that_a_run_wrote_is_the_same_as_all_at_once(
    finished: Run, after: dict[str, tuple[Run, list[str]]]
) -> None:
    same_run(after[list(STAGES)[-1]][0], finished)


@pytest.mark.parametrize(
    ("stage", "task"),
    [
        ("search", "search"),
        ("refit", "final training"),
        ("variants", "variants"),
        ("variants", "variants final training"),
        ("landscape", "landscape: surface"),
        ("autoencoder", "autoencoder"),
        ("theory", "theory: measuring initializations"),
    ],
)
def test_an_interrupted_stage_ends_as_an_uninterrupted_one(
    tiny_recipe: Recipe,
    make_digits: Make,
    tmp_path: Path,
    after: dict[str, tuple[Run, list[str]]],
    stage: str,
    task: str,
) -> None:
    earlier = list(STAGES)[: list(STAGES).index(stage)]
    whole, tasks = after[stage]
    inside = [i for i, name in enumerate(tasks) if name == f"[1/1] {task}"]
    run = Run(tmp_path / "run")
    if earlier:
        shutil.copytree(after[earlier[-1]][0].path, run.path)
    broken = run_recipe(tiny_recipe, make_digits(), run, stages=[stage], threads=1)
    for _ in range(inside[len(inside) // 2] + 1):
        next(broken)
    if stage in ("refit", "landscape"):
        with pytest.raises(KeyboardInterrupt):
            broken.throw(KeyboardInterrupt())
    else:
        broken.close()
    assert list(run.read_results().seconds) == earlier
    assert run.read_manifest() is not None
    drain(run_recipe(tiny_recipe, make_digits(), run, stages=[stage], threads=1))
    same_run(run, whole)


def test_two_threads_find_the_same(
    tiny_table: dict[str, Any],
    make_digits: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A refit alone, because starting workers takes seconds; the search has such a test of its own.
    tiny_table["refit"]["choice"] = {"normalization": "batch", "dropout": 0.2, "units": 8}
    recipe = parse_recipe(tiny_table, "tiny")
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    drain(run_recipe(recipe, make_digits(), one, stages=["landscape"], threads=1))
    monkeypatch.setattr(runner, "WORTH_WORKERS", 0)
    drain(run_recipe(recipe, make_digits(), two, stages=["landscape"], threads=2))
    same_run(two, one)


def test_a_finished_run_computes_nothing_again(
    copied: Run, tiny_recipe: Recipe, make_digits: Make
) -> None:
    before = {p: p.read_bytes() for p in copied.path.rglob("*") if p.is_file()}
    data = make_digits()
    assert list(run_recipe(tiny_recipe, data, copied)) == []
    assert data.test.openings == ()
    assert {p: p.read_bytes() for p in copied.path.rglob("*") if p.is_file()} == before


def test_an_interrupted_search_keeps_its_finished_trials_in_the_results(
    finished_results: Results, tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    steps = run_recipe(tiny_recipe, make_digits(), run, stages=["search"], threads=1)
    for _ in range(6):  # the start and five epochs: two trials have ended
        next(steps)
    steps.close()
    found = run.read_results()
    assert "search" not in found.seconds
    assert found.search is not None
    assert finished_results.search is not None
    assert len(found.search.trials) == 2
    kept = [timeless(msgspec.to_builtins(t)) for t in found.search.trials]
    whole = [timeless(msgspec.to_builtins(t)) for t in finished_results.search.trials]
    assert all(one in whole for one in kept)


def test_a_store_of_another_search_is_refused_and_its_trials_are_not_taken_over(
    finished: Run, tiny_table: dict[str, Any], make_digits: Make, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    (run.path / "search").mkdir(parents=True)
    tiny_table["seed"] = 8
    recipe = parse_recipe(tiny_table, "tiny")
    drain(run_recipe(recipe, make_digits(), Run(tmp_path / "run2"), stages=["theory"]))
    shutil.copytree(tmp_path / "run2", run.path, dirs_exist_ok=True)
    shutil.copy(finished.path / "search/trials.sqlite", run.path / "search/trials.sqlite")
    with pytest.raises(InputError, match="trial 0 is of another search"):
        drain(run_recipe(recipe, make_digits(), run, stages=["search"]))
    assert run.read_results().search is None
    with TrialStore(run.path / "search/trials.sqlite") as store:
        assert len(store.trials()) == 3


def test_openings_add_up_over_processes_and_a_look_that_is_repeated_counts_once(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    drain(run_recipe(tiny_recipe, make_digits(), run, stages=["refit"], threads=1))
    assert len(run.read_results().test_set.openings) == 2
    steps = run_recipe(tiny_recipe, make_digits(), run, stages=["autoencoder"], threads=1)
    for progress in steps:
        if progress.done == progress.total:
            break  # opened, but interrupted before it was finished
    steps.close()
    between = run.read_results().test_set.openings
    assert len(between) == 3
    # The same member, the same bits: nobody has learned more by it.
    drain(run_recipe(tiny_recipe, make_digits(), run, stages=["autoencoder"], threads=1))
    assert run.read_results().test_set.openings == between


def test_openings_are_counted_once_where_the_data_set_is_kept(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    data, run = make_digits(), Run(tmp_path / "run")
    drain(run_recipe(tiny_recipe, data, run, stages=["refit"], threads=1))
    drain(run_recipe(tiny_recipe, data, run, stages=["autoencoder"], threads=1))
    assert len(data.test.openings) == len(run.read_results().test_set.openings) == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 8}, "seed = 7 there, 8 here"),
        ({"title": "other"}, "title = 'tiny' there, 'other' here"),
        ({"landscape": {"grid": [5, 3]}}, "landscape.examples = 50 there, 2500 here"),
    ],
)
def test_a_run_of_another_recipe_is_refused_untouched(
    copied: Run, tiny_table: dict[str, Any], make_digits: Make, change: dict[str, Any], named: str
) -> None:
    before = {p: p.read_bytes() for p in copied.path.rglob("*") if p.is_file()}
    recipe = parse_recipe(tiny_table | change, "tiny")
    with pytest.raises(InputError) as caught:
        drain(run_recipe(recipe, make_digits(), copied))
    assert f"holds a run of another recipe ({named}); begin in another directory" in str(
        caught.value
    )
    assert {p: p.read_bytes() for p in copied.path.rglob("*") if p.is_file()} == before


def test_a_space_in_another_order_is_another_recipe(
    copied: Run, tiny_table: dict[str, Any], make_digits: Make
) -> None:
    tiny_table["search"]["space"] = dict(reversed(tiny_table["search"]["space"].items()))
    with pytest.raises(InputError, match=r"the order of the keys of search\.space"):
        drain(run_recipe(parse_recipe(tiny_table, "tiny"), make_digits(), copied))


def test_a_run_on_other_data_is_refused_untouched(
    copied: Run, tiny_recipe: Recipe, make_digits: Make
) -> None:
    before = {p: p.read_bytes() for p in copied.path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="holds a run on other data"):
        drain(run_recipe(tiny_recipe, replace(make_digits(), sha256="0" * 64), copied))
    assert {p: p.read_bytes() for p in copied.path.rglob("*") if p.is_file()} == before


def test_a_directory_of_something_else_is_refused_untouched(
    tiny_recipe: Recipe, make_digits: Make, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds files but no run"):
        drain(run_recipe(tiny_recipe, make_digits(), Run(tmp_path)))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
