"""Commands that read a run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from downslope.cli.options import QuietOption, names_of
from downslope.errors import InputError


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    formats: Annotated[
        str, typer.Option("--format", metavar="NAMES", help="html, pdf or html,pdf.")
    ] = "html",
    paper: Annotated[
        Literal["a4", "letter"], typer.Option("--paper", help="Size of the PDF's pages.")
    ] = "a4",
    quiet: QuietOption = False,
) -> None:
    """Build the report of a run again, without training."""
    from downslope.report import write_pdf, write_report
    from downslope.runs import Run

    wanted = names_of(formats, ("html", "pdf"), "--format")
    held = Run(directory)
    if held.exists:  # otherwise it is said what is missing
        held.check()
    paths: list[Path] = []
    if "html" in wanted:
        paths.append(write_report(held))
    if "pdf" in wanted:
        paths.append(write_pdf(held, paper))
    with suppress(InputError), held.locked():  # a process that still writes lists it at its end
        held.refresh_manifest()
    for path in paths:
        print(path if quiet else f"report: {path}")


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
