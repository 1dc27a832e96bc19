"""What a report consists of: blocks that `html` and `typst` both render, so that they say the same.

Text is a string, or a list of strings and spans; nothing in a string is ever markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from downslope.report.display import Display, Source

Style = Literal["", "strong", "code", "sub", "sup"]


class Span(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: Style = ""


Text = str | Sequence[str | Span]


def spans(text: Text) -> list[Span]:
    """Return the pieces of a text."""
    pieces = [text] if isinstance(text, str) else text
    return [piece if isinstance(piece, Span) else Span(piece) for piece in pieces]


def words(text: Text) -> str:
    """Return a text without its styles.

    >>> words(["a ", strong("b")])
    'a b'
    """
    return "".join(span.text for span in spans(text))


def strong(text: str) -> Span:
    """Emphasize."""
    return Span(text, "strong")


def code(text: str) -> Span:
    """Quote what one types, or what stands in a file."""
    return Span(text, "code")


_SCRIPT = re.compile(r"\b([A-Za-z])_(?:\{([^}]*)\}|([a-z0-9]))|\^(-?\w+)")


def prose(text: str) -> list[Span]:
    """Set simple mathematics within a sentence as one would by hand.

    >>> words(prose("E[x^2], z_{l-1}, w_j, j != k, 2^-width"))
    'E[x²], zl−1, wj, j ≠ k, 2−width'
    >>> prose("w_j")
    [Span(text='w', style=''), Span(text='j', style='sub')]
    """
    line = text.replace("!=", "≠").replace("<=", "≤").replace("+-", "±")
    line = line.replace("^2", "²").replace(" * ", " · ")
    pieces: list[Span] = []
    end = 0
    for match in _SCRIPT.finditer(line):
        letter, braced, single, raised = match.groups()
        pieces.append(Span(line[end : match.start()] + (letter or "")))
        lowered = (braced or single or raised or "").replace("-", "−")
        pieces.append(Span(lowered, "sup" if raised else "sub"))
        end = match.end()
    pieces.append(Span(line[end:]))
    return [piece for piece in pieces if piece.text]


class Heading(NamedTuple):
    """A heading within a section."""

    text: str


class Paragraph(NamedTuple):
    """A paragraph: small for what few need; good, bad and open for verdicts."""

    text: Text
    kind: Literal["", "small", "answer", "warning", "good", "bad", "open"] = ""


class Fact(NamedTuple):
    """A headline: what it is, the number, what makes it believable, its source, and the rest."""

    label: str
    value: str
    note: str
    source: Source
    detail: str = ""


class Cards(NamedTuple):
    """Headlines beside each other."""

    facts: Sequence[Fact]


class Facts(NamedTuple):
    """Names and what belongs to each."""

    rows: Sequence[tuple[str, Text]]


class Figures(NamedTuple):
    """Displays beside each other, as many in a row as fit."""

    displays: Sequence[Display]


class Interactive(NamedTuple):
    """Landscapes to turn and walk through; on paper, `displays` stand in their place."""

    scenes: Sequence[Any]
    displays: Sequence[Display]
    caption: str


class Column(NamedTuple):
    """A table's column: its heading, and whether its cells are numbers, set to the right."""

    heading: str
    numeric: bool = True


class Row(NamedTuple):
    """A row of a table, its style ("best", "stopped", "pass", "fail" or "inconclusive"), its trial.

    The trial is named as "search-26", and described in a line.
    """

    cells: Sequence[Text]
    mark: str = ""
    trial: str = ""
    about: str = ""


class Table(NamedTuple):
    """A table; a tall one may scroll, a sortable one has headings that sort.

    Its source is None where its cells are words.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row] = ()
    source: Source | None = None
    tall: bool = False
    sortable: bool = False


class Finder(NamedTuple):
    """A filter of the trials that the figures and the table of a section show; not on paper."""

    part: Literal["search", "variants"]
    trials: int


class Equation(NamedTuple):
    """An equation in LaTeX, without dollar signs; a second one may follow after a word."""

    latex: str
    between: str = ""
    second: str = ""


class Code(NamedTuple):
    """Text to type or to keep in a file."""

    text: str
    language: Literal["", "toml", "python", "console"] = ""


class Item(NamedTuple):
    """A titled item of a list."""

    title: Text
    blocks: Sequence[Block] = ()


class Items(NamedTuple):
    """Titled items one below the other; numbered where their order matters."""

    items: Sequence[Item]
    numbered: bool = True


class Details(NamedTuple):
    """What a page shows when asked; on paper it is shown."""

    summary: str
    blocks: Sequence[Block]


class Columns(NamedTuple):
    """Blocks in columns beside each other where there is room; on paper too if asked."""

    columns: Sequence[Sequence[Block]]
    on_paper: bool = False


Block = (
    Heading | Paragraph | Cards | Facts | Figures | Interactive | Table | Finder | Equation | Code
    | Items | Details | Columns
)  # fmt: skip


class Section(NamedTuple):
    """A section of a report: its place on the page, its title, its blocks."""

    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """A report: what comes first, and its sections.

    Without a title it is a figure for another page to show, and has neither head nor foot.
    """

    title: str
    lead: str
    top: Sequence[Block]
    sections: Sequence[Section]
    foot: str = "Made by downslope."

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks, also those within others."""
        yield from walk([*self.top, *(block for x in self.sections for block in x.blocks)])

    def displays(self) -> list[Display]:
        """List all displays, each once."""
        blocks = [b for b in self.blocks() if isinstance(b, Figures | Interactive)]
        named = {display.name: display for block in blocks for display in block.displays}
        return list(named.values())


def walk(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks and those within them."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)
        elif isinstance(block, Items):
            for item in block.items:
                yield from walk(item.blocks)
        elif isinstance(block, Columns):
            for column in block.columns:
                yield from walk(column)
