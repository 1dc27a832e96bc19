"""The IDX format of the MNIST family: a magic number, the dimensions, unsigned bytes."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downslope.data.files import MAXIMUM_BYTES, fault, open_decompressed
from downslope.errors import InputError

USUAL_NAMES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
ROLES = tuple(USUAL_NAMES)
"""What the four files of a set hold, in the order of every digest."""

_NAME = re.compile(
    r"(?P<prefix>.*?)(?P<part>train|t10k|test)[-_.](?P<what>images|labels)"
    r"(?:[-_.]idx[13])?(?:[-_.]ubyte)?(?:\.idx)?(?:\.gz)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class IdxFile:
    """What one IDX file holds; the SHA-256 is that of the decompressed bytes, header included."""

    path: Path
    array: NDArray[np.uint8]
    sha256: str


def idx_header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an IDX file of unsigned bytes.

    >>> idx_header((60000,)).hex(" ", 4)
    '00000801 0000ea60'
    """
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def read_idx(path: Path, dimensions: int) -> IdxFile:
    """Read one IDX file, plain or gzip, of 3 dimensions (images) or 1 (labels).

    No more is read than its header allows.
    """
    with open_decompressed(path) as stream:
        header = stream.read(4 + 4 * dimensions)
        magic = idx_header((0,) * dimensions)[:4]
        if not header:
            raise fault(path, "is empty once decompressed; get the file again")
        if header[:4] != magic:
            kinds = {1: "labels (unsigned bytes, 1 dimension)", 3: "images (3 dimensions)"}
            raise fault(
                path,
                f"starts with the wrong magic number 0x{header[:4].hex()}; an IDX file of "
                f"{kinds.get(dimensions, f'{dimensions} dimensions')} starts with 0x{magic.hex()}",
            )
        if len(header) < 4 + 4 * dimensions:
            raise fault(path, "is truncated within its header; get the file again")
        shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", header[4:])
        size = prod(shape)
        if size > MAXIMUM_BYTES:
            raise fault(
                path,
                f"claims {size:,} bytes in its header, shape {shape}; at most "
                f"{MAXIMUM_BYTES:,} are read",
            )
        data = stream.read(size)
        if len(data) < size:
            raise fault(
                path,
                f"is truncated: its header promises {size:,} bytes of shape {shape}, it holds "
                f"{len(data):,}; get the file again",
            )
        if stream.read(1):
            raise fault(
                path, f"holds more than the {size:,} bytes that its header {shape} promises"
            )
    digest = hashlib.sha256(header)
    digest.update(data)
    # Through a bytearray, so that the array is writable: PyTorch warns about any other.
    array = np.frombuffer(bytearray(data), np.uint8).reshape(shape)
    return IdxFile(path, array, digest.hexdigest())


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the IDX files of a folder by role, as many of the four as there are.

    A plain file wins over a compressed one of the same role. Spellings such as
    train-images-idx3-ubyte.gz, train-images.idx3-ubyte and test_labels.idx all count.
    """
    paths: dict[str, Path] = {}
    prefixes: set[str] = set()
    for path in list_folder(folder):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        prefixes.add(match["prefix"])
        part = "train" if match["part"].lower() == "train" else "test"
        role = f"{part} {match['what'].lower()}"
        if role not in paths or paths[role].suffix.lower() == ".gz":
            paths[role] = path
    if len(prefixes) > 1:
        raise fault(
            folder,
            f"holds IDX files of several sets ({', '.join(sorted(map(repr, prefixes)))} before "
            "'train'); put each in a folder of its own",
        )
    return paths


def idx_folders(folder: Path) -> list[Path]:
    """Return where IDX files lie: a folder, its raw/, or the */raw/ of a torchvision root."""
    for pattern in (".", "raw", "*/raw"):
        candidates = sorted(folder.glob(pattern)) if pattern != "." else [folder]
        if there := [at for at in candidates if at.is_dir() and find_idx(at)]:
            return there
    return []


def list_folder(folder: Path) -> list[Path]:
    """List a folder, sorted by name."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise fault(folder, f"cannot be listed ({error.strerror or error})") from None


def read_idx_folder(folder: Path) -> dict[str, IdxFile]:
    """Read the four IDX files of a folder, by role in the order of `ROLES`."""
    paths = find_idx(folder)
    missing = [role for role in ROLES if role not in paths]
    if missing:
        raise InputError(missing_files(folder, missing))
    return {role: read_idx(paths[role], 3 if "images" in role else 1) for role in ROLES}


def is_idx_name(name: str) -> bool:
    """Tell whether a file is called as one of the four of a set is.

    >>> is_idx_name("t10k-labels-idx1-ubyte.gz"), is_idx_name("table.csv.gz")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


def missing_files(folder: Path, missing: list[str]) -> str:
    """Say in one line which of the four files a folder lacks."""
    names = ", ".join(USUAL_NAMES[role] for role in missing)
    return str(fault(folder, f"lacks {names} (with or without .gz); a set is four IDX files"))


def stray_label(labels: NDArray[np.uint8]) -> str:
    """Say which label is a flipped bit rather than a class; empty if none is.

    Such a label lies beyond a gap of the others, a single example has it, and no other class is
    as small.

    >>> stray_label(np.array([1, 1, 3, 3, 2, 2, 200], np.uint8))
    'row 6 (from 0) holds the label 200, which no other example has; the others are 1 to 3'
    """
    classes, first, counts = np.unique(labels, return_index=True, return_counts=True)
    if len(classes) < 3 or counts[-1] > 1 or counts[:-1].min() == 1:
        return ""
    if int(classes[-1]) - int(classes[-2]) == 1:
        return ""
    return (
        f"row {first[-1]} (from 0) holds the label {classes[-1]}, which no other example has; "
        f"the others are {classes[0]} to {classes[-2]}"
    )
