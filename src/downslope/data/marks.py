"""Numbers of a text table with a decimal comma or marks between thousands, written plainly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, cast

import pandas as pd

from downslope.data.columns import MISSING
from downslope.data.examples import DecimalMark
from downslope.data.labels import is_number

# Numbers with a decimal comma, or with marks between thousands; both may fit, as 1,234 does.
_COMMA = re.compile(r"[+-]?(\d{1,3}([.'\u00a0\u202f ]\d{3})+|\d+)(,\d+)?([eE][+-]?\d+)?")
_DOTTED = re.compile(r"[+-]?([1-9]\d{0,2}(\.\d{3})+|\d+)", re.ASCII)
_MARKED = re.compile(r"[+-]?(\d{1,3}([,'\u00a0\u202f ]\d{3})+|\d+)(\.\d+)?([eE][+-]?\d+)?")


class Rewritten(NamedTuple):
    """What was made plain.

    Args:
        decimal: the mark that the table turned out to have; empty where nothing tells.
        how: what its numbers had; empty where all were plain.
        columns: by place.
    """

    decimal: DecimalMark
    how: str = ""
    columns: Sequence[int] = ()


def write_plain_numbers(frame: pd.DataFrame, separator: str, known: DecimalMark = "") -> Rewritten:
    """Write a frame's numbers with a decimal comma or marks between thousands as Python does.

    The mark is decided for the whole table: by the columns that only one of both fits, else by
    what is known, else by the separator: where that is a comma, a comma in a number stands
    between thousands.

    Args:
        frame: cells as text; it is changed.
        separator: of its columns.
        known: the decimal mark of the table that this one is like.
    """
    words = [_present(cast(pd.Series, frame[at])) for at in range(frame.shape[1])]
    forms = {at: _forms(present) for at, present in enumerate(words)}
    only_comma = any(comma and not marked for comma, marked in forms.values())
    only_marked = any(marked and not comma for comma, marked in forms.values())
    points = any(map(_has_point, words))
    if only_comma or only_marked:
        by_comma = only_comma
    elif points or known:
        by_comma = known == "," and not points
    else:
        by_comma = separator != ","
    changed = [at for at, (comma, marked) in forms.items() if (comma if by_comma else marked)]
    how = "a decimal comma" if by_comma else "marks between thousands"
    # 1 234 and 1'234 are written beside either mark; a comma tells.
    commas = any("," in word for at in changed for word in words[at])
    # Beside decimal commas a dot is no decimal point: 12.345 is a whole number.
    certain = by_comma and (only_comma or commas or known == ",")
    if certain and (dotted := [at for at, present in enumerate(words) if _dotted(present)]):
        changed, how = sorted(changed + dotted), "a decimal comma or dots between thousands"
    marks = "[.'\u00a0\u202f ]" if by_comma else "[,'\u00a0\u202f ]"
    for at in changed:
        cells = frame[at].str.replace(rf"(?<=\d){marks}(?=\d{{3}})", "", regex=True)
        frame[at] = cells.str.replace(",", ".", regex=False).astype(object)
    decided = only_comma or only_marked or commas
    mark: DecimalMark = ("," if by_comma else ".") if decided else "." if points else known
    return Rewritten(mark, how, changed) if changed else Rewritten(mark)


def _present(cells: pd.Series) -> list[str]:
    return [word for word in pd.unique(cells.str.strip()) if word.lower() not in MISSING]


def _dotted(words: Sequence[str]) -> bool:
    """Tell whether all words are whole numbers, some with dots between thousands."""
    return any("." in word for word in words) and all(map(_DOTTED.fullmatch, words))


def _has_point(words: Sequence[str]) -> bool:
    """Tell whether all words are numbers, some with a dot that stands between no thousands."""
    return all(map(is_number, words)) and any(
        "." in word and not _DOTTED.fullmatch(word) for word in words
    )


def _forms(words: Sequence[str]) -> tuple[bool, bool]:
    """Tell whether a column has numbers with a decimal comma, and with marks between thousands."""
    if not words or all(map(is_number, words)):
        return False, False
    return all(map(_COMMA.fullmatch, words)), all(map(_MARKED.fullmatch, words))
