"""Files that are whole: written under another name, synced, renamed; known by their digest."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Self

import msgspec
import platformdirs

from downslope.errors import InputError

CACHE = "DOWNSLOPE_CACHE"
"""The environment variable that names another folder for the program's cache."""

PART = ".part"
"""How the name of an unfinished file ends; after a kill it is left behind and may be removed."""


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON file that holds its own digest, in the field `sha256` that each subclass ends with.

    The digest is of the structure as JSON without spaces, with an empty string in its place.
    """

    def to_bytes(self) -> bytes:
        """Write as JSON for people, with its own digest."""
        sealed = msgspec.structs.replace(self, sha256=self._digest())
        return msgspec.json.format(msgspec.json.encode(sealed)) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            InputError: it is something else, or damaged.
        """
        try:
            sealed = msgspec.json.decode(content, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"damaged or of another version ({error})") from None
        if sealed.to_bytes() != content:
            raise InputError("damaged: its own SHA-256 differs")
        return sealed

    def _digest(self) -> str:
        unsealed = msgspec.structs.replace(self, sha256="")
        return hashlib.sha256(msgspec.json.encode(unsealed)).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name only ever holds all of it.

    Raises:
        InputError: the directory cannot be written, or the disk is full.
    """
    try:
        handle, temporary = tempfile.mkstemp(PART, f".{path.name[:40]}.", path.parent)
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


def cache_folder() -> Path:
    """Return the user's cache of this program; it need not exist yet."""
    if chosen := os.environ.get(CACHE):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("downslope")


def key_of(package: Path, *others: object) -> bytes:
    """Make a key for `keep` of the source of a package and of what else decides its results."""
    sources = [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(package.glob("*.py"))]
    return msgspec.json.encode([others, sources], order="sorted")


def keep(name: str, key: bytes, content: bytes) -> None:
    """Keep a result in the user's cache; a cache that cannot be written is done without.

    Args:
        name: of its file, below the cache.
        key: what decides the result, as from `key_of`; under another it is not read back.
        content: the result.
    """
    path = cache_folder() / name
    with suppress(OSError, InputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{hashlib.sha256(key + content).hexdigest()}\n".encode() + content)


def read_kept(name: str, key: bytes) -> bytes | None:
    """Read what `keep` wrote under the same key; None where it is not there or not whole."""
    try:
        digest, _, content = (cache_folder() / name).read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if digest == hashlib.sha256(key + content).hexdigest().encode() else None


def check_writable(path: Path) -> None:
    """Refuse a place for a file before any work is done for it.

    Raises:
        InputError: its directory is missing or cannot be written, its name is too long, or it is
            a directory itself.
    """
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.lstat().st_mode):
                raise InputError(f"{path}: is a directory; give the name of a file")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def inside(root: Path, name: str) -> Path:
    """Return the path of a file or folder below a directory, which no link leads out of.

    `root` itself may be a link: that is the user's choice.

    Raises:
        InputError: the name is absolute or has `..`; what is there is a link or leads through
            one, or is neither a plain file nor a folder.
    """
    parts = PurePath(name).parts
    if not parts or PurePath(name).is_absolute() or ".." in parts:
        raise InputError(f"{root}: {name!r} is the name of no file in it")
    path = root
    for part in parts:
        path /= part
        try:
            mode = path.lstat().st_mode
        except OSError:  # nothing there: whoever opens it says what is wrong
            break
        if stat.S_ISLNK(mode):
            raise InputError(
                f"{path}: is a link, which is not followed out of {root}; put what it leads to in "
                "its place"
            )
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise InputError(f"{path}: is neither a plain file nor a folder; remove it")
    return root / name


def sha256_of(path: Path) -> str:
    """Take the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
