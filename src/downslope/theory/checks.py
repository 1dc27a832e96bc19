"""Verdicts: what was measured in random networks against what the derivation predicts.

Which statistic. The second moment of the last layer is a product of many random factors: over
initializations its relative variance is (1 + 5/n)^(l-1) (1 + 2/n) - 1 before the ReLU of layer l
(bias-free, width n, one input row), so it is skewed, its median lies far below its mean in deep
narrow networks, and 20 networks say little about its mean. Its growth from one layer to the next,
x_second[l] / x_second[l-1], has the predicted factor as expectation exactly, at every width,
whatever came before. Such ratios are uncorrelated between layers, so their average over the layers
of one network has a relative variance near 5/(n layers) and is nearly normal: one number per
network, a t interval over networks, no logarithm and hence no shift between median and mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import nct

from downslope.errors import InputError
from downslope.networks import bias_variance, weight_variance
from downslope.theory.measurement import Measurement
from downslope.theory.variances import predict_forward

CONFIDENCE: Final = 0.99
"""The chance that all intervals of one list of checks cover their true values at once."""

DEPARTURE: Final = 0.15
"""The smallest departure that matters, relative to what is expected (absolute where that is 0)."""

POWER: Final = 0.90
"""The chance of finding such a departure that a check must have had in order to pass."""

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction, its measurement and the verdict.

    Args:
        name: what is compared.
        expected: the predicted value.
        measured: its mean over networks.
        interval: the confidence interval of the mean, widened for the number of checks.
        departure: the smallest departure from `expected` that matters, in its units.
        power: the chance that a true departure of that size would have been called FAIL, at the
            spread that was seen.
        verdict: "FAIL" if the interval does not contain what is expected; otherwise "PASS" if the
            power is 90 % or more, else "INCONCLUSIVE".
        explanation: where the prediction comes from and how it was compared.
    """

    name: str
    expected: float
    measured: float
    interval: tuple[float, float]
    departure: float
    power: float
    verdict: Verdict
    explanation: str


Prediction = Callable[..., Check]
"""A comparison that still has to know how many are made together."""


def compare(
    name: str,
    expected: float,
    samples: NDArray[np.float64],
    reason: str = "",
    *,
    comparisons: int = 1,
    departure: float = DEPARTURE,
) -> Check:
    """Compare the mean of independent samples with what is expected.

    Student's t interval at the Sidak level CONFIDENCE^(1/comparisons): a whole list of true
    predictions is then free of a FAIL with a chance of 99 % if the checks are independent, and of
    99 % or more if they are correlated (Sidak 1967, for normal means). The power is that of the
    same test under a noncentral t distribution.

    Args:
        name: what is compared.
        expected: the predicted mean.
        samples: shape (networks,), 3 or more, one independent value per network.
        reason: where the prediction comes from; opens the explanation.
        comparisons: how many comparisons are made together.
        departure: the smallest that matters, relative to `expected`, or absolute where that is 0.

    Raises:
        InputError: fewer than 3 samples, or some that are not finite.

    >>> compare("a fair coin", 0.5, np.array([0.3, 0.8, 0.4, 0.6])).verdict
    'INCONCLUSIVE'
    >>> compare("a fair coin", 0.7, np.array([0.49, 0.51, 0.50, 0.50])).verdict
    'FAIL'
    """
    if samples.ndim != 1 or len(samples) < 3 or not np.isfinite(samples).all():
        raise InputError(
            f"check {name!r}: samples of shape {samples.shape} are not allowed; "
            "they must be one finite value per network, of 3 networks or more"
        )
    level = CONFIDENCE ** (1 / comparisons)
    quantile = float(stdtrit(len(samples) - 1, (1 + level) / 2))
    measured = float(samples.mean())
    # Float32 products are good to about 1e-6; without noise (orthogonal weights) that would show.
    error = max(
        float(samples.std(ddof=1)) / math.sqrt(len(samples)), 1e-5 * abs(expected) / quantile
    )
    half = quantile * error
    matters = departure * (abs(expected) or 1.0)
    power = _power(matters / error if error else math.inf, quantile, len(samples) - 1)
    verdict: Verdict = "INCONCLUSIVE"
    if abs(measured - expected) > half:
        verdict = "FAIL"
    elif power >= POWER:
        verdict = "PASS"
    explanation = (
        f"{reason}{' ' if reason else ''}{len(samples)} independent networks; t interval at "
        f"{level:.3%} (Sidak), so that all {comparisons} intervals together hold at "
        f"{CONFIDENCE:.0%}; passes if it contains {expected:.4g} and a departure of {matters:.3g} "
        f"would have been found with a chance of {POWER:.0%} or more (here {power:.1%})."
    )
    return Check(
        name=name,
        expected=expected,
        measured=measured,
        interval=(measured - half, measured + half),
        departure=matters,
        power=power,
        verdict=verdict,
        explanation=explanation,
    )


def _power(shift: float, quantile: float, freedom: int) -> float:
    """Return P(T > quantile) for T noncentral t; the other tail would add next to nothing."""
    if shift > 1e3:  # 1 to all digits
        return 1.0
    return min(1.0, max(0.0, 1.0 - float(nct.cdf(quantile, freedom, shift))))


def checks(measurements: Sequence[Measurement]) -> list[Check]:
    """Compare every prediction that the measured initializations allow.

    For "he": E[z] = 0, Var[z] = n Var[w] E[x^2], E[x^2] = Var[z] / 2 in every hidden layer, and
    how far networks of this width spread about these expectations. For each initialization: the
    growth of signals and of gradients per layer. Over all: Var[z] of the first layer.

    >>> from downslope.progress import drain
    >>> from downslope.theory.measurement import measure
    >>> rows = np.ones((4, 64), np.float32)
    >>> he = drain(measure(rows, depth=8, width=64, initializations=["he"], repetitions=9,
    ...                    seed=0, examples=4))
    >>> [check.name for check in checks(he)][:2]
    ['first layer: Var[z] over its prediction', 'he: E[z] over the deviation of z']
    """
    predictions = [_first_layer(measurements)]
    for measured in measurements:
        if measured.initialization == "he":
            predictions += [*_rectified(measured), _spread(measured)]
    predictions += [_forward(measured) for measured in measurements]
    predictions += [_backward(measured) for measured in measurements]
    return [prediction(comparisons=len(predictions)) for prediction in predictions]


def _first_layer(measurements: Sequence[Measurement]) -> Prediction:
    samples: list[NDArray[np.float64]] = []
    for measured in measurements:
        fan_in, fan_out = measured.widths[:2]
        variance = fan_in * weight_variance(measured.initialization, fan_in, fan_out)
        predicted = variance * measured.input_second
        predicted += bias_variance(measured.initialization, fan_in)
        samples.append(measured.moments.z_second[:, 0] / predicted)
    return partial(
        compare,
        "first layer: Var[z] over its prediction",
        1.0,
        np.concatenate(samples),
        "Var[z] = fan_in Var[w] E[x^2] + Var[b] on the inputs given, whose features are neither "
        "independent nor of mean zero; all initializations together.",
    )


def _rectified(measured: Measurement) -> list[Prediction]:
    moments, start = measured.moments, measured.initialization
    return [
        partial(
            compare,
            f"{start}: E[z] over the deviation of z",
            0.0,
            (moments.z_mean / np.sqrt(moments.z_second)).mean(axis=1),
            "Weights of mean zero, whatever x is; mean over units and rows in units of the root "
            "mean square, averaged over layers.",
        ),
        partial(
            compare,
            f"{start}: Var[z] over E[x^2]",
            measured.gain,
            (moments.z_second[:, 1:] / moments.x_second[:, :-1]).mean(axis=1),
            "Var[z] = n Var[w] E[x^2] between hidden layers, averaged over layers.",
        ),
        partial(
            compare,
            f"{start}: E[x^2] over Var[z]",
            0.5,
            (moments.x_second / moments.z_second).mean(axis=1),
            "ReLU passes half of a symmetric z's second moment on, averaged over layers.",
        ),
    ]


def _spread(measured: Measurement) -> Prediction:
    growth = measured.moments.z_row[:, 1:] / measured.moments.z_row[:, :-1]
    return partial(
        compare,
        f"{measured.initialization}: relative variance of the growth of z^2 per layer, one input",
        5 / measured.width,
        np.square(growth - 1).mean(axis=1),
        "5/n at width n, independent from layer to layer, so that depth l has relative variance "
        "(1 + 5/n)^(l-1) (1 + 2/n) - 1; average over layers. Were always half of the units on, "
        "it would be 2/n.",
        departure=0.6,
    )


def _forward(measured: Measurement) -> Prediction:
    start, second = measured.initialization, measured.moments.x_second
    noise = bias_variance(start, measured.width) / 2
    ratios = (second[:, 1:] - noise) / second[:, :-1]
    # Where the bias makes most of the signal, the ratio says little: weight by the inverse of its
    # predicted variance. The weights are fixed before any measurement, so nothing is biased.
    predicted = predict_forward(start, measured.widths, measured.input_second)
    weights = (1 - noise / predicted[1:]) ** 2
    bias = ", after the biases' part 1/(6 n) is taken off" if noise > 0 else ""
    return partial(
        compare,
        f"{start}: growth of E[x^2] per layer, forward",
        measured.gain / 2,
        ratios @ (weights / weights.sum()),
        f"n Var[w] / 2 between hidden layers{bias}; average over layers, exact at every width.",
    )


def _backward(measured: Measurement) -> Prediction:
    return partial(
        compare,
        f"{measured.initialization}: growth of E[d^2] per layer, backward",
        measured.gain / 2,
        # The last column compares with the output, whose fan out is another.
        measured.moments.d_growth[:, :-1].mean(axis=1),
        "m Var[w] / 2 between hidden layers for the gradient d with respect to z, per row; "
        "average over layers.",
    )
