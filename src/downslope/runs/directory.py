"""Run directories: the only place that writes or reads them.

Every file is written whole to a temporary name in the same directory, synced and renamed, so that
a reader never sees half of one. Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from downslope.errors import InputError
from downslope.files import sha256_of, write_whole
from downslope.results import Results
from downslope.runs.manifest import Manifest, hardware, versions
from downslope.runs.toml import recipe_toml, without_none

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl


class Run:
    """Read and write one run directory.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def exists(self) -> bool:
        """Tell whether the directory holds a run."""
        return (self.path / "results.json").is_file()

    def prepare(self) -> None:
        """Make the directory and check that it can be written, before any work is done.

        Raises:
            InputError: it cannot be made or written, or holds something that is no run.
        """
        try:
            # What a killed write left behind has a name that starts with a dot.
            visible = self.path.is_dir() and any(
                not path.name.startswith(".") for path in self.path.iterdir()
            )
            if visible and not self.exists:
                raise InputError(
                    f"{self.path}: holds files but no run; give --out a new or an empty directory"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); give --out a directory that "
                "can"
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
        with self.file(".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read(20).strip() or "unknown"
                raise InputError(
                    f"{self.path}: in use by process {holder}; wait for it or give another --out"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def file(self, name: str) -> Path:
        """Return the path of a file of the run, its folder made.

        Raises:
            InputError: its folder cannot be made.
        """
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be made ({error.strerror})") from None
        return path

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole: temporary name, sync, rename, sync of the directory."""
        write_whole(self.file(name), content)

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
        try:
            content = (self.path / name).read_bytes()  # np.load leaves a damaged file open
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return {key: archive[key] for key in (*archive.files, *keys)}
        except Exception as error:  # zipfile, zlib and NumPy each have their own
            raise InputError(
                f"{self.path / name}: missing or damaged ({error}); start anew with another --out"
            ) from None

    def write_weights(self, name: str, state: Mapping[str, NDArray[Any]]) -> None:
        """Write a module's state as safetensors."""
        contiguous = {key: np.asarray(value, order="C") for key, value in state.items()}
        self.write(name, save_safetensors(contiguous))

    def read_weights(self, name: str) -> dict[str, NDArray[Any]]:
        """Read a module's state.

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            return load_safetensors((self.path / name).read_bytes())
        except Exception as error:
            raise InputError(
                f"{self.path / name}: missing or damaged ({error}); start anew with another --out"
            ) from None

    def write_results(self, results: Results) -> None:
        """Write results.json."""
        self.write("results.json", msgspec.json.format(msgspec.json.encode(results)) + b"\n")

    def read_results(self) -> Results:
        """Read results.json.

        Raises:
            InputError: there is none, or it is not of this version's schema.
        """
        path = self.path / "results.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Results)
        except OSError:
            raise InputError(
                f"{self.path}: holds no run (no results.json); give the directory of a run"
            ) from None
        except msgspec.DecodeError as error:
            raise InputError(f"{path}: damaged or of another version ({error})") from None

    def write_recipe(self, recipe: dict[str, Any]) -> None:
        """Write the resolved recipe, ready to be run again."""
        self.write("recipe.toml", recipe_toml(without_none(recipe)).encode())

    def write_manifest(self, results: Results) -> None:
        """Write manifest.json: where the run was made and the digest of every other file."""
        manifest = Manifest(
            downslope=metadata.version("downslope"),
            command="downslope run recipe.toml",
            seed=int(results.recipe["seed"]),
            data_sha256=results.data.sha256,
            versions=versions(),
            hardware=hardware(),
            seconds=results.seconds,
            files=self._digests(),
        )
        self.write("manifest.json", msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")

    def refresh_manifest(self) -> None:
        """Take the digests anew after files were built again; where the run was made stays."""
        if (manifest := self.read_manifest()) is not None:
            manifest = msgspec.structs.replace(manifest, files=self._digests())
            content = msgspec.json.format(msgspec.json.encode(manifest))
            self.write("manifest.json", content + b"\n")

    def _digests(self) -> dict[str, str]:
        return {
            path.relative_to(self.path).as_posix(): sha256_of(path)
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path.name != "manifest.json" and not path.name.startswith(".")
        }

    def read_manifest(self) -> Manifest | None:
        """Read manifest.json; None where the run has none yet."""
        try:
            return msgspec.json.decode((self.path / "manifest.json").read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError):
            return None
