"""Commands that run a recipe or some of its stages."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

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
)
from downslope.errors import InputError
from downslope.terminal import say, show
from downslope.watch import watch

if TYPE_CHECKING:
    from downslope.cluster import Trainer
    from downslope.data import Dataset, Kind
    from downslope.results import Results
    from downslope.search import Hire


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
        held = Run(resume)
        if not (resume / "recipe.toml").is_file():
            if not held.exists:
                raise InputError(f"{resume}: holds no run to go on with (no recipe.toml)")
            held.write_recipe(held.read_results())
        recipe, out, manifest = str(resume / "recipe.toml"), resume, held.read_manifest()
        if stages is None and manifest is not None:
            chosen = manifest.stages
    where = (threads, executor, address)
    run_stages(recipe or "fashion-mnist", chosen, data, label, out, changes, seed, where, quiet)


def part(stage: str, what: str) -> Callable[..., None]:
    """Make the command that runs one stage, and what it builds on."""

    def command(
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
        run_stages(recipe, [stage], data, label, out, changes, seed, where, quiet)

    command.__doc__ = what
    return command


def run_stages(
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
    """Begin or go on with a run, train its stages, write its report and say what came out."""
    from downslope.engines import MISSING, choose_engine
    from downslope.recipes import (
        free_directory,
        load_recipe,
        needed,
        run_recipe,
        stages_again,
    )
    from downslope.report import advice, write_report
    from downslope.runs import Run

    chosen = load_recipe(recipe, edits(changes, data, label, seed))
    order = needed(stages, chosen)
    dataset = load_dataset(chosen.data.name, chosen.data.label, chosen.data.kind, quiet)
    path = out or free_directory(Path(recipe).stem, chosen)
    held = Run(path)

    def note(text: str) -> None:
        if not quiet:
            say(text, stderr=True)

    if added := [s for s in order if s not in stages]:
        note(f"also running {', '.join(added)}: {', '.join(stages)} builds on it")
    note(f"run: {path}" + (" (going on with it)" if held.exists else ""))
    for line in dataset.notes:
        note(f"data: {line}")
    if again := stages_again(held, chosen):
        note(f"trials are added, so these are done again: {', '.join(again)}")
    if choose_engine("auto") != "native":
        note(MISSING)
    start = time.perf_counter()
    threads, executor, address = where
    try:
        with _executor(executor, address) as (trainer, hire):
            steps = run_recipe(
                chosen, dataset, held, stages=stages, threads=threads, trainer=trainer, hire=hire
            )
            results = watch(steps, quiet)
        with held.locked():
            (page,) = write_report(held)
            held.refresh_manifest()
    except SystemExit:
        options = {"threads": threads, "executor": executor if executor != "local" else None}
        options["address"] = address
        again = ["run", "--resume", str(path)]
        for name, value in options.items():
            again += [f"--{name}", str(value)] if value is not None else []
        if held.exists:
            command = shlex.join([*_program(), *again])
            say(f"stopped; what was finished is kept. To go on: {command}", stderr=True)
        raise
    except InputError:
        if held.written:  # what did finish is still worth a page; a run that was refused is left
            with suppress(InputError), held.locked():
                write_report(held)
                held.refresh_manifest()
        raise
    if not quiet:
        _print_summary(results, time.perf_counter() - start)
    say(page if quiet else f"report: {page}")
    if tried := advice(results):
        say(f"downslope: {tried}", stderr=True)
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


def edits(
    changes: list[str] | None, data: str | None, label: str | None, seed: int | None
) -> list[str]:
    """Write the options that stand for keys as changes of the recipe."""
    edits = list(changes or [])
    if data is not None:
        edits.append(f"data.name={_quoted(_anywhere(data))}")
    if label is not None:
        edits.append(f"data.label={_quoted(label)}")
    if seed is not None:
        edits.append(f"seed={seed}")
    return edits


def _program() -> list[str]:
    """Return the words that started this program, for the user to repeat."""
    started = Path(sys.argv[0])
    return ["python", "-m", "downslope"] if started.name == "__main__.py" else [sys.argv[0]]


def _anywhere(data: str) -> str:
    """Return the whole path of a data set, since a run is gone on with from any folder."""
    from downslope.data import list_datasets

    path = Path(data).expanduser()
    if data in {listing.name for listing in list_datasets()}:
        return data
    there = os.path.exists(path)  # noqa: PTH110 - Path.exists raises on an overlong name
    return str(path.resolve()) if there else data


def _quoted(text: str) -> str:
    """Write a string as TOML, so that a path of digits is not taken for a number."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def load_dataset(name: str, label: str | None, kind: Kind | None, quiet: bool) -> Dataset:
    """Load a data set by name or path, fetched first where it is known and not here."""
    from downslope.data import fetch, find, list_datasets, load

    if name in {listing.name for listing in list_datasets()} and find(name) is None:
        watch(fetch(name), quiet)
    return load(name, label=label, kind=kind)


def _print_summary(results: Results, seconds: float) -> None:
    from downslope.report import summary

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in summary(results):
        table.add_row(*row)
    table.add_row("this command", f"{seconds:.0f} s")
    show(table)
