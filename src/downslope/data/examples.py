"""Arrays of examples, the data set they belong to, and the test set behind its seal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.errors import InputError
from downslope.showing import Shown

if TYPE_CHECKING:
    import pandas as pd

Inputs = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]

DecimalMark = Literal["", ".", ","]
"""Of a text table's numbers; empty where it is not known."""

Task = Literal["classification", "regression"]
"""What is predicted: classes, or numbers."""

ColumnKind = Literal["number", "boolean", "category", "date"]
"""What the cells of a column may be taken for."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table.

    Args:
        name: in the header.
        kind: what its cells are taken for.
        date_format: in which dates are written, as for `pandas.to_datetime`.
        left_out: why networks do not see it; empty where they do.
    """

    name: str
    kind: ColumnKind
    date_format: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Examples(Shown):
    """Inputs and their targets, whole in memory.

    Args:
        inputs: shape (examples, features); as read uint8, or floating, float64 where float32
            would lose digits; float32 once encoded. Of a table of mixed columns, until it is
            encoded, a frame with values by kind (`Dataset.columns`), as `frame` tells.
        targets: int64 classes of shape (examples,); or numbers, float64 of shape (examples,) as
            read and float32 of shape (examples, outputs) once encoded.

    Raises:
        InputError: the counts differ.
    """

    inputs: Inputs
    targets: NDArray[np.int64] | NDArray[np.float32] | NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise InputError(
                f"examples: {len(self.inputs)} inputs but {len(self.targets)} targets; "
                "the counts must agree"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """Return the examples of the given rows, in that order."""
        frame = self.frame
        taken = self.inputs[rows] if frame is None else cast(Any, frame.iloc[rows])
        return Examples(taken, self.targets[rows])

    @property
    def frame(self) -> pd.DataFrame | None:
        """The inputs where they are the frame of a mixed table; None where they are an array."""
        inputs = cast(Any, self.inputs)
        return None if isinstance(inputs, np.ndarray) else inputs


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of the sealed test set."""

    reason: str


class SealedTestSet:
    """The test examples, where only `open` reaches them; every opening is counted.

    >>> rows = Examples(np.zeros((2, 3), np.float32), np.zeros(2, np.int64))
    >>> test = SealedTestSet(rows)
    >>> len(test), len(test.openings)
    (2, 0)
    >>> opened = test.open("final accuracy of seed 0")
    >>> test.openings
    (Opening(reason='final accuracy of seed 0'),)
    """

    def __init__(self, examples: Examples) -> None:
        self.__examples = examples
        self.__openings: list[Opening] = []
        self.__encode: Callable[[Examples], Examples] | None = None

    def __len__(self) -> int:
        return len(self.__examples)

    @property
    def openings(self) -> tuple[Opening, ...]:
        """List every opening so far, oldest first."""
        return tuple(self.__openings)

    def open(self, reason: str) -> Examples:
        """Return the test examples and record why they were needed.

        Raises:
            InputError: the reason is empty.
        """
        if not reason.strip():
            raise InputError("test set: open(reason) needs a reason; it is printed in the report")
        self.__openings.append(Opening(reason))
        return self.__examples if self.__encode is None else self.__encode(self.__examples)

    def encoded(self, encode: Callable[[Examples], Examples]) -> SealedTestSet:
        """Return the same test set, with examples that `open` encodes; openings count for both."""
        other, before = SealedTestSet(self.__examples), self.__encode
        other.__openings = self.__openings
        other.__encode = encode if before is None else lambda raw: encode(before(raw))
        return other


@dataclass(frozen=True, slots=True, repr=False)
class Dataset(Shown):
    """A whole data set: what may be trained and validated on, and the sealed test set.

    Args:
        name: as given to `load`.
        source: where the bytes came from, in words for the report.
        shape: of one example, for example (28, 28); its product is the number of features.
        class_names: one name per class; empty for unlabelled data, whose targets are all 0.
        training: all examples that are not test examples.
        test: the sealed test set.
        max_pixel: the grey level of full white where the examples are images (255, or 16 for
            digits); None for a table.
        sha256: digest of the decompressed content, all arrays in order.
        notes: what was taken for what where the content decided it, a sentence each.
        task: classes, or numbers to predict.
        columns: of a table, all of them, those that are left out with the reason; empty for
            pictures.
        target: name of the label column of a table.
        decimal: mark of a text table's numbers.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    training: Examples
    test: SealedTestSet = field(repr=False)
    max_pixel: float | None
    sha256: str
    notes: tuple[str, ...] = ()
    task: Task = "classification"
    columns: tuple[Column, ...] = ()
    target: str = ""
    decimal: DecimalMark = ""

    def facts(self) -> Mapping[str, object]:
        """Return what is worth seeing: what there is to learn, from how much, behind which seal."""
        return {
            "name": self.name,
            "task": self.task,
            "training": f"{len(self.training):,} examples",
            "test": f"{len(self.test):,} sealed examples, opened {len(self.test.openings)} times",
            "shape": self.shape,
            "classes": self.class_names,
            "columns": self.columns,
            "target": self.target,
            "source": self.source,
            "notes": " ".join(self.notes),
        }


def content_digest(*arrays: NDArray[np.generic]) -> str:
    """Return the SHA-256 of the bytes, shapes and types of some arrays.

    >>> content_digest(np.zeros(2)) == content_digest(np.zeros((2, 1)))
    False
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
