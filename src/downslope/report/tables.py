"""A table of the page: caption, columns and rows of text, ready to be set."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a row.

    Args:
        cells: of text.
        mark: styles it, for example "best".
        trial: of which search and number, for example "search-26"; empty for other rows.
        about: what the trial is, in a line.
    """

    cells: list[str]
    mark: str = ""
    trial: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table.

    Args:
        caption: what it holds.
        columns: heading and whether its cells are numbers, set to the right.
        rows: of as many cells.
        tall: whether it may scroll within a limited height.
        sortable: whether a reader may want its rows in another order.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[Row] = field(default_factory=list[Row])
    tall: bool = False
    sortable: bool = False
