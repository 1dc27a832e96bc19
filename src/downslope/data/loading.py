"""Load a data set by name or path, whatever format it is in."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np

from downslope.data import fashion
from downslope.data.arrays import parse_npy, read_npy_folder, read_npz
from downslope.data.assembly import Part, assemble
from downslope.data.examples import Dataset
from downslope.data.fetching import NAMES, fetch
from downslope.data.files import fault, read_whole
from downslope.data.idx import ROLES, IdxFile, find_idx, missing_files, read_idx_folder
from downslope.data.table import read_csv
from downslope.errors import InputError
from downslope.progress import drain

_MOST_CLASSES = 10  # of the MNIST family, whatever number of them a file holds

_ALLOWED = (
    "give a folder of IDX files, a torchvision root, a folder of PREFIX_train_images.npy and its "
    "three companions, a .npz, a .csv, or a .npy of examples without labels"
)


def load(name_or_path: str | Path, *, label: str | None = None) -> Dataset:
    """Load a data set.

    Images come as uint8 of shape (examples, pixels), or float32 where they were floating; tables
    as float32. Where the source has no test set of its own, a stratified fifth becomes the test
    set, the same for everybody (seed 541).

    Args:
        name_or_path: "fashion-mnist", found on this machine or fetched; "digits", bundled with
            scikit-learn; a folder of IDX files, plain or .gz; a torchvision root; a folder of
            four PREFIX_{train,test}_{images,labels}.npy; a .npz with the keys x_train, y_train,
            x_test, y_test or train_images, train_labels, test_images, test_labels or X, y or
            images, labels; a .csv with a header row; a .npy of examples without labels, for
            autoencoders alone.
        label: the label column of a .csv; the last one if None.

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
    if label is not None and (named or path.suffix.lower() != ".csv"):
        raise fault("data", f"label = {label!r} only applies to a .csv file, not to {name!r}")
    if named:
        return _load_digits() if name == "digits" else _load_fashion_mnist()
    if not path.exists():
        near = difflib.get_close_matches(name.lower(), NAMES, 1, cutoff=0.5)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise fault(
            "data",
            f"{name!r} is neither a file or folder nor one of {', '.join(NAMES)}{meant}",
        )
    return _load_folder(name, path) if path.is_dir() else _load_file(name, path, label)


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    part = Part(np.asarray(pixels, np.uint8), np.asarray(classes), "digits", "digits")
    # Each grey level counts the white ones of 4x4 black and white pixels.
    return assemble("digits", "scikit-learn's bundled 8x8 digits", part, None, white=16.0)


def _load_fashion_mnist() -> Dataset:
    found = fashion.find_copy()
    kind, folder = found or ("the user's cache", drain(fetch(fashion.NAME)))
    try:
        files = read_idx_folder(folder)
    except InputError as error:
        raise fault("fashion-mnist", f"{error}; {fashion.remedy(kind)}") from None
    fashion.check_content(kind, files)
    return _from_idx(fashion.NAME, f"{kind}, {folder}", files)


def _load_folder(name: str, folder: Path) -> Dataset:
    candidates = [folder, folder / fashion.TORCHVISION]
    if folder.name == fashion.TORCHVISION.parts[0]:
        candidates.append(folder / fashion.TORCHVISION.parts[1])
    for candidate in candidates:
        if candidate.is_dir() and find_idx(candidate):
            return _from_idx(name, f"IDX files in {candidate}", read_idx_folder(candidate))
    arrays = read_npy_folder(folder)
    if arrays is None:
        raise InputError(f"{missing_files(folder, list(ROLES))}; {_ALLOWED}")
    prefix, by_role = arrays
    x, y, test_x, test_y = (by_role[role] for role in ROLES)
    return assemble(
        name,
        f"NumPy arrays in {folder}",
        Part(x[1], y[1], str(x[0]), str(y[0])),
        Part(test_x[1], test_y[1], str(test_x[0]), str(test_y[0])),
        images=True,
        classes=_MOST_CLASSES if "mnist" in prefix.lower() else None,
    )


def _from_idx(name: str, source: str, files: dict[str, IdxFile]) -> Dataset:
    x, y, test_x, test_y = (files[role] for role in ROLES)
    known = all(file.sha256 == fashion.DIGESTS[role] for role, file in files.items())
    return assemble(
        name,
        source,
        Part(x.array, y.array, str(x.path), str(y.path)),
        Part(test_x.array, test_y.array, str(test_x.path), str(test_y.path)),
        images=True,
        classes=_MOST_CLASSES,
        class_names=fashion.CLASS_NAMES if known else (),
    )


def _load_file(name: str, path: Path, label: str | None) -> Dataset:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        table = read_csv(path, label)
        part = Part(table.features, table.targets, str(path), str(path))
        return assemble(
            name, f"table {path}", part, None, images=False, class_names=table.class_names
        )
    if suffix == ".npz":
        arrays = read_npz(path)
        keys = tuple(arrays)
        pairs = [
            Part(arrays[x], arrays[y], f"{path}: {x}", f"{path}: {y}")
            for x, y in zip(keys[::2], keys[1::2], strict=True)
        ]
        return assemble(
            name,
            f"NumPy archive {path}",
            pairs[0],
            pairs[1] if len(pairs) > 1 else None,
            images=True if "images" in keys[0] else None,
        )
    if suffix == ".npy":
        array = parse_npy(read_whole(path), path)
        return assemble(name, f"NumPy array {path}", Part(array, None, str(path), str(path)), None)
    hint = "give the folder that holds it" if suffix == ".gz" else _ALLOWED
    raise fault(path, f"is not a data set by itself, going by its name; {hint}")
