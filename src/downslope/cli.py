"""The command line: parse, call, print. Nothing here computes, and --help imports no torch."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from downslope.errors import InputError
from downslope.watch import console, watch

if TYPE_CHECKING:
    from downslope.cluster import Trainer
    from downslope.data import Dataset
    from downslope.results import Results
    from downslope.search import Hire

app = typer.Typer(
    name="downslope",
    help="Train many small neural networks at once, tune them without touching the test set, and "
    "see how each one came down its loss landscape.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(no_args_is_help=True, help="List, fetch, verify and describe data sets.")
app.add_typer(data_app, name="data")

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


@app.command()
def run(
    recipe: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="fashion-mnist, quick, hw3 or a TOML file.",
            show_default="fashion-mnist",
        ),
    ] = None,
    data: DataOption = None,
    label: LabelOption = None,
    out: OutOption = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Go on with this run, its recipe and its stages."),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(metavar="a,b", help="theory, search, refit, variants, landscape, autoencoder"),
    ] = None,
    changes: SetOption = None,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a recipe, all of it or some stages, and write a report. Repeat to resume."""
    from downslope.recipes import STAGES
    from downslope.runs import Run

    chosen = STAGES if stages is None else [s.strip() for s in stages.split(",") if s.strip()]
    if resume is not None:
        if recipe is not None or out is not None:
            raise InputError(
                f"--resume {resume}: the run holds its recipe; leave out RECIPE, --out"
            )
        if not (resume / "recipe.toml").is_file():
            raise InputError(f"{resume}: holds no run to go on with (no recipe.toml)")
        recipe, out, manifest = str(resume / "recipe.toml"), resume, Run(resume).read_manifest()
        if stages is None and manifest is not None:
            chosen = manifest.stages
    where = (threads, executor, address)
    _run(recipe or "fashion-mnist", chosen, data, label, out, changes, seed, where, quiet)


def _part(name: str, stage: str, what: str) -> None:
    @app.command(name, help=what)
    def part(  # pyright: ignore[reportUnusedFunction] - the decorator registers it
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
    ) -> None:
        where = (threads, executor, address)
        _run(recipe, [stage], data, label, out, changes, seed, where, quiet)


_part("theory", "theory", "Check the theory of He initialization, on paper and by measurement.")
_part("search", "search", "Search for the best settings on validation data.")
_part("refit", "refit", "Train the winner again on all training data and test it.")
_part("variants", "variants", "Search over batch norm, dropout and activations; test the best.")
_part("autoencode", "autoencoder", "Train a dense autoencoder and compare it with PCA.")


@app.command()
def landscape(
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
    loss: Annotated[
        str, typer.Option(help="For --module: cross_entropy or mean_squared_error.")
    ] = "cross_entropy",
    grid: Annotated[str, typer.Option(help="For --module: columns x rows.")] = "25x25",
    margin: Annotated[float, typer.Option(help="For --module: share of the path's extent.")] = 0.2,
    examples: Annotated[int, typer.Option(help="For --module: examples behind each loss.")] = 2500,
    statistics: Annotated[
        str, typer.Option(help="For --module, of batch norm: recomputed or kept.")
    ] = "recomputed",
) -> None:
    """Draw the loss landscape under the path of the refit, or of any network of yours.

    For your own: downslope landscape --module FILE.py:NAME --snapshots DIR --data FILE.npz, where
    the file holds `inputs` and `targets` as the network takes them.
    """
    if module is None and snapshots is None:
        where = (threads, executor, address)
        _run(recipe, ["landscape"], data, label, out, changes, seed, where, quiet)
        return
    if module is None or snapshots is None or data is None:
        raise InputError("landscape: --module, --snapshots and --data belong together")
    from downslope.landscape import draw_foreign
    from downslope.report.landscape_page import write_landscape
    from downslope.runs import Run

    columns, _, rows = grid.partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise InputError(f"--grid {grid}: must be columns x rows, as in 25x25")
    held = Run(out or Path("landscape"))
    try:
        drawn = watch(
            draw_foreign(
                module,
                snapshots,
                Path(data),
                held.path,
                loss=loss,
                grid=(int(columns), int(rows)),
                margin=margin,
                examples=examples,
                statistics=statistics,
                seed=seed or 0,
                threads=threads,
            ),
            quiet,
        )
    except SystemExit:
        print("\nstopped; repeat the command to go on", file=sys.stderr)
        raise
    write_landscape(held, drawn.result, drawn.arrays())
    page = held.path / "landscape.html"
    print(page if quiet else f"landscape: {page}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    quiet: QuietOption = False,
) -> None:
    """Build the report of a run again, without training."""
    from downslope.report import write_report
    from downslope.runs import Run

    held = Run(directory)
    if held.exists:  # otherwise it is said what is missing
        held.check()
    path = write_report(held)
    with suppress(InputError), held.locked():  # a process that still writes lists it at its end
        held.refresh_manifest()
    print(path if quiet else f"report: {path}")


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
) -> None:
    """Check every file of a run against the SHA-256 in its manifest."""
    from downslope.runs import Run

    held = Run(directory)
    held.read_results()
    if wrong := held.damaged():
        raise InputError(
            f"{directory}: not what the run wrote: {', '.join(wrong)}; 'downslope run --resume' "
            "makes recipe.toml, report.html and figures again, the rest must come from a copy"
        )
    print(f"{directory}: every file is as it was written")


@app.command()
def doctor() -> None:
    """Say what this installation has: versions, processor, engine and data."""
    from downslope.data import list_datasets
    from downslope.engines import describe_engine
    from downslope.installation import hardware, versions

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in [*versions().items(), *hardware().items(), *describe_engine().items()]:
        table.add_row(name, escape(value))
    for listing in list_datasets():
        table.add_row(
            f"data {listing.name}", escape(str(listing.found or "not here; fetched when needed"))
        )
    console().print(table)


@data_app.command("list")
def data_list() -> None:
    """List the data sets known by name and where they are."""
    from downslope.data import list_datasets

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "examples", "found", "what it is"):
        table.add_column(heading, overflow="fold")
    for listing in list_datasets():
        found = str(listing.found) if listing.found else "no; downslope data fetch"
        row = (listing.name, f"{listing.examples:,}", found, listing.description)
        table.add_row(*map(escape, row))
    console().print(table)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="A data set's name.")] = "fashion-mnist",
    quiet: QuietOption = False,
) -> None:
    """Fetch a data set into the user's cache and verify it."""
    from downslope.data import fetch, verify

    path = watch(fetch(name), quiet)
    for check in verify(name):
        if not check.ok:
            raise InputError(f"{check.path}: {check.note}")
    print(path if quiet else f"{name}: verified, in {path}")


@data_app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="A data set's name or path.")] = "fashion-mnist",
) -> None:
    """Check the content of a data set, file by file."""
    from downslope.data import verify

    table = Table(box=None, pad_edge=False)
    for heading in ("content", "file", "SHA-256"):
        table.add_column(heading, overflow="fold")
    checks = verify(name)
    words = {True: "[green]as published[/]", False: "[red]wrong[/]", None: "readable"}
    for check in checks:
        text = words[check.ok] + (f": {escape(check.note)}" if check.note else "")
        table.add_row(text, escape(str(check.path)), check.sha256)
    console().print(table)
    if wrong := [check for check in checks if check.ok is False]:
        raise InputError(
            f"{wrong[0].path}: not the published content; fetch it again with 'downslope data "
            f"fetch {name}'"
        )


@data_app.command("describe")
def data_describe(
    name: Annotated[str, typer.Argument(help="A data set's name or path.")] = "fashion-mnist",
    label: LabelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Describe a data set; the test set stays sealed."""
    from downslope.data import describe

    seen = describe(_load(name, label, quiet))
    table = Table(box=None, show_header=False, pad_edge=False)
    shape = " x ".join(map(str, seen.shape))
    rows = [
        ("name", seen.name),
        ("source", seen.source),
        ("training", f"{seen.training:,} examples, validation included"),
        ("test", f"{seen.test:,} examples, sealed"),
        (
            "one example",
            f"{shape} = {seen.features} {seen.dtype} from {seen.lowest:g} to {seen.highest:g}",
        ),
        ("SHA-256", seen.sha256),
    ]
    for row in rows:
        table.add_row(*map(escape, row))
    for count in seen.classes:
        table.add_row("class", escape(f"{count.name}: {count.training:,} training examples"))
    console().print(table)


def main() -> None:
    """Run the command line; see the design for its exit statuses."""
    try:
        app()
    except InputError as error:
        print(f"downslope: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _run(
    recipe: str,
    stages: Sequence[str],
    data: str | None,
    label: str | None,
    out: Path | None,
    changes: list[str] | None,
    seed: int | None,
    where: tuple[int | None, str, str | None],
    quiet: bool,
) -> None:
    from downslope.engines import MISSING, choose_engine
    from downslope.recipes import free_directory, load_recipe, needed, run_recipe
    from downslope.report import advice, write_report
    from downslope.runs import Run

    edits = list(changes or [])
    if data is not None:
        edits.append(f"data.name={_quoted(data)}")
    if label is not None:
        edits.append(f"data.label={_quoted(label)}")
    if seed is not None:
        edits.append(f"seed={seed}")
    chosen = load_recipe(recipe, edits)
    order = needed(stages, chosen)
    dataset = _load(chosen.data.name, chosen.data.label, quiet)
    path = out or free_directory(Path(recipe).stem, chosen)
    held = Run(path)

    def say(text: str) -> None:
        if not quiet:
            console(stderr=True).print(text)

    if added := [s for s in order if s not in stages]:
        say(f"also running {', '.join(added)}: {', '.join(stages)} builds on it")
    say(f"run: {escape(str(path))}" + (" (going on with it)" if held.exists else ""))
    if choose_engine("auto") != "native":
        say(MISSING)
    start = time.perf_counter()
    threads, executor, address = where
    try:
        with _executor(executor, address) as (trainer, hire):
            steps = run_recipe(
                chosen, dataset, held, stages=stages, threads=threads, trainer=trainer, hire=hire
            )
            results = watch(steps, quiet)
        with held.locked():
            page = write_report(held)
            held.refresh_manifest()
    except SystemExit:
        options = {"threads": threads, "executor": executor if executor != "local" else None}
        options["address"] = address
        again = ["run", "--resume", str(path)]
        for name, value in options.items():
            again += [f"--{name}", str(value)] if value is not None else []
        if held.exists:
            command = shlex.join([*_program(), *again])
            print(f"\nstopped; what was finished is kept. To go on: {command}", file=sys.stderr)
        raise
    except InputError:
        if held.written:  # what did finish is still worth a page; a run that was refused is left
            with suppress(InputError), held.locked():
                write_report(held)
                held.refresh_manifest()
        raise
    if not quiet:
        _print_summary(results, time.perf_counter() - start)
        print("report:", end=" ")
    print(page)
    if tried := advice(results):
        print(f"downslope: {tried}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _executor(executor: str, address: str | None) -> Generator[tuple[Trainer, Hire], None, None]:
    """Choose what trains; a cluster is left when its work is done."""
    from downslope.cluster import Cluster
    from downslope.engines import train
    from downslope.search import Crew

    if executor != "ray":
        if address is not None:
            raise InputError(f"--address {address}: only with --executor ray")
        yield train, Crew
        return
    with Cluster(address) as cluster:
        yield cluster.train, cluster.crew


def _program() -> list[str]:
    """Return the words that started this program, for the user to repeat."""
    started = Path(sys.argv[0])
    return ["python", "-m", "downslope"] if started.name == "__main__.py" else [sys.argv[0]]


def _quoted(text: str) -> str:
    """Write a string as TOML, so that a path of digits is not taken for a number."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _load(name: str, label: str | None, quiet: bool) -> Dataset:
    from downslope.data import fetch, find, list_datasets, load

    if name in {listing.name for listing in list_datasets()} and find(name) is None:
        watch(fetch(name), quiet)
    return load(name, label=label)


def _print_summary(results: Results, seconds: float) -> None:
    from downslope.report import summary

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in summary(results):
        table.add_row(*map(escape, row))
    table.add_row(
        "time",
        f"{seconds:.0f} s here; "
        + ", ".join(f"{stage} {spent:.0f} s" for stage, spent in results.seconds.items()),
    )
    console().print(table)
