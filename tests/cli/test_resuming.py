"""Runs that are gone on with, or refused with the first difference; damage is named."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from downslope.runs import Run


def test_a_finished_run_only_gets_its_report_again(downslope, searched: Path) -> None:
    before = Run(searched).read_results()
    said = downslope("search", "tiny.toml", "--out", "out")
    assert said.status == 0
    assert "run: out (resuming)" in said.err
    assert msgspec.json.encode(Run(searched).read_results()) == msgspec.json.encode(before)


def test_a_run_of_another_recipe_is_not_touched(downslope, searched: Path) -> None:
    before = (searched / "results.json").read_bytes()
    line = downslope("search", "tiny.toml", "--out", "out", "--set", "search.trials=1").mistake()
    assert "search.trials = 2 there, 1 here" in line
    assert (searched / "results.json").read_bytes() == before


def test_resume_goes_on_with_what_the_run_was_asked_for(downslope, tmp_path: Path) -> None:
    assert downslope("search", "tiny.toml", "--out", "out", "--seed", "7").status == 0
    whole = Run(tmp_path / "out").read_results()
    # As if a kill had come before the stage was finished: its store is there, its result is not.
    begun = Run(tmp_path / "out").read_results()
    begun.search, begun.seconds = None, {}
    Run(tmp_path / "out").commit(begun, ["search"])
    (tmp_path / "tiny.toml").unlink()
    said = downslope("run", "--resume", "out")
    assert said.status == 0, said.err
    assert Run(tmp_path / "out").read_results().search == whole.search
    assert list(Run(tmp_path / "out").read_results().seconds) == ["search"]
    assert downslope("run", "--resume", "out", "--stages", "refit").status == 0
    assert list(Run(tmp_path / "out").read_results().seconds) == ["search", "refit"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--seed", "8"), "seed = 541 there, 8 here"),
        (("--set", "search.trials=1"), "search.trials = 2 there, 1 here"),
        (("--data", "fashion-mnist-of-mine"), "fashion-mnist-of-mine"),
        (("--out", "elsewhere"), "leave out RECIPE, --out"),
        (("tiny.toml",), "leave out RECIPE, --out"),
    ],
)
def test_resume_refuses_a_change_and_shows_it(
    downslope, searched: Path, arguments: tuple[str, ...], named: str
) -> None:
    before = {p: p.read_bytes() for p in searched.rglob("*") if p.is_file()}
    assert named in downslope("run", "--resume", "out", *arguments).mistake()
    assert {p: p.read_bytes() for p in searched.rglob("*") if p.is_file()} == before


def test_resume_refuses_an_edited_recipe_and_other_data(downslope, npz, tmp_path: Path) -> None:
    npz(tmp_path / "set.npz")
    downslope("search", "tiny.toml", "--data", "set.npz", "--out", "out")
    npz(tmp_path / "set.npz", y=(np.arange(50) + 1) % 2)
    line = downslope("run", "--resume", "out", "--stages", "theory").mistake()
    assert "holds a run on other data (data.sha256 = " in line
    npz(tmp_path / "set.npz")
    recipe = tmp_path / "out" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("trials = 2", "trials = 1", 1))
    line = downslope("run", "--resume", "out").mistake()
    assert "search.trials = 2 there, 1 here" in line


def test_resume_without_a_run_is_refused(downslope, tmp_path: Path) -> None:
    assert "holds no run" in downslope("run", "--resume", "nowhere").mistake()
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_file_is_named_by_every_command_that_would_use_it(
    downslope, searched: Path, tmp_path: Path
) -> None:
    shutil.copytree(searched, tmp_path / "whole")
    assert downslope("verify", "out").status == 0
    path = tmp_path / "out" / "results.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"epoch": 2', b'"epoch": 3', 1))
    for command in (
        *(("report", "out"), ("run", "--resume", "out"), ("verify", "out"), ("export", "out")),
        ("report", "whole", "out"),
    ):
        assert "results.json" in downslope(*command).mistake()
    path.write_bytes(whole)
    page = tmp_path / "out" / "report.html"
    page.write_bytes(page.read_bytes().replace(b"downslope", b"downslide", 1))
    assert "report.html" in downslope("verify", "out").mistake()
    assert downslope("run", "--resume", "out").status == 0
    assert downslope("verify", "out").status == 0
    (tmp_path / "out" / "recipe.toml").unlink()
    assert "recipe.toml once it is removed" in downslope("verify", "out").mistake()
    assert downslope("run", "--resume", "out").status == 0
    assert downslope("verify", "out").status == 0


def test_a_run_on_a_file_goes_on_from_any_folder(
    downslope, npz, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz(tmp_path / "set.npz")
    assert downslope("search", "tiny.toml", "--data", "set.npz", "--out", "out").status == 0
    (tmp_path / "out" / "report.html").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert downslope("run", "--resume", "../out").status == 0
