"""Figures and pages for a notebook: what an object's `figures`, `interactive`, `report` show.

Objects find this module by name (`downslope.showing`), for they stand left of the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from html import escape

from downslope.errors import InputError
from downslope.landscape import Landscape, LandscapeResult
from downslope.report import search
from downslope.report.arrays import arrays
from downslope.report.blocks import Block, Document, Interactive
from downslope.report.display import Display, draw_all
from downslope.report.document import compose
from downslope.report.html import render_page
from downslope.report.interactive import Scene
from downslope.report.landscape import landscape_blocks
from downslope.runs import Run
from downslope.search import SearchResult


@dataclass(frozen=True, slots=True)
class InlinePage:
    """A whole page within the output of a notebook's cell, apart from all others.

    Args:
        html: the page; it asks for nothing from anywhere.
        height: of its frame, in pixels.
    """

    html: str
    height: int = 640

    def __repr__(self) -> str:
        return f"<InlinePage {len(self.html):,} characters>"

    def _repr_html_(self) -> str:
        # Its own document: ids, style sheets and scripts of several pages do not meet.
        return (
            f'<iframe srcdoc="{escape(self.html)}" height="{self.height}" '
            'style="width: 100%; border: 0" loading="lazy" title="downslope"></iframe>'
        )


@singledispatch
def figures(shown: object) -> dict[str, Display]:
    """Name the figures of an object; without the section, which is the object itself."""
    raise InputError(f"figures: the report has none of {type(shown).__name__}")


@figures.register
def _(shown: Landscape) -> dict[str, Display]:
    surface = shown.arrays()
    blocks = list(landscape_blocks(shown.result, surface, [_scene(shown)]))
    return _within("landscape", _displays(blocks))


@figures.register
def _(shown: LandscapeResult) -> dict[str, Display]:
    return _within("landscape", _displays(list(landscape_blocks(shown, None, []))))


@figures.register
def _(shown: SearchResult) -> dict[str, Display]:
    return _within("search", {display.name: display for display in search.displays(shown)})


@figures.register
def _(shown: Run) -> dict[str, Display]:
    return {display.name: display for display in _document(shown).displays()}


def report(run: Run) -> InlinePage:
    """Set the report of a run."""
    document = _document(run)
    return InlinePage(render_page(document, draw_all(document.displays())), height=800)


def interactive(landscape: Landscape) -> InlinePage:
    """Set a landscape to turn and walk through, alone."""
    blocks = landscape_blocks(landscape.result, landscape.arrays(), [_scene(landscape)])
    shown = [block for block in blocks if isinstance(block, Interactive)]
    return InlinePage(render_page(Document("", "", shown, []), {}))


def _document(run: Run) -> Document:
    results = run.read_results()
    return compose(results, run.read_manifest(), arrays(run, results))


def _scene(landscape: Landscape) -> Scene:
    return Scene(landscape.result.module, landscape.result, landscape.arrays())


def _displays(blocks: list[Block]) -> dict[str, Display]:
    return {display.name: display for display in Document("", "", blocks, []).displays()}


def _within(section: str, displays: dict[str, Display]) -> dict[str, Display]:
    return {name.removeprefix(f"{section}-"): display for name, display in displays.items()}
