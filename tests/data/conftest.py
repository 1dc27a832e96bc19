"""Small data sets on disk, a machine without any copy of the named set, and the real one."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from downslope.data import Dataset, fashion_mnist, fetch, find, load
from downslope.errors import InputError
from downslope.files import CACHE
from downslope.progress import drain

Arrays = dict[str, NDArray[np.uint8]]

USUAL = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}


@pytest.fixture
def arrays() -> Arrays:
    draw = np.random.default_rng(0)
    return {
        "train images": draw.integers(0, 256, (30, 4, 5), dtype=np.uint8),
        "train labels": (np.arange(30) % 10).astype(np.uint8),
        "test images": draw.integers(0, 256, (10, 4, 5), dtype=np.uint8),
        "test labels": (np.arange(10) % 10).astype(np.uint8),
    }


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Write IDX as the format's page describes it, without the program's own writer."""
    header = np.array([0x800 + array.ndim, *array.shape], ">u4")
    return header.tobytes() + array.tobytes()


@pytest.fixture
def idx_folder(arrays: Arrays, tmp_path: Path) -> Path:
    folder = tmp_path / "idx"
    folder.mkdir()
    for role, array in arrays.items():
        (folder / USUAL[role]).write_bytes(idx_bytes(array))
    return folder


@pytest.fixture
def to_idx() -> Callable[[NDArray[np.uint8]], bytes]:
    return idx_bytes


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Fashion-MNIST and without the network; returns the cache folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(CACHE, str(home / "cache" / "downslope"))
    monkeypatch.delenv(fashion_mnist.VARIABLE, raising=False)
    monkeypatch.setattr(fashion_mnist, "PACKAGE_FOLDER", home / "usr")
    monkeypatch.setattr("downslope.data.fashion_mnist.ADDRESSES", ("http://127.0.0.1:9/",))
    monkeypatch.setattr("downslope.data.package.shutil.which", lambda name: None)
    return home / "cache" / "downslope"


@pytest.fixture
def small_fashion(arrays: Arrays, monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Let a small set pass for Fashion-MNIST."""
    import hashlib

    digests = {r: hashlib.sha256(idx_bytes(a)).hexdigest() for r, a in arrays.items()}
    monkeypatch.setattr(fashion_mnist, "DIGESTS", digests)
    return arrays


@pytest.fixture
def put_fashion(small_fashion: Arrays) -> Callable[[Path], Path]:
    def put(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for role, array in small_fashion.items():
            (folder / (USUAL[role] + ".gz")).write_bytes(gzip.compress(idx_bytes(array)))
        return folder

    return put


@pytest.fixture(scope="session")
def real_folder() -> Path:
    try:
        return find("fashion-mnist") or drain(fetch("fashion-mnist"))
    except InputError as error:
        pytest.skip(f"Fashion-MNIST can be neither found nor fetched: {error}")


@pytest.fixture(scope="session")
def real_dataset(real_folder: Path) -> Dataset:
    return load("fashion-mnist")
