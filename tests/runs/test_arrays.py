"""Arrays and weights of a run come back as they were, or are refused by name."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import numpy as safetensors

from downslope.errors import InputError
from downslope.runs import Run

some_arrays = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=5),
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    max_size=4,
)
once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(one) == set(other)
    for name, array in one.items():
        assert other[name].dtype == array.dtype
        assert other[name].shape == array.shape
        assert other[name].tobytes() == array.tobytes()


@once
@given(some_arrays)
def test_arrays_come_back(tmp_path: Path, held: dict[str, Any]) -> None:
    run = Run(tmp_path)
    run.write_arrays("a/b.npz", held)
    same(held, run.read_arrays("a/b.npz"))
    if held:
        with np.load(tmp_path / "a" / "b.npz", allow_pickle=False) as theirs:
            same(held, dict(theirs))


@once
@given(some_arrays)
def test_weights_come_back(tmp_path: Path, held: dict[str, Any]) -> None:
    run = Run(tmp_path)
    run.write_weights("w.safetensors", held)
    same(held, run.read_weights("w.safetensors"))
    same(held, safetensors.load_file(tmp_path / "w.safetensors"))


def test_arrays_that_are_not_contiguous_come_back_as_they_look(tmp_path: Path) -> None:
    run, turned = Run(tmp_path), np.arange(6.0).reshape(2, 3).T
    run.write_weights("w.safetensors", {"a": turned})
    run.write_arrays("a.npz", {"a": turned})
    assert run.read_weights("w.safetensors")["a"].tolist() == turned.tolist()
    assert run.read_arrays("a.npz")["a"].tolist() == turned.tolist()


def test_an_array_of_objects_is_never_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        Run(tmp_path).write_arrays("a.npz", {"a": np.array([{}], object)})
    assert list(tmp_path.iterdir()) == []


def npz(**held: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **held)
    return buffer.getvalue()


GOOD = npz(a=np.arange(50.0))
DAMAGED = {
    "nothing": b"",
    "text": b"hello",
    "half": GOOD[: len(GOOD) // 2],
    "no directory": GOOD[:-30],
    "a flipped byte": GOOD[:200] + bytes([GOOD[200] ^ 255]) + GOOD[201:],
    "one array": npz(a=1)[:4] + b"garbage" * 9,
    "a pickle": npz(a=np.array([{}], object)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_arrays_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: missing or damaged"):
        Run(tmp_path).read_arrays("a.npz")


def test_a_lone_npy_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz: missing or damaged"):
        Run(tmp_path).read_arrays("a.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100, None])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors: missing or damaged"):
        Run(tmp_path).read_weights("w.safetensors")


@pytest.mark.parametrize("keep", [4, 20, 100, -1])
def test_truncated_weights_are_refused_by_name(tmp_path: Path, keep: int) -> None:
    run = Run(tmp_path)
    run.write_weights("w.safetensors", {"a": np.arange(50.0)})
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:keep])
    with pytest.raises(InputError, match=r"w\.safetensors: missing or damaged"):
        run.read_weights("w.safetensors")
