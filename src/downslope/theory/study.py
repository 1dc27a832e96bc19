"""The whole theory stage: derive, measure, judge, and keep what a figure needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from downslope.networks import Initialization
from downslope.progress import Progress, Steps
from downslope.theory.checks import Check, checks
from downslope.theory.measurement import Measurement, measure
from downslope.theory.steps import Step, derivation
from downslope.theory.variances import predict_backward, predict_forward

BAND: Final = 0.95
"""The confidence of the intervals in `LayerMoments`, layer by layer."""


class LayerMoments(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one layer's second moments under one initialization: measured, with band, and predicted.

    Forward is E[x^2] of the activations after ReLU, backward E[d^2] of the gradient with respect
    to the pre-activations, for a gradient of second moment 1 at the outputs. Means are over
    independent networks, low and high a 95 % interval of that mean.

    Args:
        initialization: how the networks started.
        layer: of the hidden layers, from 1.
    """

    initialization: Initialization
    layer: int
    forward_mean: float
    forward_low: float
    forward_high: float
    forward_predicted: float
    backward_mean: float
    backward_low: float
    backward_high: float
    backward_predicted: float


class TheoryResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold everything that the theory stage found.

    Args:
        steps: the derivation, each step with its verdict.
        checks: the predictions against measurement.
        layers: moments by initialization and layer, for the figure.
        depth: hidden layers of the measured networks.
        width: units per hidden layer.
        repetitions: independent networks per initialization.
        examples: input rows that were run.
        seed: of the study.
    """

    steps: list[Step]
    checks: list[Check]
    layers: list[LayerMoments]
    depth: int
    width: int
    repetitions: int
    examples: int
    seed: int


def study(
    inputs: NDArray[np.float32],
    *,
    depth: int = 20,
    width: int = 256,
    repetitions: int = 30,
    examples: int = 256,
    seed: int,
    initializations: Sequence[Initialization] = ("he", "xavier", "pytorch"),
) -> Steps[TheoryResult]:
    """Derive He initialization, measure deep random networks on `inputs`, and judge.

    About 3 seconds on one core with the defaults. Bitwise the same for a seed, whatever the number
    of threads; the global generator is not used.

    Args:
        inputs: shape (rows, features), as a network would see them, for example pixels scaled to
            [0, 1] minus 0.5.
        depth: hidden layers, 2 to 64.
        width: units per hidden layer, 32 or more.
        repetitions: independent networks per initialization, 3 or more.
        examples: rows to run; all where there are fewer.
        seed: of the networks, gradient directions and choice of rows.
        initializations: which to compare.

    Raises:
        InputError: an argument is outside of what is allowed; the message names it.

    >>> from downslope.progress import drain
    >>> rows = np.ones((4, 8), np.float32)
    >>> result = drain(study(rows, depth=3, width=32, repetitions=3, examples=4, seed=541))
    >>> len(result.steps), len(result.checks), len(result.layers)
    (9, 10, 9)
    """
    # Refuses bad arguments here, at the call, not at the first step.
    measuring = measure(
        inputs,
        depth=depth,
        width=width,
        initializations=initializations,
        repetitions=repetitions,
        seed=seed,
        examples=examples,
    )
    return _study(measuring, depth, width, repetitions, seed)


def _study(
    measuring: Steps[list[Measurement]], depth: int, width: int, repetitions: int, seed: int
) -> Steps[TheoryResult]:
    yield Progress("verifying the derivation", 0, 1)
    steps = derivation()
    yield Progress("verifying the derivation", 1, 1)
    measurements = yield from measuring
    return TheoryResult(
        steps=steps,
        checks=checks(measurements),
        layers=[layer for one in measurements for layer in layer_moments(one)],
        depth=depth,
        width=width,
        repetitions=repetitions,
        examples=measurements[0].examples,
        seed=seed,
    )


def layer_moments(measurement: Measurement) -> list[LayerMoments]:
    """Summarize one initialization layer by layer, beside what theory predicts.

    The mean over networks is arithmetic, because it is the expectation that theory predicts; a
    geometric mean or a median falls below it with depth at finite width.
    """
    forward = predict_forward(
        measurement.initialization, measurement.widths, measurement.input_second
    )
    backward = predict_backward(measurement.initialization, measurement.widths)
    moments = measurement.moments
    layers: list[LayerMoments] = []
    for i in range(len(forward)):
        forward_low, forward_high = lognormal_interval(moments.x_second[:, i])
        backward_low, backward_high = lognormal_interval(moments.d_second[:, i])
        layers.append(
            LayerMoments(
                initialization=measurement.initialization,
                layer=i + 1,
                forward_mean=float(moments.x_second[:, i].mean()),
                forward_low=forward_low,
                forward_high=forward_high,
                forward_predicted=float(forward[i]),
                backward_mean=float(moments.d_second[:, i].mean()),
                backward_low=backward_low,
                backward_high=backward_high,
                backward_predicted=float(backward[i]),
            )
        )
    return layers


def lognormal_interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Return a 95 % interval for the mean of positive, roughly lognormal samples.

    Cox's method with Student's quantile, Olsson (2005), Journal of Statistics Education 13(1):
    exp(mean + s^2/2 -+ t sqrt(s^2/R + s^4/(2 (R - 1)))) of the logarithms. Products of
    many independent factors, as moments of deep layers are, tend to this shape; a t interval of
    the values themselves could reach below zero and is too short above.

    Args:
        samples: shape (R,), one per independent network.

    >>> low, high = lognormal_interval(np.array([0.9, 1.0, 1.1, 1.0]))
    >>> low < 1 < high
    True
    """
    logs = np.log(samples)
    count = len(logs)
    variance = float(logs.var(ddof=1))
    error = math.sqrt(variance / count + variance**2 / (2 * (count - 1)))
    centre = float(logs.mean()) + variance / 2
    reach = float(stdtrit(count - 1, (1 + BAND) / 2)) * error
    return math.exp(centre - reach), math.exp(centre + reach)
