"""A table of the page: caption, columns and rows of text, ready to be set."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a row: its cells and a mark that styles it, for example "best"."""

    cells: list[str]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table.

    Args:
        caption: what it holds.
        columns: heading and whether its cells are numbers, set to the right.
        rows: of as many cells.
        tall: whether it may scroll within a limited height.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[Row] = field(default_factory=list[Row])
    tall: bool = False
