"""Tables through pandas: text of any dialect, Parquet, Feather or a frame, to columns by kind."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from downslope.data.assembly import Part
from downslope.data.columns import UNNAMED, column_of, own_names, typed
from downslope.data.examples import Column, DecimalMark
from downslope.data.files import MAXIMUM_BYTES, decoded, fault, open_decompressed, read_bounded
from downslope.data.labels import Labels, is_number, left_out_notes, listed
from downslope.data.marks import write_plain_numbers
from downslope.errors import InputError, nearest, one_line

LABEL_NAMES = ("label", "target", "class", "y")
"""Names, in any case, by which a label column is known."""

BINARY = {".parquet": pd.read_parquet, ".pq": pd.read_parquet, ".feather": pd.read_feather}

FREE_TEXT = "free text"

_SEPARATORS = "\t;|,"
"""Where two fit, the first: a comma in every row beside a semicolon is a decimal comma."""

_PROBED = 100  # rows, for the separator; ten times as many for the header


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a table is used for what; None and nothing where the content tells.

    Args:
        label: the column that is predicted.
        columns: the only ones to learn from, whatever they look like.
        drop: columns to leave out.
    """

    label: str | None = None
    columns: Sequence[str] = ()
    drop: Sequence[str] = ()


def read_table(path: Path, choice: Choice = Choice()) -> Part:
    """Read a table from a file; see `read_frame` and `part_of_frame`."""
    table = read_frame(path)
    part = part_of_frame(table.frame, str(path), choice)
    return replace(part, notes=(*table.notes, *part.notes), decimal=table.decimal)


def part_of_frame(frame: pd.DataFrame, at: str, choice: Choice = Choice()) -> Part:
    """Tell the label column and the kinds of the others, and take the cells as values of them.

    Args:
        frame: cells as text or as values; a row is an example.
        at: the file, for errors.
        choice: what is asked for.

    Raises:
        InputError: no label column can be told, a column is asked for that is not there or is
            free text, or a cell does not fit its column.
    """
    frame, left_out = _with_names(frame)
    names = list(frame.columns)
    if not len(frame):
        raise fault(at, "has a header but no rows; add one row per example")
    label, why = _label_column(at, names, left_out, choice.label)
    for option, asked in (("columns", choice.columns), ("drop", choice.drop)):
        for name in asked:
            if name not in names or name == label:
                wrong = "is the label column" if name == label else "is no column"
                hint = nearest(name, names, f"its columns are {listed(list(map(repr, names)))}")
                raise fault(at, f"{option}: {name!r} {wrong}{hint}")
    if both := set(choice.columns) & set(choice.drop):
        raise fault(at, f"columns and drop both name {min(both)!r}; leave one of the two out")
    columns: list[Column] = []
    for name in names:
        if name == label:
            continue
        if name in choice.drop or (choice.columns and name not in choice.columns):
            columns.append(Column(name=name, kind="category", left_out="not asked for"))
            continue
        column = column_of(cast(pd.Series, frame[name]), name, at)
        reason = left_out.get(name) or column.left_out
        if name in choice.columns and reason != FREE_TEXT:
            reason = ""
        columns.append(
            Column(name=name, kind=column.kind, date_format=column.date_format, left_out=reason)
        )
    _refuse_text(columns, at)
    if all(column.left_out for column in columns):
        raise fault(
            at,
            "has no column to learn from beside its labels ("
            + ("; ".join(f"{c.name!r}: {c.left_out}" for c in columns) or "it has a single column")
            + "); --columns names those to use all the same",
        )
    used = [column for column in columns if not column.left_out]
    labels = Labels(
        label_values(cast(pd.Series, frame[label])),
        at,
        lambda row: f"row {row + 1}, label column {label!r}",
    )
    month_first = [c.name for c in used if c.date_format == "%m/%d/%Y"]
    notes = [f"labels from the column {label!r}{why}"]
    notes += left_out_notes({c.name: c.left_out for c in columns if c.left_out})
    if month_first:
        notes.append(f"dates with the month first in {listed(list(map(repr, month_first)))}")
    return Part(
        cast(Any, typed(frame, used, at)),
        at,
        labels,
        "table",
        columns=tuple(columns),
        target=label,
        notes=tuple(notes),
    )


class Table(NamedTuple):
    """A table as read.

    Args:
        frame: cells of text files as text, without a decimal comma or the like.
        notes: how it was read, a sentence each.
        decimal: its decimal mark; empty where nothing tells.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    decimal: DecimalMark = ""


def read_frame(path: Path, decimal: DecimalMark = "") -> Table:
    """Read a table as it is.

    Args:
        path: .csv, .tsv, .tab or .txt, plain, .gz or .zip (of one file); .parquet or .feather.
        decimal: of the table that this one is like, for numbers that may be read in two ways.

    Raises:
        InputError: it is missing, damaged or too large, or a row has too few or too many cells.
    """
    if read := BINARY.get(path.suffix.lower()):
        return Table(_read_binary(path, read))
    text, encoding = decoded(_bytes_of(path), path)
    rows, separator = _split_rows(text, path)
    if not rows:
        raise fault(path, "has no rows; it needs one row per example")
    frame = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        dtype=object,
        keep_default_na=False,
        na_filter=False,
        skipinitialspace=True,
        engine="c",
    )
    has_header = _has_header(path, rows)
    notes = [
        f"the first row names the {frame.shape[1]} columns"
        if has_header
        else "no header: the first row reads as the others do and is an example"
    ]
    names = [f"column {i + 1}" for i in range(frame.shape[1])]
    if has_header:
        names = [str(name).strip() for name in frame.iloc[0]]
        frame = frame.iloc[1:].reset_index(drop=True)
    if separator != ",":
        notes.append(f"columns are separated by {separator!r}")
    if encoding not in ("utf-8", ""):
        notes.append(f"text is in {encoding}")
    rewritten = write_plain_numbers(frame, separator, decimal)
    if rewritten.how:
        columns = listed([repr(names[at]) for at in rewritten.columns])
        notes.append(f"numbers with {rewritten.how} in {columns}")
    return Table(frame.set_axis(names, axis=1), tuple(notes), rewritten.decimal)


def _bytes_of(path: Path) -> bytes:
    if path.suffix.lower() != ".zip":
        with open_decompressed(path) as stream:
            return read_bounded(stream, path)
    try:
        with open_decompressed(path) as stream, zipfile.ZipFile(stream) as archive:
            names = [
                name
                for name in archive.namelist()
                if not name.endswith("/") and not name.startswith("__MACOSX/")
            ]
            if len(names) != 1:
                raise fault(
                    path, f"holds {len(names)} files ({listed(names)}); it must hold one table"
                )
            with archive.open(names[0]) as member:
                return read_bounded(member, path)
    except InputError:
        raise
    except Exception as error:  # zipfile and its codecs raise many types on damaged bytes
        raise fault(path, f"is not a readable .zip ({one_line(error)}); get it again") from None


def _read_binary(path: Path, read: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    with open_decompressed(path) as stream:
        data = read_bounded(stream, path)
    try:
        if read is pd.read_parquet:
            from pyarrow import parquet

            metadata = parquet.ParquetFile(io.BytesIO(data)).metadata
            size = sum(
                metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)
            )
            if size > MAXIMUM_BYTES:
                raise fault(path, f"holds {size:,} bytes; at most {MAXIMUM_BYTES:,} are read")
        frame = read(io.BytesIO(data))
    except InputError:
        raise
    except ImportError:
        raise fault(
            path, "needs pyarrow to be read: pip install 'downslope[parquet]'; or save it as .csv"
        ) from None
    except Exception as error:  # Arrow raises many types on damaged bytes
        raise fault(path, f"cannot be read ({one_line(error)}); write it again") from None
    return frame.reset_index(drop=True)


def _split_rows(text: str, path: Path) -> tuple[list[list[str]], str]:
    """Check that all rows have as many cells, and return the first of them and the separator."""
    separator = _separator(text, path)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    rows: list[list[str]] = []
    number = 0
    try:
        for cells in reader:
            if len(cells) < 2 and not "".join(cells).strip():
                continue
            number += 1
            if rows and len(cells) != len(rows[0]):
                raise fault(
                    path,
                    f"line {reader.line_num} (row {number} with the first line as row 1) has "
                    f"{len(cells)} cells, the first row has {len(rows[0])}; every row needs one "
                    "cell per column",
                )
            if number <= 10 * _PROBED:
                rows.append(cells)
    except csv.Error as error:
        raise fault(path, f"line {reader.line_num} is not valid CSV ({error})") from None
    return rows, separator


def _separator(text: str, path: Path) -> str:
    """Choose the separator that gives most of the first rows as many cells, at least two."""
    best, score = ",", 0
    head = "".join(islice(io.StringIO(text), _PROBED))
    for separator in _SEPARATORS:
        try:
            rows = [r for r in csv.reader(io.StringIO(head), delimiter=separator) if r]
        except csv.Error:
            continue
        widths = [len(row) for row in rows]
        agree = sum(width == widths[0] for width in widths) if widths and widths[0] > 1 else 0
        if agree > score:
            best, score = separator, agree
    if score == 0 and path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    return best


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


def _with_names(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Give every column a name of its own, and say which are left out for their names.

    Returns:
        The frame, and by name why the column is left out.
    """
    names = own_names(frame.columns)
    left_out: dict[str, str] = {}
    for at, (written, name) in enumerate(zip(frame.columns, names, strict=True)):
        first = name.removesuffix(f" (column {at + 1})")
        if first in names[:at]:
            left_out[name] = f"a second column named {first!r}"
        elif UNNAMED.fullmatch(str(written).strip()) and _is_index(
            cast(pd.Series, frame.iloc[:, at])
        ):
            left_out[name] = "an index: no name, and it numbers the rows"
    return frame.set_axis(names, axis=1), left_out


def _is_index(cells: pd.Series) -> bool:
    words = cells.astype(str).str.strip()
    return bool(words.str.fullmatch(r"\d{1,18}").all()) and words.astype("int64").is_unique


def label_values(cells: pd.Series) -> Any:
    """Return labels as NumPy has them; missing ones as empty text."""
    if pd.api.types.is_bool_dtype(cells.dtype):
        return cells.astype(str).to_numpy(str)
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return cells.to_numpy(np.float64, na_value=np.nan)
    return cells.astype(object).where(cells.notna(), "").astype(str).to_numpy(str)


def _refuse_text(columns: Sequence[Column], at: str) -> None:
    if names := [column.name for column in columns if column.left_out == FREE_TEXT]:
        one = len(names) == 1
        raise fault(
            at,
            f"the column{'' if one else 's'} {listed(list(map(repr, names)))} "
            f"hold{'s' if one else ''} free text, of which these networks make nothing; leave "
            f"{'it' if one else 'them'} out with --drop {','.join(names)!r}",
        )


def _label_column(
    at: str, names: Sequence[str], left_out: Collection[str], label: str | None
) -> tuple[str, str]:
    """Return which column holds the labels, and why it was taken."""
    shown = listed(list(map(repr, names)), 20)
    if len(names) < 2:
        raise fault(
            at, f"has a single column, {shown}; it needs one to learn from and one of labels"
        )
    if label is not None:
        if any(name.startswith(f"{label} (column ") for name in names):
            raise fault(at, f"has several columns named {label!r}; rename all but one")
        if label not in names:
            raise fault(
                at, f"has no label column {label!r}; its columns are {shown}{nearest(label, names)}"
            )
        return label, ", as asked for"
    names = [name for name in names if name not in left_out]
    plain = {name: name.strip().lower() for name in names}
    candidates = [name for name in names if plain[name] in LABEL_NAMES]
    if candidates and plain[candidates[0]] == "y" and "x" in plain.values():
        candidates += [names[-1]] * (names[-1] not in candidates)  # x and y may be coordinates
    if len(candidates) > 1:
        raise fault(
            at,
            f"may have its labels in any of the columns {listed(list(map(repr, candidates)))}; say "
            'which with --label or data.label = "..."',
        )
    if candidates:
        return candidates[0], ", by its name"
    return names[-1], ", the last one, as none is named " + ", ".join(LABEL_NAMES)
