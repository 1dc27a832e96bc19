import gzip
from pathlib import Path

import numpy as np
import pytest

from downslope.data import Examples, fashion, find, load
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
        assert load("fashion-mnist").class_names == fashion.CLASS_NAMES


def test_an_incomplete_copy_is_passed_over(bare_machine: Path, put_fashion):
    put_fashion(bare_machine / "fashion-mnist")
    (bare_machine / "fashion-mnist" / "train-labels-idx1-ubyte.gz").unlink()
    put_fashion(fashion.PACKAGE_FOLDER)
    assert find("fashion-mnist") == fashion.PACKAGE_FOLDER


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
    training = Examples(np.zeros((60_000, 784), np.uint8), np.zeros(60_000, np.int64))
    test = Examples(np.zeros((10_000, 784), np.uint8), np.zeros(10_000, np.int64))
    assert not fashion.is_fashion_mnist(training, test)
