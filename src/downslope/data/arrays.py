"""NumPy's .npy and .npz files, read without ever unpickling and without trusting a header."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from downslope.data.examples import Examples
from downslope.data.files import fault, open_plain, read_bounded, read_whole
from downslope.data.idx import ROLES, list_folder
from downslope.errors import InputError

NPZ_KEYS: tuple[tuple[str, ...], ...] = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x", "y"),
    ("images", "labels"),
    ("data", "target"),
    ("data", "labels"),
    ("inputs", "targets"),
)
"""The sets of keys that a .npz may have, in lower case; two keys mean no test set of its own."""

_EXAMPLES = re.compile(
    r"(x|y|inputs?|targets?|images?|labels?|data|features)\d*$|(.*_)?(train|test|val|valid|dev)"
    r"(idation)?(_.*)?$",
    re.IGNORECASE,
)
"""Names of arrays that hold examples, in whatever set of keys."""

_LABELS = re.compile(r"y|.*(labels|targets?)$")

_NPY_NAME = re.compile(r"(?P<prefix>.*?)(?P<part>train|test)_(?P<what>images|labels)\.npy")


def parse_npy(data: bytes, where: Path | str, *, text: bool = False) -> NDArray[Any]:
    """Return the array in the bytes of a .npy file; of strings only where it may be `text`.

    >>> stream = io.BytesIO(); np.save(stream, np.arange(3)); parse_npy(stream.getvalue(), "a.npy")
    array([0, 1, 2])
    """
    if not data.startswith(npy.MAGIC_PREFIX):
        pickled = data[:1] == b"\x80"
        raise fault(
            where,
            "is a pickle, which is never loaded because it can run code; save plain arrays with "
            "numpy.save(..., allow_pickle=False)"
            if pickled
            else f"is not a .npy file (it starts with {data[:6]!r}); write it with numpy.save",
        )
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():  # a damaged header may look like Python 2's
            warnings.simplefilter("ignore")
            version = npy.read_magic(stream)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, fortran, dtype = read(stream)
    except Exception:  # NumPy's parser raises many types on damaged bytes
        raise fault(where, "has a damaged .npy header; get the file again") from None
    if dtype.hasobject:
        raise fault(
            where,
            "holds Python objects (a pickle), which are never loaded because they can run code; "
            "save plain numbers with numpy.save(..., allow_pickle=False)",
        )
    if dtype.kind not in ("biufUS" if text else "biuf"):
        strings = ", and strings where they are labels" if text else ""
        raise fault(where, f"has dtype {dtype}; only whole and floating numbers{strings} are read")
    size = prod(shape) * dtype.itemsize
    present = len(data) - stream.tell()
    if min(shape, default=0) < 0 or size != present:
        raise fault(
            where,
            f"{'is truncated' if present < size else 'is damaged'}: its header promises {size:,} "
            f"bytes of shape {shape} and dtype {dtype}, it holds {present:,}; get the file again",
        )
    array = np.frombuffer(data, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def read_npy_folder(folder: Path) -> tuple[str, dict[str, tuple[Path, NDArray[Any]]]] | None:
    """Read the four arrays PREFIX_{train,test}_{images,labels}.npy of a folder, if they are there.

    Returns:
        The prefix and, by role in the order of `ROLES`, each path and its array; None where the
        folder has no file of such a name.
    """
    paths: dict[str, Path] = {}
    prefixes: set[str] = set()
    for path in list_folder(folder):
        if match := _NPY_NAME.fullmatch(path.name):
            prefixes.add(match["prefix"])
            paths[f"{match['part']} {match['what']}"] = path
    if not paths:
        return None
    if len(prefixes) > 1:
        names = ", ".join(f"{prefix}train_images.npy" for prefix in sorted(prefixes))
        raise fault(folder, f"holds several sets ({names}); put each in a folder of its own")
    prefix = prefixes.pop()
    missing = [f"{prefix}{r.replace(' ', '_')}.npy" for r in ROLES if r not in paths]
    if missing:
        raise fault(folder, f"lacks {', '.join(missing)}; a set is four .npy files")
    return prefix, {
        role: (paths[role], parse_npy(read_whole(paths[role]), paths[role], text="labels" in role))
        for role in ROLES
    }


def read_npz(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """Read the arrays of a .npz under one of the accepted sets of keys (`NPZ_KEYS`).

    Returns:
        The arrays by key in lower case, in the order of the set of keys: four with a test set,
        two without; and a note on arrays that are neither inputs nor labels and not read.
    """
    with _open_archive(path) as archive:
        members, keys, notes = _choose(path, archive)
        return {
            key: _read_member(archive, members[key], f"{path}: {key}", key) for key in keys
        }, notes


def read_examples(path: Path) -> Examples:
    """Read a .npz with arrays `inputs` and `targets`, of the shapes that a module takes.

    Raises:
        InputError: see `read_arrays`; it lacks an array, or their lengths differ.
    """
    arrays = read_arrays(path, ("inputs", "targets"))
    return Examples(arrays["inputs"], arrays["targets"])


def read_arrays(path: Path, keys: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Read the arrays of a .npz by name, or some of them.

    Arrays of numbers are kept as they are, whatever they are for.

    Raises:
        InputError: it is missing, damaged or too large, lacks an array, one is a single number, or
            a value is not finite.
    """
    with _open_archive(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if missing := [key for key in keys if key not in members]:
            raise fault(path, f"lacks {', '.join(missing)}; it has {', '.join(members)}")
        arrays = {
            key: _read_member(archive, members[key], f"{path}: {key}", "")
            for key in keys or members
        }
    for name, array in arrays.items():
        if array.ndim < 1:
            raise fault(path, f"{name} is a single number; its first axis must be the examples")
        if not (finite := np.isfinite(array)).all():
            row = int(np.argwhere(~finite)[0, 0])
            raise fault(path, f"{name} of row {row} (from 0) are not all finite numbers")
    return {key: array.copy() for key, array in arrays.items()}  # torch wants to write to them


@contextmanager
def _open_archive(path: Path) -> Generator[zipfile.ZipFile, None, None]:
    with open_plain(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except InputError:
            raise
        except Exception as error:  # zipfile and its codecs raise many types on damaged bytes
            raise fault(
                path, f"is not a readable .npz ({error}); write it with numpy.savez"
            ) from None


def _choose(
    path: Path, archive: zipfile.ZipFile
) -> tuple[dict[str, zipfile.ZipInfo], tuple[str, ...], tuple[str, ...]]:
    names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
    members = dict(zip(map(str.lower, names), archive.infolist(), strict=True))
    keys = next((k for k in NPZ_KEYS if members.keys() >= set(k)), None)
    if keys is None:
        accepted = "; or ".join(", ".join(k) for k in NPZ_KEYS)
        raise fault(
            path,
            f"has the keys {', '.join(sorted(members)) or '(none)'}; accepted are "
            f"{accepted} (in any case)",
        )
    for key in keys:
        if len(same := [name for name in names if name.lower() == key]) > 1:
            raise fault(
                path, f"has the keys {' and '.join(same)}, of which one is meant; remove the other"
            )
    others = [name for name in names if name.lower() not in keys]
    if examples := [name for name in others if _EXAMPLES.match(name)]:
        raise fault(
            path,
            f"has {', '.join(examples)} besides {', '.join(keys)}, and would not use "
            f"{'it' if len(examples) == 1 else 'them'}; append validation examples to the training "
            "arrays (data.validation says how many are split off), and remove or rename the rest",
        )
    notes = (f"not read: {', '.join(others)}",) if others else ()
    return members, keys, notes


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, key: str
) -> NDArray[Any]:
    with archive.open(info) as stream:
        data = read_bounded(stream, where)
    return parse_npy(data, where, text=_LABELS.match(key) is not None)
