"""The search section: its figures with captions, also of the search over variants."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.report.figures import history, search, space
from downslope.report.figures.drawn import to_csv
from downslope.report.picture import Picture, picture
from downslope.report.sections.trials import curve_data, trial_data
from downslope.report.statements import led, standing
from downslope.report.wording import percent
from downslope.results import Results
from downslope.search import SearchResult


def pictures(results: Results) -> Iterator[Picture]:
    """Draw the search: its trials by epoch, in order, and over the settings."""
    found = results.search
    if found is None or not found.trials:
        return
    yield from _trials(found, "search")
    best = led(found)
    points = search.scatter(found)
    yield picture(
        "search-settings",
        search.draw_scatter(points),
        f"Validation accuracy of {len(points.points)} completed trials against "
        f"{search.WORDS[points.setting]}; {len(points.stopped)} diverged or failed; {best}.",
        f"Final validation accuracy against {search.WORDS[points.setting]}, coloured by "
        f"{search.WORDS[points.colour]}."
        + (f" Rings: {_rings(found)}." if found.best else "")
        + (" Crosses at the foot are trials that diverged or failed." if points.stopped else ""),
        trial_data(found),
    )
    attempts = history.history(found)
    yield picture(
        "search-history",
        history.draw_history(attempts),
        f"Validation accuracy of {len(attempts)} trials in the order of proposal; {best}.",
        "The trials in the order of proposal, and the best that had completed so far.",
        trial_data(found),
    )
    yield from _space(found, "search")
    yield from choice(found, "search")


def _rings(found: SearchResult) -> str:
    """Name the trials that stand out, by what they are to the search."""
    stand_out = {standing(found, trial.id): trial.id for trial in found.trials}
    return ", ".join(f"{name} trial {trial}" for name, trial in stand_out.items() if name)


def _trials(found: SearchResult, part: str) -> Iterator[Picture]:
    lines = search.curves(found)
    if not lines:
        return
    pruned = sum(line.outcome == "pruned" for line in lines)
    yield picture(
        f"{part}-curves",
        search.draw_curves(lines),
        f"Validation accuracy by epoch of {len(lines)} trials, {pruned} of them pruned.",
        "Validation accuracy after each epoch, one line per trial."
        + (f" In colour: {_rings(found)}." if found.best else "")
        + (" Triangles are where trials were pruned." if pruned else ""),
        curve_data(found),
    )


def _space(found: SearchResult, part: str) -> Iterator[Picture]:
    completed = [t for t in found.trials if t.validation_accuracy is not None]
    placed = space.coordinates(found)
    if placed is None or len(completed) < 2:
        return
    names = ", ".join(axis.name for axis in placed.axes)
    yield picture(
        f"{part}-slices",
        space.draw_slices(placed),
        f"Validation accuracy of {len(completed)} completed trials against each of: {names}.",
        "Final validation accuracy against each setting, whatever the others are.",
        trial_data(found),
    )
    if len(placed.axes) > 1:
        yield picture(
            f"{part}-parallel",
            space.draw_parallel(placed),
            f"{len(placed.accuracy)} trials as lines through {names}, the best fifth in colour.",
            "Each trial as a line through its settings.",
            trial_data(found),
        )
    if found.importances:
        first, share = next(iter(found.importances.items()))
        yield picture(
            f"{part}-importances",
            space.draw_importances(found.importances),
            f"Share of each setting in the variance of the accuracy; the largest is {first} with "
            f"{percent(share, 0)}.",
            "How much each setting matters: its share of the variance of the validation accuracy "
            "over this space (fANOVA). It says which settings to search, not which values are "
            "good.",
        )
    charted = space.chart(found)
    if charted is not None:
        yield picture(
            f"{part}-map",
            space.draw_chart(charted),
            "Best validation accuracy by learning rate and batch size.",
            "Best validation accuracy (%) by learning rate and batch size; empty cells were not "
            "tried, or no trial there completed.",
            _chart_data(charted),
        )


def _chart_data(chart: space.Chart) -> str:
    return to_csv(
        (
            ("learning rate", "batch size", "best validation accuracy", "trials"),
            [
                (" ".join(rate.split()), size, chart.best[row, column], chart.trials[row, column])
                for row, size in enumerate(chart.batches)
                for column, rate in enumerate(chart.rates)
            ],
        )
    )


def choice(found: SearchResult, part: str) -> Iterator[Picture]:
    """Draw what the best trials reach when trained again."""
    if found.choice is None:
        return
    reached = {t.id: t.validation_accuracy or 0.0 for t in found.trials}
    yield picture(
        f"{part}-choice",
        history.draw_choice(found.choice, reached),
        f"The best {len(found.choice.candidates)} trials, in the search and trained again "
        f"{found.choice.seeds} times.",
        "What the best trials reached in the search, and when trained again with new seeds; the "
        "band is the 95 % t interval of the mean. The chosen one is bold.",
    )
