"""From what a scikit-learn user passes to the float32 rows of an engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from downslope.errors import InputError


def check_inputs(estimator: BaseEstimator, X: Any) -> NDArray[np.floating]:
    """Return the rows to predict as a dense array, of the columns that were fitted.

    Raises:
        ValueError: they are not rows of finite numbers of the fitted width.
    """
    return _dense(
        validate_data(estimator, X, reset=False, accept_sparse=True, dtype=[np.float64, np.float32])
    )


def check_labelled(
    estimator: BaseEstimator, X: Any, y: Any
) -> tuple[NDArray[np.floating], NDArray[np.generic]]:
    """Return rows and class labels, and remember the columns in the estimator.

    Raises:
        ValueError: no finite rows, or labels that are no classes.
    """
    rows, labels = validate_data(
        estimator, X, y, accept_sparse=True, dtype=[np.float64, np.float32], ensure_min_samples=2
    )
    check_classification_targets(labels)
    return _dense(rows), np.asarray(labels)


def check_measured(
    estimator: BaseEstimator, X: Any, y: Any
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Return rows and numbers of shape (rows,) or (rows, outputs); remember the columns.

    Raises:
        ValueError: no finite rows, or targets that are no finite numbers.
    """
    rows, targets = validate_data(
        estimator,
        X,
        y,
        accept_sparse=True,
        dtype=[np.float64, np.float32],
        ensure_min_samples=2,
        multi_output=True,
        y_numeric=True,
    )
    return _dense(rows), np.asarray(targets, np.float64)


def hold_out(
    rows: int, fraction: float, seed: int, classes: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split row numbers at random, in equal shares of each class where that is possible.

    Args:
        rows: how many there are.
        fraction: held out, above 0 and below 1.
        seed: of the split.
        classes: of the rows, shape (rows,); None where there are none.

    Raises:
        InputError: a fraction out of range, or nothing left for one of the two.

    >>> kept, held_out = hold_out(10, 0.2, 541, np.arange(10) % 2)
    >>> len(kept), sorted(held_out % 2)
    (8, [np.int64(0), np.int64(1)])
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation_fraction = {fraction}; it must be above 0 and below 1")
    count = round(rows * fraction)
    if not 0 < count < rows:
        raise InputError(
            f"validation_fraction = {fraction} of {rows} rows leaves nothing for one part; give "
            "more rows or another fraction"
        )
    stratify = None
    if classes is not None:
        sizes = np.bincount(classes)
        if sizes.min() >= 2 and len(sizes) <= min(count, rows - count):
            stratify = classes
    kept, held_out = train_test_split(
        np.arange(rows), test_size=count, random_state=seed % 2**32, stratify=stratify
    )
    return np.asarray(kept), np.asarray(held_out)


class Standardization:
    """Bring columns to mean 0 and variance 1 in float64, then to float32; or only the latter.

    Args:
        values: what mean and variance are taken from, shape (rows, columns).
        wanted: False leaves the values as they are.
        name: of the values in error messages.
    """

    def __init__(self, values: NDArray[np.floating], wanted: bool, name: str) -> None:
        self.name = name
        self.scaler: StandardScaler | None = None
        if wanted:
            with np.errstate(all="ignore"):  # what overflows here is named in apply
                self.scaler = StandardScaler().fit(np.asarray(values, np.float64))

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the values as the network sees them, shape (rows, columns), contiguous.

        Raises:
            InputError: a value that float32 cannot hold, with its row and column.
        """
        with np.errstate(all="ignore"):
            scaled = np.asarray(values, np.float64)
            if self.scaler is not None:
                scaled = self.scaler.transform(scaled)
            narrow = np.ascontiguousarray(scaled, np.float32)
        spread = 0.0 if self.scaler is None else np.asarray(self.scaler.var_)
        if not (np.isfinite(narrow).all() and np.isfinite(spread).all()):
            wrong = ~np.isfinite(narrow) | ~np.isfinite(spread)
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"{self.name}: row {row}, column {column}: {values[row, column]} is too large for "
                "a network in float32; rescale or clip that column"
            )
        return narrow

    def undo(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return network outputs in the units of the values that were given."""
        wide = np.asarray(values, np.float64)
        return wide if self.scaler is None else self.scaler.inverse_transform(wide)


def _dense(rows: Any) -> NDArray[np.floating]:
    # A network's first layer mixes all columns of all rows: sparse rows only save memory before.
    return rows.toarray() if scipy.sparse.issparse(rows) else rows
