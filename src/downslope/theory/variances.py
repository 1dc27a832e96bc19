"""What theory predicts for a dense ReLU network: variances at the start, moments by layer.

All predictions are expectations over initializations, exact at every width and not only in the
limit of wide layers: forward because each layer's weights are drawn independently of what comes
in, backward because of the weights' sign symmetry (up to the chance 2^-width of a dead layer).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from downslope.networks import Initialization, bias_variance, weight_variance


def predict_forward(
    initialization: Initialization, widths: tuple[int, ...], second_moment: float
) -> NDArray[np.float64]:
    """Predict E[x_l^2] after the ReLU of each hidden layer.

    E[x_l^2] = (fan_in Var[w] E[x_(l-1)^2] + Var[b]) / 2; He et al. (2015), equation 8, with a bias.

    Args:
        initialization: how weights and biases start.
        widths: units per layer, inputs first and outputs last.
        second_moment: E[x^2] over all features of the inputs.

    Returns:
        Shape (hidden layers,).

    >>> predict_forward("xavier", (64, 64, 64, 10), 1.0)
    array([0.5 , 0.25])
    """
    moments: list[float] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        variance = fan_in * weight_variance(initialization, fan_in, fan_out) * second_moment
        second_moment = (variance + bias_variance(initialization, fan_in)) / 2
        moments.append(second_moment)
    return np.array(moments)


def predict_backward(
    initialization: Initialization, widths: tuple[int, ...]
) -> NDArray[np.float64]:
    """Predict the gradient's second moment with respect to each hidden layer's pre-activations.

    E[d_l^2] = fan_out Var[w] E[d_(l+1)^2] / 2; He et al. (2015), equation 13. The gradient that
    enters at the outputs has second moment 1.

    Returns:
        Shape (hidden layers,).

    >>> predict_backward("he", (64, 64, 64, 10))
    array([0.15625, 0.15625])
    """
    moments: list[float] = []
    second_moment = 1.0
    for fan_in, fan_out in reversed(list(pairwise(widths[1:]))):
        second_moment *= fan_out * weight_variance(initialization, fan_in, fan_out) / 2
        moments.append(second_moment)
    return np.array(moments[::-1])


def predict_spread(width: int, layers: int) -> NDArray[np.float64]:
    """Predict the relative variance over He networks of one input's mean z^2, layer by layer.

    (1 + 5/n)^(l-1) (1 + 2/n) - 1 for a bias-free ReLU network of width n with normal weights: each
    layer multiplies by chi^2_n / n, of second moment 1 + 2/n, and each ReLU in between by the share
    of the squares on the positive side, whose second moment over its squared mean is
    (n + 5) / (n + 2). Hanin (2018), arXiv:1801.03744, has the same growth in 5/n summed over depth.

    Args:
        width: units per hidden layer.
        layers: hidden layers.

    Returns:
        Shape (layers,).

    >>> predict_spread(100, 2)
    array([0.02 , 0.071])
    """
    return np.array([(1 + 5 / width) ** l * (1 + 2 / width) - 1 for l in range(layers)])
