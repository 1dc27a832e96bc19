"""The command of landscapes: the refit's, or those of any network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from downslope.cli.options import (
    AddressOption,
    DataOption,
    ExecutorOption,
    LabelOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    ThreadsOption,
    refuse_idle,
)
from downslope.cli.recipes import run_stages
from downslope.errors import InputError
from downslope.terminal import own_output, say
from downslope.watch import watch

_OWN = ("validation", "loss", "output", "grid", "margin", "examples", "tolerance", "statistics")


def landscape(
    context: typer.Context,
    recipe: RecipeArgument = "fashion-mnist",
    data: DataOption = None,
    label: LabelOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
    module: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:NAME", help="Your network: a function that makes it."),
    ] = None,
    snapshots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Its saved states: .pt, .pth, .ckpt, .safetensors."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="For --module: examples for a second surface."),
    ] = None,
    loss: Annotated[
        str, typer.Option(help="For --module: cross_entropy or mean_squared_error.")
    ] = "cross_entropy",
    output: Annotated[
        str | None,
        typer.Option(help="For --module: which output, where it returns several, such as logits."),
    ] = None,
    grid: Annotated[str, typer.Option(help="For --module: columns x rows.")] = "25x25",
    margin: Annotated[float, typer.Option(help="For --module: share of the path's extent.")] = 0.2,
    examples: Annotated[int, typer.Option(help="For --module: examples behind each loss.")] = 2500,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="For --module: compute points only where the surface bends, the others to this "
            "share of the loss, such as 0.01. For fine grids."
        ),
    ] = None,
    statistics: Annotated[
        str, typer.Option(help="For --module, of batch norm: recomputed or kept.")
    ] = "recomputed",
) -> None:
    """Draw the loss landscape under the path of the refit, or of any network of yours.

    For your own: downslope landscape --module FILE.py:NAME --snapshots DIR --data FILE.npz, where
    the file holds `inputs` and `targets` as the network takes them.
    """
    if module is None and snapshots is None:
        refuse_idle(context, _OWN, "without --module; a recipe has its own, as landscape.grid")
        where = (threads, executor, address)
        run_stages(recipe, ["landscape"], data, label, out, changes, seed, where, quiet)
        return
    if module is None or snapshots is None or data is None:
        raise InputError("landscape: --module, --snapshots and --data belong together")
    refuse_idle(context, ("recipe", "label", "changes", "executor", "address"), "beside --module")
    from downslope.landscape import Grid, LossOptions, landscape_from_files
    from downslope.report.landscape_page import write_landscape
    from downslope.runs import Run

    columns, _, rows = grid.partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise InputError(f"--grid {grid}: must be columns x rows, as in 25x25")
    folder = Run(out or Path("landscape"))
    folder.check_name()
    steps = landscape_from_files(
        module,
        snapshots,
        Path(data),
        folder.path,
        validation=validation,
        options=LossOptions(loss, statistics, threads=threads, output=output),  # pyright: ignore[reportArgumentType] - checked there
        grid=Grid(int(columns), int(rows), margin, tolerance=tolerance or 0.0),
        examples=examples,
        seed=seed or 0,
    )
    try:
        with own_output():
            drawn = watch(steps, quiet)
    except SystemExit:
        say("stopped; repeat the command to go on", stderr=True)
        raise
    write_landscape(folder, drawn.result, drawn.arrays())
    page = folder.path / "landscape.html"
    say(page if quiet else f"landscape: {page}")
