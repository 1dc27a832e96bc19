"""Commands of data sets."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from downslope.bars import watch
from downslope.cli.options import (
    ColumnsOption,
    DropOption,
    KindOption,
    LabelOption,
    QuietOption,
    SizeOption,
    TaskOption,
    column_names,
    picture_size,
)
from downslope.errors import InputError
from downslope.terminal import say, show

if TYPE_CHECKING:
    from downslope.data import Dataset


def load_dataset(name: str, quiet: bool, **options: Any) -> Dataset:
    """Load a data set by name or path, fetched first where it is known and not here."""
    from downslope.data import load_steps

    return watch(load_steps(name, **options), quiet)


def list_data() -> None:
    """List the data sets known by name and where they are."""
    from downslope.data import list_datasets

    rows = (
        (
            each.name,
            f"{each.examples:,}",
            str(each.found or "no; downslope data fetch"),
            each.description,
        )
        for each in list_datasets()
    )
    show(rows, "name", "examples", "found", "what it is")


def fetch_data(
    name: Annotated[str, typer.Argument(help="A data set's name.")] = "fashion-mnist",
    quiet: QuietOption = False,
) -> None:
    """Fetch a data set into the user's cache and verify it."""
    from downslope.data import fetch, verify

    path = watch(fetch(name), quiet)
    for check in verify(name):
        if not check.ok:
            raise InputError(f"{check.path}: {check.note}")
    say(path if quiet else f"{name}: verified, in {path}")


def verify_data(
    name: Annotated[str, typer.Argument(help="A data set's name or path.")] = "fashion-mnist",
) -> None:
    """Check the content of a data set, file by file."""
    from downslope.data import verify

    checks = verify(name)
    words = {True: ("as published", "green"), False: ("wrong", "red"), None: ("readable", "")}
    rows = (
        (
            Text.assemble(words[check.ok], f": {check.note}" if check.note else ""),
            str(check.path),
            check.sha256,
        )
        for check in checks
    )
    show(rows, "content", "file", "SHA-256")
    if wrong := [check for check in checks if check.ok is False]:
        raise InputError(
            f"{wrong[0].path}: not the published content; fetch it again with 'downslope data "
            f"fetch {name}'"
        )


def describe_data(
    name: Annotated[str, typer.Argument(help="A data set's name or path.")] = "fashion-mnist",
    label: LabelOption = None,
    columns: ColumnsOption = None,
    drop: DropOption = None,
    task: TaskOption = None,
    size: SizeOption = None,
    kind: KindOption = None,
    quiet: QuietOption = False,
) -> None:
    """Describe a data set; the test set stays sealed."""
    from downslope.data import describe

    dataset = load_dataset(
        name,
        quiet,
        label=label,
        columns=column_names(columns),
        drop=column_names(drop),
        task=task,
        size=picture_size(size),
        kind=kind,
    )
    data = describe(dataset)
    shape = f"{' x '.join(map(str, data.shape))} = " if len(data.shape) > 1 else ""
    example = f"{shape}{data.features} {data.dtype} from {data.lowest:g} to {data.highest:g}"
    if data.columns:
        example = f"{data.features} columns, below"
    targets = dataset.training.targets
    rows = [
        ("name", data.name),
        ("source", data.source),
        ("training", f"{data.training:,} examples, validation included"),
        ("test", f"{data.test:,} examples, sealed"),
        ("one example", example),
        ("SHA-256", data.sha256),
        *(("read as", note) for note in data.notes),
        *(("class", f"{c.name}: {c.training:,} training examples") for c in data.classes),
    ]
    if dataset.task == "regression":
        rows.append(
            ("to predict", f"{targets.min():g} to {targets.max():g}, mean {targets.mean():g}")
        )
    show(rows)
    if data.columns:
        table = (
            (
                c.name,
                c.kind,
                "" if isnan(c.missing) else f"{100 * c.missing:.1f} %",
                c.holds,
                c.becomes,
            )
            for c in data.columns
        )
        show(table, "column", "kind", "missing", "holds", "becomes")
