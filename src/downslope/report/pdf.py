"""The report as a PDF to print and hand in, set by typst from the files of a run alone."""

from __future__ import annotations

import tempfile
from importlib import import_module, resources
from pathlib import Path
from typing import Literal

import matplotlib
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from downslope.errors import InputError
from downslope.report import statements, wording
from downslope.report.figures.theory import NAMES
from downslope.report.gallery import Arrays, arrays, gallery
from downslope.report.page import OWN, cards
from downslope.report.picture import Picture
from downslope.report.published import published_table
from downslope.report.sections import autoencoder, landscape, refit, theory, trials
from downslope.report.snippets import snippets
from downslope.report.sources import Sources
from downslope.report.summary import theory_verdict
from downslope.report.typesetting import cell, mathematics, quoted, sentence, shown
from downslope.results import Results
from downslope.runs import Manifest, Run
from downslope.stages import STAGES
from downslope.theory import ASSUMPTIONS
from downslope.toml import write_toml

Paper = Literal["a4", "letter"]

_SECTIONS = {
    "theory": theory,
    "trials": trials,
    "refit": refit,
    "landscape": landscape,
    "autoencoder": autoencoder,
}


def write_pdf(run: Run, paper: Paper = "a4", pictures: dict[str, Picture] | None = None) -> Path:
    """Write `report.pdf` of a run from its files, and return its path.

    Nothing is trained and no model is loaded; the same run gives the same bytes.

    Args:
        run: its directory.
        paper: its size.
        pictures: from `gallery`, where they were drawn already.

    Raises:
        InputError: typst is not installed; the directory holds no run, or cannot be written.
    """
    _check_typst()
    results = run.read_results()
    data = arrays(run, results)
    drawn = gallery(results, data) if pictures is None else pictures
    text = document(results, run.read_manifest(), drawn, data, paper)
    drawings = {name: picture.drawing for name, picture in drawn.items()}
    run.write("report.pdf", compile_document(text, drawings))
    return run.path / "report.pdf"


def _check_typst() -> None:
    try:
        import_module("typst")
    except ImportError:
        raise InputError(
            "report: PDF needs typst, which is not installed; pip install 'downslope[pdf]'"
        ) from None


def document(
    results: Results,
    manifest: Manifest | None,
    pictures: dict[str, Picture],
    data: Arrays,
    paper: Paper = "a4",
) -> str:
    """Set the document as typst source.

    Args:
        results: of the run.
        manifest: of the run; None where it has none yet.
        pictures: from `gallery`.
        data: the run's arrays.
        paper: its size.
    """
    environment = Environment(
        loader=PackageLoader("downslope.report"),
        # Markup is typst's here: all else becomes a string of typst's, so that no text from data
        # is ever read as markup.
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {"quoted": quoted, "sentence": sentence, "cell": cell, "code": _code}
    )
    found = results.theory
    steps = [] if found is None else found.steps
    examples = [] if found is None else found.counterexamples
    named = dict.fromkeys(name for step in steps for name in step.assumptions)
    files = {} if manifest is None else manifest.files
    return environment.get_template("document.typ").render(
        title=results.recipe.title,
        paper={"a4": "a4", "letter": "us-letter"}[paper],
        results=results,
        manifest=manifest,
        files={name: digest for name, digest in files.items() if not name.startswith(OWN)},
        cards=cards(results),
        pictures=pictures,
        arrays=data,
        missing=[stage for stage in STAGES if getattr(results, stage) is None],
        sections=_SECTIONS,
        wording=wording,
        statements=statements,
        equations=[equation(step.statement, display=True) for step in steps],
        claims=[(equation(one.claimed), equation(one.found)) for one in examples],
        step_numbers={step.name: i + 1 for i, step in enumerate(steps)},
        initializations=NAMES,
        assumptions={name: ASSUMPTIONS.get(name, "") for name in named},
        verdicts=theory_verdict(results) if found is not None else "",
        snippets=snippets(results),
        published=published_table(results),
        sources=Sources(results).table(),
        recipe=write_toml(results.recipe),
    )


def _finalized(value: object) -> Markup:
    return value if isinstance(value, Markup) else shown(value)


def _code(word: str | int | float) -> Markup:
    """Let a word of ours through as typst's code."""
    return Markup(str(word))


def equation(statement: str, *, display: bool = False) -> Markup:
    """Write an equation in LaTeX as typst's code; what cannot be translated is shown as LaTeX.

    Args:
        statement: in LaTeX.
        display: on a line of its own.

    >>> print(equation("x"))
    math.equation(block: false, alt: "x", $ x $.body)
    """
    source = quoted(statement)
    try:
        body = mathematics(statement)
    except ValueError:
        return Markup(f"raw({source})")
    return Markup(f"math.equation(block: {str(display).lower()}, alt: {source}, $ {body} $.body)")


def compile_document(text: str, drawings: dict[str, str]) -> bytes:
    """Make the PDF of typst source.

    The first attempt is PDF/UA-1, for readers who listen, with fonts that come with typst and
    matplotlib: the same bytes on every machine. Text that these fonts lack is then set with the
    machine's own.

    Args:
        text: the source.
        drawings: its figures as SVG, by name.
    """
    import typst

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "figures").mkdir()
        for name, drawing in drawings.items():
            (folder / "figures" / f"{name}.svg").write_text(drawing, "utf-8")
        look = resources.files("downslope.report") / "templates" / "print.typ"
        (folder / "print.typ").write_text(look.read_text("utf-8"), "utf-8")
        (folder / "document.typ").write_text(text, "utf-8")
        for foreign in (False, True):
            try:
                made_of, _ = typst.compile_with_warnings(
                    folder / "document.typ",
                    root=folder,
                    font_paths=[fonts],
                    ignore_system_fonts=not foreign,
                    format="pdf",
                    pdf_standards=[] if foreign else ["ua-1"],
                    timestamp=0,
                )
            except typst.TypstError:
                if foreign:
                    raise
            else:
                assert isinstance(made_of, bytes)
                return made_of
    raise AssertionError("the second attempt returns or raises")
