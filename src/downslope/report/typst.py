"""Blocks as a PDF to print and hand in, set by typst; nothing that comes from data is ever code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

import matplotlib

from downslope.report.blocks import Block, Document, Section, Text, spans
from downslope.report.display import Drawing
from downslope.report.equations import equation
from downslope.report.rendering import render

Paper = Literal["a4", "letter"]

_PAPERS = {"a4": "a4", "letter": "us-letter"}
_STYLES = {"strong": "strong", "code": "mono", "sub": "sub", "sup": "super"}


def render_source(
    document: Document,
    drawings: Mapping[str, Drawing],
    paper: Paper = "a4",
    *,
    handin: bool = False,
) -> str:
    """Set a document as typst source.

    One to hand in has its own numbers in its headings, code set close, and no contents.
    """
    head = ", ".join(_content(text) for text in (document.title, document.lead))
    start = [f"#masthead({head})", _rendered(document.top, drawings)]
    start.append("#outline(depth: 1, title: none)")
    if handin:
        start = ["#show: close", f"#masthead({head}, label: [hand-in])"]
    return "\n".join(
        [
            '#import "print.typ": *',
            f"#show: report.with(title: {quoted(document.title)}, paper: {quoted(_PAPERS[paper])})",
            *start,
            *(render_section(section, drawings) for section in document.sections),
        ]
    )


def render_section(section: Section, drawings: Mapping[str, Drawing]) -> str:
    """Set a section as typst source."""
    return f"\n= {_text(section.title)}\n{_rendered(section.blocks, drawings)}"


def quoted(text: str) -> str:
    """Write text as a string of typst's code.

    >>> print(quoted('#eval("x") \\\\ $'))
    "#eval(\\"x\\") \\\\ $"
    """
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in safe) + '"'


def _text(text: Text) -> str:
    """Write text in typst's markup as the text that it is.

    >>> print(_text("*bold* #pagebreak()"))
    #"*bold* #pagebreak()";
    """
    return "".join(
        f"#{_STYLES[span.style]}[#{quoted(span.text)};];"
        if span.style
        else f"#{quoted(span.text)};"
        for span in spans(text)
    )


def _content(text: Text) -> str:
    return f"[{_text(text)}]"


def _rendered(blocks: Sequence[Block], drawings: Mapping[str, Drawing]) -> str:
    filters = {"markup": _text, "content": _content, "quoted": quoted, "equation": _equation}
    return render(blocks, "blocks.typ", filters, drawings)


def _equation(latex: str) -> str:
    """Show an equation as its drawing; what cannot be typeset, as LaTeX."""
    picture = equation(latex)
    if picture is None:
        return f"raw({quoted(latex)})"
    return f"image(bytes({quoted(picture)}), alt: {quoted(latex)})"


def compile_source(source: str, drawings: Mapping[str, Drawing]) -> bytes:
    """Make the PDF of typst source.

    The first attempt is PDF/UA-1, for readers who listen, with fonts that come with typst and
    matplotlib: the same bytes on every machine. Text that these fonts lack is then set with the
    machine's own.
    """
    import typst

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "figures").mkdir()
        for drawing in drawings.values():
            (folder / "figures" / f"{drawing.name}.svg").write_text(drawing.svg, "utf-8")
        look = resources.files("downslope.report") / "templates" / "print.typ"
        (folder / "print.typ").write_text(look.read_text("utf-8"), "utf-8")
        (folder / "document.typ").write_text(source, "utf-8")
        for system_fonts in (False, True):
            try:
                pdf, _ = typst.compile_with_warnings(
                    folder / "document.typ",
                    root=folder,
                    font_paths=[fonts],
                    ignore_system_fonts=not system_fonts,
                    format="pdf",
                    pdf_standards=[] if system_fonts else ["ua-1"],
                    timestamp=0,
                )
            except typst.TypstError:
                if system_fonts:
                    raise
            else:
                assert isinstance(pdf, bytes)
                return pdf
    raise AssertionError("the second attempt returns or raises")
