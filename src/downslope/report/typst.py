"""Blocks as a PDF to print and hand in, set by typst; nothing that comes from data is ever code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module, resources
from pathlib import Path
from typing import Literal

import matplotlib

from downslope.errors import InputError
from downslope.report.blocks import (
    Block,
    Cards,
    Code,
    Columns,
    Details,
    Document,
    Equation,
    Facts,
    Figures,
    Finder,
    Heading,
    Interactive,
    Items,
    Paragraph,
    Section,
    Table,
    Text,
    spans,
)
from downslope.report.display import Display, Drawing
from downslope.report.equations import equation

Paper = Literal["a4", "letter"]

_PAPERS = {"a4": "a4", "letter": "us-letter"}
_STYLES = {"strong": "strong", "code": "mono", "sub": "sub", "sup": "super"}


def check_typst() -> None:
    """Check that typst is there.

    Raises:
        InputError: it is not; the message says what to install.
    """
    try:
        import_module("typst")
    except ImportError:
        raise InputError(
            "report: PDF needs typst, which is not installed; pip install 'downslope[pdf]'"
        ) from None


def render_source(document: Document, drawings: Mapping[str, Drawing], paper: Paper = "a4") -> str:
    """Set a document as typst source.

    Args:
        document: what it says.
        drawings: of its displays, by name.
        paper: its size.
    """
    setup = f"title: {quoted(document.title)}, paper: {quoted(_PAPERS[paper])}"
    return "\n".join(
        [
            '#import "print.typ": *',
            f"#show: report.with({setup})",
            f"#masthead({_content(document.title)}, {_content(document.lead)})",
            _rendered(document.top, drawings),
            "#outline(depth: 1, title: none)",
            *(render_section(section, drawings) for section in document.sections),
        ]
    )


def render_handin(document: Document, drawings: Mapping[str, Drawing], paper: Paper = "a4") -> str:
    """Set a document to hand in: its headings bear their own numbers, and code is set close.

    Args:
        document: what it says.
        drawings: of its displays, by name.
        paper: its size.
    """
    setup = f"title: {quoted(document.title)}, paper: {quoted(_PAPERS[paper])}"
    head = ", ".join(_content(text) for text in (document.title, document.lead))
    return "\n".join(
        [
            '#import "print.typ": *',
            f"#show: report.with({setup})",
            "#show: close",
            f"#masthead({head}, label: [hand-in])",
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
    return "\n\n".join(filter(None, (_block(block, drawings) for block in blocks)))


def _call(name: str, *arguments: str) -> str:
    return f"#{name}({', '.join(arguments)})"


def _array(parts: Sequence[str]) -> str:
    return f"({''.join(f'{part}, ' for part in parts)})"


def _block(block: Block, drawings: Mapping[str, Drawing]) -> str:
    match block:
        case Heading(text):
            return f"== {_text(text)}"
        case Paragraph(text, kind):
            return _call("paragraph", _content(text), quoted(kind))
        case Cards(facts):
            cards = [f"({', '.join(map(_content, fact[:3]))})" for fact in facts]
            return _call("cards", _array(cards))
        case Facts(rows):
            cells = [_content(cell) for row in rows for cell in row]
            return _call("facts", *cells)
        case Figures(displays):
            return _figures(displays, drawings)
        case Interactive(_, displays, caption):
            shown = _figures(displays, drawings)
            return f"{shown}\n\n{_call('paragraph', _content(caption), quoted('small'))}"
        case Table():
            return _table(block)
        case Finder():
            return ""
        case Equation(latex, between, second):
            if not second:
                return _call("block", _equation(latex))
            return _call("claim", _equation(latex), _content(between), _equation(second))
        case Code(text, language):
            kind = quoted(language) if language else "none"
            return _call("raw", quoted(text), "block: true", f"lang: {kind}")
        case Items(items, numbered):
            rows = [
                f"({_content(item.title)}, [{_rendered(item.blocks, drawings)}])" for item in items
            ]
            return _call("items", _array(rows), f"numbered: {str(numbered).lower()}")
        case Details(summary, blocks):
            return f"== {_text(summary)}\n\n{_rendered(blocks, drawings)}"
        case Columns(columns, on_paper):
            cells = [_rendered(column, drawings) for column in columns]
            if on_paper:
                return _call("beside", *(f"[{cell}]" for cell in cells))
            return "\n\n".join(cells)


def _figures(displays: Sequence[Display], drawings: Mapping[str, Drawing]) -> str:
    """Set figures in pairs."""
    cells: list[str] = []
    for display in displays:
        drawing = drawings[display.name]
        file = quoted(f"figures/{drawing.name}.svg")
        caption = f"[#strong[{_text(drawing.title)}] {_text(drawing.caption)}]"
        cells.append(f"({file}, {quoted(drawing.alt)}, {caption})")
    return "\n".join(_call("pair", *cells[i : i + 2]) for i in range(0, len(cells), 2))


def _table(table: Table) -> str:
    heads = [
        f"({_content(heading)}, {'right' if numeric else 'left'})"
        for heading, numeric in table.columns
    ]
    rows = [
        f"({quoted(row.mark)}, {_array([_content(cell) for cell in row.cells])})"
        for row in table.rows
    ]
    return _call("listing", _content(table.caption), _array(heads), _array(rows))


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

    Args:
        source: from `render_source`.
        drawings: its figures, by name.
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
