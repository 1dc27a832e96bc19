"""Chance level, and the rule that calls a finite but useless training degenerate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from downslope.data import Examples

DEGENERATE = 2.0
"""How many times the loss at chance a network may end with before it is called degenerate.

Large enough for a fresh network of any initialization here that has learnt nothing yet, such as one
with a tiny learning rate: that has completed, and learnt little.
"""
CLEARLY = 1.2  # times the share of the largest class: above it, something was learnt
HALVED = 0.5  # or this share of its errors left, where one class is most of the examples


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """How good guesses are that look at no input.

    Args:
        loss: the cross-entropy of equal chances for all classes, in nats, whatever their shares and
            however labels are smoothed; infinite where there is one class alone. Of numbers, the
            mean squared error of always predicting their mean; infinite where all are the same.
        accuracy: the share of the most frequent class; None where numbers are predicted.
    """

    loss: float
    accuracy: float | None

    @staticmethod
    def of(training: Examples, classes: int) -> ChanceLevel:
        """Take the chance level of training examples, for as many classes as a network has outputs.

        >>> targets = np.array([0, 1, 1, 1])
        >>> chance = ChanceLevel.of(Examples(np.zeros((4, 1), np.float32), targets), 2)
        >>> round(chance.loss, 4), chance.accuracy
        (0.6931, 0.75)
        """
        if training.targets.ndim != 1 or training.targets.dtype.kind not in "iu":
            mean = training.targets.mean(axis=0)
            return ChanceLevel(float(np.square(training.targets - mean).mean()) or math.inf, None)
        counts = np.bincount(training.targets.astype(np.int64))
        return ChanceLevel(math.log(classes) or math.inf, float(counts.max() / counts.sum()))

    def degeneracy(self, epoch: int, losses: Iterable[float | None], accuracy: float | None) -> str:
        """Say why a training that ended with finite numbers is degenerate; empty if it is not.

        At an absurd learning rate all hidden units can die, or weights grow huge and stay finite.
        Such a training has diverged, though nothing in it is infinite.
        """
        loss = min((loss for loss in losses if loss is not None), default=-math.inf)
        if loss <= DEGENERATE * self.loss:
            return ""
        if self.accuracy is None:
            return (
                f"finite but lost: after epoch {epoch} the mean squared error is {loss:.4g}, "
                f"that of always predicting the mean {self.loss:.4g}"
            )
        learnt = min(CLEARLY * self.accuracy, 1 - HALVED * (1 - self.accuracy))
        if accuracy is None or accuracy > learnt:
            return ""
        return (
            f"finite but lost: after epoch {epoch} the loss is {loss:.4g}, that of "
            f"even chances {self.loss:.4g}; the accuracy is {accuracy:.4f}, that of always naming "
            f"the largest class {self.accuracy:.4f}"
        )
