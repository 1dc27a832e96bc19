"""Fetch a named data set into the user's cache: the publisher, then the system's packages."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from downslope.data import fashion_mnist
from downslope.data.download import download
from downslope.data.files import fault
from downslope.data.idx import find_idx, read_idx_folder
from downslope.data.package import PACKAGE, unpack_package
from downslope.errors import InputError
from downslope.files import CACHE, cache_folder
from downslope.progress import Progress, Steps

NAMES = ("fashion-mnist", "digits")
"""The data sets that are known by name."""

_LARGEST_FILE = 64_000_000  # the publisher's largest has 26 MB
_STALE_SECONDS = 86_400.0
_TEMPORARY = ".fetch-"


def find(name: str) -> Path | None:
    """Return where a named data set lies on this machine, or None; its content is not checked.

    Raises:
        InputError: the name is unknown, or DOWNSLOPE_DATA names no folder.

    >>> find("digits").name
    'digits.csv.gz'
    """
    check_name(name)
    if name == "digits":
        import sklearn.datasets

        return Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"
    copy = fashion_mnist.find_copy()
    return None if copy is None else copy[1]


def fetch(name: str) -> Steps[Path]:
    """Bring a named data set into the user's cache, unless an intact copy is on this machine.

    The copy appears in the cache complete and verified or not at all; what an interrupted fetch
    leaves in the cache folder has a name that starts with a dot and goes with the next fetch.

    Args:
        name: "fashion-mnist", or "digits", which is always there.

    Yields:
        What is being done, in bytes.

    Returns:
        The folder with the files.

    Raises:
        InputError: the name is unknown, the cache cannot be written, or no source could be
            reached; the message lists all that was tried.
    """
    check_name(name)
    there = find(name)
    if there is not None and (name == "digits" or _intact(there)):
        return there
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _sweep(cache)
        work = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=cache))
    except OSError as error:
        raise fault(
            cache,
            f"the cache cannot be written ({error.strerror or error}); set {CACHE} to a "
            f"folder that can, or {fashion_mnist.VARIABLE} to one with the data",
        ) from None
    try:
        return (yield from _fetch_into(cache, work))
    except OSError as error:
        raise fault(
            cache, f"{name} could not be stored ({error.strerror or error}); make room and retry"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_name(name: str) -> None:
    """Refuse a name that is not in `NAMES`."""
    if name not in NAMES:
        raise fault("data", f"{name!r} is not the name of a data set; names are {', '.join(NAMES)}")


def _fetch_into(cache: Path, work: Path) -> Steps[Path]:
    tried: list[str] = []
    mirrors: list[tuple[str, Callable[[Path], Steps[Path]]]] = [
        *(
            (address, lambda folder, a=address: _from_web(a, folder))
            for address in fashion_mnist.ADDRESSES
        ),
        (f"apt-get download {PACKAGE}", unpack_package),
    ]
    for number, (source, get) in enumerate(mirrors):
        place = work / str(number)
        place.mkdir()
        try:
            folder = yield from get(place)
            yield Progress("verifying Fashion-MNIST", 0, 1)
            fashion_mnist.check_content("", read_idx_folder(folder))
        except InputError as error:
            tried.append(f"{source} ({error})")
            continue
        yield Progress("verifying Fashion-MNIST", 1, 1)
        return _place(folder, work, cache / fashion_mnist.NAME)
    looked = ", ".join(dict.fromkeys(str(folder) for _, folder in fashion_mnist.places()))
    raise fault(
        fashion_mnist.NAME,
        f"not found and not fetched; looked in {looked}; tried {'; '.join(tried)}; connect once "
        f"and run `downslope data fetch {fashion_mnist.NAME}`, or set {fashion_mnist.VARIABLE} to "
        "a folder with the four IDX files, or use the data set digits, which needs no network",
    )


def _from_web(address: str, folder: Path) -> Steps[Path]:
    # Smallest first: an address that does not work shows it at once.
    for file in sorted(fashion_mnist.FILES.values(), key=lambda file: "images" in file):
        yield from download(address + file, folder / file, _LARGEST_FILE)
    return folder


def _place(folder: Path, work: Path, target: Path) -> Path:
    """Move verified files to their final name in one rename, on disk before they are seen."""
    ready = work / "ready"
    ready.mkdir()
    for role, path in find_idx(folder).items():
        name = fashion_mnist.FILES[role] if path.suffix == ".gz" else fashion_mnist.FILES[role][:-3]
        path.rename(ready / name)
        _sync(ready / name)
    _sync(ready)
    with contextlib.suppress(FileNotFoundError):
        target.rename(work / "replaced")
    try:
        ready.rename(target)
    except OSError:
        # Another process may have placed its copy in between; either one will do.
        if not _intact(target):
            raise
    _sync(target.parent)
    return target


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # a folder has no handle to sync there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _intact(folder: Path) -> bool:
    with contextlib.suppress(InputError):
        fashion_mnist.check_content("", read_idx_folder(folder))
        return True
    return False


def _sweep(cache: Path) -> None:
    """Remove what a fetch left that was killed, once it is old enough to be nobody's."""
    for path in cache.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
