"""Load a data set by name or path, whatever format it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downslope.data import fashion_mnist
from downslope.data.arrays import parse_npy, read_npy_folder, read_npz
from downslope.data.assembly import Kind, Part, assemble
from downslope.data.examples import Dataset
from downslope.data.fetching import NAMES, fetch
from downslope.data.files import fault, read_whole
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
from downslope.data.table import read_csv
from downslope.errors import InputError, nearest
from downslope.progress import drain

_ALLOWED = (
    "give a folder of IDX files, a torchvision root, a folder of PREFIX_train_images.npy and its "
    "three companions, a .npz, a .csv or .csv.gz, or a .npy of examples without labels"
)


def load(
    name_or_path: str | Path, *, label: str | None = None, kind: Kind | None = None
) -> Dataset:
    """Load a data set.

    Inputs come as uint8 of shape (examples, features) where they were bytes, else as float32, or
    as float64 where float32 would lose digits. Labels of any kind are encoded, names kept. What
    the content decided is in `Dataset.notes`. Where the source has no test set of its own, a
    stratified fifth becomes the test set, the same for everybody (seed 541).

    Args:
        name_or_path: "fashion-mnist", found on this machine or fetched; "digits", bundled with
            scikit-learn; a folder of IDX files, plain or .gz; a torchvision root; a folder of
            four PREFIX_{train,test}_{images,labels}.npy; a .npz with the keys x_train, y_train,
            x_test, y_test or train_images, train_labels, test_images, test_labels or X, y or
            images, labels; a .csv, plain or .csv.gz; a .npy of examples without labels, for
            autoencoders alone.
        label: the label column of a .csv; see `read_csv` if None.
        kind: "images" or "table", where the content does not tell or tells wrongly.

    Raises:
        InputError: there is no such data set, or something is wrong with a file; one line says
            what, where, and what to do.

    >>> digits = load("digits")
    >>> digits.training.inputs.shape, len(digits.test), digits.shape, digits.white
    ((1437, 64), 360, (8, 8), 16.0)
    """
    path = Path(name_or_path).expanduser()
    name = str(name_or_path)
    named = name in NAMES and not (isinstance(name_or_path, Path) and path.exists())
    if label is not None and (named or not _is_csv(path)):
        raise fault("data", f"label = {label!r} only applies to a .csv file, not to {name!r}")
    if kind not in (None, "images", "table"):
        raise fault("data", f"kind = {kind!r} is not known; it is images or table")
    if kind is not None and (named or _is_csv(path)):
        what = "pictures by their publisher" if named else "a table"
        raise fault("data", f"kind = {kind!r} cannot act: {name!r} is {what}; leave it out")
    if named:
        return _load_digits() if name == "digits" else _load_fashion_mnist()
    if not path.exists():
        meant = nearest(name.lower(), NAMES, cutoff=0.5)
        raise fault(
            "data", f"{name!r} is neither a file or folder nor one of {', '.join(NAMES)}{meant}"
        )
    if path.is_dir():
        dataset = _load_folder(name, path, kind)
    else:
        dataset = _load_file(name, path, label, kind)
    if dataset.sha256 == fashion_mnist.SHA256:
        dataset = replace(dataset, class_names=fashion_mnist.CLASS_NAMES)
    return dataset


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    labels = Labels(np.asarray(classes), "digits")
    # Each grey level counts the white ones of 4x4 black and white pixels.
    part = Part(np.asarray(pixels, np.uint8), "digits", labels, "images", white=16.0)
    return assemble("digits", "scikit-learn's bundled 8x8 digits", part)


def _load_fashion_mnist() -> Dataset:
    name = fashion_mnist.NAME
    place, folder = fashion_mnist.find_copy() or (fashion_mnist.CACHE, drain(fetch(name)))
    try:
        files = read_idx_folder(folder)
    except InputError as error:
        raise fault(name, f"{error}; {fashion_mnist.remedy(place)}") from None
    fashion_mnist.check_content(place, files)
    return _from_idx(name, f"{place}, {folder}", files)


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".csv.gz"))


def _load_folder(name: str, folder: Path, kind: Kind | None) -> Dataset:
    folders = idx_folders(folder)
    if len(folders) > 1:
        names = ", ".join(str(at) for at in folders)
        raise fault(folder, f"holds several sets ({names}); give one of these folders")
    if folders:
        return _from_idx(
            name, f"IDX files in {folders[0]}", read_idx_folder(folders[0]), kind or "images"
        )
    arrays = read_npy_folder(folder)
    if arrays is None:
        single = [at for at in list_folder(folder) if _is_csv(at) or at.suffix.lower() == ".npz"]
        hint = f"give a file of it, {single[0]}" if single else _ALLOWED
        raise InputError(f"{missing_files(folder, list(ROLES))}; {hint}")
    paths, values = zip(*arrays[1].values(), strict=True)
    training, test = _parts(values, paths, kind or "images")
    return assemble(name, f"NumPy arrays in {folder}", training, test)


def _parts(
    arrays: Sequence[NDArray[Any]], names: Sequence[Path | str], kind: Kind | None
) -> list[Part]:
    """Pair inputs with the labels that follow them."""
    return [
        Part(arrays[i], str(names[i]), Labels(arrays[i + 1], str(names[i + 1])), kind)
        for i in range(0, len(arrays), 2)
    ]


def _from_idx(name: str, source: str, files: dict[str, IdxFile], kind: Kind = "images") -> Dataset:
    ordered = [files[role] for role in ROLES]
    if stray := stray_label(ordered[1].array):
        raise fault(ordered[1].path, stray)
    training, test = _parts([file.array for file in ordered], [f.path for f in ordered], kind)
    if all(file.sha256 == fashion_mnist.DIGESTS[role] for role, file in files.items()):
        training = replace(training, class_names=fashion_mnist.CLASS_NAMES, white=255.0)
    return assemble(name, source, training, test)


def _load_file(name: str, path: Path, label: str | None, kind: Kind | None) -> Dataset:
    suffix = path.suffix.lower()
    if _is_csv(path):
        return assemble(name, f"table {path}", read_csv(path, label))
    if suffix == ".npz":
        arrays, notes = read_npz(path)
        keys = tuple(arrays)
        kind = kind or ("images" if "images" in keys[0] else None)
        training, *test = _parts([*arrays.values()], [f"{path}: {key}" for key in keys], kind)
        return assemble(name, f"NumPy archive {path}", replace(training, notes=notes), *test)
    if suffix == ".npy":
        part = Part(parse_npy(read_whole(path), path), str(path), None, kind)
        return assemble(name, f"NumPy array {path}", part)
    if is_idx_name(path.name):
        hint = "give the folder that holds it and its three companions"
    elif suffix == ".gz":
        hint = "only IDX files and .csv are read compressed; decompress it and give the result"
    else:
        hint = _ALLOWED
    raise fault(path, f"is not a data set by itself, going by its name; {hint}")
