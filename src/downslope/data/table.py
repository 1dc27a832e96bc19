"""Tables: a CSV with a header row, one label column and otherwise numbers."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downslope.data.files import fault, read_whole


@dataclass(frozen=True, slots=True)
class Table:
    """Hold what a CSV says.

    Args:
        features: float32, shape (rows, features), all finite.
        columns: a name per feature.
        targets: int64 classes, shape (rows,).
        class_names: the labels as written, by class; whole numbers in numeric order, anything
            else in alphabetic order.
    """

    features: NDArray[np.float32]
    columns: tuple[str, ...]
    targets: NDArray[np.int64]
    class_names: tuple[str, ...]


def read_csv(path: Path, label: str | None = None) -> Table:
    """Read a CSV in UTF-8, comma-separated, with a header row.

    Rows are counted from 1 below the header; blank lines are passed over.

    Args:
        path: of the file.
        label: the name of the column with the classes, strings or whole numbers; the last column
            if None.

    Raises:
        InputError: the file is unreadable, empty or ragged, the label column is missing, a cell
            is not a finite number, or a label is empty or a fraction.
    """
    try:
        text = read_whole(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(
            path, f"is not UTF-8 text (byte {error.start:,}); save it as UTF-8 CSV"
        ) from None
    rows = _rows(path, text)
    _, header = next(rows, (0, []))
    if not header:
        raise fault(path, "has no header row; the first line must name the columns")
    label_at = _label_column(path, header, label)
    columns = tuple(name for i, name in enumerate(header) if i != label_at)
    features: list[NDArray[np.float32]] = []
    labels: list[str] = []
    for row, (line, cells) in enumerate(rows, 1):
        if len(cells) != len(header):
            raise fault(
                path,
                f"row {row} (line {line}) has {len(cells)} cells, the header has {len(header)}; "
                "every row needs one cell per column",
            )
        labels.append(_label(path, row, line, header[label_at], cells.pop(label_at)))
        features.append(_numbers(path, row, line, columns, cells))
    if not features:
        raise fault(path, "has a header but no rows; add one row per example")
    order = _class_order(set(labels))
    classes = {name: number for number, name in enumerate(order)}
    targets = np.array([classes[name] for name in labels], np.int64)
    return Table(np.stack(features), columns, targets, tuple(order))


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise fault(path, f"line {reader.line_num} is not valid CSV ({error})") from None


def _label_column(path: Path, header: list[str], label: str | None) -> int:
    if len(header) == 1:
        other = next((c for c in ";\t|" if c in header[0]), None)
        hint = f"separate columns by commas, not by {other!r}" if other else "it needs a feature"
        raise fault(path, f"has a single column, {header[0]!r}; {hint} and a label column")
    if all(_is_number(name) for name in header):
        raise fault(
            path,
            f"starts with a row of numbers ({header[0]}, {header[1]}, ...); add a header row that "
            "names the columns",
        )
    if label is None:
        return len(header) - 1
    if header.count(label) > 1:
        raise fault(path, f"has {header.count(label)} columns named {label!r}; rename all but one")
    if label not in header:
        near = difflib.get_close_matches(label, header, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        shown = ", ".join(map(repr, header[:20])) + (", ..." if len(header) > 20 else "")
        raise fault(path, f"has no label column {label!r}; its columns are {shown}{meant}")
    return header.index(label)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label(path: Path, row: int, line: int, column: str, cell: str) -> str:
    cell = cell.strip()
    place = f"row {row} (line {line}), label column {column!r}"
    if not cell:
        raise fault(path, f"{place} is empty; every example needs a class")
    if _is_number(cell):
        number = float(cell)
        if not number.is_integer():
            raise fault(
                path,
                f"{place} holds {cell!r}; classes are strings or whole numbers; name the label "
                "column with label=... if it is another one",
            )
        if not cell.lstrip("+-").isdigit():  # 1.0 and 1e0 are the class 1
            return str(int(number))
    return cell


def _numbers(
    path: Path, row: int, line: int, columns: tuple[str, ...], cells: list[str]
) -> NDArray[np.float32]:
    try:
        values = np.array(cells, np.float64)
    except ValueError:
        at = next(i for i, cell in enumerate(cells) if not _is_number(cell))
        held = f"holds {cells[at][:40]!r}" if cells[at].strip() else "is empty"
        raise fault(
            path,
            f"row {row} (line {line}), column {columns[at]!r} {held}; every feature must be a "
            "number",
        ) from None
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    finite = np.isfinite(narrow)
    if not finite.all():
        at = int(np.argmin(finite))
        raise fault(
            path,
            f"row {row} (line {line}), column {columns[at]!r} holds {cells[at][:40]!r}; every "
            "feature must be a finite number that fits float32",
        )
    return narrow


def _class_order(labels: set[str]) -> list[str]:
    if all(_is_number(name) for name in labels):
        return sorted(labels, key=lambda name: (float(name), name))
    return sorted(labels)
