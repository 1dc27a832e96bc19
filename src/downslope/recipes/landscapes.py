"""The stage that draws landscapes: the refit's, its seeds in one plane, the best trials in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.engines import train
from downslope.errors import InputError
from downslope.landscape import (
    Grid,
    LandscapeResult,
    LossOptions,
    Trajectory,
    compute_landscape,
)
from downslope.landscape.settings import Spacing
from downslope.models import weights_file
from downslope.networks import Member, build, flatten, load_state
from downslope.progress import Progress, Steps
from downslope.recipes.context import Context
from downslope.runs import Run
from downslope.search import Refit, RefitResult, Trial, ranked

JOINT = 26
"""Snapshots of each run in a joint plane, at most."""


def draw_landscapes(context: Context) -> Steps[None]:
    """Draw the refit's landscape, and what the recipe asks for beside it.

    Raises:
        InputError: a file of an earlier stage is damaged or of another network.
    """
    recipe = context.recipe.landscape
    refit = context.results.refit
    assert refit is not None
    context = context.seeing(refit.encoding)
    module = trained_module(context.run, refit.member)
    context.results.landscape = yield from _draw(
        context,
        "surface",
        module,
        trained_path(context.run),
        spacing=recipe.spacing,
        components=recipe.components,
        origin=recipe.origin,
        curvature_points=recipe.curvature,
        label=f"{refit.member.network.label}, seed {refit.member.seed}",
    )
    seeds = _paths_of_seeds(context, refit) if recipe.seeds else {}
    if len(seeds) > 1:
        context.results.joint_landscape = yield from _draw(
            context, "joint", module, seeds, label=refit.member.network.label
        )
    if recipe.trials:
        yield from _draw_trials(context)


def _draw(
    context: Context,
    name: str,
    module: nn.Module,
    paths: Trajectory | Mapping[str, Trajectory],
    *,
    examples: Examples | None = None,
    spacing: Spacing = "linear",
    **more: Any,
) -> Steps[LandscapeResult]:
    recipe, refit = context.recipe.landscape, context.results.refit
    assert refit is not None
    loss = refit.member.training.loss
    drawn = yield from compute_landscape(
        module,
        paths,
        context.everything if examples is None else examples,
        loss=LossOptions(loss=loss, batch_norm=recipe.batch_norm, threads=context.threads),
        grid=Grid(*recipe.grid, recipe.margin, spacing, recipe.tolerance),
        subset=recipe.examples,
        seed=context.recipe.seed,
        **more,
    )
    context.run.write_arrays(f"landscape/{name}.npz", drawn.arrays())
    return drawn.result


def trained_module(run: Run, member: Member) -> nn.Module:
    """Read the weights of a run's final model, with batch norm's buffers, into its module.

    Raises:
        InputError: they are missing, damaged or of another network.
    """
    module, weights = untrained_module(member), weights_file(member.seed)
    state = run.read_weights(weights)
    try:
        load_state(module, state)
    except RuntimeError:
        raise InputError(
            f"{run.path / weights}: weights of another network; begin in another directory"
        ) from None
    return module


def trained_path(run: Run) -> Trajectory:
    """Read the path of a run's final model.

    Raises:
        InputError: it is missing or damaged.
    """
    arrays = run.read_arrays("refit/trajectory.npz", ("steps", "losses", "vectors"))
    return Trajectory.from_arrays(arrays["steps"], arrays["vectors"], arrays["losses"])


def untrained_module(member: Member) -> nn.Module:
    """Build a member's network as it is before its first step."""
    return build(member.network, torch.Generator().manual_seed(member.seed))


def _paths_of_seeds(context: Context, refit: RefitResult) -> dict[str, Trajectory]:
    if not (context.run.path / "refit/seeds.npz").exists():
        return {}
    arrays = context.run.read_arrays("refit/seeds.npz")
    return {
        f"seed {seed}": Trajectory.from_arrays(arrays[f"steps-{seed}"], arrays[f"vectors-{seed}"])
        for seed in refit.seeds
        if f"steps-{seed}" in arrays
    }


def write_seeds(context: Context, done: Refit, first: Trajectory) -> None:
    """Keep some snapshots of every seed's path for their joint plane."""
    member = done.result.member
    paths: dict[str, NDArray[np.generic]] = {}
    of_seeds = {
        seed: {s.step: s.parameters for s in snapshots} for seed, snapshots in done.others.items()
    }
    if context.recipe.landscape.start:
        for seed, path in of_seeds.items():
            start = flatten(untrained_module(msgspec.structs.replace(member, seed=seed)))
            of_seeds[seed] = {0: start, **path}
    of_seeds[member.seed] = dict(zip(first.steps, first.vectors, strict=True))
    for seed in filter(of_seeds.__contains__, done.result.seeds):
        path = of_seeds[seed]
        steps = np.array(list(path), np.int64)
        thinned = Trajectory.from_arrays(steps, np.stack([*path.values()])).thinned(JOINT)
        paths[f"steps-{seed}"] = np.array(thinned.steps, np.int64)
        paths[f"vectors-{seed}"] = thinned.vectors
    context.run.write_arrays("refit/seeds.npz", paths)


def _draw_trials(context: Context) -> Steps[None]:
    """Draw the best trials of the search in their joint plane, if two of one network completed."""
    search = context.results.search
    trials = comparable(search.trials if search else [])[: context.recipe.landscape.trials]
    if len(trials) < 2:
        return
    context = context.seeing(trials[0].settings.encoding)
    # Whether or not the search kept paths, its members are trained once more, to the same bits.
    members = {f"trial {trial.id}": trial.member for trial in trials}
    paths = {name: Trajectory() for name in members}
    if context.recipe.landscape.start:
        for name, member in members.items():
            paths[name].add(flatten(untrained_module(member)), step=0, loss=np.nan)
    names, best = list(members), trials[0].member
    task, total = "best trials again", sum(member.training.epochs for member in members.values())
    module = untrained_module(best)
    yield Progress(task, 0, total)
    for done, record in enumerate(
        train(
            list(members.values()),
            context.training,
            threads=context.threads,
            snapshots_per_epoch=1,
            make_runner=context.make_runner,
        ),
        1,
    ):
        path = paths[names[record.member]]
        for snapshot in record.snapshots:
            path.add(snapshot.parameters, step=snapshot.step, loss=snapshot.loss)
        if record.member == 0 and record.state is not None:
            load_state(module, record.state)
        yield Progress(task, done, total, names[record.member])
    context.results.trials_landscape = yield from _draw(
        context,
        "trials",
        module,
        {name: path.thinned(JOINT) for name, path in paths.items()},
        examples=context.training,
        validation=context.validation,
        label=best.network.label,
    )


def comparable(trials: list[Trial]) -> list[Trial]:
    """Return the completed trials of the best one's network and encoding, the best first.

    A plane holds parameter vectors of one network alone, and of one kind of inputs.
    """
    completed = ranked(trials)
    same = [(trial.member.network, trial.settings.encoding) for trial in completed]
    return [trial for trial, one in zip(completed, same, strict=True) if one == same[0]]
