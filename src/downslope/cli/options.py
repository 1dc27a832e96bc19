"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from downslope.errors import InputError
from downslope.toml import parse_toml

RecipeArgument = Annotated[
    str, typer.Argument(metavar="[RECIPE]", help="fashion-mnist, quick, hw3 or a TOML file.")
]
DataOption = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="A data set's name or path.")
]
LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="COLUMN", help="Label column of a CSV file.")
]
KindOption = Annotated[
    Literal["images", "table"] | None,
    typer.Option("--kind", help="What arrays hold, where their content does not tell."),
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


def names_of(text: str, allowed: Sequence[str], option: str) -> list[str]:
    """Split names at commas, each once and in the order of those allowed.

    Raises:
        InputError: one that is not allowed, or none.

    >>> names_of("pdf, html", ("html", "pdf"), "--format")
    ['html', 'pdf']
    """
    given = [name.strip() for name in text.split(",") if name.strip()]
    wrong = next((name for name in given if name not in allowed), None)
    if wrong is not None or not given:
        raise InputError(
            f"{option}: {text if wrong is None else wrong!r} is not allowed; "
            f"it takes some of {', '.join(allowed)}, with commas between"
        )
    return [name for name in allowed if name in given]


def parse_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Read changes of a recipe, each KEY=VALUE; of two of the same key the last one counts.

    Raises:
        InputError: one is not written so.

    >>> parse_changes(["search.trials=20", "title=A word without quotes is a string"])
    {'search.trials': 20, 'title': 'A word without quotes is a string'}
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        names = [name.strip() for name in key.split(".")]
        if not equals or not all(names):
            raise InputError(f"--set {text!r}: write key=value, for example search.trials=20")
        changes.pop(".".join(names), None)  # its place is that of the last one, too
        try:
            changes[".".join(names)] = parse_toml(f"value = {value}")["value"]
        except InputError:
            changes[".".join(names)] = value
    return changes


def refuse_idle(context: typer.Context, names: Sequence[str], why: str) -> None:
    """Refuse options that were given and cannot act.

    Args:
        context: of the command.
        names: its parameters, by their names in Python.
        why: the end of the message.

    Raises:
        InputError: the first of them that stands on the command line.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise InputError(f"{parameter.opts[0]}: has no effect {why}")
