import gzip
from pathlib import Path

import numpy as np
import pytest

from downslope.data import Dataset, fashion_mnist, find, load
from downslope.data.assembly import Part, assemble
from downslope.data.labels import Labels
from downslope.errors import InputError


def test_search_order(bare_machine: Path, put_fashion, tmp_path: Path, monkeypatch):
    given = tmp_path / "given"
    home = Path.cwd()
    assert find("fashion-mnist") is None
    # Each place wins over those before it in this list.
    for folder in (
        home / "FashionMNIST" / "raw",
        home / "data" / "FashionMNIST" / "raw",
        home / "usr",
        bare_machine / "fashion-mnist",
        given,
        given / "FashionMNIST" / "raw",
        given / "fashion-mnist",
    ):
        put_fashion(folder)
        if given in (folder, *folder.parents):
            monkeypatch.setenv("DOWNSLOPE_DATA", str(given))
        found = find("fashion-mnist")
        assert found is not None
        assert found.resolve() == folder
        assert load("fashion-mnist").class_names == fashion_mnist.CLASS_NAMES


def test_an_incomplete_copy_is_passed_over(bare_machine: Path, put_fashion):
    put_fashion(bare_machine / "fashion-mnist")
    (bare_machine / "fashion-mnist" / "train-labels-idx1-ubyte.gz").unlink()
    put_fashion(fashion_mnist.PACKAGE_FOLDER)
    assert find("fashion-mnist") == fashion_mnist.PACKAGE_FOLDER


def test_the_variable_must_name_a_folder(bare_machine, monkeypatch):
    monkeypatch.setenv("DOWNSLOPE_DATA", "/no/such")
    with pytest.raises(InputError, match="DOWNSLOPE_DATA=/no/such: is not a folder"):
        load("fashion-mnist")


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("given", "unset DOWNSLOPE_DATA"),
        ("home/usr", "reinstall dataset-fashion-mnist"),
        ("home/FashionMNIST/raw", "delete or replace that folder"),
    ],
)
def test_a_corrupt_copy_is_an_error_with_advice(
    bare_machine, put_fashion, tmp_path: Path, monkeypatch, to_idx, place, advice
):
    folder = put_fashion(tmp_path / place)
    if place == "given":
        monkeypatch.setenv("DOWNSLOPE_DATA", str(folder))
    other = gzip.compress(to_idx(np.zeros(10, np.uint8)))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(other)
    with pytest.raises(InputError, match=f"t10k-labels-idx1-ubyte.gz: is not .*{advice}"):
        load("fashion-mnist")


def test_other_arrays_of_its_shape_are_not_taken_for_it():
    training, test = (
        Part(np.zeros((n, 784), np.uint8), "x", Labels(np.arange(n) % 10, "y"), "images")
        for n in (60_000, 10_000)
    )
    assert assemble("other", "made here", training, test).sha256 != fashion_mnist.SHA256


@pytest.mark.fashion
def test_it_is_known_from_other_files_too(real_dataset: Dataset, tmp_path: Path):
    assert real_dataset.sha256 == fashion_mnist.SHA256
    held_out = real_dataset.test.open("compared with another file of it")
    np.savez(
        tmp_path / "other.npz", x_train=real_dataset.training.inputs,
        y_train=real_dataset.training.targets, x_test=held_out.inputs, y_test=held_out.targets,
    )  # fmt: skip
    assert load(tmp_path / "other.npz").class_names == fashion_mnist.CLASS_NAMES
