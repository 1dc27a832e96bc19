"""The report: one HTML file that holds everything a run found, built from its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from downslope.report import statements, wording
from downslope.report.equations_old import equation
from downslope.report.figures.theory import NAMES
from downslope.report.gallery import Arrays, arrays, gallery, landscape_scenes
from downslope.report.picture import Picture
from downslope.report.published import published_table
from downslope.report.sections import autoencoder, landscape, refit, theory, trials
from downslope.report.shell import set_page
from downslope.report.sources import Sources
from downslope.report.summary import theory_verdict
from downslope.results import Results
from downslope.runs import Manifest, Run
from downslope.stages import STAGES
from downslope.toml import write_toml

OWN = ("report.html", "report.pdf", "figures/")
"""Written by the report itself: a page cannot hold its own digest."""


@dataclass(frozen=True, slots=True)
class Card:
    """Hold one headline: a label, the number, what makes it believable, and its source."""

    label: str
    value: str
    note: str
    source: str


def write_report(run: Run, pictures: dict[str, Picture] | None = None) -> Path:
    """Write `report.html` and `figures/` of a run from its files, and return the page's path.

    Nothing is trained and no model is loaded; the same run gives the same bytes.

    Args:
        run: its directory.
        pictures: from `gallery`, where they were drawn already.

    Raises:
        InputError: the directory holds no run, or cannot be written.
    """
    results = run.read_results()
    data = arrays(run, results)
    if pictures is None:
        pictures = gallery(results, data)
    for name, picture in pictures.items():
        run.write(f"figures/{name}.svg", picture.drawing.encode())
        run.write(f"figures/{name}.csv", picture.data.encode())
    page = render(results, run.read_manifest(), pictures, data)
    run.write("report.html", page.encode())
    return run.path / "report.html"


def render(
    results: Results, manifest: Manifest | None, pictures: dict[str, Picture], data: Arrays
) -> str:
    """Set the page.

    Args:
        results: of the run.
        manifest: of the run; None where it has none yet.
        pictures: from `gallery`.
        data: the run's arrays.
    """
    return set_page(
        "page.html",
        results.recipe.title,
        pictures,
        scripts=["explore.js"],
        scenes=landscape_scenes(results, data),
        results=results,
        manifest=manifest,
        files=_files(manifest),
        cards=cards(results),
        arrays=data,
        stages=STAGES,
        missing=[stage for stage in STAGES if getattr(results, stage) is None],
        theory_section=theory,
        trials=trials,
        refit_section=refit,
        path_table=landscape.path_table,
        autoencoder_section=autoencoder,
        published=published_table(results),
        equations=_equations(results),
        claims=_claims(results),
        step_numbers=_step_numbers(results),
        initializations=NAMES,
        assumptions=_assumptions(results),
        verdicts=theory_verdict(results) if results.theory is not None else "",
        recipe=write_toml(results.recipe),
        sources=Sources(results),
    )


def cards(results: Results) -> list[Card]:
    """Make the headlines: how good and how sure, what was trained, how chosen, how long, seal."""
    found: list[Card] = []
    refit, search, variants = results.refit, results.search, results.variants
    if refit is not None and refit.test_accuracy is not None:
        accuracy = refit.test_accuracy
        found.append(
            Card(
                "Test accuracy",
                wording.percent(accuracy.mean),
                wording.certainty(accuracy),
                "refit",
            )
        )
    else:
        found.append(
            Card(
                "Test accuracy",
                "none",
                "; ".join(refit.stopped) if refit else "not measured",
                "refit",
            )
        )
    if refit is not None:
        note = (
            f"{statements.network(results, 'search')}; {wording.plural(len(refit.seeds), 'seed')}"
        )
        found.append(Card("What was trained", refit.member.network.label, note, "refit"))
    if search is not None:
        note = "; ".join(
            filter(
                None,
                [
                    wording.outcomes(search.trials),
                    statements.led(search),
                    statements.chosen(search),
                ],
            )
        )
        found.append(
            Card("How it was chosen", wording.plural(len(search.trials), "trial"), note, "search")
        )
    if variants is not None and variants.refit is not None and variants.refit.test_accuracy:
        note = "no plain winner to compare with"
        if variants.comparison is not None:
            note = wording.verdict(variants.comparison)
        note = f"{statements.network(results, 'variants')}; {note}"
        mean = wording.percent(variants.refit.test_accuracy.mean)
        found.append(Card("Chosen variant, test accuracy", mean, note, "variants-comparison"))
    openings = len(results.test_set.openings)
    found.append(
        Card(
            "Test set opened",
            wording.times(openings),
            f"{results.test_set.examples:,} sealed examples{_purposes(results)}",
            "seal",
        )
    )
    spent = results.seconds
    slowest = max(spent, key=lambda stage: spent[stage], default="")
    note = (
        f"of that, {slowest} took {wording.duration(spent[slowest])}"
        if spent
        else "no stage finished"
    )
    found.append(Card("How long", wording.duration(sum(spent.values())), note, "seconds"))
    return found


def _purposes(results: Results) -> str:
    """Count the openings of the test set by the stage that needed them."""
    stages = [opening.reason.partition(":")[0] for opening in results.test_set.openings]
    counts = [f"{stage} {wording.times(stages.count(stage))}" for stage in dict.fromkeys(stages)]
    return f"; {', '.join(counts)}" if counts else ""


def _files(manifest: Manifest | None) -> dict[str, str]:
    files = {} if manifest is None else manifest.files
    return {name: digest for name, digest in files.items() if not name.startswith(OWN)}


def _equations(results: Results) -> list[Markup]:
    steps = [] if results.theory is None else results.theory.steps
    return [equation(step.statement) for step in steps]


def _step_numbers(results: Results) -> dict[str, int]:
    steps = [] if results.theory is None else results.theory.steps
    return {step.name: i + 1 for i, step in enumerate(steps)}


def _claims(results: Results) -> list[tuple[Markup, Markup]]:
    """Typeset what each counter-example shows: what the step says, and what is true."""
    found = [] if results.theory is None else results.theory.counterexamples
    return [(equation(one.claimed), equation(one.found)) for one in found]


def _assumptions(results: Results) -> dict[str, str]:
    """Explain the assumptions that the steps of this run name."""
    from downslope.theory import ASSUMPTIONS

    steps = [] if results.theory is None else results.theory.steps
    named = dict.fromkeys(name for step in steps for name in step.assumptions)
    return {name: ASSUMPTIONS.get(name, "") for name in named}
