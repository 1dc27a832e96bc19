"""The landscape of one or several trainings: plane, surfaces, paths and null models in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.checked import Count, Seed, checked
from downslope.errors import InputError
from downslope.landscape.components import pca_plane, share_in_plane
from downslope.landscape.curvature import CurvaturePoint, curvature
from downslope.landscape.evaluation import LossOptions, evaluate
from downslope.landscape.fitting import Arrays, LossFunction, Sample
from downslope.landscape.interpolation import Slice, interpolate
from downslope.landscape.paths import PathPoint, RunPath, trace_path
from downslope.landscape.planes import Plane
from downslope.landscape.random_walks import NullModel, null_models
from downslope.landscape.settings import Components, CurvaturePoints, Grid, Origin
from downslope.landscape.surfaces import Surface, evaluate_surface, fit_grid
from downslope.landscape.trajectory import Trajectory, evenly
from downslope.networks import Loss, has_batch_norm
from downslope.progress import Steps
from downslope.showing import Drawn, Page, page_of, to_frame

if TYPE_CHECKING:
    import pandas as pd


class LandscapeResult(Drawn, msgspec.Struct, frozen=True, kw_only=True):
    """What a landscape figure shows, apart from the surface itself.

    Args:
        explained_variance: share of the runs' variance along each direction.
        components: which principal components the directions are, counted from 1.
        origin: where the plane lies, "mean" or "final".
        nulls: what random walks like the run would show; empty for several runs, whose plane
            is not one walk's.
        runs: the paths over the plane; the first is the one that the figures follow.
        grid: (columns, rows) of the surface.
        margin: share of the paths' extent added on each side.
        spacing: of the grid, "linear" or "log".
        examples: training examples behind each loss.
        validation_examples: behind the validation surface; 0 where there is none.
        loss: what the losses are, in words with their unit.
        loss_range: lowest and highest finite loss of the surface.
        sampling_error: standard errors of the surface's lowest and highest loss, from the number
            of examples; None where not known.
        not_finite: grid points whose loss is not finite.
        computed: grid points that were computed; the rest is interpolated.
        interpolation_error: largest error seen of an interpolated loss.
        batch_norm: its statistics, "frozen" or "recomputed"; empty without batch norm.
        curvature: at some snapshots of the first run; may be empty.
        module: the network's shape, in words.
    """

    explained_variance: tuple[float, float]
    components: tuple[int, int] = (1, 2)
    origin: str = "mean"
    nulls: list[NullModel] = []
    runs: list[RunPath]
    grid: tuple[int, int]
    margin: float
    spacing: str = "linear"
    examples: int
    validation_examples: int = 0
    loss: str = "cross-entropy loss (nats)"
    loss_range: tuple[float, float]
    sampling_error: tuple[float | None, float | None] = (None, None)
    not_finite: int
    computed: int = 0
    interpolation_error: float = 0.0
    batch_norm: str = ""
    curvature: list[CurvaturePoint] = []
    module: str

    @property
    def path(self) -> list[PathPoint]:
        """Return the first run's path."""
        return self.runs[0].path

    def facts(self) -> Mapping[str, object]:
        """Return where the plane lies, what it holds of the paths, and the losses on it."""
        low, high = self.loss_range
        shares = [f"{share:.1%}" for share in self.explained_variance if share == share]
        last = self.path[-1]
        return {
            "network": self.module,
            "runs": len(self.runs),
            "snapshots": len(self.path),
            "variance in the plane": " + ".join(shares),
            "grid": " × ".join(map(str, self.grid)),
            "loss": f"{self.loss}, {low:.4g} to {high:.4g} on the grid",
            "true loss at the end": last.true_loss,
            "projected loss at the end": last.projected_loss,
            "examples": self.examples,
            "batch norm": self.batch_norm,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with a row for each snapshot of each run: see `PathPoint`."""
        frame = to_frame(point for run in self.runs for point in run.path)
        frame.insert(0, "run", [run.label for run in self.runs for _ in run.path])
        return frame


@dataclass(frozen=True, slots=True, repr=False)
class Landscape(Drawn):
    """A landscape with its arrays.

    Args:
        result: what there is to say.
        plane: where the surfaces lie.
        surface: on training examples.
        validation: on validation examples, or None.
        slice: along the straight line from the first run's first snapshot to its last, or None.
    """

    result: LandscapeResult
    plane: Plane
    surface: Surface
    validation: Surface | None = None
    slice: Slice | None = None

    def facts(self) -> Mapping[str, object]:
        """Return those of the result."""
        return self.result.facts()

    def to_frame(self) -> pd.DataFrame:
        """Return the paths as a data frame; see `LandscapeResult.to_frame`."""
        return self.result.to_frame()

    def interactive(self) -> Page:
        """Return the landscape to turn and walk through, as on a report's page, for a notebook."""
        return page_of(self, "interactive")

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays by name, to be written as one npz file."""
        arrays: dict[str, NDArray[np.generic]] = {
            "x": self.surface.x,
            "y": self.surface.y,
            "loss": self.surface.loss,
            "accuracy": self.surface.accuracy,
            "computed": self.surface.computed,
            "origin": self.plane.origin,
            "directions": self.plane.directions,
        }
        if self.validation is not None:
            arrays["validation_loss"] = self.validation.loss
            arrays["validation_accuracy"] = self.validation.accuracy
        if self.slice is not None:
            for name in ("positions", "loss", "accuracy", "error"):
                arrays[f"slice_{name}"] = getattr(self.slice, name)
        return arrays


DEFAULT_GRID = Grid()
LABELS = {"cross_entropy": "cross-entropy loss (nats)", "mean_squared_error": "mean squared error"}


@checked("landscape")
def compute_landscape(
    module: nn.Module,
    trajectories: Trajectory | Mapping[str, Trajectory],
    examples: Arrays | Sample,
    *,
    validation: Arrays | Sample | None = None,
    loss: Loss | LossFunction | LossOptions = "cross_entropy",
    plane: Plane | None = None,
    components: Components = (1, 2),
    origin: Origin = "mean",
    grid: Grid = DEFAULT_GRID,
    subset: Count = 2500,
    seed: Seed = 0,
    curvature_points: CurvaturePoints = 0,
    save: Path | None = None,
    label: str = "",
) -> Steps[Landscape]:
    """Compute the loss landscape around one or several runs, on a random subset of examples.

    Args:
        module: the network; it comes back exactly as it was.
        trajectories: at least three snapshots of its parameters; or several runs by name, for
            a joint plane.
        examples: examples to draw the subset from, as the module takes them; for a loss function
            any arrays by name or in a tuple.
        validation: examples for a second surface; a subset as large is drawn.
        loss: what to compute, by name, as a function of module and batch, or as a `LossOptions`.
        plane: where to look; by default that of the trajectories' principal components.
        components: which of those, counted from 1.
        origin: of that plane; see `pca_plane`.
        grid: which points are computed, by default 25 x 25.
        subset: examples behind each loss; all if there are fewer.
        seed: of the subset, the null models and the curvature's probes.
        curvature_points: snapshots of the first run whose curvature is measured.
        save: a file that a long surface is written to and resumed from, if every point is
            computed.
        label: names the network in the result.

    Raises:
        InputError: a setting out of range; examples that do not fit, see `fit_examples`; too few
            snapshots, or what the parts refuse.
    """
    options = LossOptions.of(loss)
    runs = {"": trajectories} if isinstance(trajectories, Trajectory) else dict(trajectories)
    if not runs:
        raise InputError("landscape: no runs; at least one trajectory is needed")
    every, first = list(runs.values()), next(iter(runs.values()))
    sample = _draw(options.fit(module, examples), subset, seed)
    held_out = None if validation is None else _draw(options.fit(module, validation), subset, seed)
    fitted = plane is None
    plane = plane or pca_plane(every, components=components, origin=origin)
    x, y = fit_grid(plane, every, grid)
    paths: list[RunPath] = []
    for name, run in runs.items():
        path = yield from trace_path(module, plane, run, sample, options, held_out)
        paths.append(RunPath(label=name, path=path, share=share_in_plane(run, plane)))
    surfaces = partial(evaluate_surface, module, plane, x, y, tolerance=grid.tolerance, seed=seed)
    surface = yield from surfaces(sample, options, save=save)
    finite = np.isfinite(surface.loss)
    if not finite.any():
        raise InputError("landscape: the loss is not finite anywhere on the grid")
    second: Surface | None = None
    if held_out is not None:
        second = yield from surfaces(held_out, options, task="validation surface")
    line: Slice | None = None
    ends = np.array(first.vectors[0]), np.array(first.vectors[-1])
    if not np.array_equal(*ends):
        line = yield from interpolate(module, *ends, sample, options)
    points: list[CurvaturePoint] = []
    if curvature_points:
        rows = evenly(len(first), curvature_points)
        points = yield from curvature(module, first, sample, options, seed=seed, rows=rows)
    flat = np.where(finite, surface.loss, np.nan)
    places = [np.unravel_index(at, flat.shape) for at in (np.nanargmin(flat), np.nanargmax(flat))]
    extremes = np.array([(x[i], y[j]) for j, i in places])
    errors = yield from evaluate(module, plane.points(extremes), 2, sample, options)
    low, high = (float(e) if np.isfinite(e) else None for e in errors.error)
    single = fitted and len(runs) == 1 and len(first) >= 3
    result = LandscapeResult(
        explained_variance=plane.explained_variance or (float("nan"), float("nan")),
        components=plane.components,
        origin=origin,
        nulls=null_models(first, components=components, seed=seed) if single else [],
        runs=paths,
        grid=(grid.columns, grid.rows),
        margin=grid.margin,
        spacing=grid.spacing,
        examples=len(sample),
        validation_examples=0 if held_out is None else len(held_out),
        loss=LABELS.get(options.loss, "loss") if isinstance(options.loss, str) else "loss",
        loss_range=(float(np.nanmin(flat)), float(np.nanmax(flat))),
        sampling_error=(low, high),
        not_finite=int((~finite).sum()),
        computed=int(surface.computed.sum()),
        interpolation_error=surface.interpolation_error,
        batch_norm=options.batch_norm if has_batch_norm(module) else "",
        curvature=points,
        module=label,
    )
    return Landscape(result, plane, surface, second, line)


def _draw(sample: Sample, subset: int, seed: int) -> Sample:
    return sample.take(np.random.default_rng(seed).permutation(len(sample))[:subset])
