"""Mistakes: one line that says what, where and what is allowed; status 2; nothing is written."""

import gzip
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer

from downslope.cli.application import app


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
    assert named in said.mistake()
    assert not (tmp_path / "out").exists()


def test_the_undamaged_folder_is_fine(downslope, tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "set")
    assert downslope("search", "tiny.toml", "--data", str(folder), "--out", "out").status == 0


def test_nan_is_named_by_row_and_column(downslope, npz, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    inputs[17, 2] = np.nan
    npz(tmp_path / "set.npz", X=inputs)
    line = downslope("run", "tiny.toml", "--data", "set.npz", "--out", "out").mistake()
    assert "17" in line and "2" in line and "nan" in line.lower()
    assert not (tmp_path / "out").exists()


def test_a_pickled_npy_is_refused(downslope, tmp_path: Path) -> None:
    folder = tmp_path / "four"
    folder.mkdir()
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        np.save(folder / f"fashion_mnist_{part}.npy", np.array([{"a": 1}], dtype=object))
    line = downslope("run", "tiny.toml", "--data", str(folder), "--out", "out").mistake()
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
        (("run", "tiny.toml", "--out", ""), "must name a file or folder"),
        (("export", "nowhere", "--out", " "), "must name a file or folder"),
        (("run", "tiny.toml", "--data", "digits", "--set", "data.validation=1437"), "validation"),
        (("report", "nowhere"), "nowhere"),
        (("data", "describe", "nowhere"), "nowhere"),
        (("data", "fetch", "cifar-10"), "cifar-10"),
    ],
)
def test_mistakes_are_one_line_and_status_2(downslope, tmp_path, arguments, named) -> None:
    before = sorted(tmp_path.iterdir())
    assert named in downslope(*arguments).mistake()
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
    line = downslope(*arguments).mistake()
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
    line = downslope(*words, option, value).mistake()
    shown = value if value == "x" else str(float(value))
    assert option.lstrip("-") in line
    assert value in line or shown in line
    assert "must be" in line
    assert not (tmp_path / "runs").exists() and not (tmp_path / "landscape").exists()


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
    line = downslope("run", "tiny.toml", option, value, "--set", f"{key}=7").mistake()
    assert f"--set {key}=7: has no effect beside {option}" in line


def test_an_output_that_cannot_be_written_is_refused_before_training(
    downslope, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    line = downslope("search", "tiny.toml", "--out", "file/out").mistake()
    assert "file/out" in line
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(downslope, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    assert "locked" in downslope("search", "tiny.toml", "--out", "locked/out").mistake()


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
    line = said.mistake()
    assert "n" * 300 in line and len(line) < 600
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.toml"]


def test_a_folder_with_other_files_is_not_touched(downslope, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "mine" in downslope("search", "tiny.toml", "--out", "mine").mistake()
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
