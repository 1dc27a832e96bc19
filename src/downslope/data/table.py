"""Tables: a CSV of numbers and one label column, with or without a header row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from downslope.data.assembly import Part
from downslope.data.files import fault, read_text
from downslope.data.labels import Labels, is_number
from downslope.errors import nearest

LABEL_NAMES = ("label", "target", "class", "y")
"""Names, in any case, by which a label column is known."""

_UNNAMED = re.compile(r"(Unnamed: \d+)?")  # what pandas writes, and reads, above its index


def read_csv(path: Path, label: str | None = None) -> Part:
    """Read a CSV in UTF-8, comma-separated, plain or gzip.

    The first row is the header unless it reads as the others do; then columns are called
    "column 1", "column 2", ... A column without a name that holds different whole numbers is an
    index and left out. Rows are counted from 1 below the header; blank lines are passed over.

    Args:
        path: of the file.
        label: the name of the column with the classes, strings or whole numbers; if None, the one
            column that has one of `LABEL_NAMES`, else the last one.
    """
    numbered = list(_rows(path, read_text(path)))
    if not numbered:
        raise fault(path, "has no rows; it needs one row per example")
    has_header = _has_header(path, [cells for _, cells in numbered])
    first = numbered[0][1]
    header = first if has_header else [f"column {i + 1}" for i in range(len(first))]
    rows = numbered[has_header:]
    label_at, why = _label_column(path, header, label)
    if not rows:
        raise fault(path, "has a header but no rows; add one row per example")
    for row, (line, cells) in enumerate(rows, 1):
        if len(cells) != len(header):
            raise fault(
                path,
                f"row {row} (line {line}) has {len(cells)} cells, the "
                f"{'header' if has_header else 'first row'} has {len(header)}; every row needs "
                "one cell per column",
            )
    columns = list(zip(*(cells for _, cells in rows), strict=True))
    notes = [
        f"the first row names the {len(header)} columns"
        if has_header
        else "no header: the first row reads as the others do and is an example",
        f"labels from the column {header[label_at]!r}{why}",
    ]
    features: list[int] = []
    for at, name in enumerate(header):
        if at == label_at:
            continue
        if has_header and _UNNAMED.fullmatch(name.strip()) and _is_index(columns[at]):
            notes.append(f"column {at + 1} has no name and numbers the rows: left out as an index")
        else:
            features.append(at)
    if not features:
        raise fault(path, "has no feature beside its labels and its index; it needs at least one")

    def place(row: int) -> str:
        return f"row {row + 1} (line {rows[row][0]})"

    values = np.empty((len(rows), len(features)), np.float64)
    for to, at in enumerate(features):
        cells = columns[at]
        wrong = next((i for i, cell in enumerate(cells) if not is_number(cell)), None)
        if wrong is None:
            values[:, to] = cells
            wrong = next(iter(np.flatnonzero(~np.isfinite(values[:, to]))), None)
        if wrong is not None:
            cell = cells[wrong]
            content = f"holds {cell[:40]!r}" if cell.strip() else "is empty"
            raise fault(
                path,
                f"{place(int(wrong))}, column {header[at]!r} {content}; every feature must be a "
                "finite number",
            )
    labels = Labels(
        np.array(columns[label_at]),
        str(path),
        lambda row: f"{place(row)}, label column {header[label_at]!r}",
    )
    names = tuple(header[at] for at in features)
    return Part(values, str(path), labels, "table", columns=names, notes=tuple(notes))


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise fault(path, f"line {reader.line_num} is not valid CSV ({error})") from None


def _has_header(path: Path, rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names the columns: it has text where numbers follow."""
    first, others = rows[0], rows[1:]
    if not others:
        return not all(map(is_number, first))
    numbers = [
        _mostly_numbers(row[at] for row in others if at < len(row)) for at in range(len(first))
    ]
    if any(below and not is_number(cell) for cell, below in zip(first, numbers, strict=True)):
        return True
    # pandas calls the columns of an array 0, 1, 2, ...
    leading = [cell.strip() for cell in first if is_number(cell)]
    counted = leading == [str(i) for i in range(len(leading))]
    if len(leading) < len(first):
        new = all(
            cell not in {row[at] for row in others if at < len(row)}
            for at, cell in enumerate(first)
            if not is_number(cell)
        )
        return (counted and new and len(leading) > 1) or not any(numbers)
    if counted and len(first) > 1:
        raise fault(
            path,
            f"starts with the row {','.join(first[:8])}, which may name the columns or be an "
            "example; give the columns names with letters, or add a row of such names above it",
        )
    return False


def _mostly_numbers(cells: Iterator[str]) -> bool:
    known = [is_number(cell) for cell in cells if cell.strip()]
    return sum(known) * 2 > len(known)


def _is_index(cells: Sequence[str]) -> bool:
    if not all(re.fullmatch(r"\s*\d{1,18}\s*", cell, re.ASCII) for cell in cells):
        return False
    return len({int(cell) for cell in cells}) == len(cells)


def _label_column(path: Path, header: Sequence[str], label: str | None) -> tuple[int, str]:
    """Return which column holds the labels, and why it was taken."""
    if len(header) == 1:
        other = next((c for c in ";\t|" if c in header[0]), None)
        hint = f"separate columns by commas, not by {other!r}" if other else "it needs a feature"
        raise fault(path, f"has a single column, {header[0]!r}; {hint} and a label column")
    shown = ", ".join(map(repr, header[:20])) + (", ..." if len(header) > 20 else "")
    if label is not None:
        if header.count(label) > 1:
            raise fault(
                path, f"has {header.count(label)} columns named {label!r}; rename all but one"
            )
        if label not in header:
            meant = nearest(label, header)
            raise fault(path, f"has no label column {label!r}; its columns are {shown}{meant}")
        return header.index(label), ", as asked for"
    plain = [name.strip().lower() for name in header]
    last = len(header) - 1
    candidates = [at for at, name in enumerate(plain) if name in LABEL_NAMES]
    if candidates and plain[candidates[0]] == "y" and "x" in plain and candidates != [last]:
        candidates = sorted({*candidates, last})  # x and y may be coordinates
    if len(candidates) > 1:
        names = ", ".join(repr(header[at]) for at in candidates)
        raise fault(
            path,
            f"may have its labels in any of the columns {names}; say which with --label or "
            'data.label = "..."',
        )
    if candidates:
        return candidates[0], ", by its name"
    return last, ", the last one, as none is named " + ", ".join(LABEL_NAMES)
