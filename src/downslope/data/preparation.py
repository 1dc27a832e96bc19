"""From raw examples to what a network sees: the split and the scaling."""

from __future__ import annotations

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from downslope.data.examples import Examples
from downslope.errors import InputError


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


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """Map raw inputs to float32: (raw / divisor - shift) / spread.

    Args:
        divisor: 255 for grey levels kept as bytes, else 1.
        shift: subtracted after the division, one number or one per feature.
        spread: divided by last, one number or one per feature.
    """

    divisor: float = 1.0
    shift: list[float] | float = 0.0
    spread: list[float] | float = 1.0

    @staticmethod
    def fit(training: Examples, white: float | None, center: float) -> Scaling:
        """Choose a scaling from training examples only, so that nothing leaks.

        Args:
            training: the examples to take means and deviations from.
            white: the grey level of full white; pixels are divided by it. None (a table)
                subtracts each feature's mean and divides by its deviation instead.
            center: subtracted from scaled pixels, for example 0.5.
        """
        if white is not None:
            return Scaling(divisor=white, shift=center)
        mean = training.inputs.mean(axis=0, dtype=np.float64)
        deviation = training.inputs.std(axis=0, dtype=np.float64)
        return Scaling(
            shift=mean.tolist(),
            spread=np.where(deviation > 0, deviation, 1.0).tolist(),
        )

    @staticmethod
    def unit(training: Examples, white: float | None) -> Scaling:
        """Choose the scaling to [0, 1] that a sigmoid output can reconstruct.

        Args:
            training: the examples to take a table's column ranges from.
            white: the grey level of full white; None for a table.
        """
        if white is not None:
            return Scaling(divisor=white)
        low = training.inputs.min(axis=0).astype(np.float64)
        span = training.inputs.max(axis=0) - low
        return Scaling(shift=low.tolist(), spread=np.where(span > 0, span, 1.0).tolist())

    def apply(self, examples: Examples) -> Examples:
        """Return the examples with scaled float32 inputs.

        >>> grey = Examples(np.array([[0, 255]], np.uint8), np.zeros(1, np.int64))
        >>> Scaling(divisor=255, shift=0.5).apply(grey).inputs
        array([[-0.5,  0.5]], dtype=float32)
        """
        scaled = examples.inputs.astype(np.float32)
        if self.divisor != 1:
            scaled /= np.float32(self.divisor)
        scaled -= np.asarray(self.shift, np.float32)
        if self.spread != 1:
            scaled /= np.asarray(self.spread, np.float32)
        return Examples(scaled, examples.targets)
