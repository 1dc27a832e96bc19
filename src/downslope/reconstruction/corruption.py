"""Noise on inputs, for an autoencoder that learns to take it away (Vincent et al. 2010)."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.errors import InputError

CorruptionKind = Literal["gaussian", "masking", "salt_and_pepper"]


class Corruption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The noise that is put on inputs in [0, 1].

    Args:
        kind: "gaussian" is added and the sum clipped to [0, 1]; "masking" sets a share of the
            values to 0; "salt_and_pepper" sets a share of them to 0 or 1, as likely as not.
        amount: the standard deviation of "gaussian", from 0; else the share, from 0 to 1.

    Raises:
        InputError: a field is outside of what is allowed.

    >>> Corruption(kind="masking", amount=1.0).corrupt(np.ones((1, 3), np.float32), 541, 1)
    array([[0., 0., 0.]], dtype=float32)
    """

    kind: CorruptionKind = "gaussian"
    amount: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(CorruptionKind):
            allowed = ", ".join(map(repr, get_args(CorruptionKind)))
            raise InputError(f"noise: kind = {self.kind!r} is not allowed; it is one of {allowed}")
        highest = 10.0 if self.kind == "gaussian" else 1.0
        if not 0 <= self.amount <= highest:
            raise InputError(
                f"noise: amount = {self.amount} is not allowed; with {self.kind!r} it must be from "
                f"0 to {highest:g}"
            )

    def corrupt(self, inputs: NDArray[np.float32], seed: int, draw: int) -> NDArray[np.float32]:
        """Return the inputs with noise; another `draw` of the same seed is independent."""
        if self.amount == 0:
            return inputs
        generator = np.random.default_rng([seed, draw])
        if self.kind == "gaussian":
            noise = generator.standard_normal(inputs.shape, np.float32)
            noise *= self.amount
            noise += inputs
            return noise.clip(0, 1, out=noise)
        chance = generator.random(inputs.shape, np.float32)
        masked = np.where(chance < self.amount, np.float32(0), inputs)
        if self.kind == "masking":
            return masked
        # The lower half of the hits is pepper, already 0.
        salt = (chance >= self.amount / 2) & (chance < self.amount)
        return np.where(salt, np.float32(1), masked)
