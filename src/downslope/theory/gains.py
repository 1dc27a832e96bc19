"""Gains: by how much weights must be larger than 1/sqrt(n) so that an activation keeps signals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import torch

from downslope.errors import InputError
from downslope.theory.activations import Activation, Function, find_activation
from downslope.theory.quadrature import expectation


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """An activation's gains at unit variance.

    Weights of variance forward^2 / fan_in keep E[z^2] = 1 from layer to layer; weights of variance
    backward^2 / fan_out keep the gradient's second moment.

    Args:
        activation: its name.
        mean: E[f(z)] for z standard normal.
        second_moment: E[f(z)^2].
        slope_second_moment: E[f'(z)^2].
        forward: 1 / sqrt(second_moment).
        backward: 1 / sqrt(slope_second_moment).
        bound: on the error of both gains.
        chi: forward^2 * slope_second_moment, by which a gradient's second moment grows per layer
            under the forward gain (Schoenholz et al. 2017, equation 5, at q = 1).
        torch_gain: what `torch.nn.init.calculate_gain` says; None where it refuses.
    """

    activation: str
    mean: float
    second_moment: float
    slope_second_moment: float
    forward: float
    backward: float
    bound: float
    chi: float
    torch_gain: float | None


def compute_gain(
    activation: str | Function | Activation, kinks: Sequence[float] | None = None
) -> Gain:
    """Compute the gains of an activation at unit variance, with a bound on their error.

    Source: the condition of He et al. (2015), equation 9, for any activation f:
    fan_in Var[w] E[f(z)^2] = 1 at z standard normal.

    Args:
        activation: a name, or an elementwise function of tensors.
        kinks: of the user's function, where it or a derivative of it jumps; by default 0.

    Raises:
        InputError: an unknown name, a function that is not elementwise, is zero or constant, or
            has no second moment.

    >>> gain = compute_gain("tanh")
    >>> round(gain.forward, 4), round(gain.torch_gain, 4)
    (1.5925, 1.6667)
    >>> compute_gain(lambda z: z.clamp(0, 6), kinks=(0, 6)).forward - math.sqrt(2) < 1e-6
    True
    """
    function = find_activation(activation, kinks)
    mean = expectation(function.values, kinks=function.kinks).value
    second, error = expectation(lambda z: function.values(z) ** 2, kinks=function.kinks)
    slope, slope_error = expectation(lambda z: function.slopes(z) ** 2, kinks=function.kinks)
    if not second > error or not slope > slope_error:
        raise InputError(
            f"activation {function.name!r}: is constant; no weights make its signals keep their "
            "size"
        )
    forward, backward = 1 / math.sqrt(second), 1 / math.sqrt(slope)
    # d(1/sqrt(s)) = ds / (2 s^1.5); the lower end of s, so that the bound holds to all orders.
    bound = max(
        error / (2 * (second - error) ** 1.5), slope_error / (2 * (slope - slope_error) ** 1.5)
    )
    return Gain(
        activation=function.name,
        mean=mean,
        second_moment=second,
        slope_second_moment=slope,
        forward=forward,
        backward=backward,
        bound=bound,
        chi=slope / second,
        torch_gain=_torch_gain(function.name),
    )


def _torch_gain(name: str) -> float | None:
    if name == "prelu":  # a leaky ReLU of slope 0.25 at the start
        return torch.nn.init.calculate_gain("leaky_relu", 0.25)
    try:
        return float(torch.nn.init.calculate_gain(name))  # pyright: ignore[reportArgumentType]
    except ValueError:
        return None
