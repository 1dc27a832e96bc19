"""A network and its data from the user's own files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError, one_line
from downslope.files import inside
from downslope.landscape.evaluation import Measure
from downslope.landscape.settings import check_settings
from downslope.landscape.snapshots import ENDINGS, read_buffers, read_snapshots
from downslope.landscape.study import Landscape, compute_landscape
from downslope.networks import load_factory, make_module
from downslope.progress import Steps

LARGE = 2**30
"""Bytes of snapshots that are kept on disk."""
CURVATURE = 6
"""Snapshots whose curvature is measured."""


def load_examples(path: Path) -> Examples:
    """Read an npz file with arrays `inputs` and `targets`, of the shapes that the module takes.

    Arrays of numbers are kept as they are; `fit_examples` says what becomes of them. Nothing is
    unpickled.

    Raises:
        InputError: it is missing or damaged, lacks an array, or their lengths differ.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = {"inputs", "targets"} - set(arrays.files)
            if missing:
                raise InputError(
                    f"{path}: lacks {', '.join(sorted(missing))}; it has {', '.join(arrays.files)}"
                )
            inputs, targets = arrays["inputs"], arrays["targets"]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read as npz ({type(error).__name__}: {one_line(error)})"
        ) from None
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype.kind not in "fiub" or array.ndim < 1:
            raise InputError(f"{path}: {name} is of type {array.dtype}; numbers are needed")
    return Examples(inputs, targets)


def draw_foreign(
    module: str,
    snapshots: Path,
    data: Path,
    out: Path,
    *,
    validation: Path | None = None,
    tolerance: float | None = None,
    loss: str,
    output: str | None = None,
    grid: tuple[int, int],
    margin: float,
    examples: int,
    statistics: str,
    seed: int,
    threads: int | None,
) -> Steps[Landscape]:
    """Draw the landscape of a network from files; see `load_factory` and `compute_landscape`.

    Snapshots of more than a gigabyte are kept under `out` and read where needed. There, too, is
    the unfinished surface, for a repetition to go on with.

    Raises:
        InputError: a mistake in what was given.
    """
    check_settings(
        "landscape",
        grid=grid,
        margin=margin,
        tolerance=tolerance or 0.0,
        examples=examples,
        seed=seed,
    )
    measure = Measure(loss, statistics, threads=threads, output=output)  # pyright: ignore[reportArgumentType] - checked there
    sample = load_examples(data)
    held_out = None if validation is None else load_examples(validation)
    network = make_module(load_factory(module), seed)
    for path, rows in ((data, sample), (validation, held_out)):
        if rows is not None:
            _fit(measure, network, rows, path)
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
        validation=held_out,
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


def _fit(measure: Measure, network: nn.Module, rows: Examples, path: Path | None) -> None:
    """Check that the network takes a file's examples, before the snapshots are read."""
    try:
        measure.fit(network, rows)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix('landscape: ')}") from error


def _small(module: nn.Module) -> bool:
    """Tell whether curvature is a matter of seconds: up to a million parameters."""
    return sum(p.numel() for p in module.parameters()) <= 1_000_000
