"""The command of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from downslope.bars import watch
from downslope.cli.options import QuietOption, ThreadsOption, number, parse_changes, place
from downslope.errors import InputError
from downslope.terminal import say, show


def study(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which; without a name, they are listed.")
    ] = None,
    seeds: Annotated[int | None, number(int, "Behind every interval.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, as seed=7."),
    ] = None,
    out: Annotated[
        Path | None, place("DIR", "Its directory; an unfinished study in it is resumed.")
    ] = None,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Repeat a phenomenon that a paper claims on populations, and judge the claim."""
    from downslope.report.formats import capitalized, number
    from downslope.runs import Run
    from downslope.studies import STUDIES, run_study, study_named

    if name is None:
        rows = [
            (each.name, f"{each.core_minutes:g}", each.title, each.paper)
            for each in STUDIES.values()
        ]
        show(rows, "study", "core-minutes", "question", "paper")
        return
    settings = parse_changes(changes or [])
    if seeds is not None:
        if "seeds" in settings:
            raise InputError(f"--set seeds={settings['seeds']}: has no effect beside --seeds")
        settings["seeds"] = seeds
    chosen = study_named(name, settings)
    run = Run(Path("runs") / f"study-{name}" if out is None else out)
    if not quiet:
        again = " (resuming)" if (run.path / "study.json").is_file() else ""
        say(
            f"study: {run.path}{again}, {chosen.core_minutes:g} core-minutes at default settings",
            stderr=True,
        )
    try:
        result = watch(run_study(chosen, run, threads=threads), quiet)
    except SystemExit:
        say("stopped; repeat the command to resume", stderr=True)
        raise
    page = run.path / "study.html"
    if not quiet:
        for effect in result.effects:
            low, high = (number(end, 3) for end in effect.interval)
            say(
                f"{effect.what}: {number(effect.estimate, 3)}, 95 % interval {low} to {high} over "
                f"{effect.seeds} seeds; claimed {effect.claimed} {effect.bound:g}: {effect.verdict}"
            )
        say(f"{capitalized(str(result.verdict))}: {chosen.claim}")
    say(page if quiet else f"page: {page}, and study.pdf to print")
