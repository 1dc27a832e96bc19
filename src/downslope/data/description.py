"""What can be said of data sets without training on them: listing, verifying, describing."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from downslope.data import fashion_mnist
from downslope.data.encoding import Encoding
from downslope.data.examples import Dataset
from downslope.data.fetching import NAMES, find
from downslope.data.files import fault, is_table_name, open_decompressed
from downslope.data.idx import ROLES, find_idx, idx_folders, read_idx
from downslope.data.labels import listed
from downslope.data.loading import load
from downslope.errors import InputError

DIGITS_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
"""Of scikit-learn's digits.csv once decompressed, the same in every release so far."""


class Listing(NamedTuple):
    """A data set that is known by name: where it lies, if it does, and the bytes to fetch else."""

    name: str
    found: Path | None
    description: str
    examples: int
    download: int


class FileCheck(NamedTuple):
    """The check of one file, or of the name of one that is missing.

    Args:
        path: of the file.
        sha256: of the decompressed bytes; empty where they cannot be read.
        ok: whether they are what was published; None where nothing is published to compare with.
        note: what is wrong, in one line.
    """

    path: Path
    sha256: str
    ok: bool | None
    note: str = ""


class ClassCount(NamedTuple):
    """How many training examples a class has."""

    name: str
    training: int


class ColumnDescription(NamedTuple):
    """A column of a table.

    Args:
        name: in the header.
        kind: what its cells are taken for.
        missing: share of the training rows without a value; NaN for a column that is left out.
        holds: its range, or its levels.
        becomes: what networks see of it.
    """

    name: str
    kind: str
    missing: float
    holds: str
    becomes: str


@dataclass(frozen=True, slots=True)
class Description:
    """What a data set is like; of the test set only its size, so that it stays sealed.

    Training examples include those for validation; `lowest` and `highest` (NaN for a table of
    mixed columns, which `columns` describes), `columns` and `classes` are of them alone. The
    other fields are those of `Dataset`.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    features: int
    columns: tuple[ColumnDescription, ...]
    training: int
    test: int
    classes: tuple[ClassCount, ...]
    dtype: str
    lowest: float
    highest: float
    max_pixel: float | None
    sha256: str
    notes: tuple[str, ...]


def list_datasets() -> tuple[Listing, ...]:
    """List the data sets that are known by name, and where each lies.

    Raises:
        InputError: DOWNSLOPE_DATA names no folder.
    """
    known = {
        "fashion-mnist": ("28x28 grey pictures of clothing in 10 classes", 70_000, 30_900_000),
        "digits": ("8x8 handwritten digits in 10 classes, with scikit-learn", 1_797, 0),
    }
    return tuple(Listing(name, find(name), *known[name]) for name in NAMES)


def verify(name_or_path: str | Path) -> tuple[FileCheck, ...]:
    """Check every file of a data set: it can be read and, where known, it is what was published.

    Raises:
        InputError: the data set is not on this machine, or a file of unknown content is malformed.

    >>> [check.ok for check in verify("digits")]
    [True]
    """
    name = str(name_or_path)
    if name == "digits":
        path = find(name)
        assert path is not None
        sha256 = _sha256(path)
        return (FileCheck(path, sha256, sha256 == DIGITS_SHA256),)
    if name == fashion_mnist.NAME:
        copy = fashion_mnist.find_copy()
        if copy is None:
            raise fault(
                name, f"is not on this machine; run `downslope data fetch {name}` to get it"
            )
        return _verify_idx(copy[1], fashion_mnist.remedy(copy[0]))
    path = Path(name_or_path).expanduser()
    for folder in idx_folders(path) if path.is_dir() else ():
        if len(find_idx(folder)) == len(ROLES):
            checks = _verify_idx(folder, "")
            if any(check.ok for check in checks):
                return checks
    load(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return tuple(FileCheck(file, _sha256(file), None) for file in files if _is_data(file))


def describe(dataset: Dataset) -> Description:
    """Describe a data set without opening its test set.

    >>> seen = describe(load("digits"))
    >>> seen.training, seen.test, seen.classes[0], seen.highest
    (1437, 360, ClassCount(name='0', training=142), 16.0)
    """
    inputs, targets = dataset.training.inputs, dataset.training.targets
    mixed = dataset.training.frame is not None
    return Description(
        name=dataset.name,
        source=dataset.source,
        shape=dataset.shape,
        features=inputs.shape[1],
        columns=_describe_columns(dataset) if mixed else (),
        training=len(dataset.training),
        test=len(dataset.test),
        classes=tuple(
            ClassCount(name, int(np.count_nonzero(targets == label)))
            for label, name in enumerate(dataset.class_names)
        ),
        dtype="mixed" if mixed else str(inputs.dtype),
        lowest=math.nan if mixed else float(inputs.min()),
        highest=math.nan if mixed else float(inputs.max()),
        max_pixel=dataset.max_pixel,
        sha256=dataset.sha256,
        notes=dataset.notes,
    )


def _describe_columns(dataset: Dataset) -> tuple[ColumnDescription, ...]:
    frame, encoding = dataset.training.frame, Encoding.fit(dataset)
    assert frame is not None
    described: list[ColumnDescription] = []
    for column in dataset.columns:
        missing, holds = math.nan, ""
        if column.name in frame:
            cells = cast(Any, frame[column.name])
            missing, present = float(cells.isna().mean()), cells.dropna()
            if column.kind == "category":
                levels = present.value_counts().index.tolist()
                holds = f"{len(levels):,} levels: {listed(levels, 5)}"
            elif column.kind == "boolean":
                holds = f"{100 * present.mean():.0f} % true"
            elif len(present):
                low, high = present.min(), present.max()
                a_date = column.kind == "date"
                holds = f"{low:%Y-%m-%d} to {high:%Y-%m-%d}" if a_date else f"{low:g} to {high:g}"
        becomes = f"left out: {encoding.left_out.get(column.name)}"
        if column.name not in encoding.left_out:
            features = encoding.features_of(column)
            own = [f.removeprefix(column.name).strip(" =") or "value" for f in features]
            becomes = f"{len(own)} feature{'s' * (len(own) > 1)}: {listed(own, 6)}"
        described.append(ColumnDescription(column.name, column.kind, missing, holds, becomes))
    return tuple(described)


def _verify_idx(folder: Path, remedy: str) -> tuple[FileCheck, ...]:
    checks: list[FileCheck] = []
    paths = find_idx(folder)
    for role in filter(paths.get, ROLES):
        path = paths[role]
        try:
            file = read_idx(path, 3 if "images" in role else 1)
        except InputError as error:
            checks.append(FileCheck(path, "", False, f"{error}; {remedy}".rstrip("; ")))
            continue
        ok = file.sha256 == fashion_mnist.DIGESTS[role]
        note = f"other content than Fashion-MNIST's {role}; {remedy}".rstrip("; ")
        checks.append(FileCheck(path, file.sha256, ok, "" if ok else note))
    return tuple(checks)


def _is_data(path: Path) -> bool:
    endings = (".npy", ".npz", ".gz", ".idx", "ubyte")
    named = path.name.lower().endswith(endings) or is_table_name(path)
    return path.is_file() and named


def _sha256(path: Path) -> str:
    with open_decompressed(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type] - it only reads
