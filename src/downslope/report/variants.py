"""The variants section: which variant is best, and whether it beats the baseline on test data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from downslope.report import statements
from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Columns, Details, Figures, Finder, Paragraph, strong
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import plural
from downslope.report.scores import Scores
from downslope.report.statements import standing
from downslope.report.style import INDIGO, MUTED, TEAL, row_panel, trial_mark
from downslope.report.trials import candidate_table, choice, colour, trial_table, varied, word
from downslope.results import Results
from downslope.search import RefitResult, SearchResult

MOST = 8
"""Variants in the ranking; the table has all."""


@dataclass(frozen=True)
class Ranking(Display):
    """The validation accuracies of the best variants."""

    search: SearchResult
    name = "variants-validation"
    title = "Which variant did best on validation data?"
    source = Source("results.json: variants.search.trials", "after the last epoch of each trial")

    def frame(self) -> Frame:
        completed = [trial for trial in self.search.trials if trial.validation_accuracy is not None]
        best = sorted(completed, key=lambda trial: -(trial.validation_accuracy or 0.0))[:MOST]
        return Frame(("trial", "variant", "standing", "validation accuracy"), [
            (
                *(trial.id, ", ".join(statements.parts(trial))),
                *(standing(self.search, trial.id), trial.validation_accuracy),
            )
            for trial in best
        ])  # fmt: skip

    def draw(self, frame: Frame) -> Figure:
        names = [_folded(f"{trial}: {variant}") for trial, variant, *_ in frame.rows]
        height = 0.8 + 0.37 * len(frame)
        figure, axes = row_panel("validation accuracy (%)", names, height=height)
        for row, (trial, _, name, accuracy) in enumerate(frame.rows):
            tone = colour(name, frame) if name else MUTED
            size = 8 if name else 6
            axes.plot(100 * accuracy, row, "o", color=tone, ms=size, gid=trial_mark([trial]))
            axes.annotate(
                f"{100 * accuracy:.2f} {name}".rstrip(),
                (100 * accuracy, row),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=9.6,
                fontweight="bold" if name == "best and chosen" or tone == INDIGO else "normal",
            )
        low, high = axes.get_xlim()
        axes.set_xlim(low, high + 0.4 * (high - low))
        return figure

    def texts(self) -> Texts:
        trials = self.search.trials
        completed = sum(trial.validation_accuracy is not None for trial in trials)
        variants = plural(completed, "variant")
        if completed < len(trials):
            variants += " that completed"
        best = f"the {MOST} best of {variants}" if completed > MOST else variants
        return Texts(
            f"Validation accuracy of {best} in the search, by trial and network; the chosen one "
            "in bold.",
            f"Validation accuracy of {best}; {statements.led(self.search)}.",
        )


def _folded(text: str) -> str:
    """Set a variant's name in two lines.

    >>> _folded("2×64, relu, batch norm, dropout 0.2")
    '2×64, relu,\\nbatch norm, dropout 0.2'
    """
    parts = text.split(", ")
    return text if len(parts) < 3 else f"{', '.join(parts[:2])},\n{', '.join(parts[2:])}"


@dataclass(frozen=True)
class VariantScores(Scores):
    """The test accuracies of the baseline and of the chosen variant by seed."""

    refits: Mapping[str, RefitResult]
    name = "variants-test"
    title = "Does the variant beat the baseline on test data?"
    source = Source(
        "results.json: refit.test_accuracy and variants.refit.test_accuracy",
        "by seed; their mean with its 95 % interval, by interval_method",
    )

    def mark(self, name: str) -> tuple[str, str]:
        return (TEAL, "s") if name == "baseline" else (INDIGO, "o")


def _against(baseline: RefitResult | None, variant: RefitResult | None) -> str:
    """Name all that sets the variant apart from the baseline, whatever the variants tried."""
    if baseline is None or variant is None:
        return ""
    before, after = statements.fields(baseline), statements.fields(variant)
    changed = [name for name, value in after.items() if value != before[name]]
    names = ["hidden layers" if name == "widths" else word(name) for name in changed]
    return f"; the variant differs from it in {', '.join(names)}" if names else ""


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    variants = results.variants
    assert variants is not None
    search, refit, comparison = variants.search, variants.refit, variants.comparison
    names = ", ".join(map(word, varied(search.trials))) or "nothing"
    left: list[Block] = [Paragraph(f"Variants differ in {names}. {statements.searched(search)}")]
    if search.choice is not None:
        left.append(Paragraph(choice(search)))
    if refit is not None:
        left.append(Paragraph(statements.final(results, "variants")))
        left += [Paragraph(line, "warning") for line in refit.stopped]
    if comparison is not None:
        kinds: Any = {"better": "good", "worse": "bad"}
        verdict = ["Verdict: ", strong(statements.verdict(comparison)), "."]
        left.append(Paragraph(verdict, kinds.get(comparison.verdict, "open")))
        small = (
            "A verdict requires an interval that excludes zero. The baseline is the final model"
            f"{_against(results.refit, refit)}."
        )
        if comparison.paired is not None:
            small += f" {statements.paired(comparison.paired)}"
        left.append(Paragraph(small, "small"))
    displays: list[Display] = []
    if refit is not None and refit.test_accuracy is not None:
        baseline = {} if results.refit is None else {"baseline": results.refit}
        displays.append(VariantScores({**baseline, "chosen variant": refit}))
    if search.best is not None:
        displays.append(Ranking(search))
    yield Columns([left, [Figures(displays)]] if displays else [left])
    if not search.trials:
        return
    yield Finder("variants", len(search.trials))
    yield trial_table(search, "variants")
    if search.choice is not None:
        yield Details("The best variants retrained", [candidate_table(search, "variants")])
