"""The landscape of a network from the user's own files."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from torch import nn

from downslope.checked import Count, Seed, checked
from downslope.data import read_arrays, read_examples
from downslope.errors import InputError
from downslope.files import inside
from downslope.landscape.checkpoints import find_states
from downslope.landscape.compute import Landscape, compute_landscape
from downslope.landscape.curvature import without_curvature
from downslope.landscape.evaluation import LossOptions
from downslope.landscape.fitting import Arrays, Sample
from downslope.landscape.settings import Grid
from downslope.landscape.snapshots import read_snapshots
from downslope.networks import load_function, make_module
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
    skip_not_finite: bool = False,
) -> Steps[Landscape]:
    """Draw the landscape of a network from files; see `load_function` and `compute_landscape`.

    Snapshots of more than a gigabyte are kept under `out` and read where needed. There, too, is
    the unfinished surface, for a repetition to go on with. What is done otherwise than asked for
    is told by a `UserWarning`.

    Args:
        module: "FILE.py:function", which makes the network.
        snapshots: a folder; see `read_snapshots`.
        data: an npz file of `inputs` and `targets`; for a loss function, of any arrays, which make
            a dictionary by their names, or a tuple where `numpy.savez` numbered them.
        out: a folder for what is unfinished.
        validation: an npz file of examples for a second surface.
        options: what to compute.
        grid: where.
        examples: behind each loss.
        seed: of the module, the subset of the examples and the null models.
        skip_not_finite: leave out snapshots that are not finite.

    Raises:
        InputError: a mistake in what was given.
    """
    network = make_module(load_function(module), seed)
    sample = _read(options, network, data)
    held_out = None if validation is None else _read(options, network, validation)
    size = 4 * sum(p.numel() for p in network.parameters())
    large = size * len(find_states(snapshots)) > LARGE
    trajectory = yield from read_snapshots(
        snapshots,
        network,
        inside(out, "trajectory") if large else None,
        skip_not_finite=skip_not_finite,
    )
    points = min(CURVATURE, len(trajectory)) if size <= 4 * 1_000_000 else 0
    if points and (why := without_curvature(network, sample, options)):
        warnings.warn(f"the curvature is left out: {why}", stacklevel=2)
        points = 0
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
        curvature_points=points,
        save=saved,
        label=f"{type(network).__name__} from {Path(module.rpartition(':')[0]).name}",
    )
    saved.unlink(missing_ok=True)
    return drawn


def _read(options: LossOptions, network: nn.Module, path: Path) -> Sample:
    """Read a file of examples and check that the network takes them."""
    arrays: Arrays = read_arrays(path) if callable(options.loss) else read_examples(path)
    if isinstance(arrays, dict) and all(re.fullmatch(r"arr_\d+", name) for name in arrays):
        arrays = tuple(arrays.values())
    try:
        return options.fit(network, arrays)
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix('landscape: ')}") from error
