"""Run directories: the only place that writes or reads them.

Every file is written whole to a temporary name in the same directory, synced and renamed, so that
a reader never sees half of one. Nothing is ever unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from downslope.data import Opening
from downslope.engines import engine_name, hardware, versions
from downslope.errors import InputError
from downslope.files import PART, inside, sha256_of, write_whole
from downslope.landscape import Trajectory
from downslope.results import Results, decode
from downslope.runs.manifest import Manifest, is_derived, stage_of
from downslope.search import trial_snapshots
from downslope.showing import Drawn, Page, page_of
from downslope.toml import write_toml

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl


LONGEST_NAME = 100
"""Characters of a file's name below a run, unfinished ones included: paths are to have room."""


class Run(Drawn):
    """One run directory, to read and to write.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.written: dict[str, str] = {}
        """SHA-256 by path of what was written here and is not in the manifest on disk yet."""
        self._directory: tuple[int, int] | None = None

    @property
    def exists(self) -> bool:
        """Tell whether the directory holds a run."""
        return os.path.isfile(self.path / "results.json")  # noqa: PTH113 - raises on no name

    def facts(self) -> Mapping[str, object]:
        """Return where the run is, and what `Results` says of it."""
        try:
            results = self.read_results().facts() if self.exists else {}
        except InputError as error:
            results = {"damaged": error}
        return {"path": self.path, **results}

    def trajectory(self, trial: int, part: Literal["search", "variants"] = "search") -> Trajectory:
        """Read the path of a trial, which the recipe kept (`search.snapshots_per_epoch`).

        Raises:
            InputError: it kept none; see `trial_snapshots`.
        """
        return Trajectory.of(trial_snapshots(inside(self.path, f"{part}/trials.sqlite"), trial))

    def report(self) -> Page:
        """Return the run's report, for a notebook to show inline; no file is written."""
        return page_of(self, "report")

    def check_name(self) -> None:
        """Refuse a directory whose name is too long, before any work is done.

        Raises:
            InputError: it is.
        """
        whole = self.path / ("x" * LONGEST_NAME)
        for path in (whole, *map(Path, self.path.parts)):  # alone, since the rest may not be there
            try:
                path.lstat()
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise InputError(
                        f"{self.path}: cannot be written ({error.strerror}); choose a shorter name"
                    ) from None

    def prepare(self) -> None:
        """Make the directory and check that it can be written, before any work is done.

        Raises:
            InputError: it cannot be made or written, or holds something that is no run.
        """
        self.check_name()
        try:
            # What a killed write left behind has a name that starts with a dot; a run that was
            # killed while it began has a manifest, and maybe its recipe.
            visible = self.path.is_dir() and {
                path.name for path in self.path.iterdir() if not path.name.startswith(".")
            }
            begun = visible and visible <= {"manifest.json", "recipe.toml"}
            if visible and not self.exists and not (begun and self.read_manifest()):
                raise InputError(
                    f"{self.path}: holds files but no run; choose a new or an empty directory"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            self._directory = _identity(self.path)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); choose a directory that can"
            ) from None

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Keep the run to this process; the lock ends with the process, however that ends.

        Raises:
            InputError: another process holds it.
        """
        if fcntl is None:  # Windows: two processes on one run are not told apart there
            yield
            return
        try:
            handle = os.open(self.file(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be locked ({error.strerror})") from None
        with open(handle, "r+b", buffering=0) as file:  # noqa: PTH123 - a descriptor
            if os.fstat(handle).st_nlink > 1:  # it is written in place
                raise InputError(
                    f"{self.path / '.lock'}: is another name of a file elsewhere; remove it"
                )
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read(200).decode(errors="replace").strip() or "unknown"
                raise InputError(
                    f"{self.path}: in use by process {holder}; wait for it or begin in "
                    "another directory"
                ) from None
            with suppress(OSError):  # on a full disk the holder has no name
                file.truncate(0)
                file.write(f"{os.getpid()} on {platform.node()}".encode())
            yield

    def file(self, name: str) -> Path:
        """Return the path of a file of the run, its folder made.

        Raises:
            InputError: its folder cannot be made; it is a link or lies behind one; the run's
                directory was removed after `prepare`.
        """
        path = inside(self.path, name)
        if self._directory is not None and _identity(self.path) != self._directory:
            raise InputError(
                f"{self.path}: was removed or replaced while this command worked on it; repeat the "
                "command to begin again"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be made ({error.strerror})") from None
        return path

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole: temporary name, sync, rename, sync of the directory."""
        write_whole(self.file(name), content)
        self.written[name] = hashlib.sha256(content).hexdigest()

    def record(self, name: str) -> None:
        """Take the digest of a finished file that something else wrote."""
        self.written[name] = sha256_of(self.path / name)

    def write_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays as one npz file."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def read_arrays(self, name: str, keys: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """Read an npz file of the run; `keys` must be among its arrays.

        Raises:
            InputError: it is missing or damaged, or lacks one.
        """

        def parse(content: bytes) -> dict[str, NDArray[Any]]:
            # From memory: np.load leaves a damaged file open.
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return {key: archive[key] for key in (*archive.files, *keys)}

        return self._read(name, parse)

    def write_weights(self, name: str, state: Mapping[str, NDArray[Any]]) -> None:
        """Write a module's state as safetensors."""
        contiguous = {key: np.asarray(value, order="C") for key, value in state.items()}
        self.write(name, save_safetensors(contiguous))

    def read_weights(self, name: str) -> dict[str, NDArray[Any]]:
        """Read a module's state.

        Raises:
            InputError: it is missing or damaged.
        """
        return self._read(name, load_safetensors)

    def _read(
        self, name: str, parse: Callable[[bytes], dict[str, NDArray[Any]]]
    ) -> dict[str, NDArray[Any]]:
        try:
            return parse(inside(self.path, name).read_bytes())
        except Exception as error:  # zipfile, zlib, NumPy and safetensors each have their own
            raise InputError(
                f"{self.path / name}: missing or damaged ({error}); start anew in another directory"
            ) from None

    def read_results(self) -> Results:
        """Read results.json.

        Raises:
            InputError: there is none, or it is not of this version's schema.
        """
        path = inside(self.path, "results.json")
        try:
            return decode(path.read_bytes())
        except OSError:
            raise InputError(
                f"{self.path}: holds no run (no results.json); give the directory of a run"
            ) from None
        except msgspec.DecodeError as error:
            raise InputError(f"{path}: damaged or of another version ({error})") from None

    def commit(self, results: Results, stages: Sequence[str]) -> None:
        """Write manifest.json, then results.json: from here on the run holds these results.

        Args:
            results: of the stages that have finished.
            stages: what was asked for.
        """
        content = msgspec.json.format(msgspec.json.encode(results)) + b"\n"
        path, now = self.path / "results.json", hashlib.sha256(content).hexdigest()
        old = self.read_manifest()
        manifest = Manifest(
            downslope=metadata.version("downslope"),
            command="downslope run recipe.toml",
            stages=list(stages),
            seed=results.recipe.seed,
            data_sha256=results.data.sha256,
            versions=versions(),
            engine=engine_name(),
            hardware=hardware(),
            seconds=results.seconds,
            files=self._files(old.files if old else {}) | {"results.json": now},
            before=sha256_of(path) if path.exists() else "",
        )
        self._write_manifest(manifest)
        self.write_recipe(results)
        self.write("results.json", content)

    def count_openings(self, openings: Sequence[Opening]) -> None:
        """Add openings of the sealed test set to a finished run; where it was made stays.

        Raises:
            InputError: the run or its manifest is damaged, or in use by another process.
        """
        with self.locked():
            results, manifest = self.read_results(), self.check()
            assert manifest is not None
            test = results.test_set
            results.test_set = msgspec.structs.replace(test, openings=[*test.openings, *openings])
            content = msgspec.json.format(msgspec.json.encode(results)) + b"\n"
            digest = {"results.json": hashlib.sha256(content).hexdigest()}
            before = sha256_of(self.path / "results.json")
            files = self._files(manifest.files) | digest
            self._write_manifest(msgspec.structs.replace(manifest, files=files, before=before))
            self.write("results.json", content)

    def write_recipe(self, results: Results) -> None:
        """Write recipe.toml, unless it is as it should be."""
        recipe = write_toml(results.recipe).encode()
        if not self._holds("recipe.toml", recipe):
            self.write("recipe.toml", recipe)

    def refresh_manifest(self) -> None:
        """List files that were built again; where the run was made stays.

        Raises:
            InputError: manifest.json is damaged.
        """
        if (manifest := self.read_manifest()) is not None:
            files = self._files(manifest.files)
            self._write_manifest(msgspec.structs.replace(manifest, files=files))

    def remove_earlier(self, folder: str) -> None:
        """Remove files of a folder that an earlier report wrote and that this one did not.

        A file that is not what the manifest says stays: somebody changed it.

        Raises:
            InputError: manifest.json is damaged, or a file cannot be removed.
        """
        manifest = self.read_manifest()
        for name, digest in ({} if manifest is None else manifest.files).items():
            if not name.startswith(f"{folder}/") or name in self.written:
                continue
            path = inside(self.path, name)
            try:
                if path.is_file() and sha256_of(path) == digest:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"{path}: cannot be removed ({error.strerror})") from None

    def _files(self, old: Mapping[str, str]) -> dict[str, str]:
        # A file that is built from the others is listed for as long as it is there.
        kept = {n: d for n, d in old.items() if not is_derived(n) or (self.path / n).exists()}
        return dict(sorted((kept | self.written).items()))

    def _write_manifest(self, manifest: Manifest) -> None:
        write_whole(self.file("manifest.json"), manifest.to_bytes())
        self.written.clear()

    def _holds(self, name: str, content: bytes) -> bool:
        path = inside(self.path, name)
        return path.is_file() and path.read_bytes() == content

    def read_manifest(self) -> Manifest | None:
        """Read manifest.json; None where the run has none yet.

        Raises:
            InputError: it is damaged.
        """
        path = inside(self.path, "manifest.json")
        try:
            return Manifest.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, InputError) as error:
            raise InputError(f"{path}: {error}; start anew in another directory") from None

    def damaged(self) -> list[str]:
        """Name the files that are not what the manifest says, or not there.

        Files of an unfinished stage are not looked at: the stage writes them again.

        Raises:
            InputError: manifest.json is damaged or missing, or names what is no file of the run;
                one of the files is a link or lies behind one.
        """
        manifest = self.read_manifest()
        if manifest is None:
            raise InputError(
                f"{self.path / 'manifest.json'}: missing; start anew in another directory"
            )
        names: list[str] = []
        for name, digest in manifest.files.items():
            path = inside(self.path, name)
            allowed = {digest, manifest.before} if name == "results.json" else {digest}
            if (stage := stage_of(name)) and stage not in manifest.seconds:
                continue
            if not path.is_file() or sha256_of(path) not in allowed:
                names.append(name)
        # Somebody who looks on while the run is written may have read an old manifest.
        return names if manifest == self.read_manifest() else self.damaged()

    def check(self) -> Manifest | None:
        """Refuse to go on with damaged files, other than those that are built again.

        Raises:
            InputError: files are damaged; the message names the first.
        """
        if wrong := [name for name in self.damaged() if not is_derived(name)]:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise InputError(
                f"{self.path / wrong[0]}{more}: not what the run wrote (its SHA-256 is not that in "
                "manifest.json); bring it back from a copy, or start anew in another directory"
            )
        return self.read_manifest()

    def sweep(self) -> None:
        """Remove what killed writes left behind; only for the holder of the lock."""
        for path in self.path.rglob(f".*{PART}"):
            path.unlink(missing_ok=True)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Tell a directory from one that is made anew under its name."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
