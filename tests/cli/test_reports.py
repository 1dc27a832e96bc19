"""Runs from the command line and their reports: what is written, shown and built again."""

import re
from pathlib import Path

import pytest

from downslope.runs import Run


@pytest.mark.slow
def test_a_run_writes_results_manifest_and_report(downslope, tmp_path: Path) -> None:
    said = downslope("run", "tiny.toml", "--out", "out")
    assert said.status == 0, said.err
    assert "estimated time: " in said.err
    results = Run(tmp_path / "out").read_results()
    stages = ["search", "refit", "variants", "landscape", "autoencoder", "theory"]
    assert list(results.seconds) == stages
    # One opening per final member: two refits, two variant refits, one autoencoder.
    assert len(results.test_set.openings) == 5
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    manifest = Run(tmp_path / "out").read_manifest()
    assert manifest is not None and "report.html" in manifest.files
    assert said.out.rstrip().endswith("out/report.html, and report.pdf to print")
    assert "test accuracy" in said.out


def test_quiet_prints_the_reports_path_alone(downslope) -> None:
    said = downslope("search", "tiny.toml", "--out", "out", "--quiet")
    assert (said.status, said.out, said.err) == (0, "out/report.html\n", "")


def test_without_out_a_run_goes_below_runs_and_is_found_again(downslope, tmp_path) -> None:
    assert downslope("search", "tiny.toml").status == 0
    assert downslope("search", "tiny.toml", "--quiet").out == "runs/tiny/report.html\n"
    other = downslope("search", "tiny.toml", "--seed", "7")
    assert other.out.endswith("report: runs/tiny-2/report.html, and report.pdf to print\n")
    assert (
        "run: runs/tiny-2, as runs/tiny holds a run of another recipe (seed = 541 there, 7 here)"
        in other.err
    )
    assert Run(tmp_path / "runs" / "tiny-2").read_results().recipe.seed == 7


@pytest.mark.slow
def test_a_part_runs_what_it_builds_on_and_says_so(downslope, tmp_path: Path) -> None:
    said = downslope("run", "tiny.toml", "--stages", "landscape", "--out", "out")
    assert "also running search, refit" in said.err
    assert list(Run(tmp_path / "out").read_results().seconds) == ["search", "refit", "landscape"]


def test_trials_has_an_option_of_its_own(downslope, tmp_path: Path) -> None:
    assert downslope("search", "tiny.toml", "--trials", "1", "--out", "out").status == 0
    results = Run(tmp_path / "out").read_results()
    assert results.recipe.search.trials == 1
    assert results.search is not None and len(results.search.trials) == 1


def test_elsewhere_than_on_a_terminal_each_stage_and_each_row_is_one_line(downslope) -> None:
    said = downslope("run", "tiny.toml", "--stages", "search", "--out", "out")
    stages = [line for line in said.err.splitlines() if line.startswith("[")]
    assert len(stages) == 1
    assert re.match(r"\[1/1\] search: done in \d+ s; ", stages[0])
    rows = said.out.splitlines()
    assert [row.partition(" ")[0] for row in rows[:2]] == ["test", "data"]
    assert not any(row.startswith(" ") or row.endswith(" ") for row in rows)


def test_report_rebuilds_without_training(downslope, searched: Path) -> None:
    page = searched / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert downslope("report", "out").status == 0
    assert page.read_bytes() == before


@pytest.mark.slow
def test_report_writes_a_pdf_too(downslope, tmp_path: Path) -> None:
    downslope("refit", "tiny.toml", "--out", "out")
    said = downslope("report", "out", "--format", "html,pdf", "--paper", "letter", "--quiet")
    assert (said.status, said.out) == (0, "out/report.html\nout/report.pdf\n")
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert downslope("verify", "out").status == 0
    assert "doc" in downslope("report", "out", "--format", "doc").mistake()


@pytest.mark.slow
def test_report_compares_runs(downslope, tmp_path: Path) -> None:
    downslope("refit", "tiny.toml", "--out", "one")
    downslope("refit", "tiny.toml", "--out", "two", "--seed", "7")
    said = downslope("report", "one", "two", "--quiet")
    assert (said.status, said.out) == (0, "comparison.html\n")
    page = (tmp_path / "comparison.html").read_text("utf-8")
    assert "recipe.seed" in page
    assert "given twice" in downslope("report", "one", "one").mistake()
    assert "html alone" in downslope("report", "one", "two", "--format", "pdf").mistake()
    assert "--out" in downslope("report", "one", "--out", "page.html").mistake()


def test_the_manifest_follows_a_rebuilt_report(downslope, searched: Path) -> None:
    run = Run(searched)
    before = run.read_manifest()
    (searched / "report.html").write_text("stale")
    downslope("report", "out")
    assert run.read_manifest() == before


def test_figures_of_an_earlier_report_go_and_a_users_stay(downslope, searched: Path) -> None:
    run, figures = Run(searched), searched / "figures"
    before = run.read_manifest()
    for name in ("earlier.svg", "edited.svg"):
        run.write(f"figures/{name}", b"<svg/>")
    run.refresh_manifest()
    (figures / "edited.svg").write_text("changed")
    (figures / "own.svg").write_text("of the user")
    assert downslope("report", "out").status == 0
    assert not (figures / "earlier.svg").exists()
    assert (figures / "edited.svg").exists() and (figures / "own.svg").exists()
    (figures / "edited.svg").unlink()
    downslope("report", "out")
    assert run.read_manifest() == before
