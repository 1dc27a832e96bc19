"""Encodings of columns of numbers: standardized, by quantiles, or piecewise linear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

NumberMethod = Literal["standard", "quantile", "piecewise-linear", "none"]
"""How numbers are encoded for a network to predict from."""

UnitMethod = NumberMethod | Literal["unit"]
"""And for an autoencoder to reconstruct."""

BINS = 16
"""Bins of a piecewise-linear encoding, fewer where a column has fewer values."""

MOST_QUANTILES = 1000
ROWS_PER_QUANTILE = 30
"""Training rows behind each quantile at least, and never fewer than 10 quantiles in all."""

_EDGE = 1e-7  # as in sklearn.preprocessing.QuantileTransformer


class NumberEncoding(msgspec.Struct, frozen=True, kw_only=True):
    """How columns of numbers become features; every number in it is of training rows.

    Args:
        names: of the columns.
        medians: in place of what is missing.
        indicated: columns with missing training values, each followed up by a feature that is 1
            where a value is missing.
        method: "standard": minus `shift`, divided by `spread`; "quantile": by `quantiles` to a
            normal distribution; "piecewise-linear": by `edges` to the share of each bin that lies
            below the value (Gorishniy et al. 2022, "On embeddings for numerical features", eq. 1);
            "none": not at all; "unit": "standard" with the range as spread, so that training
            values lie in [0, 1].
        shift: one a column.
        spread: one a column.
        quantiles: of the training values, shape (quantiles, columns), evenly spaced.
        edges: of the bins, by column.
    """

    names: list[str]
    medians: list[float]
    indicated: list[int]
    method: UnitMethod
    shift: list[float] = []
    spread: list[float] = []
    quantiles: list[list[float]] = []
    edges: list[list[float]] = []

    @staticmethod
    def fit(values: NDArray[Any], names: Sequence[str], method: UnitMethod) -> NumberEncoding:
        """Fit on training values.

        Args:
            values: shape (rows, columns); NaN where missing, but not in all of a column.
            names: of the columns.
            method: see the class.
        """
        missing = np.isnan(values)
        medians = np.nanmedian(values, axis=0) if values.size else np.zeros(0)
        fitted = NumberEncoding(
            names=list(names),
            medians=medians.astype(np.float64).tolist(),
            indicated=np.flatnonzero(missing.any(axis=0)).tolist(),
            method=method,
        )
        if not values.size:
            return fitted
        filled = np.where(missing, medians, values)
        return msgspec.structs.replace(fitted, **_FITS[method](filled))

    @property
    def features(self) -> list[tuple[str, str]]:
        """Name the features, each behind its column."""
        values = [(name, name) for name in self.names]
        if self.method == "piecewise-linear":
            pairs = zip(self.names, self.edges, strict=True)
            values = [(name, f"{name} bin {i + 1}") for name, e in pairs for i in range(len(e) - 1)]
        names = [self.names[at] for at in self.indicated]
        return [*values, *((name, f"{name} is missing") for name in names)]

    def transform(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return features, shape (rows, features), of values, shape (rows, columns)."""
        if not self.names:
            return np.empty((len(values), 0))
        missing = np.isnan(values)
        filled = np.where(missing, self.medians, values)
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused by who narrows it
            if self.method == "quantile":
                features = _to_normal(filled, np.asarray(self.quantiles))
            elif self.method == "piecewise-linear":
                columns = [
                    _shares(f, np.asarray(e)) for f, e in zip(filled.T, self.edges, strict=True)
                ]
                features = np.concatenate(columns, axis=1)
            else:
                features = (filled - np.asarray(self.shift)) / np.asarray(self.spread)
        return np.concatenate([features, missing[:, self.indicated]], axis=1)


def constant(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which columns, of shape (rows, columns), are constant but for rounding; NaN is none."""
    low, high = (
        np.asarray(f(values, axis=0), np.float64) for f in (np.fmin.reduce, np.fmax.reduce)
    )
    is_constant = (low == high) | np.isnan(low)
    if values.dtype.kind == "f":
        rounding = 4 * float(np.finfo(values.dtype).eps) * np.maximum(np.abs(low), np.abs(high))
        for column in np.flatnonzero(~is_constant & (high - low <= rounding)):
            # Whole numbers are not rounded: large identifiers differ by little, and truly.
            present = values[:, column][~np.isnan(values[:, column])]
            is_constant[column] = bool((present != np.rint(present)).any())
    return is_constant


def _standard(filled: NDArray[Any]) -> dict[str, Any]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(filled.astype(np.float64, copy=False))
    assert scaler.mean_ is not None and scaler.scale_ is not None
    spread = np.where(constant(filled), 1.0, scaler.scale_)
    return {"shift": np.asarray(scaler.mean_).tolist(), "spread": spread.tolist()}


def _unit(filled: NDArray[Any]) -> dict[str, Any]:
    low = filled.min(axis=0).astype(np.float64)
    span = np.where(constant(filled), 1.0, filled.max(axis=0) - low)
    return {"shift": low.tolist(), "spread": span.tolist()}


def _none(filled: NDArray[Any]) -> dict[str, Any]:
    columns = filled.shape[1]
    return {"shift": [0.0] * columns, "spread": [1.0] * columns}


def _quantiles(filled: NDArray[Any]) -> dict[str, Any]:
    from sklearn.preprocessing import QuantileTransformer

    count = max(10, min(MOST_QUANTILES, len(filled) // ROWS_PER_QUANTILE))
    transformer = QuantileTransformer(
        n_quantiles=min(count, len(filled)),
        output_distribution="normal",
        subsample=None,  # pyright: ignore[reportArgumentType] - None is all
    )
    transformer.fit(filled.astype(np.float64, copy=False))
    return {"quantiles": np.asarray(transformer.quantiles_).tolist()}


def _edges(filled: NDArray[Any]) -> dict[str, Any]:
    levels = np.linspace(0, 1, BINS + 1)
    edges = [np.unique(np.quantile(column, levels)) for column in filled.astype(np.float64).T]
    return {"edges": [e.tolist() if len(e) > 1 else [e[0], e[0] + 1.0] for e in edges]}


_FITS = {
    "standard": _standard,
    "none": _none,
    "unit": _unit,
    "quantile": _quantiles,
    "piecewise-linear": _edges,
}


def _to_normal(
    filled: NDArray[np.floating[Any]], quantiles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map columns to a normal distribution, as `QuantileTransformer.transform` does."""
    from scipy.special import ndtri

    references = np.linspace(0, 1, len(quantiles))
    lowest, highest = ndtri(_EDGE - np.spacing(1)), ndtri(1 - (_EDGE - np.spacing(1)))
    result = np.empty(filled.shape, np.float64)
    for at, column in enumerate(quantiles.T):
        values = filled[:, at].astype(np.float64)
        # The mean of both ways: in the middle of what a tied value spans.
        up = np.interp(values, column, references)
        down = np.interp(-values, -column[::-1], -references[::-1])
        shares = 0.5 * (up - down)
        shares[values - _EDGE < column[0]] = 0
        shares[values + _EDGE > column[-1]] = 1
        with np.errstate(divide="ignore"):
            result[:, at] = np.clip(ndtri(shares), lowest, highest)
    return result


def _shares(values: NDArray[np.floating[Any]], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by bin how much of it lies below each value, shape (rows, bins).

    From 0 to 1, but beyond the outer edges, where the first and the last bin go on linearly.
    """
    low, high = edges[:-1], edges[1:]
    shares = (values[:, None] - low) / (high - low)
    floor = np.r_[-np.inf, np.zeros(len(low) - 1)]
    ceiling = np.r_[np.ones(len(low) - 1), np.inf]
    return np.clip(shares, floor, ceiling)
