"""How a wide network's variance goes from layer to layer: fixed points, order, chaos, the edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from scipy.optimize import brentq

from downslope.errors import InputError
from downslope.theory.activations import Activation, Function, find_activation
from downslope.theory.quadrature import quick_expectation

Phase = Literal["order", "edge", "chaos"]

EDGE: Final = 1e-6
"""|chi - 1| below which a network is called to be on the edge."""

_SMALLEST, _LARGEST = 1e-16, 1e16


class FixedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A second moment that stays as it is.

    Args:
        q: E[z^2] at the fixed point.
        slope: of the variance map there; stable below 1.
        chi: by which a small difference between two inputs, and a gradient's second moment,
            grow per layer there.
    """

    q: float
    slope: float
    chi: float


class VarianceMap(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of signals in a wide network of one activation.

    Args:
        activation: its name.
        weight_variance: n Var[w].
        bias_variance: Var[b].
        fixed_points: by q, ascending; where every q is one (ReLU at 2), only q = 1.
        settles_at: what E[z^2] tends to from 1: 0 where signals vanish, None where they explode.
        chi: where it settles, or in the limit of large q.
        phase: "order" where chi < 1 (gradients vanish), "chaos" where chi > 1 (they explode),
            "edge" between them.
        depth_scale: layers over which a gradient's second moment changes by a factor e,
            1 / |ln chi|; None on the edge, where it is infinite.
    """

    activation: str
    weight_variance: float
    bias_variance: float
    fixed_points: list[FixedPoint]
    settles_at: float | None
    chi: float
    phase: Phase
    depth_scale: float | None


def variance_map(
    activation: str | Function | Activation,
    weight_variance: float,
    bias_variance: float = 0.0,
    *,
    kinks: Sequence[float] | None = None,
) -> VarianceMap:
    """Find the fixed points and the phase of q -> n Var[w] E[f(sqrt(q) z)^2] + Var[b].

    Source: Poole et al. (2016), equation 3, for the map; Schoenholz et al. (2017), equations 5
    and 8, for chi and the depth scale.

    Args:
        activation: a name, or an elementwise function of tensors.
        weight_variance: n Var[w], above 0; for example 2 for He initialization.
        bias_variance: Var[b], 0 or above.
        kinks: of the user's function; by default 0.

    Raises:
        InputError: a variance out of range, or an activation that cannot be used.

    >>> variance_map("relu", 2.0).phase, variance_map("relu", 1.0).phase
    ('edge', 'order')
    >>> found = variance_map("tanh", 1.5, 0.05)
    >>> len(found.fixed_points), found.phase
    (1, 'order')
    """
    own = find_activation(activation, kinks)
    _check(weight_variance, bias_variance)
    fixed = _fixed_points(own, weight_variance, bias_variance)
    settles = _settle(own, weight_variance, bias_variance, fixed)
    at = _LARGEST if settles is None else max(settles, _SMALLEST)
    chi = _chi(own, weight_variance, at)
    phase: Phase = "edge" if abs(chi - 1) <= EDGE else "order" if chi < 1 else "chaos"
    return VarianceMap(
        activation=own.name,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        fixed_points=fixed,
        settles_at=settles,
        chi=chi,
        phase=phase,
        depth_scale=None if phase == "edge" else math.inf if chi == 0 else 1 / abs(math.log(chi)),
    )


def critical_weight_variance(
    activation: str | Function | Activation,
    bias_variance: float = 0.0,
    *,
    kinks: Sequence[float] | None = None,
) -> float:
    """Find the n Var[w] between order and chaos: chi = 1 where E[z^2] settles.

    Args:
        activation: a name, or an elementwise function of tensors.
        bias_variance: Var[b], 0 or above.
        kinks: of the user's function; by default 0.

    Raises:
        InputError: there is no edge between 0.01 and 100 for this bias.

    >>> round(critical_weight_variance("relu"), 9), round(critical_weight_variance("tanh"), 6)
    (2.0, 1.0)
    """
    own = find_activation(activation, kinks)
    _check(1.0, bias_variance)

    def above(log_variance: float) -> float:
        return variance_map(own, math.exp(log_variance), bias_variance).chi - 1

    # From below: the first place where gradients stop vanishing.
    grid = np.linspace(math.log(0.01), math.log(100), 28)
    low = float(grid[0])
    value = above(low)
    for high in map(float, grid[1:]):
        next_value = above(high)
        if value < 0 <= next_value:
            return math.exp(_root(above, low, high))
        low, value = high, next_value
    raise InputError(
        f"activation {own.name!r}: no edge of chaos for n Var[w] from 0.01 to 100 at Var[b] = "
        f"{bias_variance:g}; try another bias variance"
    )


def edge_of_chaos(activation: str | Activation) -> float | None:
    """Find the n Var[w] between order and chaos without biases; None where there is none."""
    try:
        return critical_weight_variance(activation)
    except InputError:  # as for the sigmoid
        return None


def next_variance(
    activation: Activation, weight_variance: float, bias_variance: float, q: float
) -> float:
    """Return E[z^2] of the next layer; 0 and infinity stay within float64."""
    moment = quick_expectation(
        lambda z: activation.values(z) ** 2, deviation=math.sqrt(q), kinks=activation.kinks
    )
    return weight_variance * moment + bias_variance


def _chi(activation: Activation, weight_variance: float, q: float) -> float:
    slope = quick_expectation(
        lambda z: activation.slopes(z) ** 2, deviation=math.sqrt(q), kinks=activation.kinks
    )
    return weight_variance * slope


def _fixed_points(activation: Activation, weights: float, biases: float) -> list[FixedPoint]:
    def excess(log_q: float) -> float:
        q = math.exp(log_q)
        return next_variance(activation, weights, biases, q) / q - 1

    grid: list[float] = np.linspace(math.log(1e-10), math.log(1e10), 47).tolist()
    values = [excess(one) for one in grid]
    if max(map(abs, values)) < 1e-9:  # every q is one
        return [_describe(activation, weights, biases, 1.0)]
    vanishes = next_variance(activation, weights, biases, _SMALLEST) <= 1e3 * _SMALLEST
    fixed = [0.0] if vanishes else []
    fixed += [
        math.exp(_root(excess, grid[i], grid[i + 1]))
        for i in range(len(grid) - 1)
        if values[i] == 0 or values[i] * values[i + 1] < 0
    ]
    return [_describe(activation, weights, biases, q) for q in fixed]


def _describe(activation: Activation, weights: float, biases: float, q: float) -> FixedPoint:
    at = max(q, _SMALLEST)
    step = 1e-4 * at
    up = next_variance(activation, weights, biases, at + step)
    down = next_variance(activation, weights, biases, at - step)
    return FixedPoint(q=q, slope=(up - down) / (2 * step), chi=_chi(activation, weights, at))


def _settle(
    activation: Activation, weights: float, biases: float, fixed: Sequence[FixedPoint]
) -> float | None:
    """Say where E[z^2] goes from 1: the map rises with q, so to the next fixed point that way.

    A map that falls somewhere is not one of these; there the nearest stable point is taken.
    """
    change = next_variance(activation, weights, biases, 1.0) - 1
    if abs(change) < 1e-9:
        return 1.0
    if change > 0:
        return next((one.q for one in fixed if one.q > 1), None)
    return next((one.q for one in reversed(fixed) if one.q < 1), 0.0)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    root: Any = brentq(function, low, high, xtol=1e-12)
    return float(root)


def _check(weights: float, biases: float) -> None:
    for name, value, least, good in (
        ("weight_variance", weights, "above", 0 < weights < 1e6),
        ("bias_variance", biases, "at least", 0 <= biases < 1e6),
    ):
        if not good:
            raise InputError(
                f"variance map: {name} = {value!r} is not allowed; it must be {least} 0 and below "
                "1e6"
            )
