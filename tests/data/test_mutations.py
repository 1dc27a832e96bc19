"""Whatever bytes are in a file, the answer is a data set or an `InputError` of one line."""

import gzip
import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope.data import Dataset, Encoding, load
from downslope.errors import InputError

LABELS = (np.arange(20) % 2).astype(np.uint8)
IMAGES = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
CSV = ("a,b,kind\n" + "".join(f"{i},{i / 7:.3f},{'xy'[i % 2]}\n" for i in range(20))).encode()


def idx(array: np.ndarray) -> bytes:
    header = np.array([0x800 + array.ndim, *array.shape], ">u4")
    return header.tobytes() + array.tobytes()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(save: Callable[..., None]) -> bytes:
    stream = io.BytesIO()
    save(stream, X=IMAGES.reshape(20, 4) / 255, y=LABELS)
    return stream.getvalue()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["cut", "set", "flip", "drop", "insert", "repeat"])):
            case "cut":
                del data[at:]
            case "set":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case "flip" if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "drop":
                del data[at : at + draw(st.integers(1, 8))]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case _:
                data += data[at:]
    return bytes(data)


def check(files: dict[str, bytes], given: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        try:
            dataset = load(Path(folder) / given)
        except InputError as error:
            assert str(error).isprintable()
            assert folder in str(error)
            return
        assert isinstance(dataset, Dataset)
        inputs, targets = dataset.training.inputs, dataset.training.targets
        assert len(inputs) == len(targets) > 0
        assert inputs.shape[1] == np.prod(dataset.shape)
        if dataset.task == "regression":
            assert np.isfinite(targets).all()
        else:
            assert targets.min() >= 0
            assert targets.max() < len(dataset.class_names)
        with suppress(InputError):  # nothing varies, or it is too large for float32
            assert np.isfinite(Encoding.fit(dataset).apply(dataset.training).inputs).all()


ROLES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte")
LAST = "t10k-labels-idx1-ubyte"


def idx_set() -> dict[str, bytes]:
    contents = (idx(IMAGES), idx(LABELS), idx(IMAGES), idx(LABELS))
    return dict(zip((*ROLES, LAST), contents, strict=True))


@settings(max_examples=150)
@given(st.sampled_from((*ROLES, LAST)), st.booleans(), st.data())
def test_idx(name: str, compress: bool, data: st.DataObject):
    files = idx_set()
    whole = gzip.compress(files[name], mtime=0) if compress else files[name]
    check(files | {name: data.draw(damaged(whole))}, ".")


@settings(max_examples=150)
@given(st.booleans(), st.data())
def test_npy(labels: bool, data: st.DataObject):
    files = {
        "p_train_images.npy": npy(IMAGES),
        "p_train_labels.npy": npy(LABELS),
        "p_test_images.npy": npy(IMAGES),
        "p_test_labels.npy": npy(LABELS),
    }
    name = "p_train_labels.npy" if labels else "p_train_images.npy"
    check(files | {name: data.draw(damaged(files[name]))}, ".")


@settings(max_examples=150)
@given(damaged(npz(np.savez)) | damaged(npz(np.savez_compressed)))
def test_npz(content: bytes):
    check({"a.npz": content}, "a.npz")


@settings(max_examples=150)
@given(
    damaged(CSV) | st.binary(max_size=60) | st.text("a,1.\n\r\"'-e;", max_size=60).map(str.encode)
)
def test_csv(content: bytes):
    check({"a.csv": content}, "a.csv")


@settings(max_examples=60)
@given(st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u8", "?", ">f4"]), st.data())
def test_values_of_every_type(dtype: str, data: st.DataObject):
    raw = data.draw(st.binary(min_size=80 * 8, max_size=80 * 8))
    with np.errstate(all="ignore"):
        x = np.frombuffer(raw, dtype)[:80].reshape(20, 4)
        y = np.frombuffer(raw, dtype)[-20:] if data.draw(st.booleans()) else LABELS
    stream = io.BytesIO()
    np.savez(stream, images=x, labels=y)
    check({"a.npz": stream.getvalue()}, "a.npz")


def test_undamaged_files_load():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in idx_set().items():
            (folder / file).write_bytes(content)
        (folder / "a.npz").write_bytes(npz(np.savez_compressed))
        (folder / "a.csv").write_bytes(CSV)
        assert load(folder).shape == (2, 2)
        assert load(folder / "a.npz").class_names == ("0", "1")
        assert load(folder / "a.csv").class_names == ("x", "y")
