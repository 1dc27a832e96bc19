"""The landscape of a network from the user's own files."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from downslope.checked import Count, Seed, checked
from downslope.data import Examples, read_examples
from downslope.errors import InputError
from downslope.files import inside
from downslope.landscape.compute import Landscape, compute_landscape
from downslope.landscape.evaluation import LossOptions
from downslope.landscape.settings import Grid
from downslope.landscape.snapshots import ENDINGS, read_buffers, read_snapshots
from downslope.networks import load_factory, make_module
from downslope.progress import Steps

LARGE = 2**30
"""Bytes of snapshots that are kept on disk."""
CURVATURE = 6
"""Snapshots whose curvature is measured, in networks of up to a million parameters."""


@checked("landscape")
def landscape_from_files(
    module: str,
    snapshots: Path,
    data: Path,
    out: Path,
    *,
    validation: Path | None = None,
    options: LossOptions,
    grid: Grid,
    examples: Count,
    seed: Seed,
) -> Steps[Landscape]:
    """Draw the landscape of a network from files; see `load_factory` and `compute_landscape`.

    Snapshots of more than a gigabyte are kept under `out` and read where needed. There, too, is
    the unfinished surface, for a repetition to go on with.

    Args:
        module: "FILE.py:function", which makes the network.
        snapshots: a folder; see `read_snapshots`.
        data: an npz file; see `read_examples`.
        out: a folder for what is unfinished.
        validation: an npz file of examples for a second surface.
        options: what to compute.
        grid: where.
        examples: behind each loss.
        seed: of the module, the subset of the examples and the null models.

    Raises:
        InputError: a mistake in what was given.
    """
    sample = read_examples(data)
    held_out = None if validation is None else read_examples(validation)
    network = make_module(load_factory(module), seed)
    _fit(options, network, sample, data)
    if held_out is not None:
        _fit(options, network, held_out, validation)
    read_buffers(snapshots, network)
    size = sum(path.stat().st_size for path in snapshots.iterdir() if path.suffix in ENDINGS)
    trajectory = yield from read_snapshots(
        snapshots, network, inside(out, "trajectory") if size > LARGE else None
    )
    small = sum(p.numel() for p in network.parameters()) <= 1_000_000
    saved = inside(out, "surface-in-progress.npz")
    drawn = yield from compute_landscape(
        network,
        trajectory,
        sample,
        validation=held_out,
        loss=options,
        grid=grid,
        subset=examples,
        seed=seed,
        curvature_points=min(CURVATURE, len(trajectory)) if small else 0,
        save=saved,
        label=f"{type(network).__name__} from {Path(module.rpartition(':')[0]).name}",
    )
    saved.unlink(missing_ok=True)
    return drawn


def _fit(options: LossOptions, network: nn.Module, rows: Examples, path: Path | None) -> None:
    """Check that the network takes a file's examples, before the snapshots are read."""
    try:
        options.fit(network, rows)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix('landscape: ')}") from error
