"""The variants section: its figures with captions."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.report.figures import variants
from downslope.report.picture import Picture, picture
from downslope.report.sections.search import choice
from downslope.report.statements import led
from downslope.report.wording import describe, percent
from downslope.results import Results


def pictures(results: Results) -> Iterator[Picture]:
    """Draw the search over variants, and the chosen one beside the plain winner."""
    found = results.variants
    if found is None or not found.search.trials:
        return
    ranked = variants.ranking(found.search)
    shown = "" if len(ranked) == len(found.search.trials) else f"{len(ranked)} best "
    yield from choice(found.search, "variants")
    yield picture(
        "variants-validation",
        variants.draw_ranking(ranked),
        f"Validation accuracy of {len(ranked)} of {len(found.search.trials)} variants; "
        f"{led(found.search)}.",
        f"Validation accuracy of the {shown}variants in the search"
        + (f", of {len(found.search.trials)}; the table has all." if shown else ", best first.")
        + " The chosen one is bold.",
    )
    refit, plain = found.refit, results.refit
    if refit is not None and refit.test_accuracy is not None:
        means = f"chosen variant ({describe(refit)}) {percent(refit.test_accuracy.mean)}"
        if plain is not None and plain.test_accuracy is not None:
            plain_mean = percent(plain.test_accuracy.mean)
            means = f"plain winner ({describe(plain)}) {plain_mean}, {means}"
        yield picture(
            "variants-test",
            variants.draw_test(plain and plain.test_accuracy, refit.test_accuracy),
            f"Test accuracy by seed: {means}.",
            "Test accuracy of each seed (points), their mean (line) and its 95 % interval for "
            f"the sampling of test examples (band): {means}.",
        )
