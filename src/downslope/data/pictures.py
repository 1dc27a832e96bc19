"""Folders of pictures: a subfolder for each class, below train/ and test/ or not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from downslope.data.assembly import Part
from downslope.data.files import MAXIMUM_BYTES, fault
from downslope.data.idx import list_folder
from downslope.data.labels import Labels, listed
from downslope.errors import one_line
from downslope.progress import Progress, Steps, T

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
}
"""Names of the folders of a set's parts, in any case."""

BROKEN = 0.01
"""The share of files that may be broken; they are named and passed over."""

SILENT = 2.0
"""Seconds of reading before its progress is said."""

MOST_PIXELS = 50_000_000
"""Of one picture before it is resized: a small file may hold a huge one."""

_FORMATS = ("PNG", "JPEG", "BMP")
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "F"}

Size = tuple[int, ...]
"""Height and width."""


class _Picture(NamedTuple):
    path: Path
    label: str
    part: str
    size: Size = (0, 0)
    grey: bool = True
    broken: str = ""


def read_pictures(folder: Path, size: Size | None = None) -> Steps[list[Part] | None]:
    """Read a folder of pictures.

    Args:
        folder: with a subfolder for each class, or with train/ and test/ (and val/) that have them.
        size: height and width to resize to; None where all are of one size.

    Returns:
        The training part, to which val/ belongs, and the test part, if there is one; None where
        no subfolder holds a picture.

    Raises:
        InputError: sizes differ and none is asked for, too many files are broken, or a class has
            no picture.
    """
    files, others = _files(folder)
    if not files:
        if any(path.suffix.lower() in ENDINGS for path in list_folder(folder)):
            raise fault(
                folder,
                "holds pictures, but no subfolder for each class; put the pictures of each class "
                "into a folder with the name of the class",
            )
        return None
    with ThreadPoolExecutor() as pool:  # Pillow decodes without the interpreter's lock
        looked_at = yield from _watched("looking at pictures", pool.map(_look, files), len(files))
        pictures, notes = _whole(looked_at, folder)
        if others:
            names = [str(path.relative_to(folder)) for path in others]
            notes.append(f"not read, as no PNG, JPEG or BMP: {listed(names, 3)}")
        own = _one_size(folder, pictures, size, notes)
        grey = all(picture.grey for picture in pictures)
        total = len(pictures) * own[0] * own[1] * (1 if grey else 3)
        if total > MAXIMUM_BYTES:
            raise fault(
                folder,
                f"holds {len(pictures):,} pictures of {own[0]} x {own[1]} pixels, {total:,} bytes; "
                f"at most {MAXIMUM_BYTES:,} are read: give a smaller --size",
            )
        decoded = pool.map(partial(_decode, size=own, grey=grey), pictures)
        arrays = yield from _watched("reading pictures", decoded, len(pictures))
    notes.append(f"pictures in {'grey' if grey else 'colour'}, {own[0]} x {own[1]} pixels")
    training = [i for i, picture in enumerate(pictures) if picture.part != "test"]
    test = [i for i, picture in enumerate(pictures) if picture.part == "test"]
    if val := sum(picture.part == "val" for picture in pictures):
        notes.append(
            f"{val:,} validation pictures belong to the training examples; data.validation says "
            "how many of these are split off"
        )
    if not training:
        raise fault(folder, "has test pictures but none to train on; put them into train/CLASS/")

    def part(rows: Sequence[int]) -> Part:
        chosen = [pictures[i] for i in rows]
        labels = np.array([picture.label for picture in chosen])
        place = Labels(labels, str(folder), lambda row: f"{chosen[row].path.relative_to(folder)}")
        inputs = np.stack([arrays[i] for i in rows])
        return Part(inputs, str(folder), place, "images", max_pixel=255.0, notes=tuple(notes))

    return [part(rows) for rows in (training, test) if rows]


class NewPictures(NamedTuple):
    """Pictures to predict.

    Args:
        pixels: shape (pictures, features), in the order of the paths.
        names: paths below the folder.
        labels: name of the folder in which each lies.
        notes: which files were passed over, and why.
    """

    pixels: NDArray[np.uint8]
    names: list[str]
    labels: list[str]
    notes: list[str]


def read_new_pictures(folder: Path, shape: Sequence[int]) -> Steps[NewPictures | None]:
    """Read all pictures below a folder, as those that a network was trained on.

    Args:
        folder: with pictures in it or in folders below, in any order of classes.
        shape: of a training picture, (height, width) or (height, width, 3).

    Returns:
        Those that can be read; None where there are none at all.

    Raises:
        InputError: too many files are broken.
    """
    paths = [path for path in _below(folder) if path.suffix.lower() in ENDINGS]
    if not paths:
        return None
    files = [_Picture(path, path.parent.name, "") for path in paths]
    with ThreadPoolExecutor() as pool:
        looked_at = yield from _watched("looking at pictures", pool.map(_look, files), len(files))
        pictures, notes = _whole(looked_at, folder)
        decode = partial(_decode, size=tuple(shape[:2]), grey=len(shape) == 2)
        decoded = pool.map(decode, pictures)
        arrays = yield from _watched("reading pictures", decoded, len(pictures))
    return NewPictures(
        np.stack(arrays).reshape(len(arrays), -1),
        [str(picture.path.relative_to(folder)) for picture in pictures],
        [picture.label for picture in pictures],
        notes,
    )


def _watched(task: str, results: Iterator[T], total: int) -> Steps[list[T]]:
    """Collect results, with progress once they take longer than `SILENT` seconds."""
    start, collected = time.monotonic(), list[T]()
    for result in results:
        collected.append(result)
        if time.monotonic() - start > SILENT and (len(collected) % 100 == 0):
            yield Progress(task, len(collected), total, f"{len(collected):,} of {total:,}")
    return collected


def _whole(looked_at: Sequence[_Picture], folder: Path) -> tuple[list[_Picture], list[str]]:
    """Return the pictures that can be read, and name the others.

    Raises:
        InputError: these are too many.
    """
    broken = [picture for picture in looked_at if picture.broken]
    if len(broken) > BROKEN * len(looked_at):
        raise fault(
            broken[0].path,
            f"{broken[0].broken}; {len(broken):,} of {len(looked_at):,} pictures cannot be read, "
            f"and at most {100 * BROKEN:g} % may be passed over: remove or mend them",
        )
    names = [f"{p.path.relative_to(folder)} {p.broken}" for p in broken]
    notes = [f"passed over: {listed(names, 3)}"] if broken else []
    return [picture for picture in looked_at if not picture.broken], notes


def _files(folder: Path) -> tuple[list[_Picture], list[Path]]:
    """List the pictures below a folder by class and part, and what else lies there."""
    files: list[_Picture] = []
    others: list[Path] = []
    below = [path for path in list_folder(folder) if path.is_dir() and path.name[0] != "."]
    parts = {path: PARTS[path.name.lower()] for path in below if path.name.lower() in PARTS}
    if "train" not in parts.values():
        parts = {}
    places = list(parts.items()) or [(folder, "")]
    for place, part in places:
        for of_class in (path for path in list_folder(place) if path.is_dir()):
            if of_class.name[0] == ".":
                continue
            inside = _below(of_class)
            shown = [path for path in inside if path.suffix.lower() in ENDINGS]
            others += [path for path in inside if path not in set(shown)]
            files += [_Picture(path, of_class.name, part) for path in shown]
    return files, others


def _below(folder: Path) -> list[Path]:
    """List the files below a folder but for hidden ones, as macOS leaves beside pictures."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."]


def _open(path: Path) -> Image.Image:
    image = Image.open(path, formats=_FORMATS)
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise ValueError(f"it has more than {MOST_PIXELS:,} pixels")
    return image


def _look(picture: _Picture) -> _Picture:
    """Decode a picture once, and keep its size, whether it is grey, or what is wrong with it."""
    try:
        with _open(picture.path) as image:
            grey = image.mode in _GREY
            turned = ImageOps.exif_transpose(image)
            return picture._replace(size=(turned.height, turned.width), grey=grey)
    except Exception as error:  # Pillow raises many types on damaged bytes
        return picture._replace(broken=f"cannot be read as a picture ({one_line(error)})")


def _decode(picture: _Picture, size: Size, grey: bool) -> NDArray[np.uint8]:
    """Return a picture's pixels, shape (height, width) or (height, width, 3)."""
    try:
        with _open(picture.path) as image:
            turned = ImageOps.exif_transpose(image)
            if turned.mode in ("I", "I;16", "I;16B"):  # 16 bits
                turned = Image.fromarray((np.asarray(turned) // 256).clip(0, 255).astype(np.uint8))
            if turned.has_transparency_data:  # as on white paper
                white = Image.new("RGBA", turned.size, "white")
                turned = Image.alpha_composite(white, turned.convert("RGBA"))
            plain = turned.convert("L" if grey else "RGB")
            height, width = size
            if plain.size != (width, height):
                plain = plain.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(plain, np.uint8)
    except Exception as error:
        raise fault(picture.path, f"cannot be read as a picture ({one_line(error)})") from None


def _one_size(
    folder: Path, pictures: Sequence[_Picture], size: Size | None, notes: list[str]
) -> Size:
    sizes = Counter(picture.size for picture in pictures)
    (common, count), *_ = sizes.most_common(1)
    if size is None:
        if len(sizes) > 1:
            height, width = common
            raise fault(
                folder,
                f"holds pictures of {len(sizes):,} sizes, {count:,} of {len(pictures):,} have "
                f"{height} x {width} pixels; say to which they are resized with --size "
                f"{height}x{width}, or data.size = [{height}, {width}]",
            )
        return common
    if changed := len(pictures) - sizes[size]:
        notes.append(f"{changed:,} of {len(pictures):,} pictures resized to {size[0]} x {size[1]}")
    return size
