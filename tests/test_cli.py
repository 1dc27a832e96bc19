"""The command line: exit statuses, one clear line for a mistake, nothing lost or half-written."""

import ast
import gzip
import inspect
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, get_type_hints

import msgspec
import numpy as np
import pytest
import typer

from downslope.__main__ import main
from downslope.cli.application import app, data_app
from downslope.runs import Run

# Small enough for seconds, with every stage in it.
TINY = """
title = "tiny"
[data]
name = "digits"
[theory]
depth = 3
width = 32
repetitions = 4
examples = 32
[theory.trainability]
depths = [2]
map_depths = [2]
weight_variances = [2.0]
width = 8
epochs = 1
examples = 32
[search]
trials = 2
[search.space]
units = [8, 16]
epochs = [2]
[refit]
seeds = 2
epochs = 3
[variants]
trials = 2
[variants.space]
normalization = ["batch", "none"]
epochs = [2]
[variants.refit]
seeds = 2
[landscape]
grid = [5, 4]
examples = 50
[autoencoder]
hidden = [12, 4, 12]
[autoencoder.training]
optimizer = "adam"
learning_rate = 0.01
epochs = 2
"""


@dataclass
class Said:
    status: int
    out: str
    err: str


@pytest.fixture
def downslope(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., Said]]:
    """Run a command in this process, in an empty folder that holds tiny.toml."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["downslope", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return Said(int(end.value.code or 0), out, err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def one_line(said: Said) -> str:
    """Check that a mistake was answered as the design wants, and return the line."""
    assert said.status == 2
    lines = said.err.strip().splitlines()
    errors = [line for line in lines if line.startswith("downslope: ")]
    assert len(errors) == 1, said.err
    assert "Traceback" not in said.err
    return errors[0]


@pytest.mark.slow
def test_a_run_writes_results_manifest_and_report(downslope, tmp_path: Path) -> None:
    said = downslope("run", "tiny.toml", "--out", "out")
    assert said.status == 0, said.err
    results = Run(tmp_path / "out").read_results()
    stages = ["search", "refit", "variants", "landscape", "autoencoder", "theory"]
    assert list(results.seconds) == stages
    # One opening per final member: two refits, two variant refits, one autoencoder.
    assert len(results.test_set.openings) == 5
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    manifest = Run(tmp_path / "out").read_manifest()
    assert manifest is not None and "report.html" in manifest.files
    assert said.out.rstrip().endswith("out/report.html")
    assert "test accuracy" in said.out


def test_quiet_prints_the_reports_path_alone(downslope) -> None:
    said = downslope("theory", "tiny.toml", "--out", "out", "--quiet")
    assert (said.status, said.out, said.err) == (0, "out/report.html\n", "")


@pytest.mark.slow
def test_without_out_a_run_goes_below_runs_and_is_found_again(downslope, tmp_path) -> None:
    assert downslope("theory", "tiny.toml").status == 0
    assert downslope("theory", "tiny.toml", "--quiet").out == "runs/tiny/report.html\n"
    other = downslope("theory", "tiny.toml", "--seed", "7")
    assert other.out.endswith("report: runs/tiny-2/report.html\n")
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


def test_a_finished_run_only_gets_its_report_again(downslope, tmp_path: Path) -> None:
    downslope("search", "tiny.toml", "--out", "out")
    before = Run(tmp_path / "out").read_results()
    said = downslope("search", "tiny.toml", "--out", "out")
    assert said.status == 0
    assert "run: out (resuming)" in said.err
    assert msgspec.json.encode(Run(tmp_path / "out").read_results()) == msgspec.json.encode(before)


@pytest.mark.slow
def test_report_rebuilds_without_training(downslope, tmp_path: Path) -> None:
    downslope("theory", "tiny.toml", "--out", "out")
    page = tmp_path / "out" / "report.html"
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
    assert "doc" in one_line(downslope("report", "out", "--format", "doc"))


@pytest.mark.slow
def test_report_compares_runs(downslope, tmp_path: Path) -> None:
    downslope("refit", "tiny.toml", "--out", "one")
    downslope("refit", "tiny.toml", "--out", "two", "--seed", "7")
    said = downslope("report", "one", "two", "--quiet")
    assert (said.status, said.out) == (0, "comparison.html\n")
    page = (tmp_path / "comparison.html").read_text("utf-8")
    assert "recipe.seed" in page
    assert "given twice" in one_line(downslope("report", "one", "one"))
    assert "html alone" in one_line(downslope("report", "one", "two", "--format", "pdf"))
    assert "--out" in one_line(downslope("report", "one", "--out", "page.html"))


def test_the_manifest_follows_a_rebuilt_report(downslope, tmp_path: Path) -> None:
    downslope("theory", "tiny.toml", "--out", "out")
    run = Run(tmp_path / "out")
    before = run.read_manifest()
    (tmp_path / "out" / "report.html").write_text("stale")
    downslope("report", "out")
    assert run.read_manifest() == before


def test_figures_of_an_earlier_report_go_and_a_users_stay(downslope, tmp_path: Path) -> None:
    downslope("theory", "tiny.toml", "--out", "out")
    run, figures = Run(tmp_path / "out"), tmp_path / "out" / "figures"
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


def test_module_and_command_are_the_same() -> None:
    done = subprocess.run([sys.executable, "-m", "downslope", "--help"], capture_output=True)
    assert done.returncode == 0
    assert b"autoencode" in done.stdout


def test_doctor_names_versions_hardware_and_engine(downslope) -> None:
    said = downslope("doctor")
    assert said.status == 0
    for word in ("torch", "processor", "cores", "engine", "data digits"):
        assert word in said.out


def test_data_commands(downslope) -> None:
    assert "digits" in downslope("data", "list").out
    said = downslope("data", "describe", "digits")
    assert "1,437 examples" in said.out and "360 examples, sealed" in said.out
    assert "as published" in downslope("data", "verify", "digits").out
    assert downslope("data", "fetch", "digits").status == 0


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def idx_folder(folder: Path) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, rows in (("train", 60), ("t10k", 20)):
        images, labels = generator.integers(0, 256, (rows, 4, 4)), np.arange(rows) % 10
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder


def truncated(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-200])


def wrong_magic(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\x00\x00\x0b\x03" + gzip.decompress(path.read_bytes())[4:]))


def fewer_labels(folder: Path) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.arange(59) % 10)))


def wild_label(folder: Path) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.where(np.arange(60) == 33, 200, np.arange(60) % 10))))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncated, "train-images-idx3-ubyte.gz"),
        (wrong_magic, "train-images-idx3-ubyte.gz"),
        (fewer_labels, "59"),
        (wild_label, "200"),
    ],
)
def test_damaged_idx_files_are_one_line_and_no_run(
    downslope, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    folder = idx_folder(tmp_path / "set")
    damage(folder)
    said = downslope("run", "tiny.toml", "--data", str(folder), "--out", "out")
    assert named in one_line(said)
    assert not (tmp_path / "out").exists()


def test_the_undamaged_folder_is_fine(downslope, tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "set")
    assert downslope("search", "tiny.toml", "--data", str(folder), "--out", "out").status == 0


def npz(path: Path, **changes: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    arrays = {"X": generator.random((50, 3)).astype(np.float32), "y": np.arange(50) % 2}
    np.savez(path, **{**arrays, **changes})


def test_nan_is_named_by_row_and_column(downslope, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    inputs[17, 2] = np.nan
    npz(tmp_path / "set.npz", X=inputs)
    line = one_line(downslope("run", "tiny.toml", "--data", "set.npz", "--out", "out"))
    assert "17" in line and "2" in line and "nan" in line.lower()
    assert not (tmp_path / "out").exists()


def test_a_pickled_npy_is_refused(downslope, tmp_path: Path) -> None:
    folder = tmp_path / "four"
    folder.mkdir()
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        np.save(folder / f"fashion_mnist_{part}.npy", np.array([{"a": 1}], dtype=object))
    line = one_line(downslope("run", "tiny.toml", "--data", str(folder), "--out", "out"))
    assert "pickle" in line.lower() or "object" in line.lower()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "tiny.toml", "--data", "nowhere"), "nowhere"),
        (("run", "nosuch.toml"), "nosuch.toml"),
        (("run", "tiny.toml", "--set", "search.trails=3"), "search.trials"),
        (("run", "tiny.toml", "--set", "refit.seeds=0"), "seeds"),
        (("run", "tiny.toml", "--set", "search.space.units=[]"), "units"),
        (("run", "tiny.toml", "--set", "nonsense"), "key=value"),
        (("run", "tiny.toml", "--stages", "serch"), "serch"),
        (("run", "tiny.toml", "--stages", ""), "stage"),
        (("run", ""), "no recipe of that name"),
        (("search", ""), "no recipe of that name"),
        (("run", "tiny.toml", "--address", "auto"), "only with --executor ray"),
        (("report", "nowhere"), "nowhere"),
        (("data", "describe", "nowhere"), "nowhere"),
        (("data", "fetch", "cifar-10"), "cifar-10"),
    ],
)
def test_mistakes_are_one_line_and_status_2(downslope, tmp_path, arguments, named) -> None:
    before = sorted(tmp_path.iterdir())
    assert named in one_line(downslope(*arguments))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "--nosuch"), "No such option: --nosuch"),
        (("run", "--threads"), "--threads"),
        (("run", "--executor", "cloud"), "--executor: 'cloud'"),
        (("run", "quick", "hw3"), "hw3"),
        (("nosuch",), "No such command 'nosuch'"),
        (("report",), "Missing argument 'DIR'"),
        (("landscape", "net.py:make"), "--snapshots"),
    ],
)
def test_wrong_usage_is_one_line_that_names_the_help(downslope, arguments, named) -> None:
    line = one_line(downslope(*arguments))
    assert named in line
    assert re.search(r"; see 'downslope[ a-z]* --help'$", line)


NUMBERS = {
    ("run", "tiny.toml"): ["--trials", "--seed", "--threads"],
    ("search", "tiny.toml"): ["--trials", "--seed", "--threads"],
    ("diagnose", "net.py:make", "--data", "digits"): ["--networks", "--examples", "--seed"],
    ("landscape", "net.py:make", "--snapshots", ".", "--data", "set.npz"): [
        *("--margin", "--examples", "--tolerance", "--seed", "--threads", "--grid"),
    ],
}
ALLOWED = {("--seed", "0"), ("--margin", "0"), ("--tolerance", "0")}


def test_every_option_that_takes_a_number_is_tried() -> None:
    for words, tried in NUMBERS.items():
        command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
        metavars = {"N", "NxM", "SHARE"}
        numbers = [p.opts[0] for p in command.params if p.metavar in metavars]
        assert sorted(numbers) == sorted(tried)


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "1e30", "x"])
@pytest.mark.parametrize(
    ("words", "option"), [(words, option) for words, tried in NUMBERS.items() for option in tried]
)
def test_a_number_that_is_not_allowed_is_one_line_with_its_value(
    downslope, tmp_path: Path, words: tuple[str, ...], option: str, value: str
) -> None:
    (tmp_path / "net.py").write_text("def make(): raise RuntimeError('work has begun')")
    if (option, value) in ALLOWED:
        value = f"-{value}.5"
    line = one_line(downslope(*words, option, value))
    shown = value if value == "x" else str(float(value))
    assert option.lstrip("-") in line
    assert value in line or shown in line
    assert "must be" in line
    assert not (tmp_path / "runs").exists() and not (tmp_path / "landscape").exists()


@pytest.mark.parametrize("arguments", [("-h",), ("--help",), (), ("run", "-h"), ("data",)])
def test_help_is_shown_with_status_0(downslope, arguments) -> None:
    said = downslope(*arguments)
    assert (said.status, said.err) == (0, "")
    assert "Usage: downslope" in said.out
    assert "[[" not in said.out and "{" not in said.out and "<bool>" not in said.out


def test_the_version_is_that_of_the_package(downslope) -> None:
    said = downslope("--version")
    assert (said.status, said.out) == (0, f"{metadata.version('downslope')}\n")


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("--trials", "3", "search.trials"),
        ("--seed", "3", "seed"),
        ("--data", "digits", "data.name"),
        ("--label", "y", "data.label"),
    ],
)
def test_a_key_that_an_option_changes_is_not_set_as_well(
    downslope, option: str, value: str, key: str
) -> None:
    line = one_line(downslope("run", "tiny.toml", option, value, "--set", f"{key}=7"))
    assert f"--set {key}=7: has no effect beside {option}" in line


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


def test_an_output_that_cannot_be_written_is_refused_before_training(
    downslope, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = one_line(downslope("search", "tiny.toml", "--out", "file/out"))
    assert "file/out" in line
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(downslope, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert "locked" in one_line(downslope("search", "tiny.toml", "--out", "locked/out"))


def test_a_run_of_another_recipe_is_not_touched(downslope, tmp_path: Path) -> None:
    downslope("search", "tiny.toml", "--out", "out")
    before = (tmp_path / "out" / "results.json").read_bytes()
    line = one_line(downslope("search", "tiny.toml", "--out", "out", "--set", "search.trials=1"))
    assert "search.trials = 2 there, 1 here" in line
    assert (tmp_path / "out" / "results.json").read_bytes() == before


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
    assert downslope("run", "--resume", "out", "--stages", "theory").status == 0
    assert list(Run(tmp_path / "out").read_results().seconds) == ["search", "theory"]


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
    downslope, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    downslope("search", "tiny.toml", "--out", "out")
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert named in one_line(downslope("run", "--resume", "out", *arguments))
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_resume_refuses_an_edited_recipe_and_other_data(downslope, tmp_path: Path) -> None:
    npz(tmp_path / "set.npz")
    downslope("search", "tiny.toml", "--data", "set.npz", "--out", "out")
    npz(tmp_path / "set.npz", y=(np.arange(50) + 1) % 2)
    line = one_line(downslope("run", "--resume", "out", "--stages", "theory"))
    assert "holds a run on other data (data.sha256 = " in line
    npz(tmp_path / "set.npz")
    recipe = tmp_path / "out" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("trials = 2", "trials = 1", 1))
    line = one_line(downslope("run", "--resume", "out"))
    assert "search.trials = 2 there, 1 here" in line


def test_resume_without_a_run_is_refused(downslope, tmp_path: Path) -> None:
    assert "holds no run" in one_line(downslope("run", "--resume", "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_file_is_named_by_every_command_that_would_use_it(
    downslope, tmp_path: Path
) -> None:
    downslope("search", "tiny.toml", "--out", "out")
    shutil.copytree(tmp_path / "out", tmp_path / "whole")
    assert downslope("verify", "out").status == 0
    path = tmp_path / "out" / "results.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"epoch": 2', b'"epoch": 3', 1))
    for command in (
        *(("report", "out"), ("run", "--resume", "out"), ("verify", "out"), ("export", "out")),
        ("report", "whole", "out"),
    ):
        assert "results.json" in one_line(downslope(*command))
    path.write_bytes(whole)
    page = tmp_path / "out" / "report.html"
    page.write_bytes(page.read_bytes().replace(b"downslope", b"downslide", 1))
    assert "report.html" in one_line(downslope("verify", "out"))
    assert downslope("run", "--resume", "out").status == 0
    assert downslope("verify", "out").status == 0
    (tmp_path / "out" / "recipe.toml").unlink()
    assert "recipe.toml once it is removed" in one_line(downslope("verify", "out"))
    assert downslope("run", "--resume", "out").status == 0
    assert downslope("verify", "out").status == 0


def test_a_run_on_a_file_goes_on_from_any_folder(
    downslope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz(tmp_path / "set.npz")
    assert downslope("search", "tiny.toml", "--data", "set.npz", "--out", "out").status == 0
    (tmp_path / "out" / "report.html").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert downslope("run", "--resume", "../out").status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "tiny.toml", "--out", "LONG"),
        ("run", "--resume", "LONG"),
        ("landscape", "m.py:f", "--snapshots", ".", "--data", "d", "--out", "LONG"),
        ("diagnose", "m.py:f", "--out", "LONG"),
        ("report", "LONG"),
        ("report", ".", ".", "--out", "LONG"),
        ("export", "LONG"),
        ("verify", "LONG"),
        ("encode", ".", "x.npy", "--out", "LONG.npy"),
        ("decode", "LONG", "x.npy", "--out", "x.png"),
        ("data", "describe", "LONG"),
    ],
)
def test_a_name_that_is_too_long_is_one_line_before_any_work(
    downslope, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    said = downslope(*(a.replace("LONG", "n" * 300) for a in arguments))
    line = one_line(said)
    assert "n" * 300 in line and len(line) < 600
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.toml"]


def test_hostile_names_reach_the_terminal_as_text(downslope, tmp_path: Path) -> None:
    name = "a\x1b]0;title\x07\u202e"
    line = one_line(downslope("verify", name))
    assert r"a\x1b]0;title\x07\u202e: holds no run" in line
    (tmp_path / "set.csv").write_text("x,label\n" + f"0,{name}\n1,other\n" * 30)
    said = downslope("data", "describe", "set.csv")
    assert said.status == 0, said.err
    assert r"a\x1b]0;title\x07\u202e: " in said.out
    assert not {"\x1b", "\x07", "\u202e"} & set(said.out)


def test_a_full_disk_behind_standard_output_is_one_line(
    downslope, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (("data", "list"), ("--help",), ("run", "--help")):
        with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", full)
            line = one_line(downslope(*command))
        assert "standard output cannot be written (No space left on device)" in line


def test_a_reader_that_has_gone_is_status_141(downslope, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        said = downslope("data", "list")
    assert (said.status, said.err) == (141, "")


def options_of(command: typer.models.CommandInfo) -> set[str]:
    named: set[str] = set()
    assert command.callback is not None
    for name, hint in get_type_hints(command.callback, include_extras=True).items():
        for info in getattr(hint, "__metadata__", ()):
            if isinstance(info, typer.models.OptionInfo):
                # Within Annotated, Typer takes the first declaration for the default.
                declared = (info.default, *(info.param_decls or ()))
                own = {d for d in declared if isinstance(d, str) and d.startswith("--")}
                named |= own or {f"--{name.replace('_', '-')}"}
    return named


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Find the texts of a module's errors, the values in them left out."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and "Error" in ast.unparse(node.func):
            texts = [c.value for c in ast.walk(node) if isinstance(c, ast.Constant)]
            yield node.lineno, " ".join(text for text in texts if isinstance(text, str))


def test_a_message_names_an_option_only_where_the_command_has_it() -> None:
    """Outside of cli/ nobody knows which command it is, but for the option whose value is wrong."""
    commands = [*app.registered_commands, *data_app.registered_commands]
    by_module: dict[str, list[set[str]]] = {}
    by_name: dict[str, set[str]] = {}
    for command in commands:
        assert command.callback is not None
        by_module.setdefault(command.callback.__module__, []).append(options_of(command))
        by_name[command.name or command.callback.__name__] = options_of(command)
    source = Path(inspect.getfile(main)).parent
    for path in source.rglob("*.py"):
        module = ".".join(["downslope", *path.relative_to(source).with_suffix("").parts])
        for line, whole in messages(path):
            for name, option in re.findall(r"'downslope (\w+) (--[a-z]+)", whole):
                assert option in by_name[name], (path, line, name, option)
            text = re.sub(r"'downslope [^']*'", "", whole)
            for option in re.findall(r"(?<![\w-])--[a-z]+", text):
                of_value = text.lstrip("f'\"").startswith(option) and any(
                    option in options for each in by_module.values() for options in each
                )
                here = by_module.get(module, [])
                assert of_value or any(option in options for options in here), (path, line, option)


def test_a_message_names_only_commands_that_there_are() -> None:
    names = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    names |= {"data"}
    for path in Path(inspect.getfile(main)).parent.rglob("*.py"):
        for line, text in messages(path):
            for name in re.findall(r"'downslope ([a-z]+)", text):
                assert name in names, (path, line, name)


def test_a_folder_with_other_files_is_not_touched(downslope, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "mine" in one_line(downslope("search", "tiny.toml", "--out", "mine"))
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


PATIENCE = 120
"""Seconds for what a busy machine may take; nothing is timed."""


@contextmanager
def started(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a process that does not outlive its test, whatever becomes of that."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for_line(child: subprocess.Popen[str], stream: IO[str] | None, start: str) -> None:
    """Read a child's output up to a line that begins so; end a child that does not say it."""
    assert stream is not None
    watchdog = threading.Timer(PATIENCE, child.kill)
    watchdog.start()
    lines: list[str] = []
    try:
        for line in iter(stream.readline, ""):
            lines.append(line)
            if line.startswith(start):
                return
    finally:
        watchdog.cancel()
    raise AssertionError(f"no line {start!r}: {''.join(lines)}")


def wait_for_file(child: subprocess.Popen[str], path: Path) -> None:
    """Wait until a child has written a file."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert child.poll() is None and time.monotonic() < end, f"no {path}"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_an_interrupt_keeps_what_was_finished_and_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    changes = ["--set", "search.space.epochs=[1,1,1,2000]", "--set", "search.trials=12"]
    command = ["run", "tiny.toml", "--out", "out", "--stages", "search", *changes]
    # As `python -m downslope` would, and say when a trial is stored.
    program = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # where nohup runs the tests too
        "from downslope.search.trials import TrialStore\n"
        "add = TrialStore.add\n"
        "def tell(store, trial):\n"
        "    add(store, trial)\n"
        "    print('stored', flush=True)\n"
        "TrialStore.add = tell\n"
        "runpy.run_module('downslope', run_name='__main__', alter_sys=True)\n"
    )
    with started(sys.executable, "-c", program, *command, cwd=tmp_path) as child:
        wait_for_line(child, child.stdout, "stored")
        child.send_signal(number)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == status, err
    assert "Traceback" not in err
    assert "To resume: python -m downslope run --resume out" in err
    results = Run(tmp_path / "out").read_results()
    assert results.seconds == {}
    assert results.search is not None and results.search.trials
    left = {path.name for path in (tmp_path / "out").rglob(".*")}
    assert left == {".lock"}, "no temporary files are left"


@pytest.mark.slow
def test_two_processes_on_one_run_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    long = ["--set", "search.space.epochs=[100000]", "--stages", "search", "--out", "out"]
    command = [sys.executable, "-m", "downslope", "run", "tiny.toml", *long]
    with started(*command, cwd=tmp_path) as first:
        wait_for_line(first, first.stderr, "run: out")
        wait_for_file(first, tmp_path / "out" / "results.json")  # written with the lock
        second = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
        )
    assert second.returncode == 2
    assert f"in use by process {first.pid}" in second.stderr
    # A dead holder's lock is gone with it.
    with Run(tmp_path / "out").locked():
        pass


@pytest.mark.slow
def test_ctrl_c_while_starting_is_clean() -> None:
    # Until our handlers are there, Python answers in its own way: wait for the second of them.
    program = (
        "import signal, sys\n"
        "install = signal.signal\n"
        "def told(number, handler):\n"
        "    install(number, handler)\n"
        "    if number == signal.SIGTERM: print('here', flush=True)\n"
        "signal.signal = told\n"
        "sys.argv = ['downslope', 'doctor']\n"
        "from downslope.__main__ import main\n"
        "main()\n"
    )
    for delay in (0.0, 0.1, 0.3):
        with started(sys.executable, "-c", program) as child:
            wait_for_line(child, child.stdout, "here")
            time.sleep(delay)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == 130, err


def test_the_diagnosis_of_a_module_names_the_layer_and_draws_it(
    downslope: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from torch import nn\n"
        "def deep():\n"
        "    hidden = [m for _ in range(8) for m in (nn.Linear(64, 64), nn.ReLU())]\n"
        "    return nn.Sequential(*hidden, nn.Linear(64, 10))\n"
    )
    said = downslope("diagnose", "mine.py:deep", "--data", "digits", "--networks", "3")
    assert said.status == 0
    assert "the signal dies at layer 8 (Linear)" in said.out
    assert Path("diagnosis/diagnosis.html").exists()
    assert not Path("runs").exists()
    wrong = downslope("diagnose", "mine.py:shallow", "--data", "digits")
    assert wrong.status == 2 and "no function 'shallow'" in wrong.err


# Autoencoders on files


def test_examples_go_through_an_autoencoder_and_back(downslope, tmp_path: Path) -> None:
    said = downslope("autoencode", "tiny.toml", "--out", "out", "--quiet")
    assert said.status == 0, said.err
    rows = np.random.default_rng(0).integers(0, 17, (5, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "x.npy", rows)
    assert downslope("encode", "out", "x.npy", "--out", "codes.npy").status == 0
    assert downslope("decode", "out", "codes.npy", "--out", "decoded.npy").status == 0
    said = downslope("reconstruct", "out", "x.npy", "--out", "again.npy")
    assert said.status == 0 and "5 examples, mean squared error 0." in said.out
    assert np.load(tmp_path / "codes.npy").shape == (5, 4)
    again = np.load(tmp_path / "again.npy")
    assert again.shape == (5, 8, 8)
    assert np.array_equal(again, np.load(tmp_path / "decoded.npy"))
    assert downslope("reconstruct", "out", "x.npy", "--out", "sheet.png").status == 0
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("encode", "nowhere", "x.npy", "--out", "c.npy"), "nowhere: does not exist"),
        (("encode", ".", "x.npy", "--out", "c.npy"), "holds no autoencoder"),
        (("encode", ".", "x.npy", "--out", "c.txt"), "must end in .npy"),
        (("reconstruct", ".", "x.npy", "--out", "c.jpg"), "must end in .npy or .png"),
    ],
)
def test_mistakes_with_autoencoders_are_one_line(
    downslope, tmp_path: Path, command: tuple[str, ...], words: str
) -> None:
    assert words in one_line(downslope(*command))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.toml"]
