"""Open files that nobody vouches for: regular files only, bounded, every fault in one line."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from downslope.errors import InputError

MAXIMUM_BYTES = 2**30
"""The most that is ever read of one array or file, after decompression: 1 GiB."""


_TABLES = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq", ".feather")


def is_table_name(path: Path) -> bool:
    """Tell from its name whether a file is a table.

    >>> is_table_name(Path("a.CSV.gz")), is_table_name(Path("a.parquet"))
    (True, True)
    """
    return re.sub(r"\.(gz|zip)$", "", path.name.lower()).endswith(_TABLES)


def fault(where: Path | str, what: str) -> InputError:
    r"""Make an error of one line that starts with the place.

    >>> str(fault(Path("a\nb.csv"), "is empty"))
    'a\\nb.csv: is empty'
    """
    text = f"{where}: {what}"
    # A file name or a cell may hold line breaks, escapes or half a character.
    return InputError("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))


def finite_rows(rows: NDArray[Any], where: Path | str) -> NDArray[np.float64]:
    """Return rows of numbers, of shape (rows, columns), in float64.

    Raises:
        InputError: a value that is no finite number; the message names its place.

    >>> finite_rows(np.array([[1, 2], [3, np.nan]]), "a.npy")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: a.npy: row 1, column 1 (both from 0) holds nan; every value must...
    """
    with np.errstate(over="ignore", invalid="ignore"):
        wide = rows.astype(np.float64)
    finite = np.isfinite(wide)
    if not finite.all():
        row, column = np.unravel_index(int(np.argmin(finite)), finite.shape)
        raise fault(
            where,
            f"row {row}, column {column} (both from 0) holds {rows[row, column]}; every value "
            "must be a finite number",
        )
    return wide


@contextmanager
def open_plain(path: Path) -> Generator[io.BufferedIOBase, None, None]:
    """Open a regular file for reading bytes; what the system refuses becomes an `InputError`."""
    try:
        if path.is_dir():
            raise fault(path, "is a folder, where a file is needed")
        if path.exists() and not path.is_file():  # a pipe would block, a device never ends
            raise fault(path, "is not a regular file; give one that is stored on disk")
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                raise fault(path, "is empty; get the file again")
            yield stream
    except FileNotFoundError:
        raise fault(path, "does not exist; check the path") from None
    except PermissionError:
        raise fault(path, "may not be read by this user; change its permissions") from None
    except OSError as error:
        raise fault(path, f"cannot be read ({error.strerror or error})") from None


@contextmanager
def open_decompressed(path: Path) -> Generator[io.BufferedIOBase, None, None]:
    """Open a file for reading its bytes, through gzip where its first two bytes say so."""
    with open_plain(path) as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        if not compressed:
            yield stream
            return
        try:
            with gzip.GzipFile(fileobj=stream, mode="rb") as decompressed:
                yield decompressed
        except EOFError:
            raise fault(path, "is a truncated .gz (it ends too early); get it again") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise fault(path, f"is a damaged .gz ({error}); get the file again") from None


def decoded(data: bytes, where: Path | str) -> tuple[str, str]:
    """Return text and its encoding: UTF-8, UTF-16 with its mark, else Windows-1252.

    >>> decoded("é".encode("cp1252"), "a.csv")
    ('é', 'cp1252')
    """
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if "\0" not in text:
                return text, encoding.removesuffix("-sig")
    raise fault(where, "is no text in UTF-8, UTF-16 or Windows-1252; save it as UTF-8")


def read_whole(path: Path) -> bytes:
    """Read a plain file of at most `MAXIMUM_BYTES`."""
    with open_plain(path) as stream:
        return read_bounded(stream, path)


def read_bounded(stream: IO[bytes] | io.BufferedIOBase, where: Path | str) -> bytes:
    """Read a stream of at most `MAXIMUM_BYTES`."""
    data = stream.read(MAXIMUM_BYTES + 1)
    if len(data) > MAXIMUM_BYTES:
        raise fault(where, f"is larger than {MAXIMUM_BYTES:,} bytes, the most that is read")
    return data
