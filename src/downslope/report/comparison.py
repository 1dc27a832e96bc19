"""Runs side by side on one page: scores, settings that differ, curves, one plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

import msgspec
import numpy as np

from downslope.errors import InputError
from downslope.files import write_whole
from downslope.landscape import Landscape
from downslope.report import wording
from downslope.report.figures import comparison as figures
from downslope.report.picture import Picture, picture
from downslope.report.sections.landscape import joint_picture
from downslope.report.shell import set_page
from downslope.report.statements import final_of, led, network
from downslope.report.tables import Row, Table
from downslope.report.wording import duration, figure, percent, points
from downslope.results import Results
from downslope.runs import Manifest, Run
from downslope.statistics import Comparison, compare

MOST: Final = len(ascii_uppercase)


@dataclass(frozen=True, slots=True)
class Side:
    """Hold one of the runs that are compared.

    Args:
        run: its directory.
        results: of it.
        manifest: of it; None where it has none.
        hits: by seed and test example, whether it was right; None where that was not kept.
    """

    run: Run
    results: Results
    manifest: Manifest | None
    hits: np.ndarray[Any, np.dtype[np.bool_]] | None


def read_sides(runs: list[Run]) -> dict[str, Side]:
    """Read the runs to compare and name them A, B, ... in their order.

    Raises:
        InputError: fewer than two or too many, one twice, or one that is damaged or no run.
    """
    if not 2 <= len(runs) <= MOST:
        raise InputError(f"report: {len(runs)} runs cannot be compared; give 2 to {MOST}")
    places = [run.path.resolve() for run in runs]
    for place in places:
        if places.count(place) > 1:
            raise InputError(f"report: {place} is given twice; each run once")
    return {
        name: Side(run, run.read_results(), run.read_manifest(), _hits(run))
        for name, run in zip(ascii_uppercase, runs, strict=False)
    }


def _hits(run: Run) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    try:
        held = run.read_arrays("refit/predictions.npz", ("predictions", "truth"))
    except InputError:  # no final model, or an older run
        return None
    return held["predictions"] == held["truth"]


def write_comparison(
    path: Path, sides: Mapping[str, Side], joint: Landscape | None, apart: str = ""
) -> None:
    """Write the page that puts runs side by side.

    Args:
        path: of the page.
        sides: from `read_sides`.
        joint: their landscape in one plane, if there is one.
        apart: why there is none.

    Raises:
        InputError: the page cannot be written.
    """
    pictures = {one.name: one for one in _pictures(sides, joint)}
    page = set_page(
        "comparison.html",
        f"{len(sides)} runs side by side",
        pictures,
        sides=sides,
        scores=score_table(sides),
        differences=difference_table(sides),
        settings=setting_table(sides),
        same_data=len({side.results.data.sha256 for side in sides.values()}) == 1,
        joint=None if joint is None else joint.result,
        apart=apart,
    )
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def _pictures(sides: Mapping[str, Side], joint: Landscape | None) -> Iterator[Picture]:
    refits = {n: s.results.refit for n, s in sides.items() if s.results.refit is not None}
    scores = {n: r.test_accuracy for n, r in refits.items() if r.test_accuracy is not None}
    if scores:
        yield picture(
            "comparison-scores",
            figures.draw_scores(scores),
            "Test accuracy: "
            + "; ".join(
                f"run {n} ({wording.describe(refits[n])}) {percent(a.mean)}"
                for n, a in scores.items()
            ),
            "Test accuracy of each seed (points), their mean (line) and its 95 % interval for the "
            "sampling of test examples (band).",
        )
    if refits:
        yield picture(
            "comparison-losses",
            figures.draw_losses(refits),
            f"Training loss by epoch of {len(refits)} final models.",
            "Training loss of the final models: mean over seeds, within the range of the seeds.",
        )
    searches = {n: s.results.search for n, s in sides.items() if s.results.search is not None}
    searches = {n: found for n, found in searches.items() if found.trials}
    if searches:
        yield picture(
            "comparison-searches",
            figures.draw_searches(searches),
            f"Best validation accuracy so far of {len(searches)} searches.",
            "The best validation accuracy that each search had reached after each of its trials.",
        )
    if joint is not None:
        yield joint_picture(joint.result, joint.arrays(), what="Final models")


def score_table(sides: Mapping[str, Side]) -> Table:
    """List what each run reached."""
    scores = [_scores(side.results) for side in sides.values()]
    return Table(
        caption="What each run reached; the interval is Wilson's, the spread the standard "
        "deviation over seeds in points",
        columns=[("measure", False), *[(f"run {name}", True) for name in sides]],
        rows=[Row([measure, *[found[measure] for found in scores]]) for measure in scores[0]],
    )


def _scores(found: Results) -> dict[str, str]:
    refit, search, coder = found.refit, found.search, found.autoencoder
    test = None if refit is None else refit.test_accuracy
    variant = final_of(found, "variants")
    rival = None if variant is None else variant.test_accuracy
    return {
        "final network": "–" if refit is None else network(found, "search"),
        "test accuracy": percent(None if test is None else test.mean),
        "95 % interval": "–" if test is None else " to ".join(map(percent, test.interval)),
        "spread": "–" if test is None or test.spread is None else points(test.spread, sign=False),
        "seeds": "–" if refit is None else str(len(refit.seeds)),
        "search": "–" if search is None else led(search),
        "trials": "–" if search is None else str(len(search.trials)),
        "chosen variant": "–" if variant is None else network(found, "variants"),
        "chosen variant, test accuracy": percent(None if rival is None else rival.mean),
        "autoencoder": "–" if coder is None else coder.member.network.label,
        "autoencoder, test error": figure(None if coder is None else coder.test_mse),
        "test set opened": wording.times(len(found.test_set.openings)),
        "time": duration(sum(found.seconds.values())),
    }


def differences(sides: Mapping[str, Side]) -> dict[str, Comparison]:
    """Compare the test accuracy of each run with that of the first, on the same test examples.

    A run whose predictions were not kept, or that has other data, is left out. The intervals of
    all hold together with 95 % (Bonferroni).
    """
    base, *others = sides
    first = sides[base]
    if first.hits is None or not first.hits.size:
        return {}
    rivals = {
        name: sides[name].hits
        for name in others
        if sides[name].results.data.sha256 == first.results.data.sha256
    }
    comparable = {name: hits for name, hits in rivals.items() if hits is not None and hits.size}
    return {
        name: compare(first.hits, hits, comparisons=len(comparable))
        for name, hits in comparable.items()
    }


def difference_table(sides: Mapping[str, Side]) -> Table:
    """List the differences in test accuracy from the first run, with intervals and verdict."""
    compared = differences(sides)
    rows: list[Row] = []
    for name, one in compared.items():
        alone = " (examples alone)" if one.covers == "examples" else ""
        rows.append(
            Row(
                [
                    name,
                    points(one.difference),
                    "–" if one.interval is None else f"{_interval(one.interval)}{alone}",
                    "–" if one.paired is None else f"{one.paired.p_value:.3g}",
                    one.verdict,
                ],
                mark="best" if one.verdict == "better" else "",
            )
        )
    together = ""
    if len(compared) > 1:
        together = (
            f"; the {len(compared)} intervals are widened so that all hold together with 95 % "
            "(Bonferroni)"
        )
    return Table(
        caption=f"Test accuracy against run {next(iter(sides))}, in points; a verdict needs an "
        f"interval over seeds and test examples that excludes zero{together}",
        columns=[
            ("run", False),
            ("difference", True),
            ("95 % interval over seeds and test examples", True),
            ("McNemar p, first seeds", True),
            ("verdict", False),
        ],
        rows=rows,
    )


def _interval(ends: tuple[float, float]) -> str:
    return f"{points(ends[0])} to {points(ends[1])}"


def setting_table(sides: Mapping[str, Side]) -> Table:
    """List the settings of recipe, data, chosen network and installation that differ."""
    flat = {name: _flat(_settings(side)) for name, side in sides.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows: list[Row] = []
    for key in keys:
        values = [flat[name].get(key, "–") for name in sides]
        if len(set(values)) > 1:
            rows.append(Row([key, *values]))
    return Table(
        caption="Settings that differ" if rows else "No setting differs",
        columns=[("setting", False), *[(f"run {name}", False) for name in sides]],
        rows=rows,
    )


def _settings(side: Side) -> dict[str, Any]:
    found, made = side.results, side.manifest
    data = {"sha256": found.data.sha256, "examples": found.data.training + found.data.validation}
    chosen = {} if found.refit is None else msgspec.to_builtins(found.refit.member)
    where = {} if made is None else {**made.versions, "engine": made.engine, **made.hardware}
    recipe = msgspec.to_builtins(found.recipe)
    del recipe["title"]
    return {"recipe": recipe, "data": data, "final model": chosen, "made with": where}


def _flat(values: dict[str, Any], start: str = "") -> dict[str, str]:
    """Flatten nested settings to dotted names and readable values.

    >>> _flat({"a": {"b": [1, 2], "c": None}})
    {'a.b': '1, 2', 'a.c': '–'}
    """
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{start}.{key}" if start else str(key)
        if isinstance(value, dict) and value:
            found |= _flat(value, name)
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(map(str, value))
        else:
            shown = f"{value:.6g}" if isinstance(value, float) else str(value)
            found[name] = "–" if value is None else shown
    return found
