"""The report of a run, put together from its sections, and written as a page and as a PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from downslope.report import (
    autoencoder,
    headline,
    landscape,
    provenance,
    refit,
    regression,
    search,
    theory,
    variants,
)
from downslope.report.arrays import Arrays, arrays
from downslope.report.blocks import (
    Block,
    Cards,
    Code,
    Columns,
    Document,
    Figures,
    Paragraph,
    Section,
)
from downslope.report.display import write_figures
from downslope.report.html import render_page
from downslope.report.terrain import Surface
from downslope.report.typst import Paper, compile_source, render_source
from downslope.results import Results
from downslope.runs import Manifest, Run

SECTIONS: Sequence[tuple[str, str, str, Callable[[Results, Arrays], Iterator[Block]]]] = (
    ("refit", "Final model", "The final training did not run.", refit.blocks),
    ("search", "Search", "The search did not run.", search.blocks),
    ("variants", "Variants", "The variants stage did not run.", variants.blocks),
    ("landscape", "Landscape", "The landscape stage did not run.", landscape.blocks),
    ("autoencoder", "Autoencoder", "The autoencoder stage did not run.", autoencoder.blocks),
    ("theory", "Theory", "The theory stage did not run.", theory.blocks),
)
"""In the order of the page: stage, title, what is said where it did not run, and its blocks."""


def write_report(run: Run, formats: Sequence[str] = ("html",), paper: Paper = "a4") -> list[Path]:
    """Write the report of a run and `figures/` from its files, and return the reports' paths.

    Nothing is trained and no model is loaded; the same run gives the same bytes.

    Args:
        run: its directory.
        formats: "html", "pdf" or both.
        paper: the size of the PDF's pages.

    Raises:
        InputError: the directory holds no run, or cannot be written.
    """
    results = run.read_results()
    document = compose(results, run.read_manifest(), arrays(run, results))
    drawings = write_figures(run, document.displays())
    if "html" in formats:
        run.write("report.html", render_page(document, drawings).encode())
    if "pdf" in formats:
        source = render_source(document, drawings, paper)
        run.write("report.pdf", compile_source(source, drawings))
    return [run.path / f"report.{name}" for name in formats]


def compose(results: Results, manifest: Manifest | None, arrays: Arrays) -> Document:
    """Put the report of a run together."""
    own = regression.SECTIONS if results.data.task == "regression" else {}
    sections = [
        Section(stage, title, [Paragraph(absent, "small")])
        if getattr(results, stage) is None
        else Section(stage, title, list(own.get(stage, blocks)(results, arrays)))
        for stage, title, absent, blocks in SECTIONS
    ]
    top = list(_first_screen(results, arrays))
    shown = [*top, *(block for section in sections for block in section.blocks)]
    sections.append(provenance.provenance(results, manifest, shown))
    version = "" if manifest is None else f" {manifest.downslope}"
    return Document(
        headline.title(results),
        headline.lead(results),
        top,
        sections,
        f"Made by downslope{version} from the files of one run; nothing was trained to make this "
        "report.",
    )


def _first_screen(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield what was trained, how good it is, its landscape, and the configuration to copy."""
    left: list[Block] = [
        Paragraph(headline.answer(results), "answer"),
        Cards(headline.headline(results)),
    ]
    if absent := headline.missing(results):
        left.append(Paragraph(f"Not run: {', '.join(absent)}.", "small"))
    right: list[Block] = []
    if results.landscape is not None and arrays.surface is not None:
        right.append(Figures([Surface(results.landscape, arrays.surface)]))
    best = headline.best(results)
    if best is not None:
        name, refit = best
        text = f"The configuration best on validation data ({name}), to copy into a recipe"
        right += [Paragraph(text, "small"), Code(headline.configuration(refit), "toml")]
    yield Columns([left, right])
