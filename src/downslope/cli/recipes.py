"""Commands that run a recipe or some of its stages."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from downslope.bars import watch
from downslope.cli.data import load_dataset
from downslope.cli.options import Options, with_options
from downslope.errors import InputError
from downslope.progress import begin
from downslope.stages import STAGES
from downslope.terminal import say, show

if TYPE_CHECKING:
    from downslope.data import Dataset
    from downslope.engines import MakeRunner
    from downslope.recipes import Recipe
    from downslope.results import Results

RecipeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RECIPE",
        help="fashion-mnist (the default), quick, hw3 (a published homework) or a TOML file.",
    ),
]


@with_options
def run(
    recipe: RecipeArgument = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Resume an interrupted run: its recipe, its stages."),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help=f"Some of {', '.join(STAGES)}, with commas between."),
    ] = None,
    *,
    options: Options,
) -> None:
    """Run a recipe, all of it or some stages, and write a report; repeated, it resumes."""
    from downslope.runs import Run

    chosen = list(STAGES)
    if stages is not None:
        chosen = [name.strip() for name in stages.split(",") if name.strip()]
    out = options.out
    if resume is not None:
        if recipe is not None or out is not None:
            raise InputError(
                f"--resume {resume}: the run holds its recipe; leave out RECIPE, --out"
            )
        interrupted = Run(resume)
        if not (resume / "recipe.toml").is_file():
            if not interrupted.exists:
                raise InputError(f"{resume}: holds no run to resume (no recipe.toml)")
            interrupted.write_recipe(interrupted.read_results())
        recipe, out, manifest = str(resume / "recipe.toml"), resume, interrupted.read_manifest()
        if stages is None and manifest is not None:
            chosen = manifest.stages
    _run_stages(recipe, chosen, out, options)


def stage_command(stage: str) -> Callable[..., None]:
    """Make the command that runs one stage, and what it builds on."""

    @with_options
    def command(recipe: RecipeArgument = None, *, options: Options) -> None:
        _run_stages(recipe, [stage], options.out, options)

    return command


def _run_stages(
    recipe: str | None, stages: Sequence[str], out: Path | None, options: Options
) -> None:
    """Begin or resume a run, train its stages, write its report and say what came out."""
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

    if options.address is not None and options.executor != "ray":
        raise InputError(f"--address {options.address}: only with --executor ray")
    recipe = "fashion-mnist" if recipe is None else recipe
    chosen = load_recipe(recipe, options.recipe_changes())
    order = needed(stages, chosen)
    dataset = load_dataset(chosen.data.name, options.quiet, **chosen.data.options)
    path, taken = (out, "") if out is not None else free_directory(Path(recipe).stem, chosen)
    directory = Run(path)
    notes: list[str] = []
    if added := [s for s in order if s not in stages]:
        notes.append(f"also running {', '.join(added)}: {', '.join(stages)} builds on it")
    notes.append(f"run: {path}{' (resuming)' if directory.exists else ''}{taken}")
    notes += [f"data: {line}" for line in dataset.notes]
    if again := stages_again(directory, chosen):
        notes.append(f"trials are added, so these are done again: {', '.join(again)}")
    if choose_engine("auto") != "native":
        notes.append(MISSING)
    if not options.quiet and options.executor != "ray":
        done = directory.read_results().seconds if directory.exists else {}
        if left := [stage for stage in order if stage not in done or stage in again]:
            notes += _estimate(chosen, dataset, left, options.threads)
    start = time.perf_counter()
    try:
        with _executor(options.executor, options.address) as make_runner:
            steps = begin(
                run_recipe(
                    chosen,
                    dataset,
                    directory,
                    stages=stages,
                    threads=options.threads,
                    make_runner=make_runner,
                )
            )
            for line in [] if options.quiet else notes:  # what is refused is refused alone
                say(line, stderr=True)
            results = watch(steps, options.quiet)
        with directory.locked():
            page, printed = write_report(directory, ("html", "pdf"))
            directory.refresh_manifest()
    except SystemExit:
        if directory.exists:
            words = [*_program(), "run", "--resume", str(path), *options.to_repeat()]
            say(f"stopped; what was finished is kept. To resume: {shlex.join(words)}", stderr=True)
        raise
    except InputError:
        if directory.written:  # a page of what did finish; a run that was refused is left alone
            with suppress(InputError), directory.locked():
                write_report(directory)
                directory.refresh_manifest()
        raise
    if not options.quiet:
        _print_summary(results, time.perf_counter() - start)
    say(page if options.quiet else f"report: {page}, and {printed.name} to print")
    if reason := advice(results):
        say(f"downslope: {reason}", stderr=True)
        sys.exit(1)


def _estimate(
    recipe: Recipe, dataset: Dataset, stages: Sequence[str], threads: int | None
) -> Iterator[str]:
    """Say how long stages will take, and how much room the snapshots of their trials."""
    from downslope.engines import cores
    from downslope.recipes.estimate import estimate, estimate_snapshots, measure_speed
    from downslope.report.formats import duration

    seconds = estimate(recipe, dataset, stages, measure_speed(threads), threads)
    yield (
        f"estimated time: {duration(seconds)} on {threads or cores()} cores, by the cost of its "
        "networks and the speed of this machine now"
    )
    if size := estimate_snapshots(recipe, dataset, stages):
        yield f"snapshots of trials: about {size / 1e6:,.1f} MB"


@contextmanager
def _executor(executor: str, address: str | None) -> Generator[MakeRunner, None, None]:
    """Choose what trains; a cluster is left when its work is done."""
    from downslope.engines import local_runner
    from downslope.engines.ray import Cluster

    if executor != "ray":
        yield local_runner
        return
    with Cluster(address) as cluster:
        yield cluster.runner


def _program() -> list[str]:
    """Return the words that started this program, for the user to repeat."""
    started = Path(sys.argv[0])
    return ["python", "-m", "downslope"] if started.name == "__main__.py" else [sys.argv[0]]


def _print_summary(results: Results, seconds: float) -> None:
    from downslope.report import summary

    rows = [*summary(results), ("this command", f"{seconds:.0f} s")]
    show((Text(label, "bold"), text) for label, text in rows)
