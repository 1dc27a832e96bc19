"""The command of the landscape of any network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from downslope.bars import watch
from downslope.checked import Count, Seed
from downslope.cli.options import (
    OutputOption,
    QuietOption,
    ThreadsOption,
    number,
    place,
    warnings_in_a_line,
)
from downslope.errors import InputError
from downslope.terminal import own_output, say


def _loss(text: str) -> str:
    """Check the form of a loss, by name or FILE.py:NAME."""
    from downslope.networks import Loss

    if text not in get_args(Loss) and ":" not in text:
        allowed = f"{', '.join(get_args(Loss))} or FILE.py:NAME"
        raise typer.BadParameter(f"{text!r} is not allowed; it must be {allowed}")
    return text


def landscape(
    module: Annotated[
        str, typer.Argument(metavar="FILE.py:NAME", help="Your function that makes the network.")
    ],
    snapshots: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Its saved states, as files or folders checkpoint-N."),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE.npz",
            help="`inputs` and `targets` as the network takes them; any arrays for a FILE.py loss.",
        ),
    ],
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Examples for a second surface.")
    ] = None,
    loss: Annotated[
        str,
        typer.Option(
            metavar="LOSS",
            parser=_loss,
            help="cross_entropy, mean_squared_error, or FILE.py:NAME, your function of module and "
            "batch that returns a loss per example.",
        ),
    ] = "cross_entropy",
    output: OutputOption = None,
    grid: Annotated[str, typer.Option(metavar="NxM", help="Columns x rows.")] = "25x25",
    margin: Annotated[float, number(float, "Added around the path, of its extent.", "SHARE")] = 0.2,
    examples: Annotated[int, number(Count, "Examples behind each loss.")] = 2500,
    tolerance: Annotated[
        float | None,
        number(
            float,
            "Compute points only where the surface bends, the others to this share of the loss, "
            "such as 0.01. For fine grids.",
            "SHARE",
        ),
    ] = None,
    batch_norm: Annotated[
        Literal["recomputed", "frozen"],
        typer.Option(help="Its statistics: anew at each point, or as they were saved."),
    ] = "recomputed",
    seed: Annotated[int, number(Seed, "Of the choice of examples and of the network.")] = 0,
    skip_not_finite: Annotated[
        bool, typer.Option("--skip-not-finite", metavar="", help="Leave out diverged snapshots.")
    ] = False,
    threads: ThreadsOption = None,
    out: Annotated[Path, place("DIR", "Where the page goes.")] = Path("landscape"),
    quiet: QuietOption = False,
) -> None:
    """Draw the loss landscape under the training path of your own network.

    The landscape of a recipe's final model: downslope run --stages landscape.
    """
    from downslope.landscape import Grid, LossOptions, landscape_from_files
    from downslope.networks import Loss, load_function
    from downslope.report.landscape_page import write_landscape
    from downslope.runs import Run

    columns, _, rows = grid.partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise InputError(f"--grid {grid}: must be columns x rows, as in 25x25")
    folder = Run(out)
    folder.check_name()
    with own_output():
        measured = loss if loss in get_args(Loss) else load_function(loss)
    steps = landscape_from_files(
        module,
        snapshots,
        data,
        folder.path,
        validation=validation,
        options=LossOptions(measured, batch_norm, threads=threads, output=output),  # pyright: ignore[reportArgumentType] - checked there
        grid=Grid(int(columns), int(rows), margin, tolerance=tolerance or 0.0),
        examples=examples,
        seed=seed,
        skip_not_finite=skip_not_finite,
    )
    try:
        with own_output(), warnings_in_a_line():
            drawn = watch(steps, quiet)
    except SystemExit:
        say("stopped; repeat the command to resume", stderr=True)
        raise
    write_landscape(folder, drawn.result, drawn.arrays())
    page = folder.path / "landscape.html"
    say(page if quiet else f"landscape: {page}")
