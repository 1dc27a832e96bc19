"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RecipeArgument = Annotated[
    str, typer.Argument(metavar="[RECIPE]", help="fashion-mnist, quick, hw3 or a TOML file.")
]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="A data set's name or path.")
]
LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="COLUMN", help="Label column of a CSV file.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Run directory; an unfinished run goes on."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as search.trials=20."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", metavar="N", help="The recipe's seed.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="Members at a time; default all cores."),
]
ExecutorOption = Annotated[
    Literal["local", "ray"],
    typer.Option("--executor", help="Train on this machine, or on a Ray cluster."),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="Of the Ray cluster; auto for one here."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print the report's path alone.")]
