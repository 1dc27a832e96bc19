"""Noise on inputs, for an autoencoder that learns to take it away (Vincent et al. 2010)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from downslope.checked import Checked, refused

CorruptionKind = Literal["gaussian", "masking", "salt_and_pepper"]


class Corruption(Checked, frozen=True, kw_only=True):
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
    amount: Annotated[float, Meta(ge=0, le=10)] = 0.0

    def faults(self) -> Iterator[str]:
        """Yield a share above 1."""
        if self.kind != "gaussian" and self.amount > 1:
            yield refused("amount", self.amount, f"a number from 0 to 1 with {self.kind!r}")

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
