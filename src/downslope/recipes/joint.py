"""The final models of several runs in one plane of their parameters."""

from __future__ import annotations

from collections.abc import Mapping

from downslope.data import load
from downslope.errors import InputError
from downslope.landscape import Grid, Landscape, LossOptions, compute_landscape
from downslope.progress import Steps
from downslope.recipes.context import prepare
from downslope.recipes.landscapes import JOINT, trained_module, trained_path
from downslope.results import Results
from downslope.runs import Run


def why_not_joint(results: Mapping[str, Results]) -> str:
    """Say why runs cannot lie in one plane; empty where they can.

    A plane holds parameter vectors of one network, and one surface lies over it.
    """
    refits = [found.refit for found in results.values()]
    trained = [refit for refit in refits if refit is not None and refit.completed]
    if len(trained) < len(refits):
        return "not every run has a final model"
    networks = [refit.member.network for refit in trained]
    for network in networks[1:]:
        if network != networks[0]:
            return f"their networks differ: {networks[0].label} and {network.label}" + (
                "" if network.label != networks[0].label else " of other settings"
            )
    encodings = {r.refit.encoding or r.recipe.data.encoding for r in results.values() if r.refit}
    ways = {(r.data.sha256, r.data.scaling) for r in results.values()}
    same = len(ways) == 1 == len(encodings)
    return "" if same else "their data or scaling differ"


def joint_landscape(runs: Mapping[str, Run]) -> Steps[Landscape]:
    """Compute the landscape over the plane of several runs' training paths.

    The surface is the loss on training examples of the first run, on its grid.

    Args:
        runs: by label, of one network on the same data.

    Raises:
        InputError: they cannot lie in one plane; the data are not found or have changed; a file
            of a run is damaged.
    """
    results = {label: run.read_results() for label, run in runs.items()}
    if reason := why_not_joint(results):
        raise InputError(f"landscape: no plane holds these runs: {reason}")
    first = next(iter(results.values()))
    recipe = first.recipe
    dataset = load(recipe.data.name, **recipe.data.options)
    if dataset.sha256 != first.data.sha256:
        raise InputError(f"landscape: {dataset.name}: the data have changed since the runs")
    run = next(iter(runs.values()))
    assert first.refit is not None
    context = prepare(recipe, dataset, run, None).seeing(first.refit.encoding)
    asked = recipe.landscape
    return (
        yield from compute_landscape(
            trained_module(run, first.refit.member),
            {label: trained_path(each).thinned(JOINT) for label, each in runs.items()},
            context.everything,
            loss=LossOptions(loss=first.refit.member.training.loss, batch_norm=asked.batch_norm),
            grid=Grid(*asked.grid, asked.margin),
            subset=asked.examples,
            seed=recipe.seed,
            label=first.refit.member.network.label,
        )
    )
