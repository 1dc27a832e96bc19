"""Everything about Fashion-MNIST: its names and digests, its publisher, where a copy may lie."""

from __future__ import annotations

import os
from pathlib import Path

from downslope.data.files import fault
from downslope.data.idx import ROLES, USUAL_NAMES, IdxFile, find_idx
from downslope.errors import InputError
from downslope.files import cache_folder

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

SHA256 = "c86e615d8f0aa1d120dbdcca957e44a25342249a4dbbbb7fde7ed3ce1c060f29"
"""Of the data set of these files, as in `Dataset.sha256`: known from whatever files it comes."""

FILES = {role: f"{name}.gz" for role, name in USUAL_NAMES.items()}

ADDRESSES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
"""The publisher's two addresses of the folder with the four files."""

PACKAGE_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where the distribution's package dataset-fashion-mnist puts the files."""

TORCHVISION = Path("FashionMNIST", "raw")
"""Where torchvision keeps the files, unzipped, below the root that its user chose."""

VARIABLE, CACHE, SYSTEM = "DOWNSLOPE_DATA", "the user's cache", "the system package"
"""What places are called: by this variable of the environment, and by a word."""


def places() -> list[tuple[str, Path]]:
    """List where a copy is looked for, in this order, each with a word for it."""
    folders: list[tuple[str, Path]] = []
    if given := os.environ.get(VARIABLE):
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise fault(
                f"{VARIABLE}={given}", "is not a folder; set it to one with data sets or unset it"
            )
        # Itself comes last: it may also hold the files of another set with the same names.
        folders += [(VARIABLE, at) for at in (folder / NAME, folder / TORCHVISION, folder)]
    folders += [(CACHE, cache_folder() / NAME), (SYSTEM, PACKAGE_FOLDER)]
    for root in (Path("data"), Path("~/data").expanduser(), Path()):
        folders.append(("a torchvision folder", root / TORCHVISION))
    return folders


def find_copy() -> tuple[str, Path] | None:
    """Return the first place that has all four files, or None; their content is not checked."""
    for kind, folder in places():
        try:
            if folder.is_dir() and len(find_idx(folder)) == len(ROLES):
                return kind, folder
        except (InputError, OSError):
            continue  # a place that cannot be listed, or holds other sets, has no copy
    return None


def check_content(kind: str, files: dict[str, IdxFile]) -> None:
    """Compare the four files, by role, with the published digests."""
    for role, file in files.items():
        if file.sha256 != DIGESTS[role]:
            raise fault(
                file.path,
                f"is not Fashion-MNIST's {role}: the content has SHA-256 {file.sha256[:12]}..., "
                f"published is {DIGESTS[role][:12]}...; {remedy(kind)}",
            )


def remedy(kind: str) -> str:
    """Say how a corrupt copy is mended that lies in a place, as `places` calls it."""
    remedies = {
        CACHE: f"run `downslope data fetch {NAME}` to replace it",
        VARIABLE: f"replace the file, or unset {VARIABLE}",
        SYSTEM: "reinstall dataset-fashion-mnist",
    }
    return remedies.get(kind, "delete or replace that folder")
