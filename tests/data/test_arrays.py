import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from downslope.data import files as module
from downslope.data.arrays import parse_npy, read_npy_folder, read_npz
from downslope.errors import InputError


def saved(array, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "?", "<i4", ">i4", "<f2", ">f4", "<f8", "<u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_parse_agrees_with_numpy(dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4) % 2, dtype, order=order)
    data = saved(array)
    np.testing.assert_array_equal(parse_npy(data, "a"), np.load(io.BytesIO(data)))


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (saved(np.array([Trap()], object), allow_pickle=True), "holds Python objects .a pickle"),
        (pickle.dumps(Trap()), "is a pickle, which is never loaded"),
        (b"", "is not a .npy"),
        (b"x_train", "is not a .npy"),
        (saved(np.arange(3))[:-1], "is truncated: its header promises 24 bytes"),
        (saved(np.arange(3)) + b"x", "is damaged: its header promises 24 bytes"),
        (saved(np.arange(3))[:20], "damaged .npy header"),
        (saved(np.arange(3)).replace(b"(3,)", b"(-3)"), "damaged .npy header"),
        (saved(np.arange(3)).replace(b"(3,), ", b"(-3,),"), "is damaged"),
        (saved(np.arange(3)).replace(b"(3,), }    ", b"(3000000),}"), "damaged .npy header"),
        (saved(np.arange(3)).replace(b"(3,), }   ", b"(9**99,),}"), "damaged .npy header"),
        (saved(np.array(["a"])), "dtype <U1; only whole and floating"),
        (saved(np.array([1j])), "dtype complex128"),
        (saved(np.zeros(1, [("a", "i4")])), "only whole and floating"),
        (saved(np.zeros(2, "M8[s]")), "only whole and floating"),
    ],
)
def test_a_bad_npy_is_refused(data: bytes, says: str):
    with pytest.raises(InputError, match=says) as raised:
        parse_npy(data, "dir/x.npy")
    assert str(raised.value).startswith("dir/x.npy: ")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X", "y"),
        ("images", "labels"),
    ],
)
def test_npz_round_trip(tmp_path: Path, save, keys):
    given = {key: np.arange(6).reshape(2, 3) + i for i, key in enumerate(keys)}
    path = tmp_path / "a.npz"
    save(path, **given, extra=np.zeros(3))
    found, notes = read_npz(path)
    assert notes == ("not read: extra",)
    assert list(found) == [key.lower() for key in keys]
    for key in keys:
        np.testing.assert_array_equal(found[key.lower()], given[key])


def test_npz_says_which_keys_are_accepted(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(InputError, match="keys a, b; accepted are x_train, y_train, x_test") as e:
        read_npz(path)
    assert "; or x, y; or" in str(e.value)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["x_train", "y_train", "x_test", "y_test", "x_val", "y_val"], "has x_val, y_val besides"),
        (["x_train", "y_train", "x_test", "y_test", "validation_x"], "has validation_x besides"),
        (["X", "y", "x"], "has the keys X and x, of which one is meant"),
        (["X", "y", "X_test"], "has X_test besides x, y, and would not use it"),
        (["images", "labels", "X", "y"], "has images, labels besides x, y"),
    ],
)
def test_no_examples_of_a_npz_are_dropped(tmp_path: Path, keys, says):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(
        path, "w"
    ) as archive:  # numpy.savez has the same: keys that differ by case
        for key in keys:
            archive.writestr(f"{key}.npy", saved(np.zeros((6, 2))))
    with pytest.raises(InputError, match=says):
        read_npz(path)


def test_npz_with_a_pickle_inside(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.array([Trap()], object), y=np.zeros(1))
    with pytest.raises(InputError, match=r"a\.npz: x: holds Python objects"):
        read_npz(path)


def test_npz_that_is_none(tmp_path: Path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(InputError, match=r"is not a readable \.npz"):
        read_npz(path)


def test_npz_bomb_is_bounded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "MAXIMUM_BYTES", 1000)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=np.zeros(10_000_000), y=np.zeros(3))
    with pytest.raises(InputError, match="x: is larger than 1,000 bytes"):
        read_npz(path)


def test_npz_encrypted_member_is_an_input_error(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.zeros(1), y=np.zeros(1))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0].header_offset
    data[first + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"is not a readable \.npz .*encrypted"):
        read_npz(path)


def test_npy_folder(tmp_path: Path, arrays):
    assert read_npy_folder(tmp_path) is None
    for role, array in arrays.items():
        np.save(tmp_path / f"fashion_mnist_{role.replace(' ', '_')}.npy", array)
    prefix, found = read_npy_folder(tmp_path) or pytest.fail()
    assert prefix == "fashion_mnist_"
    for role, (path, array) in found.items():
        np.testing.assert_array_equal(array, np.load(path))
        np.testing.assert_array_equal(array, arrays[role])
    (tmp_path / "fashion_mnist_test_labels.npy").rename(tmp_path / "other_test_labels.npy")
    with pytest.raises(InputError, match=r"several sets \(fashion_mnist_train.*, other_train"):
        read_npy_folder(tmp_path)
    (tmp_path / "other_test_labels.npy").unlink()
    with pytest.raises(InputError, match=r"lacks fashion_mnist_test_labels\.npy"):
        read_npy_folder(tmp_path)
