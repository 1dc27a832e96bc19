"""From raw examples to what a network sees, and from its outputs back: fitted, and plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.data.examples import Column, Dataset, DecimalMark, Examples, Inputs, Task
from downslope.data.labels import left_out_notes
from downslope.data.numbers import NumberEncoding, NumberMethod, UnitMethod, constant
from downslope.data.preparation import Scaling, narrow
from downslope.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FEWEST_OF_A_LEVEL = 5
MOST_LEVELS = 100
"""Levels that fewer training rows have, and the rarest beyond so many, are joined to one."""


class CategoryEncoding(msgspec.Struct, frozen=True, kw_only=True):
    """How a category becomes features that are 0 or 1, one a level.

    Args:
        name: of the column.
        levels: that training rows have and that are not rare, in alphabetic order.
        joined: the rare ones, which share one feature; so does a level that no training row has.
            Where there are no rare ones, such a level has no feature.
        most_frequent: the level in place of what is missing.
        indicated: whether a feature of its own tells that it was missing.
    """

    name: str
    levels: list[str]
    joined: list[str]
    most_frequent: str
    indicated: bool

    @staticmethod
    def fit(cells: NDArray[np.object_], name: str) -> CategoryEncoding:
        """Fit on the cells of training rows, shape (rows,): text, None where missing."""
        from sklearn.preprocessing import OneHotEncoder

        present = cells[cells != None]  # noqa: E711 - elementwise
        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=FEWEST_OF_A_LEVEL,
            max_categories=MOST_LEVELS,
        )
        levels, counts = np.unique(present, return_counts=True)
        most_frequent = levels[counts.argmax()]
        filled = np.where(cells == None, most_frequent, cells)  # noqa: E711 - elementwise
        one_hot.fit(filled[:, None])
        joined = one_hot.infrequent_categories_[0]
        rare = [] if joined is None else joined.tolist()
        return CategoryEncoding(
            name=name,
            levels=[level for level in levels.tolist() if level not in rare],
            joined=rare,
            most_frequent=str(most_frequent),
            indicated=len(present) < len(cells),
        )

    @property
    def features(self) -> list[tuple[str, str]]:
        """Name the features, each behind the column."""
        names = [f"{self.name} = {level}" for level in self.levels]
        names += [f"{self.name} = another"] * bool(self.joined)
        return [
            (self.name, name) for name in [*names, *[f"{self.name} is missing"] * self.indicated]
        ]

    def transform(self, cells: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return features, shape (rows, features)."""
        number = {level: at for at, level in enumerate(self.levels)}
        number[None] = number.get(self.most_frequent, len(self.levels))  # type: ignore[index] - None is a missing cell
        at = np.array([number.get(cell, len(self.levels)) for cell in cells], np.intp)
        one_hot = np.zeros((len(cells), len(self.levels) + 1))
        one_hot[np.arange(len(cells)), at] = 1
        parts = [one_hot[:, : len(self.levels) + bool(self.joined)]]
        if self.indicated:
            parts.append((cells == None).astype(np.float64)[:, None])  # noqa: E711 - elementwise
        return np.concatenate(parts, axis=1)


class Encoding(msgspec.Struct, frozen=True, kw_only=True):
    """How raw examples become a network's inputs, and its outputs what the user reads.

    Everything in it was fitted on training rows, or says how the data were read. It is plain
    data: `to_dict` gives what JSON holds, to the same bits.

    A table is given as a `pandas.DataFrame` that has its columns by name, in any order and among
    others, cells as text or as values. Anything else is an array of shape (rows, features).

    Args:
        task: classes, or numbers to predict ("regression").
        target: name of the label column; empty where it has none.
        decimal: mark of the text table that it was fitted on, for numbers of new ones that may be
            read in two ways.
        class_names: by class; empty for a regression.
        shape: of one raw example, for example (28, 28); (columns,) for a table.
        max_pixel: the grey level of full white of pictures; None for a table.
        scaling: of pictures; None for a table.
        columns: of a table, those that are used, in order.
        left_out: of a table, why other columns are not used, by name.
        numbers: of a table's columns of numbers and the parts of dates.
        truths: of a table's booleans, which stay 0 and 1.
        categories: of a table.
        targets: of the numbers to predict; None for classes.
    """

    task: Task = "classification"
    target: str = ""
    decimal: DecimalMark = ""
    class_names: list[str] = []
    shape: list[int]
    max_pixel: float | None = None
    scaling: Scaling | None = None
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    numbers: NumberEncoding | None = None
    truths: NumberEncoding | None = None
    categories: list[CategoryEncoding] = []
    targets: Scaling | None = None

    @staticmethod
    def fit(
        dataset: Dataset,
        training: Examples | None = None,
        *,
        center: float = 0.5,
        numbers: UnitMethod = "standard",
    ) -> Encoding:
        """Fit on training rows only, so that nothing leaks.

        Args:
            dataset: says how the data were read.
            training: of its training examples, those to fit on; by default all of them.
            center: subtracted from pixels in [0, 1].
            numbers: how columns of numbers are encoded; see `NumberEncoding`. "unit" brings
                all features of the data, pictures too, into [0, 1].

        Raises:
            InputError: a value that float64 cannot square, or no column that varies.
        """
        training = dataset.training if training is None else training
        encoding = Encoding(
            task=dataset.task,
            target=dataset.target,
            decimal=dataset.decimal,
            class_names=list(dataset.class_names),
            shape=list(dataset.shape),
            max_pixel=dataset.max_pixel,
            targets=_scaling_of_targets(training) if dataset.task == "regression" else None,
        )
        if not dataset.columns:
            if numbers == "unit":
                scaling = Scaling.unit(training, dataset.max_pixel)
            else:
                scaling = Scaling.fit(training, dataset.max_pixel, center)
            return msgspec.structs.replace(encoding, scaling=scaling)
        return msgspec.structs.replace(encoding, **_fit_table(dataset, training, numbers))

    @property
    def features(self) -> list[str]:
        """Name the inputs of a network; empty names for pixels."""
        if self.scaling is not None:
            return [""] * int(np.prod(self.shape))
        return [name for _, name in self._features_by_column]

    def features_of(self, column: Column) -> list[str]:
        """Name those features that are made of one column."""
        own = [column.name]
        if column.kind == "date":
            own = list(_parts_of_dates(np.array([], "datetime64[us]"), column.name))
        return [name for of, name in self._features_by_column if of in own]

    @property
    def _features_by_column(self) -> list[tuple[str, str]]:
        assert self.numbers is not None and self.truths is not None
        parts = [self.numbers.features, self.truths.features]
        return [pair for part in [*parts, *(c.features for c in self.categories)] for pair in part]

    @property
    def notes(self) -> list[str]:
        """Say which columns of a table are left out for what training rows hold."""
        constant_ones = {n: why for n, why in self.left_out.items() if why == CONSTANT}
        return left_out_notes(constant_ones)

    def transform(self, rows: pd.DataFrame | Inputs, at: str = "data") -> NDArray[np.float32]:
        """Encode rows.

        Args:
            rows: see the class.
            at: where they are from, for errors.

        Returns:
            float32 of shape (rows, features).

        Raises:
            InputError: a column is missing, a cell is not of its column's kind, or a value is too
                large for float32; the message names it.
        """
        if self.scaling is not None:
            return self.scaling.transform(rows)  # type: ignore[arg-type]
        if isinstance(rows, np.ndarray):
            used = [place_of(column) for column in self.columns]
            return narrow(rows, lambda part: self._features(part[:, used]), at)
        from downslope.data.columns import typed

        frame = typed(rows, self.columns, at)
        return narrow(frame, self._features, at)

    def apply(self, examples: Examples) -> Examples:
        """Return examples as a network sees them, inputs and targets float32, or classes."""
        return Examples(self.transform(examples.inputs), self.targets_of(examples))

    def targets_of(self, examples: Examples) -> NDArray[Any]:
        """Return what a network shall predict: classes, or float32 numbers, shape (rows, 1)."""
        if self.targets is None:
            return examples.targets
        return self.targets.transform(np.asarray(examples.targets, np.float64).reshape(-1, 1))

    def _features(self, rows: Any) -> NDArray[np.float64]:
        values = _Values(rows, self.columns)
        assert self.numbers is not None and self.truths is not None
        parts = [
            self.numbers.transform(values.stack(values.numbers, self.numbers.names)),
            self.truths.transform(values.stack(values.truths, self.truths.names)),
        ]
        parts += [one.transform(values.categories[one.name]) for one in self.categories]
        return np.concatenate(parts, axis=1)

    def numbers_of(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return what a regression's outputs, shape (..., 1), say in the target's units, (...)."""
        assert self.targets is not None
        return self.targets.undo(outputs)[..., 0]

    @property
    def target_spread(self) -> float:
        """Return the deviation of the numbers to predict; 1 for classes."""
        spread = 1.0 if self.targets is None else self.targets.spread
        assert isinstance(spread, float)
        return spread

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds."""
        return msgspec.to_builtins(self)


class Encodings:
    """Several encodings of the same examples, whose features lie side by side.

    So the members of one population may each see another encoding: see `Job.columns`.

    Args:
        parts: by what a member's settings call them.
    """

    def __init__(self, parts: Mapping[NumberMethod | None, Encoding]) -> None:
        self._parts = parts
        widths = [len(encoding.features) for encoding in parts.values()]
        ends = np.cumsum(widths).tolist()
        self.columns: dict[str | None, tuple[int, int]] = {
            name: (end - width, end) for name, width, end in zip(parts, widths, ends, strict=True)
        }

    def apply(self, examples: Examples) -> Examples:
        """Return the examples with all features; targets are the same in each encoding."""
        first = next(iter(self._parts.values()))
        return Examples(self.transform(examples.inputs), first.targets_of(examples))

    def transform(self, rows: pd.DataFrame | Inputs, at: str = "data") -> NDArray[np.float32]:
        """Encode rows, shape (rows, features of all); see `Encoding.transform`."""
        features = [encoding.transform(rows, at) for encoding in self._parts.values()]
        return features[0] if len(features) == 1 else np.concatenate(features, axis=1)


def place_of(column: Column) -> int:
    """Return where the column of an array without names is; see `columns_of_array`."""
    return int(column.name.removeprefix("column ")) - 1


def columns_of_array(width: int) -> tuple[Column, ...]:
    """Name the columns of an array of numbers, "column 1" first."""
    return tuple(Column(name=f"column {i + 1}", kind="number") for i in range(width))


class _Values:
    """The columns of some typed rows by what they are encoded as; dates are taken apart."""

    def __init__(self, rows: pd.DataFrame | NDArray[Any], columns: Sequence[Column]) -> None:
        self.rows = len(rows)
        self.whole: NDArray[Any] | None = None
        self.numbers: dict[str, NDArray[np.float64]] = {}
        self.truths: dict[str, NDArray[np.float64]] = {}
        self.categories: dict[str, NDArray[np.object_]] = {}
        if isinstance(rows, np.ndarray):
            self.whole = rows
            return
        for column in columns:
            cells = rows[column.name].to_numpy()
            if column.kind == "number":
                self.numbers[column.name] = cells
            elif column.kind == "boolean":
                self.truths[column.name] = cells
            elif column.kind == "category":
                self.categories[column.name] = cells.astype(object)
            else:
                self.numbers |= _parts_of_dates(cells, column.name)

    def stack(
        self, columns: Mapping[str, NDArray[np.float64]], names: Sequence[str]
    ) -> NDArray[Any]:
        """Return some columns, shape (rows, names)."""
        if self.whole is not None:
            return self.whole if names else np.empty((self.rows, 0))
        stacked = [columns[name] for name in names]
        return np.stack(stacked, axis=1) if stacked else np.empty((self.rows, 0))


def _parts_of_dates(dates: NDArray[np.datetime64], name: str) -> dict[str, NDArray[np.float64]]:
    """Return age (days since 1970), month, day, weekday (Monday 0) and hour, NaN where missing."""
    missing = np.isnat(dates)
    days = dates.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    parts = {
        "days": dates.astype("datetime64[us]").astype(np.int64) / 86_400e6,
        "month": months.astype(np.int64) % 12 + 1,
        "day": (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        "weekday": (days.astype(np.int64) + 3) % 7,
        "hour": (dates - days).astype("timedelta64[us]").astype(np.int64) / 3_600e6,
    }
    return {
        f"{name} ({part})": np.where(missing, np.nan, values.astype(np.float64))
        for part, values in parts.items()
    }


def _fit_table(dataset: Dataset, training: Examples, method: UnitMethod) -> dict[str, Any]:
    """Fit what encodes a table; columns that are constant in the training rows are left out."""
    left_out = {c.name: c.left_out for c in dataset.columns if c.left_out}
    offered = [c for c in dataset.columns if not c.left_out]
    inputs, frame = training.inputs, training.frame
    if frame is None:
        still = constant(inputs)
        left_out |= {c.name: CONSTANT for c in offered if still[place_of(c)]}
        used = [c for c in offered if c.name not in left_out]
        numbers: NDArray[Any] = inputs[:, [place_of(c) for c in used]]
        names = [c.name for c in used]
        values = _Values(numbers, used)
    else:
        left_out |= {c.name: CONSTANT for c in offered if _varies_not(frame[c.name].to_numpy())}
        used = [c for c in offered if c.name not in left_out]
        values = _Values(frame, used)
        varying = {n: v for n, v in values.numbers.items() if not constant(v[:, None])[0]}
        numbers, names = values.stack(varying, list(varying)), list(varying)
    if not used:
        reasons = "; ".join(f"{name!r}: {why}" for name, why in left_out.items())
        raise InputError(f"{dataset.name}: no column is left to learn from ({reasons})")
    _check_size(numbers, names)
    truths = NumberEncoding.fit(
        values.stack(values.truths, list(values.truths)), list(values.truths), "unit"
    )
    return {
        "columns": used,
        "left_out": left_out,
        "numbers": NumberEncoding.fit(numbers, names, method),
        # The most frequent of 0 and 1; of as many of both, 0.
        "truths": msgspec.structs.replace(
            truths, medians=[float(np.floor(median)) for median in truths.medians]
        ),
        "categories": [CategoryEncoding.fit(cells, n) for n, cells in values.categories.items()],
    }


CONSTANT = "the same in all training rows"


def _varies_not(cells: NDArray[Any]) -> bool:
    """Tell whether a column of a frame is the same in all rows; missing is a value, too."""
    if cells.dtype == object:
        return len(set(cells.tolist())) < 2
    missing = np.isnat(cells) if cells.dtype.kind == "M" else np.isnan(cells)
    if missing.any():
        return bool(missing.all())
    values = cells.astype(np.int64) if cells.dtype.kind == "M" else cells
    return bool(constant(values[:, None])[0])


def _check_size(numbers: NDArray[Any], names: Sequence[str]) -> None:
    """Refuse a column whose deviation float64 cannot hold."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.nanstd(numbers, axis=0, dtype=np.float64) if len(names) else np.zeros(0)
    for name, size in zip(names, deviation, strict=True):
        if not np.isfinite(size):
            raise InputError(
                f"data: column {name!r} has values too large to standardize; rescale that column"
            )


def _scaling_of_targets(training: Examples) -> Scaling:
    targets = np.asarray(training.targets, np.float64)
    deviation = float(targets.std())
    if not 0 < deviation < np.inf:
        raise InputError(
            f"data: the numbers to predict are all {targets[0]:g} in the training rows; there is "
            "nothing to learn"
            if deviation == 0
            else "data: the numbers to predict are too large to standardize; rescale them"
        )
    return Scaling(shift=float(targets.mean()), spread=deviation)
