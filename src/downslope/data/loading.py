"""Load a data set by name or path, whatever format it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from downslope.data import fashion_mnist
from downslope.data.arrays import parse_npy, read_npy_folder, read_npz
from downslope.data.assembly import Kind, Part, assemble
from downslope.data.examples import Dataset, Task
from downslope.data.fetching import NAMES, fetch
from downslope.data.files import fault, is_table_name, read_whole
from downslope.data.idx import (
    ROLES,
    IdxFile,
    idx_folders,
    is_idx_name,
    list_folder,
    missing_files,
    read_idx_folder,
    stray_label,
)
from downslope.data.labels import Labels
from downslope.errors import InputError, nearest
from downslope.progress import Steps, drain

if TYPE_CHECKING:
    import pandas as pd

_ALLOWED = (
    "give a folder with a subfolder of pictures for each class, a folder of IDX files, a "
    "torchvision root, a folder of PREFIX_train_images.npy and its three companions, a .npz, a "
    "table (.csv, .tsv, .parquet, .feather), or a .npy of examples without labels"
)


def load(
    source: str | Path | pd.DataFrame,
    *,
    label: str | None = None,
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    task: Task | None = None,
    kind: Kind | None = None,
    size: int | Sequence[int] | None = None,
) -> Dataset:
    """Load a data set.

    Inputs come as uint8 of shape (examples, features) where they were bytes, else as float32, or
    as float64 where float32 would lose digits. Labels of any kind are encoded, names kept. What
    the content decided is in `Dataset.notes`. Where the source has no test set of its own, a
    stratified fifth becomes the test set, the same for everybody (seed 541).

    Args:
        source: "fashion-mnist", found on this machine or fetched; "digits", bundled with scikit-
            learn; a folder of IDX files, plain or .gz; a torchvision root; a folder of pictures
            (PNG, JPEG, BMP), a subfolder a class, below train and test or not; one with four
            PREFIX_{train,test}_{images,labels}.npy; a .npz with the keys x_train, y_train,
            x_test, y_test or train_images, train_labels, test_images, test_labels or X, y or
            images, labels or data, target (or labels) or inputs, targets; a table: .csv, .tsv or
            .txt, plain, .gz or .zip, .parquet or .feather, or a `pandas.DataFrame`; a .npy of
            examples without labels, for autoencoders alone.
        label: the column of a table that is predicted; if None, the one column called label,
            target, class or y, else the last one.
        columns: of a table, the only ones to learn from, whatever they look like.
        drop: of a table, columns to leave out.
        task: "classification" or "regression", where the labels do not tell.
        kind: "images" or "table", where the content does not tell or tells wrongly.
        size: of a folder of pictures, to which they are resized: height and width, or both in one.

    Raises:
        InputError: there is no such data set, or something is wrong with a file; one line says
            what, where, and what to do.

    >>> digits = load("digits")
    >>> digits.training.inputs.shape, len(digits.test), digits.shape, digits.max_pixel
    ((1437, 64), 360, (8, 8), 16.0)
    """
    return drain(
        load_steps(source, label=label, columns=columns, drop=drop, task=task, kind=kind, size=size)
    )


def load_steps(
    source: str | Path | pd.DataFrame,
    *,
    label: str | None = None,
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    task: Task | None = None,
    kind: Kind | None = None,
    size: int | Sequence[int] | None = None,
) -> Steps[Dataset]:
    """Load a data set as `load` does, with progress where it is fetched or takes its time."""
    if task not in (None, "classification", "regression"):
        raise fault("data", f"task = {task!r} is not known; it is classification or regression")
    asked: dict[str, Any] = {"label": label, "columns": tuple(columns), "drop": tuple(drop)}
    if not isinstance(source, str | Path):
        from downslope.data.table import Choice, part_of_frame

        part = part_of_frame(source, "the data frame", Choice(**asked))
        return assemble("data frame", "a data frame", part, task=task)
    path = Path(source).expanduser()
    name = str(source)
    named = name in NAMES and not (isinstance(source, Path) and path.exists())
    if named or not is_table_name(path):
        for option, value in asked.items():
            if value:
                raise fault("data", f"{option} = {value!r} only applies to tables, not to {name!r}")
    if size is not None and (named or not path.is_dir()):
        raise fault("data", f"size = {size} only applies to a folder of pictures, not to {name!r}")
    if named and task == "regression":
        raise fault("data", f"task = {task!r} cannot act: {name!r} has classes; leave it out")
    if kind not in (None, "images", "table"):
        raise fault("data", f"kind = {kind!r} is not known; it is images or table")
    if kind is not None and (named or is_table_name(path)):
        what = "pictures by their publisher" if named else "a table"
        raise fault("data", f"kind = {kind!r} cannot act: {name!r} is {what}; leave it out")
    if named:
        return _load_digits() if name == "digits" else (yield from _load_fashion_mnist())
    if not path.exists():
        meant = nearest(name.lower(), NAMES, cutoff=0.5)
        raise fault(
            "data", f"{name!r} is neither a file or folder nor one of {', '.join(NAMES)}{meant}"
        )
    if path.is_dir():
        sides = None if size is None else (size, size) if isinstance(size, int) else tuple(size)
        dataset = yield from _load_folder(name, path, kind, task, sides)
    elif is_table_name(path):
        from downslope.data.table import Choice, read_table

        part = read_table(path, Choice(**asked))
        dataset = assemble(name, f"table {path}", part, task=task)
    else:
        dataset = _load_file(name, path, kind, task)
    if dataset.sha256 == fashion_mnist.SHA256:
        dataset = replace(dataset, class_names=fashion_mnist.CLASS_NAMES)
    return dataset


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    labels = Labels(np.asarray(classes), "digits")
    # Each grey level counts the white ones of 4x4 black and white pixels.
    part = Part(np.asarray(pixels, np.uint8), "digits", labels, "images", max_pixel=16.0)
    return assemble("digits", "scikit-learn's bundled 8x8 digits", part)


def _load_fashion_mnist() -> Steps[Dataset]:
    name = fashion_mnist.NAME
    found = fashion_mnist.find_copy()
    place, folder = found or (fashion_mnist.CACHE, (yield from fetch(name)))
    try:
        files = read_idx_folder(folder)
    except InputError as error:
        raise fault(name, f"{error}; {fashion_mnist.remedy(place)}") from None
    fashion_mnist.check_content(place, files)
    return _from_idx(name, f"{place}, {folder}", files)


def _load_folder(
    name: str, folder: Path, kind: Kind | None, task: Task | None, size: tuple[int, ...] | None
) -> Steps[Dataset]:
    folders = idx_folders(folder)
    if len(folders) > 1:
        names = ", ".join(str(at) for at in folders)
        raise fault(folder, f"holds several sets ({names}); give one of these folders")
    if folders:
        return _from_idx(
            name, f"IDX files in {folders[0]}", read_idx_folder(folders[0]), kind or "images", task
        )
    arrays = read_npy_folder(folder)
    if arrays is None:
        from downslope.data.pictures import read_pictures

        if parts := (yield from read_pictures(folder, size)):
            training, *test = parts
            return assemble(name, f"pictures in {folder}", training, *test or [None], task=task)
        single = [at for at in list_folder(folder) if is_table_name(at) or at.suffix == ".npz"]
        hint = f"give a file of it, {single[0]}" if single else _ALLOWED
        raise InputError(f"{missing_files(folder, list(ROLES))}; {hint}")
    paths, values = zip(*arrays[1].values(), strict=True)
    training, test = _parts(values, paths, kind or "images")
    return assemble(name, f"NumPy arrays in {folder}", training, test, task)


def _parts(
    arrays: Sequence[NDArray[Any]], names: Sequence[Path | str], kind: Kind | None
) -> list[Part]:
    """Pair inputs with the labels that follow them."""
    return [
        Part(arrays[i], str(names[i]), Labels(arrays[i + 1], str(names[i + 1])), kind)
        for i in range(0, len(arrays), 2)
    ]


def _from_idx(
    name: str,
    source: str,
    files: dict[str, IdxFile],
    kind: Kind = "images",
    task: Task | None = None,
) -> Dataset:
    ordered = [files[role] for role in ROLES]
    if stray := stray_label(ordered[1].array):
        raise fault(ordered[1].path, stray)
    training, test = _parts([file.array for file in ordered], [f.path for f in ordered], kind)
    if all(file.sha256 == fashion_mnist.DIGESTS[role] for role, file in files.items()):
        training = replace(training, class_names=fashion_mnist.CLASS_NAMES, max_pixel=255.0)
    return assemble(name, source, training, test, task)


def _load_file(name: str, path: Path, kind: Kind | None, task: Task | None) -> Dataset:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        arrays, notes = read_npz(path)
        keys = tuple(arrays)
        kind = kind or ("images" if "images" in keys[0] else None)
        training, *test = _parts([*arrays.values()], [f"{path}: {key}" for key in keys], kind)
        training = replace(training, notes=notes)
        return assemble(name, f"NumPy archive {path}", training, *test or [None], task=task)
    if suffix == ".npy":
        part = Part(parse_npy(read_whole(path), path), str(path), None, kind)
        return assemble(name, f"NumPy array {path}", part, task=task)
    if is_idx_name(path.name):
        hint = "give the folder that holds it and its three companions"
    elif suffix == ".gz":
        hint = "only IDX files and tables of text are read compressed; decompress it"
    else:
        hint = _ALLOWED
    raise fault(path, f"is not a data set by itself, going by its name; {hint}")
