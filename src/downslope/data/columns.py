"""Columns of a table by kind: what their cells are taken for, and the cells as values of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from downslope.data.examples import Column, ColumnKind
from downslope.data.files import fault
from downslope.data.labels import is_number, listed
from downslope.errors import InputError

_NOT_KNOWN = ("", "#n/a", "#n/a n/a", "#na", "<na>", "n/a", "na", "nan", "none", "null", "nat", "?")
_NO_NUMBER = ("-nan", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan")
MISSING = frozenset({*_NOT_KNOWN, *_NO_NUMBER})
"""Words, in lower case, for a value that is missing: those of pandas, and a question mark."""

BOOLEANS = ({"false": 0.0, "true": 1.0}, {"no": 0.0, "yes": 1.0}, {"f": 0.0, "t": 1.0})

DATE_FORMATS = ("ISO8601", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
"""Tried in this order, each with and without a time behind it."""

FEWEST_FOR_A_KEY = 20
"""Rows from which on a column of which every cell is different is no category."""

TEXT_WORDS = 3
"""Words in a cell, on average, from which on different cells are free text."""

STRAY = 0.05
"""Up to this share of the cells of a column of numbers, other cells are slips."""

_KEY_NAME = re.compile(
    r"(.*[\s_.-])?(id|uuid|guid|index|key|nr|no|row)|.*[a-z]I[dD]", re.IGNORECASE
)
UNNAMED = re.compile(r"(Unnamed: \d+)?")
"""What pandas writes, and reads, above its index."""

_LIKE_A_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?|(19|20)\d{6}", re.ASCII)


def own_names(written: Iterable[object]) -> list[str]:
    """Give every column a name of its own: by its place where it has none, or has another's.

    >>> own_names([" a", "", "a"])
    ['a', 'column 2', 'a (column 3)']
    """
    names: list[str] = []
    for at, name in enumerate(str(name).strip() for name in written):
        name = f"column {at + 1}" if UNNAMED.fullmatch(name) else name
        names.append(f"{name} (column {at + 1})" if name in names else name)
    return names


def column_of(cells: pd.Series, name: str, at: Path | str) -> Column:
    """Tell what a column is.

    Args:
        cells: of any type; text is looked into.
        name: of the column.
        at: the file, for errors.

    Raises:
        InputError: numbers with a few other cells among them, or cells that are no single values.
    """
    if pd.api.types.is_complex_dtype(cells.dtype):
        raise fault(at, f"column {name!r} holds complex numbers; give real and imaginary parts")
    kind = _kind_of_type(cells)
    date_format = ""
    codes, words = _distinct(cells, name, at)
    present = [word for word in words if word is not None]
    if kind is None:
        kind, date_format = _kind_of_words(present)
    if kind is None:
        _refuse_stray(cells, codes, words, name, at)
        kind = "category"
    return Column(
        name=name,
        kind=kind,
        date_format=date_format,
        left_out=_why_left_out(name, kind, codes, words),
    )


def values_of(cells: pd.Series, column: Column, at: Path | str) -> NDArray[Any]:
    """Return the cells of a column as values of its kind, missing ones as NaN, NaT or None.

    Returns:
        Shape (rows,): float64 of numbers and booleans (0 and 1), objects (text) of categories,
        datetime64[us] of dates.

    Raises:
        InputError: a cell that is not of the kind; the message names its row and column.
    """
    if column.kind in ("number", "boolean") and pd.api.types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(np.float64, na_value=np.nan)
        wrong = np.isinf(values)
        if column.kind == "boolean":
            wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
        if wrong.any():
            raise _not_of_kind(cells, int(wrong.argmax()), column, at)
        return values
    if column.kind == "date" and pd.api.types.is_datetime64_any_dtype(cells.dtype):
        zoneless = cells.dt.tz_convert(None) if cells.dt.tz is not None else cells
        return zoneless.to_numpy("datetime64[us]")
    codes, words = _distinct(cells, column.name, at)
    table = _READERS[column.kind](words, column)
    wrong = np.array([w is not None for w in words], bool) & pd.isna(table)
    if len(words) and wrong[codes].any():
        raise _not_of_kind(cells, int((wrong[codes] & (codes >= 0)).argmax()), column, at)
    missing = np.array([np.datetime64("NaT", "us") if column.kind == "date" else None])
    if column.kind in ("number", "boolean"):
        missing = np.array([np.nan])
    return np.concatenate([table, missing])[codes]


def typed(frame: pd.DataFrame, columns: Sequence[Column], at: Path | str) -> pd.DataFrame:
    """Return the named columns of a frame in their order, each with values of its kind.

    Args:
        frame: with the columns by the names that `own_names` gives them.
        columns: which to return.
        at: where the frame is from, for errors.

    Raises:
        InputError: a column that the frame does not have, or a cell of another kind.
    """
    frame = frame.set_axis(own_names(frame.columns), axis=1)
    lacking = [c.name for c in columns if c.name not in frame.columns]
    if lacking:
        raise fault(
            at,
            f"lacks the column{'s' * (len(lacking) > 1)} {listed(list(map(repr, lacking)))}; "
            f"it has {listed([repr(str(name)) for name in frame.columns])}",
        )
    values = {c.name: values_of(cast(pd.Series, frame[c.name]), c, at) for c in columns}
    return pd.DataFrame(
        # Text stays objects, None where missing, whatever pandas would make of it.
        {name: pd.Series(v, frame.index, dtype=v.dtype) for name, v in values.items()}
    )


def _distinct(
    cells: pd.Series, name: str, at: Path | str
) -> tuple[NDArray[np.intp], list[str | None]]:
    """Return codes (-1 where missing) and the distinct cells as text, None for a missing word."""
    try:
        codes, distinct = pd.factorize(cells)
    except TypeError:  # lists and the like, which pandas cannot compare
        kind = type(cells.iloc[0]).__name__
        raise fault(
            at, f"column {name!r} holds values of type {kind}; a cell must be one value"
        ) from None
    words = [_word(value) for value in distinct]
    return codes, [None if word.lower() in MISSING else word for word in words]


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _kind_of_type(cells: pd.Series) -> ColumnKind | None:
    types = pd.api.types
    if types.is_bool_dtype(cells.dtype):
        return "boolean"
    if types.is_numeric_dtype(cells.dtype):
        return "number"
    if types.is_datetime64_any_dtype(cells.dtype):
        return "date"
    return "category" if isinstance(cells.dtype, pd.CategoricalDtype) else None


def _kind_of_words(words: list[str]) -> tuple[ColumnKind | None, str]:
    if words and any({word.lower() for word in words} <= set(pair) for pair in BOOLEANS):
        return "boolean", ""
    if words and all(_LIKE_A_DATE.fullmatch(word) for word in words):
        for date_format in DATE_FORMATS:
            if not pd.isna(_dates(words, date_format)).any():
                return "date", date_format
    if all(map(is_number, words)):  # also a column of missing cells alone
        return "number", ""
    return None, ""


def _dates(words: Sequence[str | None], date_format: str) -> NDArray[np.datetime64]:
    """Return dates, shape (words,); NaT where a word is none."""
    texts = pd.Series(list(words), dtype=object)
    dates = pd.to_datetime(texts, format=date_format, errors="coerce", utc=True)
    if date_format != "ISO8601":
        for time in (" %H:%M", " %H:%M:%S"):
            more = pd.to_datetime(texts, format=date_format + time, errors="coerce", utc=True)
            dates = dates.fillna(more)
    return dates.dt.tz_convert(None).to_numpy("datetime64[us]")


def _numbers(words: Sequence[str | None], column: Column) -> NDArray[np.float64]:
    values = [float(word) if word and is_number(word) else np.nan for word in words]
    return np.where(np.isinf(values), np.nan, values)


def _truths(words: Sequence[str | None], column: Column) -> NDArray[np.float64]:
    meaning = {"0": 0.0, "1": 1.0} | BOOLEANS[0] | BOOLEANS[1] | BOOLEANS[2]
    return np.array([meaning.get((word or "").lower(), np.nan) for word in words], np.float64)


_READERS: dict[ColumnKind, Callable[[Sequence[str | None], Column], NDArray[Any]]] = {
    "number": _numbers,
    "boolean": _truths,
    "category": lambda words, column: np.array([*words, None], object)[:-1],
    "date": lambda words, column: _dates(words, column.date_format or "ISO8601"),
}


def _not_of_kind(cells: pd.Series, row: int, column: Column, at: Path | str) -> InputError:
    kinds = {"number": "finite number", "boolean": "true or false", "date": "date"}
    return fault(
        at,
        f"row {row + 1}, column {column.name!r} holds {str(cells.iloc[row])[:40]!r}, which is no "
        f"{kinds[column.kind]}; correct the cell, or empty it where the value is not known",
    )


def _refuse_stray(
    cells: pd.Series, codes: NDArray[np.intp], words: list[str | None], name: str, at: Path | str
) -> None:
    """Refuse a column of numbers with a few other cells among them, which are slips."""
    numbers = np.array([word is not None and is_number(word) for word in words])
    present = np.array([word is not None for word in words])
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    stray = int(counts[present & ~numbers].sum())
    if 0 < stray <= STRAY * int(counts[present].sum()) or (stray == 1 < counts[numbers].sum()):
        row = int(np.isin(codes, np.flatnonzero(present & ~numbers)).argmax())
        raise fault(
            at,
            f"row {row + 1}, column {name!r} holds {str(cells.iloc[row])[:40]!r} among numbers; "
            "correct the cell, empty it where the value is not known, or leave the column out "
            f"with --drop {name!r}",
        )


def _why_left_out(
    name: str, kind: ColumnKind, codes: NDArray[np.intp], distinct: Sequence[str | None]
) -> str:
    """Say why a column is nothing to learn from; empty where it may be."""
    words = [word for word in distinct if word is not None]
    known = [at for at, word in enumerate(distinct) if word is not None]
    rows = int(np.isin(codes, known).sum())
    if not words:
        return "holds nothing"
    if len(words) == 1 and 1 < rows == len(codes):
        return "the same in all rows"
    different = len(words) == rows
    if kind == "category" and rows >= FEWEST_FOR_A_KEY and len(words) > rows / 2:
        length = sum(len(word.split()) for word in words) / len(words)
        if length >= TEXT_WORDS:
            return "free text"
        return f"an identifier: {len(words):,} different words in {rows:,} rows"
    if (
        kind == "number"
        and different
        and rows > 1
        and _is_whole(words)
        and _KEY_NAME.fullmatch(name)
    ):
        return "an identifier by its name, different in each row"
    return ""


def _is_whole(words: list[str]) -> bool:
    return all(re.fullmatch(r"\d{1,18}", word, re.ASCII) for word in words)
