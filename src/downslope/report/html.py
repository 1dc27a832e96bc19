"""Blocks as a page: one file that asks for nothing from anywhere."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from importlib import resources

from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from downslope.report.blocks import Block, Document, Interactive, Section, Text, spans, words
from downslope.report.display import Drawing, write_figures
from downslope.report.equations import equation
from downslope.report.interactive import scenes_json
from downslope.report.rendering import environment, render
from downslope.report.style import inline
from downslope.runs import Run


def write_page(run: Run, name: str, document: Document) -> None:
    """Write a page and its figures into a directory.

    Raises:
        InputError: the directory cannot be written.
    """
    drawings = write_figures(run, document.displays())
    run.write(name, render_page(document, drawings).encode())


def render_page(document: Document, drawings: Mapping[str, Drawing]) -> str:
    """Set a page."""
    scenes = [s for b in document.blocks() if isinstance(b, Interactive) for s in b.scenes]
    scripts = ["saving.js", "explore.js", *(["landscape.js"] if scenes else [])]
    data = json.dumps({name: drawing.csv for name, drawing in drawings.items()})
    return (
        environment(autoescape=True)
        .get_template("page.html")
        .render(
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
    )


def render_section(section: Section, drawings: Mapping[str, Drawing]) -> str:
    """Set the blocks of a section alone."""
    return _rendered(section.blocks, drawings)


def _asset(name: str) -> Markup:
    """Read a style sheet or a script of ours, which goes into the page as it is."""
    return Markup((resources.files("downslope.report") / "templates" / name).read_text("utf-8"))


def _packed(text: str) -> Markup:
    """Compress text for a script element, to be unpacked by the browser when needed."""
    return Markup(base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode())


def _rendered(blocks: Sequence[Block], drawings: Mapping[str, Drawing]) -> str:
    filters = {"spans": _spans, "words": words, "inline": inline, "equation": _equation}
    return render(blocks, "blocks.html", filters, drawings)


def _spans(text: Text) -> Markup:
    parts = [
        Markup("<{0}>{1}</{0}>").format(Markup(span.style), span.text)
        if span.style
        else escape(span.text)
        for span in spans(text)
    ]
    return Markup("").join(parts)


def _equation(latex: str) -> Markup:
    picture = equation(latex)
    if picture is None:
        return Markup('<code class="equation">{}</code>').format(latex)
    return inline(picture, "equation", latex)
