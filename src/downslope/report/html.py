"""Blocks as a page: one file that asks for nothing from anywhere."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

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
    words,
)
from downslope.report.display import Drawing, Source, write_figures
from downslope.report.equations import equation
from downslope.report.interactive import scenes_json
from downslope.report.style import inline
from downslope.runs import Run

_TAGS = {"strong": "strong", "code": "code", "sub": "sub", "sup": "sup"}
_LONG = 44
"""Letters of a cell that may take several lines."""


def write_page(run: Run, name: str, document: Document) -> None:
    """Write a page and its figures into a directory.

    Raises:
        InputError: the directory cannot be written.
    """
    drawings = write_figures(run, document.displays())
    run.write(name, render_page(document, drawings).encode())


def render_page(document: Document, drawings: Mapping[str, Drawing]) -> str:
    """Set a page.

    Args:
        document: what it says.
        drawings: of its displays, by name.
    """
    scenes = [s for b in document.blocks() if isinstance(b, Interactive) for s in b.scenes]
    environment = Environment(
        loader=PackageLoader("downslope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = ["saving.js", "explore.js", *(["landscape.js"] if scenes else [])]
    data = json.dumps({name: drawing.csv for name, drawing in drawings.items()})
    return environment.get_template("page.html").render(
        document=document,
        top=_rendered(document.top, drawings),
        bodies=[_rendered(section.blocks, drawings) for section in document.sections],
        style=_asset("page.css"),
        theme_script=_asset("theme.js"),
        script=Markup("\n").join(map(_asset, scripts)),
        data_packed=_packed(data),
        # Escaped there, for its place in a script element.
        landscape_json=Markup(scenes_json(scenes)) if scenes else None,
        plotly=_packed(get_plotlyjs()) if scenes else None,
    )


def render_section(section: Section, drawings: Mapping[str, Drawing]) -> Markup:
    """Set the blocks of a section alone."""
    return _rendered(section.blocks, drawings)


def _asset(name: str) -> Markup:
    """Read a style sheet or a script of ours, which goes into the page as it is."""
    return Markup((resources.files("downslope.report") / "templates" / name).read_text("utf-8"))


def _packed(text: str) -> Markup:
    """Compress text for a script element, to be unpacked by the browser when needed."""
    return Markup(base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode())


def _text(text: Text) -> Markup:
    parts = [
        Markup("<{0}>{1}</{0}>").format(Markup(_TAGS[span.style]), span.text)
        if span.style
        else escape(span.text)
        for span in spans(text)
    ]
    return Markup("").join(parts)


def _rendered(blocks: Sequence[Block], drawings: Mapping[str, Drawing]) -> Markup:
    return Markup("\n").join(_block(block, drawings) for block in blocks)


def _block(block: Block, drawings: Mapping[str, Drawing]) -> Markup:
    match block:
        case Heading(text):
            return Markup("<h3>{}</h3>").format(text)
        case Paragraph(text, kind):
            return Markup('<p class="{}">{}</p>').format(kind, _text(text))
        case Cards(facts):
            return _element("div", "cards", (_card(*fact) for fact in facts))
        case Facts(rows):
            pair = Markup("<dt>{}</dt><dd>{}</dd>")
            return _element("dl", "", (pair.format(name, _text(text)) for name, text in rows))
        case Figures(displays):
            figures = [_figure(drawings[one.name], one.source) for one in displays]
            return _element("div", "figures", figures)
        case Interactive():
            return _interactive(block)
        case Table():
            return _table(block)
        case Finder(part, trials):
            return _asset("finder.html").format(part=part, trials=trials)
        case Equation(latex, between, second):
            tail = Markup('<span class="but">{}</span>{}').format(between, _equation(second))
            return _element("div", "formula", [_equation(latex), tail if second else Markup()])
        case Code(text, language):
            return Markup('<pre class="{}"><code>{}</code></pre>').format(language, text)
        case Items(items, numbered):
            titled = Markup('<li><p class="item">{}</p>{}</li>')
            rows = (titled.format(_text(i.title), _rendered(i.blocks, drawings)) for i in items)
            return _element("ol" if numbered else "ul", "items", rows)
        case Details(summary, blocks):
            body = _rendered(blocks, drawings)
            folded = Markup("<details><summary>{}</summary>\n{}\n</details>")
            return folded.format(summary, body)
        case Columns(columns):
            cells = [_element("div", "", [_rendered(column, drawings)]) for column in columns]
            return _element("div", "columns", cells)


def _element(tag: str, name: str, parts: Sequence[Markup] | object) -> Markup:
    body = Markup("\n").join(parts)  # type: ignore[arg-type]
    start = Markup('<{} class="{}">' if name else "<{}>").format(Markup(tag), name)
    return start + "\n" + body + Markup("\n</{}>").format(Markup(tag))


def _hint(source: Source | None) -> Markup:
    """Say on hover where numbers come from; the closing list says it too."""
    if source is None:
        return Markup()
    return Markup(' title="{}: {}"').format(source.place, source.how)


def _card(label: str, value: str, note: str, source: Source, *_: str) -> Markup:
    return Markup(
        '<div class="card"{}><p class="label">{}</p><p class="value">{}</p>'
        '<p class="note">{}</p></div>'
    ).format(_hint(source), label, value, note)


def _figure(drawing: Drawing, source: Source) -> Markup:
    return Markup(
        '<figure data-figure="{}">\n<p class="asks">{}</p>\n'
        '<div class="drawing">{}</div>\n<figcaption{}>{}</figcaption>\n</figure>'
    ).format(
        drawing.name,
        drawing.title,
        inline(drawing.svg, drawing.name, drawing.alt),
        _hint(source),
        drawing.caption,
    )


def _equation(latex: str) -> Markup:
    picture = equation(latex)
    if picture is None:
        return Markup('<code class="equation">{}</code>').format(latex)
    return inline(picture, "equation", latex)


def _interactive(block: Interactive) -> Markup:
    return _asset("interactive.html").format(caption=block.caption)


def _table(table: Table) -> Markup:
    heads = [
        Markup('<th scope="col"{}>{}</th>').format(_class("number" if numeric else ""), heading)
        for heading, numeric in table.columns
    ]
    rows: list[Markup] = []
    for row in table.rows:
        cells: list[Markup] = []
        for column, cell in zip(table.columns, row.cells, strict=True):
            kind = "number" if column.numeric else "long" if len(words(cell)) > _LONG else ""
            cells.append(Markup("<td{}>{}</td>").format(_class(kind), _text(cell)))
        trial = Markup(' data-trial="{}" data-about="{}"').format(row.trial, row.about)
        start = Markup("<tr{}{}>").format(_class(row.mark), trial if row.trial else "")
        rows.append(start + Markup("").join(cells) + Markup("</tr>"))
    return Markup(
        '<div class="titled">\n<p class="caption"{}>{}</p>\n'
        '<div class="table{}" tabindex="0" role="region" aria-label="{}">\n'
        '<table aria-label="{}"{}>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody>\n'
        "</table>\n</div>\n</div>"
    ).format(
        _hint(table.source),
        table.caption,
        " tall" if table.tall else "",
        table.caption,
        table.caption,
        _class("sortable" if table.sortable else ""),
        Markup("").join(heads),
        Markup("\n").join(rows),
    )


def _class(name: str) -> Markup:
    return Markup(' class="{}"').format(name) if name else Markup()
