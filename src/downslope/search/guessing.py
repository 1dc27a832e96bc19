"""What a guess without looking reaches, and when a finite training is lost all the same."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from downslope.data import Examples
from downslope.search.trials import TrialEpoch

LOST = 2.0
"""How many times a constant guess's loss a network may end with before it is called lost.

Large enough for a fresh network of any initialization here that has learnt nothing yet, such as one
with a tiny learning rate: that has completed, and learnt little.
"""
CLEARLY = 1.2  # times a constant guess's share of hits: above it, something was learnt


@dataclass(frozen=True, slots=True)
class Guess:
    """Hold how good the best guess is that looks at no input.

    Args:
        loss: the mean cross-entropy of the class shares, in nats; infinite where targets are no
            classes, so that nothing is compared.
        accuracy: the share of the most frequent class.
    """

    loss: float
    accuracy: float

    @staticmethod
    def of(training: Examples) -> Guess:
        """Guess from the targets of training examples.

        >>> round(Guess.of(Examples(np.zeros((4, 1), np.float32), np.array([0, 1, 2, 3]))).loss, 4)
        1.3863
        """
        if training.targets.ndim != 1 or training.targets.dtype.kind not in "iu":
            return Guess(math.inf, 0.0)
        counts = np.bincount(training.targets.astype(np.int64))
        shares = counts[counts > 0] / counts.sum()
        # One class alone has a loss of zero, which any network is above.
        loss = float(-(shares * np.log(shares)).sum()) or math.inf
        return Guess(loss, float(shares.max()))

    def lost(self, last: TrialEpoch) -> str:
        """Say why a training that ended with finite numbers is lost; empty if it is not.

        At an absurd learning rate all hidden units can die, or weights grow huge and stay finite.
        Such a training has diverged, though nothing in it is infinite.
        """
        losses = [x for x in (last.validation_loss, last.train_loss) if x is not None]
        accuracy = last.validation_accuracy
        if not losses or accuracy is None or accuracy > CLEARLY * self.accuracy:
            return ""
        if min(losses) <= LOST * self.loss:
            return ""
        return (
            f"finite but lost: after epoch {last.epoch} the loss is {min(losses):.4g}, that of a "
            f"constant guess {self.loss:.4g}; the accuracy is {accuracy:.4f}, that guess's "
            f"{self.accuracy:.4f}"
        )
