"""A check as a page: what to mend, with the wrong and the right lines of each mistake."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.assignment.catalogue import Mistake, changed_lines
from downslope.assignment.grading import Rubric
from downslope.assignment.verdicts import SAID, Check, Verdict
from downslope.report.blocks import (
    Block,
    Code,
    Column,
    Columns,
    Document,
    Heading,
    Item,
    Items,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    code,
)
from downslope.report.html import render_page


def as_page(check: Check, rubric: Rubric) -> bytes:
    """Set a check as a page: what to mend first, with the wrong and the right line of each."""
    wrong = [verdict for verdict in check.verdicts if not verdict.right]
    table = Table(
        "What was found of each function",
        [Column("function", False), Column("found", False), Column("of"), Column("points")],
        [
            Row(
                [
                    [code(verdict.function)],
                    SAID[verdict.status],
                    f"{rubric.points.get(verdict.function, 0.0):g}",
                    f"{rubric.score(verdict):g}",
                ],
                "" if verdict.right else "fail",
            )
            for verdict in check.verdicts
        ],
    )
    top: list[Block] = [Paragraph(note, "warning") for note in check.notes]
    top.append(table)
    items = [Item([code(verdict.function)], list(_explained(verdict))) for verdict in wrong]
    explained: list[Block] = [Items(items, numbered=False)] if items else [
        Paragraph("Everything that was checked is right.", "good")
    ]  # fmt: skip
    right = len(check.verdicts) - len(wrong)
    lead = (
        f"{right} of {len(check.verdicts)} functions are right; "
        f"{rubric.total(check):g} of {rubric.most:g} points."
    )
    document = Document(
        f"{rubric.title}: {check.name}",
        lead,
        top,
        [Section("mend", "What to mend", explained)],
        "Made by downslope check: each function ran on small data and was compared with a plain "
        "PyTorch reference and with the mistakes of a catalogue.",
    )
    return render_page(document, {}).encode()


def _explained(verdict: Verdict) -> Iterator[Block]:
    for line in verdict.lines:
        yield Paragraph(line, "bad")
    for mistake in verdict.mistakes:
        yield Heading(f"Mistake {mistake.number}: {mistake.name}")
        yield Paragraph(_reason(mistake), "small")
        wrong, right = changed_lines(mistake)
        yield Columns(
            [
                [Paragraph("It behaves like this", "small"), Code(wrong, "python")],
                [Paragraph("It should behave like this", "small"), Code(right, "python")],
            ]
        )


def _reason(mistake: Mistake) -> Text:
    return f"{mistake.why} See {mistake.place}."
