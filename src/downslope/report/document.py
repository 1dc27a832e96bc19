"""The report of a run, put together from its sections, and written as a page or a PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from downslope.report import landscape, refit, theory
from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Document, Paragraph, Section
from downslope.results import Results
from downslope.runs import Manifest

Blocks = Callable[[Results, Arrays], Iterator[Block]]

SECTIONS: Sequence[tuple[str, str, str, Blocks]] = (
    ("refit", "Final model", "The final training did not run.", refit.blocks),
    ("landscape", "Landscape", "The landscape stage did not run.", landscape.blocks),
    ("theory", "Theory", "The theory stage did not run.", theory.blocks),
)
"""Of each stage that has one: its name, its title, what is said where it did not run, its blocks;
in the order of the page."""


def compose(results: Results, manifest: Manifest | None, arrays: Arrays) -> Document:
    """Put the report of a run together.

    Args:
        results: of the run.
        manifest: of the run; None where it has none yet.
        arrays: of the run.
    """
    sections = [
        Section(stage, title, [Paragraph(absent, "small")])
        if getattr(results, stage) is None
        else Section(stage, title, list(blocks(results, arrays)))
        for stage, title, absent, blocks in SECTIONS
    ]
    return Document(str(results.recipe.get("title", "A downslope run")), "", [], sections)
