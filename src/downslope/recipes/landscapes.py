"""The stage that draws landscapes: the refit's, its seeds in one plane, the best trials in one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from downslope.engines import train
from downslope.errors import InputError
from downslope.landscape import Grid, LossOptions, Trajectory, compute_landscape
from downslope.landscape.settings import Spacing
from downslope.networks import build, flatten, load_state
from downslope.progress import Progress, Steps
from downslope.recipes.context import Context
from downslope.search import RefitResult, Trial

JOINT = 26
"""Snapshots of each run in a joint plane, at most."""


def draw_landscapes(context: Context) -> Steps[None]:
    """Draw the refit's landscape, and what the recipe asks for beside it.

    Raises:
        InputError: a file of an earlier stage is damaged or of another network.
    """
    recipe = context.recipe.landscape
    trained = context.results.refit
    assert trained is not None
    module = _module(context, trained)
    options = LossOptions(batch_norm=recipe.batch_norm, threads=context.threads)
    yield from _draw_refit(context, trained, module, options)
    if recipe.seeds:
        yield from _draw_seeds(context, trained, module, options)
    if recipe.trials:
        yield from _draw_trials(context, options)


def _module(context: Context, trained: RefitResult) -> nn.Module:
    module = build(trained.member.network, torch.Generator().manual_seed(trained.member.seed))
    weights = f"refit/seed-{trained.member.seed}.safetensors"
    if (context.run.path / weights).exists():  # buffers of batch norm, at the end of training
        state = context.run.read_weights(weights)
        try:
            load_state(module, state)
        except RuntimeError:
            raise InputError(
                f"{context.run.path / weights}: weights of another network; begin in "
                "another directory"
            ) from None
    return module


def _grid(context: Context, spacing: Spacing = "linear") -> Grid:
    recipe = context.recipe.landscape
    return Grid(*recipe.grid, recipe.margin, spacing, recipe.tolerance)


def _draw_refit(
    context: Context, trained: RefitResult, module: nn.Module, options: LossOptions
) -> Steps[None]:
    recipe = context.recipe.landscape
    arrays = context.run.read_arrays("refit/trajectory.npz", ("steps", "losses", "vectors"))
    trajectory = Trajectory.from_arrays(arrays["steps"], arrays["vectors"], arrays["losses"])
    drawn = yield from compute_landscape(
        module,
        trajectory,
        context.everything,
        loss=options,
        components=recipe.components,
        origin=recipe.origin,
        grid=_grid(context, recipe.spacing),
        subset=recipe.examples,
        seed=context.recipe.seed,
        curvature_points=recipe.curvature,
        label=f"{trained.member.network.label}, seed {trained.member.seed}",
    )
    context.run.write_arrays("landscape/surface.npz", drawn.arrays())
    context.results.landscape = drawn.result


def _draw_seeds(
    context: Context, trained: RefitResult, module: nn.Module, options: LossOptions
) -> Steps[None]:
    """Draw the refit's seeds in their joint plane, if there are at least two."""
    recipe = context.recipe.landscape
    if not (context.run.path / "refit/seeds.npz").exists():
        return
    arrays = context.run.read_arrays("refit/seeds.npz")
    runs = {
        f"seed {seed}": Trajectory.from_arrays(arrays[f"steps-{seed}"], arrays[f"vectors-{seed}"])
        for seed in trained.seeds
        if f"steps-{seed}" in arrays
    }
    if len(runs) < 2:
        return
    joint = yield from compute_landscape(
        module,
        runs,
        context.everything,
        loss=options,
        grid=_grid(context),
        subset=recipe.examples,
        seed=context.recipe.seed,
        label=trained.member.network.label,
    )
    context.run.write_arrays("landscape/joint.npz", joint.arrays())
    context.results.joint_landscape = joint.result


def _draw_trials(context: Context, options: LossOptions) -> Steps[None]:
    """Draw the best trials of the search in their joint plane, if two of one network completed.

    A search keeps no paths: its members are trained once more, to the same bits.
    """
    recipe = context.recipe.landscape
    trials = comparable(context.results.search.trials if context.results.search else [])
    trials = trials[: recipe.trials]
    if len(trials) < 2:
        return
    members = [trial.member for trial in trials]
    names = [f"trial {trial.id}" for trial in trials]
    runs = {name: Trajectory() for name in names}
    if recipe.start:
        for name, member in zip(names, members, strict=True):
            start = flatten(build(member.network, torch.Generator().manual_seed(member.seed)))
            runs[name].add(start, step=0, loss=np.nan)
    task, total = "best trials again", sum(member.training.epochs for member in members)
    done, state = 0, None
    yield Progress(task, done, total)
    for record in train(
        members,
        context.training,
        threads=context.threads,
        snapshots_per_epoch=1,
        make_runner=context.make_runner,
    ):
        for snapshot in record.snapshots:
            runs[names[record.member]].add(
                snapshot.parameters, step=snapshot.step, loss=snapshot.loss
            )
        if record.member == 0:
            state = record.state
        done += 1
        yield Progress(task, done, total, names[record.member])
    module = build(members[0].network, torch.Generator().manual_seed(members[0].seed))
    if state is not None:
        load_state(module, state)
    joint = yield from compute_landscape(
        module,
        {name: path.thinned(JOINT) for name, path in runs.items()},
        context.training,
        validation=context.validation,
        loss=options,
        grid=_grid(context),
        subset=recipe.examples,
        seed=context.recipe.seed,
        label=members[0].network.label,
    )
    context.run.write_arrays("landscape/trials.npz", joint.arrays())
    context.results.trials_landscape = joint.result


def comparable(trials: list[Trial]) -> list[Trial]:
    """Return the completed trials that have the best one's network, the best first.

    A plane holds parameter vectors of one network alone.
    """
    completed = [trial for trial in trials if trial.outcome == "completed"]
    completed.sort(key=lambda trial: (-(trial.validation_accuracy or 0), trial.id))
    return [trial for trial in completed if trial.member.network == completed[0].member.network]
