"""Fashion-MNIST itself: its names, its digests, and where a copy of it may lie."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from downslope.data.examples import Examples
from downslope.data.files import fault
from downslope.data.idx import ROLES, IdxFile, find_idx, idx_digest
from downslope.errors import InputError

NAME = "fashion-mnist"

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

DIGESTS = {
    "train images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "test images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "test labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of each file once decompressed; every distribution compresses them anew."""

FILES = {
    "train images": "train-images-idx3-ubyte.gz",
    "train labels": "train-labels-idx1-ubyte.gz",
    "test images": "t10k-images-idx3-ubyte.gz",
    "test labels": "t10k-labels-idx1-ubyte.gz",
}

PACKAGE_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where the distribution's package dataset-fashion-mnist puts the files."""

TORCHVISION = Path("FashionMNIST", "raw")
"""Where torchvision keeps the files, unzipped, below the root that its user chose."""

VARIABLE = "DOWNSLOPE_DATA"


def cache_folder() -> Path:
    """Return the user's cache of this program; it need not exist yet."""
    import pooch

    return Path(pooch.os_cache("downslope"))


def places() -> list[tuple[str, Path]]:
    """List where a copy is looked for, in this order, each with a word for it.

    Raises:
        InputError: DOWNSLOPE_DATA names no folder.
    """
    found: list[tuple[str, Path]] = []
    if given := os.environ.get(VARIABLE):
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise fault(
                f"{VARIABLE}={given}", "is not a folder; set it to one with data sets or unset it"
            )
        # Itself comes last: it may also hold the files of another set with the same names.
        found += [(VARIABLE, at) for at in (folder / NAME, folder / TORCHVISION, folder)]
    found += [("the user's cache", cache_folder() / NAME), ("the system package", PACKAGE_FOLDER)]
    for root in (Path("data"), Path("~/data").expanduser(), Path()):
        found.append(("a torchvision folder", root / TORCHVISION))
    return found


def find_copy() -> tuple[str, Path] | None:
    """Return the first place that has all four files, or None; their content is not checked.

    Raises:
        InputError: DOWNSLOPE_DATA names no folder.
    """
    for kind, folder in places():
        try:
            if folder.is_dir() and len(find_idx(folder)) == len(ROLES):
                return kind, folder
        except (InputError, OSError):
            continue  # a place that cannot be listed, or holds other sets, has no copy
    return None


def is_fashion_mnist(training: Examples, test: Examples) -> bool:
    """Say whether arrays are Fashion-MNIST, byte for byte."""
    if training.inputs.dtype != np.uint8 or training.inputs.shape != (60_000, 784):
        return False
    if test.inputs.dtype != np.uint8 or test.inputs.shape != (10_000, 784):
        return False
    arrays = {
        "test labels": test.targets,
        "train labels": training.targets,
        "test images": test.inputs.reshape(-1, 28, 28),
        "train images": training.inputs.reshape(-1, 28, 28),
    }
    return all(idx_digest(array.astype(np.uint8)) == DIGESTS[r] for r, array in arrays.items())


def check_content(kind: str, files: dict[str, IdxFile]) -> None:
    """Compare the four files with the published digests.

    Args:
        kind: the place they were found in, as `places` calls it.
        files: by role.

    Raises:
        InputError: a file has other content; the message names it and says what to do.
    """
    for role, file in files.items():
        if file.sha256 != DIGESTS[role]:
            raise fault(
                file.path,
                f"is not Fashion-MNIST's {role}: the content has SHA-256 {file.sha256[:12]}..., "
                f"published is {DIGESTS[role][:12]}...; {remedy(kind)}",
            )


def remedy(kind: str) -> str:
    """Say how a corrupt copy in a place is mended."""
    if kind == "the user's cache":
        return f"run `downslope data fetch {NAME}` to replace it"
    if kind == VARIABLE:
        return f"replace the file, or unset {VARIABLE}"
    if kind == "the system package":
        return "reinstall dataset-fashion-mnist"
    return "delete or replace that folder"
