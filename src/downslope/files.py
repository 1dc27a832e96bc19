"""Files that are whole: written under another name, synced, renamed; known by their digest."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from downslope.errors import InputError

PART = ".part"
"""How the name of an unfinished file ends; after a kill it is left behind and may be removed."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name only ever holds all of it.

    Raises:
        InputError: the directory cannot be written, or the disk is full.
    """
    try:
        handle, temporary = tempfile.mkstemp(PART, f".{path.name}.", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())  # mkstemp makes files private
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def sha256_of(path: Path) -> str:
    """Take the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
