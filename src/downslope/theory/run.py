"""The whole theory stage: derive, measure, judge, and keep what a figure needs."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from downslope.networks import Initialization, weight_variance
from downslope.progress import Steps
from downslope.statistics import bootstrap_intervals
from downslope.theory.analysis import Analysis, analyse
from downslope.theory.checks import Check, checks
from downslope.theory.measurement import Measurement, measure
from downslope.theory.settings import INITIALIZATIONS, Initializations
from downslope.theory.trainability import TrainabilityResult
from downslope.theory.variances import predict_backward, predict_forward, predict_spread

SPREAD: Final = (0.1, 0.9)
"""The quantiles over networks in `LayerSpread`."""


class LayerMoments(msgspec.Struct, frozen=True, kw_only=True):
    """One layer's second moments under one initialization: measured, with band, and predicted.

    Forward is E[x^2] of the activations after ReLU, backward E[d^2] of the gradient with respect
    to the pre-activations, for a gradient of second moment 1 at the outputs. Means are over
    independent networks, low and high a 95 % bootstrap interval of that mean.

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


class LayerSpread(msgspec.Struct, frozen=True, kw_only=True):
    """How one input's mean z^2 in a layer spreads over He networks, relative to its mean.

    Args:
        layer: of the hidden layers, from 1.
        mean: over networks; 1 is predicted.
        low: the 10 % quantile over networks, high the 90 %, median between.
        predicted_low: likewise predicted at this width.
        relative_variance: over networks.
        predicted_relative_variance: (1 + 5/n)^(l-1) (1 + 2/n) - 1.
    """

    layer: int
    mean: float
    low: float
    median: float
    high: float
    predicted_low: float
    predicted_median: float
    predicted_high: float
    relative_variance: float
    predicted_relative_variance: float


class TheoryResult(Analysis, frozen=True, kw_only=True):
    """Everything that the theory stage found.

    Args:
        steps: see `Analysis`; so are `counterexamples`, `mutations`, `gains` and `edges`.
        checks: the predictions against measurement.
        layers: moments by initialization and layer, for the figure.
        spreads: over He networks by layer; empty where He was not measured.
        trainability: which deep networks learn; None where none were trained.
        depth: hidden layers of the measured networks.
        width: units per hidden layer.
        repetitions: independent networks per initialization.
        examples: input rows that were run.
        seed: of the networks.
    """

    checks: list[Check]
    layers: list[LayerMoments]
    spreads: list[LayerSpread]
    trainability: TrainabilityResult | None = None
    depth: int
    width: int
    repetitions: int
    examples: int
    seed: int


def run_theory(
    inputs: NDArray[np.float32],
    *,
    depth: int = 20,
    width: int = 256,
    repetitions: int = 30,
    examples: int = 256,
    seed: int,
    initializations: Initializations = INITIALIZATIONS,
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
    >>> result = drain(run_theory(rows, depth=3, width=32, repetitions=3, examples=4, seed=541))
    >>> len(result.steps), len(result.checks), len(result.layers)
    (9, 15, 15)
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

    def steps() -> Steps[TheoryResult]:
        analysis = yield from analyse()
        measured = yield from measuring
        he = [one for one in measured if one.initialization == "he"]
        return TheoryResult(
            **msgspec.structs.asdict(analysis),
            checks=checks(measured),
            layers=[layer for one in measured for layer in layer_moments(one, seed)],
            spreads=[spread for one in he for spread in layer_spreads(one)],
            depth=depth,
            width=width,
            repetitions=repetitions,
            examples=measured[0].examples,
            seed=seed,
        )

    return steps()


def layer_moments(measurement: Measurement, seed: int = 0) -> list[LayerMoments]:
    """Summarize one initialization layer by layer, beside what theory predicts.

    The mean over networks is arithmetic, because it is the expectation that theory predicts; a
    geometric mean or a median falls below it with depth at finite width.

    Args:
        measurement: of one initialization.
        seed: of the bootstrap.
    """
    predicted = (
        predict_forward(measurement.initialization, measurement.widths, measurement.input_second),
        predict_backward(measurement.initialization, measurement.widths),
    )
    sides: list[list[tuple[float, ...]]] = []
    moments = measurement.moments
    for samples, expected in zip((moments.x_second, moments.d_second), predicted, strict=True):
        low, high = bootstrap_intervals(samples, seed)
        # Column by column: along an axis NumPy sums in another order.
        means = [samples[:, i].mean() for i in range(len(expected))]
        sides.append(
            [tuple(map(float, row)) for row in zip(means, low, high, expected, strict=True)]
        )
    names = LayerMoments.__struct_fields__[2:]
    return [
        LayerMoments(
            initialization=measurement.initialization,
            layer=layer,
            **dict(zip(names, (*forward, *backward), strict=True)),
        )
        for layer, (forward, backward) in enumerate(zip(*sides, strict=True), 1)
    ]


def layer_spreads(measurement: Measurement) -> list[LayerSpread]:
    """Summarize how far one input's second moment spreads over networks, beside the prediction.

    Quantiles are predicted as those of a lognormal variable of mean 1 and the exact variance, to
    which products of many independent factors tend.
    """
    expected = measurement.widths[0] * measurement.row_second
    expected *= weight_variance(measurement.initialization, *measurement.widths[:2])
    relative = measurement.moments.z_row / expected
    variances = predict_spread(measurement.widths[1], relative.shape[1])
    sigmas = np.sqrt(np.log1p(variances))
    reach = float(ndtri(SPREAD[1]))
    low, median, high = np.quantile(relative, [SPREAD[0], 0.5, SPREAD[1]], axis=0)
    return [
        LayerSpread(
            layer=i + 1,
            mean=float(relative[:, i].mean()),
            low=float(low[i]),
            median=float(median[i]),
            high=float(high[i]),
            predicted_low=math.exp(-(s**2) / 2 - reach * s),
            predicted_median=math.exp(-(s**2) / 2),
            predicted_high=math.exp(-(s**2) / 2 + reach * s),
            relative_variance=float(relative[:, i].var(ddof=1)),
            predicted_relative_variance=float(variances[i]),
        )
        for i, s in enumerate(map(float, sigmas))
    ]
