"""Labels of any kind to classes 0 to k-1 or to numbers, the same way for every format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downslope.data.examples import Task
from downslope.data.files import fault

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def is_number(cell: str) -> bool:
    """Tell whether a cell is a finite number as people write it; 12_1 and nan are none.

    >>> [is_number(cell) for cell in ("1", " +1.0", "1e3", "12_1", "nan", "")]
    [True, True, True, False, False, False]
    """
    return _NUMBER.fullmatch(cell.strip()) is not None


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels as read, one per example, and the words by which an error names them.

    Args:
        values: whole or floating numbers, booleans or strings, shape (examples,), (examples, 1)
            or (1, examples); or one-hot rows, shape (examples, classes).
        at: the file, and the key or column in it.
        place: names the row of an index.
    """

    values: NDArray[Any]
    at: str
    place: Callable[[int], str] = lambda row: f"row {row} (from 0)"


MOST_CLASSES = 100
"""Whole numbers with more different values are numbers to predict."""

FEW_CLASSES = 20
FEWEST_OF_A_CLASS = 5
"""So are those with more values than the former, and on average fewer rows of each than this."""


def task_of(labels: Labels) -> tuple[Task, str]:
    """Tell whether labels are classes or numbers to predict, and by what.

    >>> task_of(Labels(np.array([0.5, 1.0]), "a.csv"))
    ('regression', 'the labels have fractions')
    """
    values = _column(labels)
    if values.dtype.kind in "US":
        cells = [str(cell).strip() for cell in np.unique(values)]
        if not all(map(is_number, cells)):
            return "classification", "the labels are words"
        values = values.astype(np.float64)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]  # what is missing is refused by who encodes
    if (values != np.rint(values)).any():
        return "regression", "the labels have fractions"
    count = len(np.unique(values))
    what = f"the labels are {count:,} different whole numbers"
    few = len(values) < FEWEST_OF_A_CLASS * count
    if count > MOST_CLASSES or (count > FEW_CLASSES and few):
        return "regression", what
    return "classification", what


def numbers(labels: Labels) -> NDArray[np.float64]:
    """Return labels as numbers, shape (rows,).

    Raises:
        InputError: one is none; the message names its row.
    """
    values = _column(labels)
    if values.dtype.kind in "US":
        values = np.array(
            [float(cell) if is_number(str(cell)) else np.nan for cell in values], np.float64
        )
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argmin(finite))
        raise fault(
            labels.at,
            f"{labels.place(row)} holds {str(labels.values.reshape(-1)[row])[:40]!r}; every "
            "example needs a finite number to predict",
        )
    return values


def encode(training: Labels, *others: Labels) -> tuple[list[NDArray[np.int64]], tuple[str, ...]]:
    """Number the classes of the training labels from 0 and encode all labels.

    Equal numbers are one class however they are written: 1, 01, +1, 1.0 and True. Numbers are in
    the order of their values; where any label is text, all are in alphabetic order.

    Returns:
        int64 classes of the training labels and of each of the others, and the names by class.

    >>> labels = Labels(np.array(["3", "01", "1.0"]), "a.csv", str)
    >>> encode(labels)
    ([array([1, 0, 0])], ('1', '3'))
    """
    uniques, rows = zip(*(_names(labels) for labels in (training, *others)), strict=True)
    numeric = all(name.lstrip("-").isdecimal() for name in uniques[0])
    names = sorted(set(uniques[0]), key=int if numeric else None)
    number = {name: index for index, name in enumerate(names)}
    for labels, unique, inverse in zip(others, uniques[1:], rows[1:], strict=True):
        for index, name in enumerate(unique):
            if name not in number:
                row = int(np.argmax(inverse == index))
                raise fault(
                    labels.at,
                    f"{labels.place(row)} holds the label {name[:40]!r}, which no training "
                    f"example has; their classes are {listed(names)}",
                )
    lookups = [np.array([number[name] for name in unique], np.int64) for unique in uniques]
    return [lookup[inverse] for lookup, inverse in zip(lookups, rows, strict=True)], tuple(names)


def listed(names: Sequence[str], most: int = 12) -> str:
    """List names, the first ones where there are many.

    >>> listed(["a", "b", "c"], 2)
    'a, b, ... (3 in all)'
    """
    shown = ", ".join(name[:40] for name in names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def left_out_notes(reasons: Mapping[str, str]) -> list[str]:
    """Say which columns are left out, a sentence for each reason.

    >>> left_out_notes({"a": "an index", "b": "an index"})
    ["left out (an index): 'a', 'b'"]
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(repr(name))
    return [f"left out ({why}): {listed(names)}" for why, names in by_reason.items()]


def _names(labels: Labels) -> tuple[list[str], NDArray[np.intp]]:
    """Return names of the distinct labels, equal ones more than once, and which each row has."""
    values = _column(labels)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "latin-1")
    unique, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    wrong: Callable[[Any], str]
    if values.dtype.kind == "U":
        cells = [str(cell).strip() for cell in unique]
        numbers = all(map(is_number, cells))
        wrong, names = _wrong_text(numbers), [_whole(cell) or cell for cell in cells]
    else:
        cells = unique.tolist()
        wrong = _wrong_number
        names = ["" if wrong(cell) else str(int(cell)) for cell in cells]
    # The first row that is wrong, not the smallest label.
    for index in np.argsort(first, kind="stable"):
        if reason := wrong(cells[index]):
            raise fault(labels.at, f"{labels.place(int(first[index]))} {reason}")
    return names, inverse.reshape(-1)


def _column(labels: Labels) -> NDArray[Any]:
    values = labels.values
    if values.dtype.kind not in "biufUS":
        raise fault(
            labels.at,
            f"has dtype {values.dtype}; labels must be whole numbers, booleans or strings",
        )
    if values.ndim == 2 and 1 in values.shape:
        return values.reshape(-1)
    wrong = f"has {values.ndim} dimensions, shape {values.shape}"
    if values.ndim == 2 and values.dtype.kind in "biuf":
        if ((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all():
            return values.argmax(axis=1)
        wrong = f"has shape {values.shape} and is not one-hot (one 1 in each row, else 0)"
    elif values.ndim == 1:
        return values
    raise fault(labels.at, f"{wrong}; labels must be one class per example, shape (n,)")


def _wrong_number(value: float) -> str:
    if isinstance(value, float) and not value.is_integer():  # nan and infinities are none either
        return (
            f"holds the label {value}; classes are whole numbers or strings; round or bin the "
            "labels, or give the array that holds the classes"
        )
    return ""


def _wrong_text(numbers: bool) -> Callable[[str], str]:
    def wrong(cell: str) -> str:
        if not cell:
            return "is empty; every example needs a label"
        if cell.lower() in ("nan", "inf", "-inf") or (numbers and _whole(cell) is None):
            return (
                f"holds {cell[:40]!r}; classes are strings or whole numbers; name the label column "
                "if it is another one"
            )
        return ""

    return wrong


def _whole(cell: str) -> str | None:
    """Write a whole number without sign, zeros and exponent; None for anything else."""
    if is_number(cell):
        number = Decimal(cell)
        if number.adjusted() < 400 and number == number.to_integral_value():
            return str(int(number))
    return None
