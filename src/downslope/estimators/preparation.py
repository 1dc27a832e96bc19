"""From what a scikit-learn user passes to rows that can be encoded, and to parts of them."""

from __future__ import annotations

import numbers
import warnings
from typing import TYPE_CHECKING, Any, cast, get_args

import msgspec
import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage] - as scikit-learn tells developers
    check_X_y,
    validate_data,
)

from downslope.data import Dataset, Encoding, Examples, NumberMethod, SealedTestSet
from downslope.data.encoding import CONSTANT, columns_of_array
from downslope.data.labels import left_out_notes
from downslope.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MOST_REPEATED = 4
"""Rows after repeating by weight, at most, as a multiple of the rows before."""


def seed_of(random_state: Any) -> int:
    """Return a member's seed: a whole number as it is, otherwise drawn as scikit-learn does.

    Raises:
        InputError: a negative number.
    """
    if isinstance(random_state, numbers.Integral):
        if random_state < 0:
            raise InputError(f"random_state = {random_state}; it must be 0 or more, or None")
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number from `least` up.

    Raises:
        InputError: the message names it.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    if not whole or value < least:
        raise InputError(f"{name} = {value!r}; it must be a whole number, {least} or more")


def check_rows(
    estimator: BaseEstimator, X: Any, y: Any = "no_validation", *, regression: bool = False
) -> tuple[Any, NDArray[Any]]:
    """Return rows, and targets where they are given, whose columns the estimator remembers.

    Numbers come back as one array, NaN where missing; a frame with other columns, or an array with
    text in it, as a frame.

    Args:
        estimator: it remembers the columns where `y` is given, else it has done so.
        X: array, frame or sparse matrix of shape (rows, columns).
        y: labels of shape (rows,), or numbers of shape (rows,) or (rows, outputs).
        regression: whether `y` are numbers.

    Raises:
        ValueError: no such rows or targets, or other columns than those that were fitted.
    """
    fits = not isinstance(y, str)  # the word that scikit-learn has for it
    targets: dict[str, Any] = {"y": y} if fits else {}
    if fits:
        targets |= {"ensure_min_samples": 2, "multi_output": regression, "y_numeric": regression}
    frame = _mixed_frame(X)
    if frame is None:
        checked = validate_data(
            estimator,
            X,
            reset=fits,
            accept_sparse=True,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            **targets,
        )
        rows, y = cast(tuple[Any, Any], checked if fits else (checked, []))
        # A network's first layer mixes all columns of all rows: sparse rows only save memory.
        rows = rows.toarray() if scipy.sparse.issparse(rows) else rows
    else:
        validate_data(estimator, X, y=y, reset=fits, skip_check_array=True)
        rows = frame
        if fits:
            _, y = check_X_y(np.zeros((len(frame), 1)), estimator=estimator, **targets)
    if fits and not regression:
        check_classification_targets(y)
    return rows, np.asarray(y, np.float64 if fits and regression else None)


def _mixed_frame(X: Any) -> pd.DataFrame | None:
    """Return what holds more than numbers as a frame with names for columns; None for the rest."""
    if hasattr(X, "iloc"):
        from pandas.api.types import is_numeric_dtype

        if all(is_numeric_dtype(dtype) for dtype in X.dtypes):
            return None
        frame = X.set_axis([str(name).strip() for name in X.columns], axis=1)
    else:
        if scipy.sparse.issparse(X) or (cells := np.asarray(X)).dtype.kind not in "OUS":
            return None
        texts = any(isinstance(cell, str | bytes) for cell in cells.ravel().tolist())
        if cells.ndim != 2 or not texts:
            return None
        import pandas as pd

        names = [f"column {i + 1}" for i in range(cells.shape[1])]
        frame = pd.DataFrame(cells.astype(object), columns=names)
    if not frame.columns.is_unique:
        raise InputError("X: two columns have the same name; rename one")
    from downslope.data.columns import own_names

    return frame.set_axis(own_names(frame.columns), axis=1)


def take(rows: Any, at: NDArray[np.integer[Any]]) -> Any:
    """Return some rows of an array or a frame, in the order of `at`."""
    return rows[at] if isinstance(rows, np.ndarray) else rows.iloc[at]


def check_method(numbers: Any, name: str) -> NumberMethod:
    """Refuse what is no encoding of numbers.

    Raises:
        InputError: the message lists what is.
    """
    if numbers not in get_args(NumberMethod):
        allowed = ", ".join(map(repr, get_args(NumberMethod)))
        raise InputError(f"{name}: numbers = {numbers!r}; it must be one of {allowed}")
    return numbers


def fit_encoding(rows: Any, method: str, name: str) -> Encoding:
    """Fit what brings rows before a network, on these rows alone.

    Args:
        rows: from `check_rows`.
        method: a `NumberMethod`.
        name: of the estimator, for errors.

    Raises:
        InputError: another method, or rows that cannot be encoded.
    """
    checked = check_method(method, name)
    inputs: Any = rows
    if isinstance(rows, np.ndarray):
        columns = columns_of_array(rows.shape[1])
    else:
        from downslope.data.columns import column_of, typed  # imports pandas

        columns = tuple(column_of(rows[column], column, "X") for column in rows.columns)
        inputs = typed(rows, [column for column in columns if not column.left_out], "X")
    unlabelled = np.zeros(len(rows), np.int64)
    nothing = SealedTestSet(Examples(np.zeros((0, len(columns))), unlabelled[:0]))
    dataset = Dataset(
        name="X",
        source="",
        shape=(len(columns),),
        class_names=(),
        training=Examples(inputs, unlabelled),
        test=nothing,
        max_pixel=None,
        sha256="",
        columns=columns,
    )
    return Encoding.fit(dataset, numbers=checked)


def warn_of_columns(encoding: Encoding, name: str) -> None:
    """Warn of columns that are left out for what they look like; a constant one tells nothing."""
    left_out = {n: why for n, why in encoding.left_out.items() if why != CONSTANT}
    for note in left_out_notes(left_out):
        warnings.warn(f"{name}: {note}", stacklevel=4)


def name_columns(encoding: Encoding, estimator: Any) -> Encoding:
    """Give the columns of an array the names that they had in the frame that it came from."""
    from downslope.data.columns import own_names

    names = own_names(getattr(estimator, "feature_names_in_", ()))
    if all(column.name in names for column in encoding.columns) or not names:
        return encoding
    of_place = {f"column {i + 1}": name for i, name in enumerate(names)}
    columns = [msgspec.structs.replace(c, name=of_place[c.name]) for c in encoding.columns]
    numbers = encoding.numbers
    if numbers is not None:
        numbers = msgspec.structs.replace(numbers, names=[of_place[n] for n in numbers.names])
    left_out = {of_place[name]: why for name, why in encoding.left_out.items()}
    return msgspec.structs.replace(encoding, columns=columns, numbers=numbers, left_out=left_out)


def hold_out(
    rows: int,
    fraction: float,
    seed: int,
    classes: NDArray[np.int64] | None,
    groups: NDArray[Any] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split row numbers at random, in equal shares of each class where that is possible.

    Args:
        rows: how many there are.
        fraction: held out, above 0 and below 1.
        seed: of the split.
        classes: of the rows, shape (rows,); None where there are none.
        groups: of the rows, shape (rows,): a group stays whole, classes may not be in equal shares.

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
    if groups is not None:
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed % 2**32)
        return next(iter(splitter.split(np.zeros(rows), groups=groups)))
    stratify = None
    if classes is not None:
        sizes = np.bincount(classes)
        if sizes.min() >= 2 and len(sizes) <= min(count, rows - count):
            stratify = classes
    kept, held_out = train_test_split(
        np.arange(rows), test_size=count, random_state=seed % 2**32, stratify=stratify
    )
    return np.asarray(kept), np.asarray(held_out)


def weights_of(
    sample_weight: Any, class_weight: Any, X: Any, labels: NDArray[Any] | None
) -> NDArray[np.float64] | None:
    """Return a weight per row, that of its class included; None where all are the same.

    Raises:
        ValueError: weights that are negative, not one a row, or of classes that are not there.
    """
    if sample_weight is None and class_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, labels)
    return weights


def repeated(
    at: NDArray[np.int64], weights: NDArray[np.float64] | None, seed: int
) -> NDArray[np.int64]:
    """Repeat row numbers in proportion to their weights, in their order; all once without any.

    The engines know no weights. Whole numbers of which the least is 1 are met exactly where that
    makes at most `MOST_REPEATED` times as many rows; other numbers of times are rounded up or down
    by systematic sampling, so that each row's mean over seeds is right.

    >>> repeated(np.array([4, 5, 6]), np.array([0, 0, 0, 0, 1.0, 0, 2.0]), seed=0)
    array([4, 6, 6])
    """
    if weights is None:
        return at
    own = weights[at]
    if not own.any():
        raise InputError("sample_weight: all rows of one part have the weight 0")
    scale = min(1 / own[own > 0].min(), MOST_REPEATED * len(at) / own.sum())
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(at))
    ends = np.cumsum(own[order] * scale)
    whole = np.allclose(own * scale, np.rint(own * scale), atol=1e-9)
    start = 0.5 if whole else generator.uniform()
    times = np.empty(len(at), np.int64)
    times[order] = np.diff(np.floor(ends + start), prepend=0).astype(np.int64)
    return np.repeat(at, times)
