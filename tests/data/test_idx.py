import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from downslope.data.idx import find_idx, idx_header, read_idx, read_idx_folder
from downslope.errors import InputError


def test_header_is_that_of_the_published_files():
    # The first 16 bytes of the publisher's train-images-idx3-ubyte.
    assert idx_header((60000, 28, 28)) == bytes.fromhex("00000803 0000ea60 0000001c 0000001c")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_read_agrees_with_frombuffer(arrays, to_idx, tmp_path: Path, compress):
    images = arrays["train images"]
    path = tmp_path / "some-file"
    path.write_bytes(compress(to_idx(images)))
    file = read_idx(path, 3)
    oracle = np.frombuffer(to_idx(images), np.uint8, offset=16).reshape(30, 4, 5)
    np.testing.assert_array_equal(file.array, oracle)
    assert file.array.flags.writeable
    assert file.sha256 == hashlib.sha256(to_idx(images)).hexdigest()


@pytest.mark.parametrize(
    "names",
    [
        "train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte "
        "t10k-labels-idx1-ubyte",
        "train-images-idx3-ubyte.gz train-labels-idx1-ubyte t10k-images-idx3-ubyte.gz "
        "t10k-labels-idx1-ubyte",
        "train-images.idx3-ubyte train-labels.idx1-ubyte t10k-images.idx3-ubyte "
        "t10k-labels.idx1-ubyte",
        "emnist-digits-train-images-idx3-ubyte.gz emnist-digits-train-labels-idx1-ubyte.gz "
        "emnist-digits-test-images-idx3-ubyte.gz emnist-digits-test-labels-idx1-ubyte.gz",
        "train_images.idx train_labels.idx test_images.idx test_labels.idx",
    ],
)
def test_every_usual_spelling_is_found(arrays, to_idx, tmp_path: Path, names):
    for name, array in zip(names.split(), arrays.values(), strict=True):
        data = to_idx(array)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    files = read_idx_folder(tmp_path)
    assert [file.path.name for file in files.values()] == names.split()
    for role, file in files.items():
        np.testing.assert_array_equal(file.array, arrays[role])


def test_a_plain_file_wins_over_a_compressed_one(idx_folder: Path):
    (idx_folder / "train-images-idx3-ubyte.gz").write_bytes(b"never read")
    assert find_idx(idx_folder)["train images"].name == "train-images-idx3-ubyte"


def test_two_sets_in_one_folder_are_refused(idx_folder: Path):
    (idx_folder / "emnist-train-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(InputError, match="several sets"):
        find_idx(idx_folder)


def test_missing_files_are_named(idx_folder: Path):
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="lacks t10k-labels-idx1-ubyte "):
        read_idx_folder(idx_folder)


IMAGE = bytes.fromhex("00000803 00000001 00000002 00000002 01020304")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "empty once decompressed"),
        (IMAGE[:3], "wrong magic number 0x000008;"),
        (IMAGE[:9], "truncated within its header"),
        (IMAGE[:-1], "truncated: its header promises 4 bytes of shape .1, 2, 2., it holds 3"),
        (IMAGE + b"x", "more than the 4 bytes"),
        (b"\x00\x00\x0d\x03" + IMAGE[4:], "wrong magic number 0x00000d03;.* 0x00000803"),
        (b"\x00\x00\x08\x01" + IMAGE[4:], "wrong magic number 0x00000801;.* 0x00000803"),
        (IMAGE[:4] + b"\xff" * 12, "claims 79,.* at most 1,073,741,824"),
        (gzip.compress(IMAGE, mtime=0)[:-9], "truncated .gz"),
        (gzip.compress(IMAGE, mtime=0)[:5], "truncated .gz"),
        (gzip.compress(IMAGE, mtime=0)[:-8] + b"12345678", "damaged .gz .CRC"),
        (gzip.compress(IMAGE, mtime=0)[:10] + b"\xff" * 20, "damaged .gz"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as raised:
        read_idx(path, 3)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_bomb_is_not_unpacked_beyond_its_header(tmp_path: Path, monkeypatch):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(IMAGE + bytes(50_000_000)))
    taken = 0
    inner = gzip.GzipFile.read

    def read(self, size=-1):
        nonlocal taken
        data = inner(self, size)
        taken += len(data)
        return data

    monkeypatch.setattr(gzip.GzipFile, "read", read)
    with pytest.raises(InputError, match="holds more than"):
        read_idx(path, 3)
    assert taken == len(IMAGE) + 1
