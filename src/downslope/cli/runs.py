"""Commands that read a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from downslope.cli.options import QuietOption, names_of, place
from downslope.errors import InputError
from downslope.files import check_writable, inside
from downslope.terminal import say

if TYPE_CHECKING:
    from downslope.runs import Run

TABLES = ("csv", "jsonl", "mlflow", "tensorboard")
MODELS = ("onnx", "torch", "safetensors")


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="A run directory; several to compare.")
    ],
    formats: Annotated[
        str, typer.Option("--format", metavar="NAMES", help="html, pdf or html,pdf.")
    ] = "html",
    paper: Annotated[
        Literal["a4", "letter"], typer.Option("--paper", help="Size of the PDF's pages.")
    ] = "a4",
    out: Annotated[Path | None, place("FILE", "Page of a comparison; comparison.html.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Build the report of a run again, without training; of several runs, one that compares."""
    wanted = names_of(formats, ("html", "pdf"), "--format")
    if len(directories) > 1:
        if wanted != ["html"]:
            raise InputError("--format: a comparison is written as html alone")
        paths = [_compare(directories, out or Path("comparison.html"), quiet)]
    elif out is not None:
        raise InputError("--out: the report of one run lies in its directory; leave it out")
    else:
        paths = _write(directories[0], wanted, paper)
    for path in paths:
        say(path if quiet else f"report: {path}")


def _undamaged(directory: Path) -> Run:
    """Open a run whose files are as it wrote them."""
    from downslope.runs import Run

    run = Run(directory)
    if run.exists:  # otherwise its reader says what is missing
        run.check()
    return run


def _write(directory: Path, formats: list[str], paper: Literal["a4", "letter"]) -> list[Path]:
    from downslope.report import write_report

    run = _undamaged(directory)
    paths = write_report(run, formats, paper)
    with suppress(InputError), run.locked():  # a process that still writes lists it at its end
        run.refresh_manifest()
    return paths


def _compare(directories: list[Path], out: Path, quiet: bool) -> Path:
    from downslope.bars import watch
    from downslope.recipes.joint import joint_landscape, why_not_joint
    from downslope.report import read_sides, write_comparison

    check_writable(out)
    sides = read_sides([_undamaged(directory) for directory in directories])
    apart, joint = why_not_joint({name: side.results for name, side in sides.items()}), None
    if not apart:
        try:
            joint = watch(joint_landscape({name: side.run for name, side in sides.items()}), quiet)
        except InputError as error:  # the rest of the page needs the runs alone
            apart = str(error)
    write_comparison(out, sides, joint, apart)
    return out


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAMES",
            help="Some of csv,jsonl,mlflow,tensorboard, or of the model onnx,torch,safetensors.",
        ),
    ] = "csv,jsonl",
    out: Annotated[Path | None, place("FOLDER", "By default DIR/export.")] = None,
) -> None:
    """Write a run for other tools: its members, their settings and curves; its trained model."""
    wanted = names_of(formats, (*TABLES, *MODELS), "--format")
    folder = out or inside(directory, "export")
    if tables := [name for name in wanted if name in TABLES]:
        from downslope.report import write_export

        for path in write_export(_undamaged(directory), tables, folder):
            say(path)
    if models := [name for name in wanted if name in MODELS]:
        from downslope.models import export_model, load_model

        for path, note in export_model(load_model(directory), models, folder):
            say(f"{path}: {note}")


def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
) -> None:
    """Check every file of a run against the SHA-256 in its manifest."""
    from downslope.runs import Run

    run = Run(directory)
    run.read_results()
    if wrong := run.damaged():
        raise InputError(
            f"{directory}: not what the run wrote: {', '.join(wrong)}; 'downslope run --resume' "
            "makes report.html and figures again, and recipe.toml once it is removed; the rest "
            "must come from a copy"
        )
    say(f"{directory}: every file is as it was written")
