"""The variants section: its figures with captions."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.report.figures import variants
from downslope.report.picture import Picture, picture
from downslope.report.sections.search import choice
from downslope.report.wording import percent
from downslope.results import Results


def pictures(results: Results) -> Iterator[Picture]:
    """Draw the search over variants, and its best beside the plain winner."""
    found = results.variants
    if found is None or not found.search.trials:
        return
    best = found.search.best
    ranked = variants.ranking(found.search)
    shown = "" if len(ranked) == len(found.search.trials) else f"{len(ranked)} best "
    yield from choice(found.search, "variants")
    yield picture(
        "variants-validation",
        variants.draw_ranking(ranked),
        f"Validation accuracy of {len(ranked)} of {len(found.search.trials)} variants"
        + (f"; best {percent(best.validation_accuracy)}." if best else "; none completed."),
        f"Validation accuracy of the {shown}variants"
        + (f", of {len(found.search.trials)}; the table has all." if shown else ", best first."),
    )
    own = None if found.refit is None else found.refit.test_accuracy
    plain = None if results.refit is None else results.refit.test_accuracy
    if own is not None:
        means = f"best variant {percent(own.mean)}"
        if plain is not None:
            means = f"plain winner {percent(plain.mean)}, {means}"
        yield picture(
            "variants-test",
            variants.draw_test(plain, own),
            f"Test accuracy by seed: {means}.",
            "Test accuracy of each seed (points), their mean (line) and its 95 % interval for "
            "the sampling of test examples (band).",
        )
