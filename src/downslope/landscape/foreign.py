"""A network and its data from the user's own files."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError, one_line
from downslope.files import inside
from downslope.landscape.evaluation import Measure
from downslope.landscape.snapshots import ENDINGS, read_buffers, read_snapshots
from downslope.landscape.study import Landscape, compute_landscape
from downslope.progress import Steps

LARGE = 2**30
"""Bytes of snapshots that are kept on disk."""
CURVATURE = 6
"""Snapshots whose curvature is measured."""


def load_module(where: str) -> nn.Module:
    """Make a module by a function of a Python file, written as FILE.py:function.

    The file is run, as `python FILE.py` would.

    Raises:
        InputError: no such file or function, it fails, or it returns something else.
    """
    file, colon, name = where.rpartition(":")
    path = Path(file)
    if not colon or not name.isidentifier():
        raise InputError(f"--module {where}: must be FILE.py:function")
    if not path.is_file():
        raise InputError(f"--module {where}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"--module {where}: {path} is no Python file")
    try:
        source = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(source)
    except Exception as error:
        raise InputError(
            f"--module {where}: {path} fails: {type(error).__name__}: {one_line(error)}"
        ) from error
    factory = getattr(source, name, None)
    if not callable(factory):
        raise InputError(f"--module {where}: {path} has no function {name!r}")
    try:
        module = factory()
    except Exception as error:
        raise InputError(
            f"--module {where}: {name}() fails: {type(error).__name__}: {one_line(error)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise InputError(
            f"--module {where}: {name}() returned a {type(module).__name__}, not an nn.Module"
        )
    return module


def load_examples(path: Path) -> Examples:
    """Read an npz file with arrays `inputs` and `targets`, of the shapes that the module takes.

    Floating-point arrays become float32 and whole numbers int64. Nothing is unpickled.

    Raises:
        InputError: it is missing or damaged, lacks an array, or their lengths differ.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            missing = {"inputs", "targets"} - set(held.files)
            if missing:
                raise InputError(
                    f"{path}: lacks {', '.join(sorted(missing))}; it has {', '.join(held.files)}"
                )
            inputs, targets = held["inputs"], held["targets"]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read as npz ({type(error).__name__}: {one_line(error)})"
        ) from None
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype.kind not in "fiub" or array.ndim < 1:
            raise InputError(f"{path}: {name} is of type {array.dtype}; numbers are needed")
    kinds = [np.float32 if a.dtype.kind == "f" else np.int64 for a in (inputs, targets)]
    return Examples(inputs.astype(kinds[0]), targets.astype(kinds[1]))


def draw_foreign(
    module: str,
    snapshots: Path,
    data: Path,
    out: Path,
    *,
    validation: Path | None = None,
    tolerance: float | None = None,
    loss: str,
    grid: tuple[int, int],
    margin: float,
    examples: int,
    statistics: str,
    seed: int,
    threads: int | None,
) -> Steps[Landscape]:
    """Draw the landscape of a network from files; see `load_module` and `compute_landscape`.

    Snapshots of more than a gigabyte are kept under `out` and read where needed. There, too, is
    the unfinished surface, for a repetition to go on with.

    Raises:
        InputError: a mistake in what was given.
    """
    measure = Measure(loss, statistics, threads=threads)  # pyright: ignore[reportArgumentType] - checked there
    sample = load_examples(data)
    held = None if validation is None else load_examples(validation)
    network = load_module(module)
    read_buffers(snapshots, network)
    size = sum(path.stat().st_size for path in snapshots.iterdir() if path.suffix in ENDINGS)
    trajectory = yield from read_snapshots(
        snapshots, network, inside(out, "trajectory") if size > LARGE else None
    )
    saved = inside(out, "surface-in-progress.npz")
    drawn = yield from compute_landscape(
        network,
        trajectory,
        sample,
        validation=held,
        loss=measure,
        grid=grid,
        margin=margin,
        subset=examples,
        seed=seed,
        tolerance=tolerance,
        curvature_points=min(CURVATURE, len(trajectory)) if _small(network) else 0,
        save=saved,
        label=f"{type(network).__name__} from {Path(module.rpartition(':')[0]).name}",
    )
    saved.unlink(missing_ok=True)
    return drawn


def _small(module: nn.Module) -> bool:
    """Tell whether curvature is a matter of seconds: up to a million parameters."""
    return sum(p.numel() for p in module.parameters()) <= 1_000_000
