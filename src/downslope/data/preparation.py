"""From raw examples to what a network sees: the split and the scaling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from downslope.data.examples import Examples
from downslope.data.numbers import constant
from downslope.errors import InputError

_ROWS = 4096  # scaled at a time: so many in float64 are all that is needed beside the result


def split(
    examples: Examples, validation: int | float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows at random into training and validation rows.

    The split is that of `torch.utils.data.random_split` right after `torch.manual_seed(seed)`,
    order included.

    Args:
        examples: what to split.
        validation: a number of examples, or a fraction below 1.
        seed: of the permutation.

    Returns:
        Rows for training and rows for validation, int64.

    Raises:
        InputError: nothing would be left for one of the two.

    >>> rows = Examples(np.zeros((5, 1), np.float32), np.zeros(5, np.int64))
    >>> [len(part) for part in split(rows, 0.2, seed=541)]
    [4, 1]
    """
    total = len(examples)
    count = validation if isinstance(validation, int) else round(total * validation)
    if not 0 < count < total:
        raise InputError(
            f"data: validation = {validation} of {total} examples leaves nothing for "
            f"{'training' if count > 0 else 'validation'}; give a number from 1 to {total - 1} or "
            "a fraction between 0 and 1"
        )
    generator = torch.Generator().manual_seed(seed)
    permutation = torch.randperm(total, generator=generator).numpy()
    return permutation[: total - count], permutation[total - count :]


class Encoder(Protocol):
    """What makes of raw examples those that a network sees: a `Scaling` or an `Encoding`."""

    def apply(self, examples: Examples) -> Examples:
        """Return the examples with float32 inputs."""
        ...


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """A map of raw inputs to float32: (raw / divisor - shift) / spread.

    Args:
        divisor: 255 for grey levels kept as bytes, else 1.
        shift: subtracted after the division, one number or one per feature.
        spread: divided by last, one number or one per feature.
    """

    divisor: float = 1.0
    shift: list[float] | float = 0.0
    spread: list[float] | float = 1.0

    @staticmethod
    def fit(training: Examples, max_pixel: float | None, center: float) -> Scaling:
        """Choose a scaling from training examples only, so that nothing leaks.

        Args:
            training: the examples to take means and deviations from.
            max_pixel: the grey level of full white; pixels are divided by it. None (a table)
                subtracts each feature's mean and divides by its deviation instead.
            center: subtracted from scaled pixels, for example 0.5.

        Raises:
            InputError: a column whose deviation float64 cannot hold.
        """
        if max_pixel is not None:
            return Scaling(divisor=max_pixel, shift=center)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = training.inputs.mean(axis=0, dtype=np.float64)
            deviation = training.inputs.std(axis=0, dtype=np.float64)
        if not np.isfinite(deviation).all():
            column = int(np.argmin(np.isfinite(deviation)))
            raise InputError(
                f"data: column {column} (from 0) has values up to "
                f"{np.abs(training.inputs[:, column]).max():g}, too large to standardize; rescale "
                "that column"
            )
        spread = np.where(constant(training.inputs), 1.0, deviation)
        return Scaling(shift=mean.tolist(), spread=spread.tolist())

    @staticmethod
    def unit(training: Examples, max_pixel: float | None) -> Scaling:
        """Choose the scaling to [0, 1] that a sigmoid output can reconstruct.

        Args:
            training: the examples to take a table's column ranges from.
            max_pixel: the grey level of full white; None for a table.
        """
        if max_pixel is not None:
            return Scaling(divisor=max_pixel)
        columns = Range.of(training.inputs)
        low = np.asarray(columns.low)
        span = np.where(constant(training.inputs), 1.0, np.asarray(columns.high) - low)
        return Scaling(shift=low.tolist(), spread=span.tolist())

    def apply(self, examples: Examples) -> Examples:
        """Return the examples with scaled float32 inputs; see `transform`.

        >>> grey = Examples(np.array([[0, 255]], np.uint8), np.zeros(1, np.int64))
        >>> Scaling(divisor=255, shift=0.5).apply(grey).inputs
        array([[-0.5,  0.5]], dtype=float32)
        """
        return Examples(self.transform(examples.inputs), examples.targets)

    def transform(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return scaled float32 inputs, shape (examples, features).

        Columns are shifted in float64 and narrowed last, so that large values keep their
        differences. Bytes with one divisor and shift for all are scaled in float32, as in PyTorch.

        Raises:
            InputError: a scaled value that float32 cannot hold, with its row and column.
        """
        if raw.dtype == np.uint8 and isinstance(self.shift, float | int) and self.spread == 1:
            scaled = raw.astype(np.float32)
            if self.divisor != 1:
                scaled /= np.float32(self.divisor)
            scaled -= np.float32(self.shift)
            return scaled
        shift, spread = np.asarray(self.shift, np.float64), np.asarray(self.spread, np.float64)

        def scale(rows: NDArray[Any]) -> NDArray[np.float64]:
            with np.errstate(over="ignore"):
                return (rows.astype(np.float64) / self.divisor - shift) / spread

        return narrow(raw, scale, "data")

    def undo(self, scaled: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return scaled values, shape (..., features), in the units of the data."""
        wide = np.asarray(scaled, np.float64) * np.asarray(self.spread, np.float64)
        return (wide + np.asarray(self.shift, np.float64)) * self.divisor


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """The range of each column that something was fitted on.

    Args:
        low: smallest values, shape (features,).
        high: largest values, shape (features,).
    """

    low: list[float]
    high: list[float]

    @staticmethod
    def of(inputs: NDArray[Any]) -> Range:
        """Take the ranges of the columns of some inputs, shape (examples, features)."""
        low, high = (inputs.min(axis=0), inputs.max(axis=0))
        return Range(low=low.astype(np.float64).tolist(), high=high.astype(np.float64).tolist())

    def scale_warnings(self, inputs: NDArray[Any]) -> list[str]:
        """Say where new inputs, shape (examples, features), are on another scale than these.

        A value is far outside where it leaves the range of its column by more than the range of
        that column, for a constant one by more than the range of all. Inputs as a whole are on a
        smaller scale where none has an eighth of the largest magnitude that was fitted on.
        """
        low, high = np.asarray(self.low), np.asarray(self.high)
        said: list[str] = []
        most = float(max(np.abs(low).max(), np.abs(high).max()))
        new = float(max(abs(float(inputs.min())), abs(float(inputs.max()))))
        if 0 < new * 8 < most:
            said.append(
                f"no value is beyond {new:g} in magnitude, while those fitted on reach {most:g}; "
                "is it on another scale?"
            )
        with np.errstate(over="ignore"):  # what is beyond float64 is infinite: nothing lies outside
            span = high - low
            constant = span <= 1e-6 * np.maximum(np.abs(low), np.abs(high))
            span = np.where(constant, max(float(high.max() - low.min()), most), span)
            outside = (inputs < low - span) | (inputs > high + span)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            count = int(outside.any(axis=1).sum())
            said.append(
                f"{count:,} of {len(inputs):,} rows lie far outside of the range fitted on, first "
                f"row {row}, column {column} (both from 0) with {inputs[row, column]:g}, where "
                f"{low[column]:g} to {high[column]:g} was seen"
            )
        return said


def narrow(raw: Any, encode: Callable[[Any], NDArray[np.float64]], at: str) -> NDArray[np.float32]:
    """Encode an array or a frame, some rows at a time, and narrow what comes out to float32.

    Raises:
        InputError: a value that float32 cannot hold, with its row and column.
    """
    parts: list[NDArray[np.float32]] = []
    for start in range(0, max(1, len(raw)), _ROWS):
        rows = raw[start : start + _ROWS]
        with np.errstate(over="ignore"):
            part = encode(rows).astype(np.float32)
        finite = np.isfinite(part)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            holds = f" holds {rows[row, column]}, which" if isinstance(raw, np.ndarray) else ""
            raise InputError(
                f"{at}: row {start + row}, column {column} (both from 0){holds} scaled as the "
                "training rows are does not fit float32; correct that value"
            )
        parts.append(part)
    return np.concatenate(parts)
