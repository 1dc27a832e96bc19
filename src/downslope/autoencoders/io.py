"""Autoencoders, examples and codes from files, and back to files."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from downslope.autoencoders.autoencoder import Autoencoder
from downslope.data.arrays import parse_npy
from downslope.data.files import fault, read_whole
from downslope.errors import InputError
from downslope.files import write_whole

WEIGHTS = "autoencoder/weights.safetensors"
"""Where a run keeps its autoencoder."""

IMAGES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
MOST_SHOWN = 400
"""Pictures on one sheet; more belong into an array."""


def open_autoencoder(path: Path) -> Autoencoder:
    """Read an autoencoder from the directory of a run or from a file of `Autoencoder.to_bytes`.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            raise fault(path, f"holds no autoencoder ({WEIGHTS}); run downslope autoencode first")
        path = path / WEIGHTS
    return Autoencoder.from_bytes(read_whole(path), path)


def read_examples(paths: Sequence[Path], coder: Autoencoder) -> NDArray[Any]:
    """Read raw examples for an autoencoder: one .npy file, or grey images of its size.

    Black and white of an image are those of the autoencoder's data.

    Returns:
        Shape (examples, ...), in the units of the data.

    Raises:
        InputError: a file that is neither, an image of another size, or damaged bytes.
    """
    if len(paths) == 1 and paths[0].suffix.lower() == ".npy":
        array = read_array(paths[0])
        # One example alone is meant as one row.
        return array[None] if array.shape == coder.shape else array
    if more := next((path for path in paths if path.suffix.lower() == ".npy"), None):
        raise fault(more, "a .npy is given alone; one of several files is an image")
    return np.stack([_image(path, coder) for path in paths])


def read_array(path: Path) -> NDArray[Any]:
    """Read a .npy file of at least one row.

    Raises:
        InputError: another kind of file, an empty array, or damaged bytes.
    """
    array = parse_npy(read_whole(path), path)
    if not array.size:
        raise fault(path, f"holds nothing (shape {array.shape}); give at least one row")
    return array


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy, whole.

    Raises:
        InputError: the directory cannot be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_whole(path, buffer.getvalue())


def write_sheet(path: Path, rows: Sequence[NDArray[Any]], coder: Autoencoder) -> None:
    """Write pictures as one PNG: `rows` below each other, in bands of at most 20 columns.

    Each of the `rows` is an array of shape (pictures, *shape) in the units of the data, for example
    originals and reconstructions.

    Raises:
        InputError: the data are no grey images, or there are too many for a sheet.
    """
    if len(coder.shape) != 2:
        raise fault(path, f"examples of shape {coder.shape} are no grey images; write .npy instead")
    count = len(rows[0])
    if not 1 <= count <= MOST_SHOWN:
        raise fault(path, f"a sheet of {count} pictures; it holds 1 to {MOST_SHOWN}, write .npy")
    height, width = coder.shape
    columns = min(20, count)
    bands = math.ceil(count / columns)
    gap = 2  # of white, between pictures and around them
    cells = np.full((len(rows), bands * columns, height + gap, width + gap), 255, np.uint8)
    for row, pictures in zip(cells, rows, strict=True):
        grey = np.asarray(pictures, np.float64).reshape(count, height, width)
        grey = (grey / coder.scaling.divisor).clip(0, 1)
        row[:count, gap:, gap:] = np.rint(255 * grey).astype(np.uint8)
    sheet = cells.reshape(len(rows), bands, columns, height + gap, width + gap)
    sheet = sheet.transpose(1, 0, 3, 2, 4).reshape(bands, -1, columns * (width + gap))
    sheet = np.pad(sheet, ((0, 0), (0, gap), (0, gap)), constant_values=255)
    sheet = sheet.reshape(-1, sheet.shape[2])
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def _image(path: Path, coder: Autoencoder) -> NDArray[np.float32]:
    if path.suffix.lower() not in IMAGES:
        raise fault(path, f"is no .npy and no image, going by its name ({', '.join(IMAGES)})")
    if len(coder.shape) != 2:
        raise fault(path, f"this autoencoder's examples have shape {coder.shape}; give a .npy")
    height, width = coder.shape
    try:
        with Image.open(io.BytesIO(read_whole(path))) as image:
            # The size stands in the header: nothing large is ever decoded.
            if image.size != (width, height):
                raise fault(
                    path,
                    f"is {image.size[0]} x {image.size[1]} pixels, width first; it must be "
                    f"{width} x {height}",
                )
            grey = np.asarray(image.convert("L"), np.float32)
    except InputError:
        raise
    except UnidentifiedImageError:  # its text names an object in memory
        raise fault(path, "cannot be read as an image; save it as PNG") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise fault(path, f"cannot be read as an image ({error}); save it as PNG") from None
    return grey * np.float32(coder.scaling.divisor / 255)
