"""The page and the PDF say the same, and every figure shows what its CSV holds."""

import csv
import io
import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from downslope.report import html, typst
from downslope.report.arrays import arrays
from downslope.report.blocks import (
    Block,
    Columns,
    Details,
    Document,
    Interactive,
    Item,
    Items,
    Paragraph,
    Section,
)
from downslope.report.display import Drawing, draw_all, inert
from downslope.report.document import compose
from downslope.report.style import house_style, svg
from downslope.runs import Run

CONTROLS = {"finder", "controls", "save"}
SKIPPED = {"script", "style", "svg", "math"}


class PageWords(HTMLParser):
    """The words of a page in their order, without those of its controls, figures and equations."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[bool] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"br", "input", "image", "use", "path"}:
            classes = {*(dict(attrs).get("class") or "").split()}
            self.open.append(tag in SKIPPED or bool(classes & {*CONTROLS, "equation"}))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"br", "input", "image", "use", "path"}:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.open):
            self.words.append(data)


def page_words(source: str) -> str:
    return "".join("".join(PageWords(source).words).split())


def paper_words(source: str) -> str:
    """Collect the text of typst source: what stands in strings that are shown."""
    texts = re.findall(r'#"((?:[^"\\]|\\.)*)";|#raw\("((?:[^"\\]|\\.)*)"', source)
    joined = "".join(shown or raw for shown, raw in texts)
    joined = re.sub(r"\\u\{([0-9a-f]+)\}", lambda m: chr(int(m[1], 16)), joined)
    return "".join(re.sub(r"\\(.)", r"\1", joined).split())


def on_both(blocks: Sequence[Block]) -> list[Block]:
    """Replace what is a figure to turn on the page, and static figures on paper."""
    changed: list[Block] = []
    for block in blocks:
        if isinstance(block, Interactive):
            block = Paragraph(block.caption)
        elif isinstance(block, Details):
            block = Details(block.summary, on_both(block.blocks))
        elif isinstance(block, Items):
            items = [Item(item.title, on_both(item.blocks)) for item in block.items]
            block = Items(items, block.numbered)
        elif isinstance(block, Columns):
            block = Columns([on_both(column) for column in block.columns], block.on_paper)
        changed.append(block)
    return changed


@pytest.fixture(scope="module")
def document(finished: Run) -> Document:
    results = finished.read_results()
    return compose(results, finished.read_manifest(), arrays(finished, results))


@pytest.fixture(scope="module")
def drawings(document: Document) -> dict[str, Drawing]:
    return draw_all(document.displays())


def test_every_figure_is_drawn(drawings: dict[str, Drawing]) -> None:
    assert [d.caption for d in drawings.values() if "cannot be drawn" in d.alt] == []


def test_the_words_of_the_page_are_those_of_the_pdf(
    document: Document, drawings: dict[str, Drawing]
) -> None:
    for part in (Section("top", "", document.top), *document.sections):
        section = part._replace(blocks=on_both(part.blocks))
        on_page = page_words(html.render_section(section, drawings))
        on_paper = paper_words(typst.render_section(section, drawings))
        on_paper = on_paper.removeprefix("".join(section.title.split()))
        assert on_page == on_paper, section.id


def test_every_csv_is_the_frame(document: Document, drawings: dict[str, Drawing]) -> None:
    for display in document.displays():
        frame = display.frame()
        header, *rows = csv.reader(io.StringIO(drawings[display.name].csv))
        assert tuple(header) == frame.columns
        assert len(rows) == len(frame) > 0, display.name
        for row, cells in zip(rows, frame.rows, strict=True):
            for text, cell in zip(row, cells, strict=True):
                assert equal(text, cell), (display.name, text, cell)


def equal(text: str, cell: Any) -> bool:
    if isinstance(cell, float | np.floating) and math.isfinite(cell):
        return float(text) == pytest.approx(float(cell), rel=1e-6)
    if cell is None or isinstance(cell, float | np.floating):
        return text == ""
    return text == str(inert(cell))


def test_a_figure_draws_its_frame_and_nothing_else(
    document: Document, drawings: dict[str, Drawing]
) -> None:
    """A display without anything but its frame gives the same drawing."""
    for display in document.displays():
        bare = object.__new__(type(display))
        with house_style():
            drawn = svg(bare.draw(display.frame()))
        assert drawn == drawings[display.name].svg, display.name
