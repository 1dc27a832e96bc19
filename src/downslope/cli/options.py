"""Options that several commands share."""

from __future__ import annotations

import csv
import inspect
import re
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from downslope.checked import Seed, Threads, rule
from downslope.errors import InputError
from downslope.terminal import say
from downslope.toml import parse_toml

KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


def number(kind: Any, help: str, metavar: str = "N") -> Any:
    """Make an option for a number within the bounds of an annotation."""

    def read(text: Any) -> Any:
        allowed = rule(kind)
        try:
            value = float(text) if kind is float else int(text)
        except ValueError:
            value = None
        if value is None or not allowed.test(value):
            raise typer.BadParameter(f"{text!r} is not allowed; it must be {allowed.one}")
        return value

    return typer.Option(metavar=metavar, help=help, parser=read)


def place(metavar: str, help: str) -> Any:
    """Make the option --out; an empty name is refused: it would be the current folder."""

    def read(text: str | Path) -> Path:
        if not str(text).strip():
            raise typer.BadParameter(f"{text!r} is not allowed; it must name a file or folder")
        return Path(text)

    return typer.Option("--out", metavar=metavar, help=help, parser=read)


DataOption = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="A data set's name or path.")
]
LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="COLUMN", help="The column of a table to predict.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAMES", help="The only columns to learn from, with commas."),
]
DropOption = Annotated[
    str | None, typer.Option("--drop", metavar="NAMES", help="Columns to leave out, with commas.")
]
TaskOption = Annotated[
    Literal["classification", "regression"] | None,
    typer.Option("--task", help="Classes or numbers to predict, where the labels do not tell."),
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="HEIGHTxWIDTH", help="Resize a folder of pictures, as in 28x28."
    ),
]
KindOption = Annotated[
    Literal["images", "table"] | None,
    typer.Option("--kind", help="What arrays hold, where their content does not tell."),
]
OutputOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which output, where it returns several, such as logits."),
]
ThreadsOption = Annotated[
    int | None, number(Threads, "What is computed in parallel; default all cores.")
]
# Without a word for its type: it is a flag.
QuietOption = Annotated[
    bool, typer.Option("--quiet", metavar="", help="Print only the path of what was written.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of every command that runs a recipe; see `with_options`."""

    data: DataOption = None
    label: LabelOption = None
    columns: ColumnsOption = None
    drop: DropOption = None
    task: TaskOption = None
    size: SizeOption = None
    trials: Annotated[int | None, number(int, "Trials of the search.")] = None
    seed: Annotated[int | None, number(Seed, "The recipe's seed.")] = None
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as refit.epochs=20."),
    ] = None
    out: Annotated[
        Path | None, place("DIR", "Run directory; an unfinished run in it is resumed.")
    ] = None
    threads: ThreadsOption = None
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option("--executor", help="Train on this machine, or on a Ray cluster."),
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Ray address, or auto."),
    ] = None
    quiet: QuietOption = False

    def recipe_changes(self) -> dict[str, Any]:
        """Return what the options change in a recipe, by dotted key.

        Raises:
            InputError: `--set` is not written so, or an option says the same.
        """
        changes = parse_changes(self.changes or [])
        for option, key, value in (
            ("--data", "data.name", None if self.data is None else absolute(self.data)),
            ("--label", "data.label", self.label),
            ("--columns", "data.columns", column_names(self.columns) or None),
            ("--drop", "data.drop", column_names(self.drop) or None),
            ("--task", "data.task", self.task),
            ("--size", "data.size", picture_size(self.size)),
            ("--trials", "search.trials", self.trials),
            ("--seed", "seed", self.seed),
        ):
            if value is not None and key in changes:
                raise InputError(f"--set {key}={changes[key]}: has no effect beside {option}")
            if value is not None:
                changes[key] = value
        return changes

    def to_repeat(self) -> list[str]:
        """Return the options that a resumed run is not told by its directory."""
        executor = None if self.executor == "local" else self.executor
        named = {"--threads": self.threads, "--executor": executor, "--address": self.address}
        return [word for k, v in named.items() if v is not None for word in (k, str(v))]


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of `Options` in place of its parameter `options`."""
    hints = get_type_hints(Options, include_extras=True)
    hints_of_command = get_type_hints(function, include_extras=True)
    parameters = [
        p.replace(annotation=hints_of_command[p.name])
        for p in inspect.signature(function).parameters.values()
        if p.name != "options"
    ] + [
        inspect.Parameter(f.name, KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(Options)
    ]

    @wraps(function)
    def command(**values: Any) -> None:
        shared = {f.name: values.pop(f.name) for f in fields(Options)}
        function(**values, options=Options(**shared))

    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue] - Typer reads it
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


@contextmanager
def warnings_in_a_line() -> Generator[None, None, None]:
    """Print each warning that is raised within once, as a line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                say(f"downslope: {text}", stderr=True)


def column_names(text: str | None) -> list[str]:
    """Split names of columns at commas; one with a comma in it is written in quotes.

    >>> column_names('a, "b, c"')
    ['a', 'b, c']
    """
    return next(csv.reader([text], skipinitialspace=True)) if text else []


def picture_size(text: str | None) -> list[int] | None:
    """Read the size of pictures, height and width or one number for both.

    Raises:
        InputError: it is not written so.

    >>> picture_size("28x40"), picture_size("28")
    ([28, 40], [28, 28])
    """
    if text is None:
        return None
    sides = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text.lower())
    if sides is None or not all(0 < int(side) <= 1024 for side in sides.groups(sides[1])):
        raise InputError(f"--size {text}: write height and width, as in 28x28, each 1 to 1024")
    return [int(side) for side in sides.groups(sides[1])]


def names_of(text: str, allowed: Sequence[str], option: str) -> list[str]:
    """Split names at commas, each once and in the order of those allowed.

    Raises:
        InputError: one that is not allowed, or none.

    >>> names_of("pdf, html", ("html", "pdf"), "--format")
    ['html', 'pdf']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = next((name for name in names if name not in allowed), None)
    if wrong is not None or not names:
        raise InputError(
            f"{option}: {text if wrong is None else wrong!r} is not allowed; "
            f"it takes some of {', '.join(allowed)}, with commas between"
        )
    return [name for name in allowed if name in names]


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


def absolute(data: str) -> str:
    """Return the whole path of a data set, since a run is resumed from any folder."""
    from downslope.data import list_datasets

    if data in {listing.name for listing in list_datasets()}:
        return data
    try:
        return str(Path(data).expanduser().resolve(strict=True))
    except (OSError, RuntimeError, ValueError):  # not there, or no path: said by who loads it
        return data
