"""How a wide network's variance goes from layer to layer: fixed points, order, chaos, the edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta
from scipy.optimize import brentq

from downslope.checked import checked
from downslope.theory.activations import Activation, Function, find_activation
from downslope.theory.quadrature import Real, quick_expectation

Phase = Literal["order", "edge", "chaos"]
WeightVariance = Annotated[float, Meta(gt=0, lt=10**6)]
BiasVariance = Annotated[float, Meta(ge=0, lt=10**6)]

EDGE: Final = 1e-6
"""|chi - 1| below which a network is called to be on the edge."""

_SMALLEST, _LARGEST = 1e-16, 1e16


class VarianceMap(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of signals in a wide network of one activation.

    Args:
        activation: its name.
        weight_variance: n Var[w].
        bias_variance: Var[b].
        fixed_points: values of E[z^2] that stay, ascending; where all do (ReLU at 2), only 1.
        settles_at: what E[z^2] tends to from 1: 0 where signals vanish, None where they explode.
        chi: by which a small difference between two inputs, and a gradient's second moment, grow
            per layer where it settles, or in the limit of large E[z^2].
        phase: "order" where chi < 1 (gradients vanish), "chaos" where chi > 1 (they explode),
            "edge" between them.
        depth_scale: layers over which a gradient's second moment changes by a factor e,
            1 / |ln chi|; None on the edge, where it is infinite.
    """

    activation: str
    weight_variance: float
    bias_variance: float
    fixed_points: list[float]
    settles_at: float | None
    chi: float
    phase: Phase
    depth_scale: float | None


@checked("variance map")
def variance_map(
    activation: str | Function | Activation,
    weight_variance: WeightVariance,
    bias_variance: BiasVariance = 0.0,
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
    >>> tanh = variance_map("tanh", 1.5, 0.05)
    >>> len(tanh.fixed_points), tanh.phase
    (1, 'order')
    """
    function = find_activation(activation, kinks)
    step = _Step(function, weight_variance, bias_variance)
    fixed = step.fixed_points()
    settles = step.settles_at(fixed)
    chi = step.chi(_LARGEST if settles is None else max(settles, _SMALLEST))
    phase: Phase = "edge" if abs(chi - 1) <= EDGE else "order" if chi < 1 else "chaos"
    return VarianceMap(
        activation=function.name,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        fixed_points=fixed,
        settles_at=settles,
        chi=chi,
        phase=phase,
        depth_scale=None if phase == "edge" else math.inf if chi == 0 else 1 / abs(math.log(chi)),
    )


def edge_of_chaos(
    activation: str | Function | Activation,
    bias_variance: float = 0.0,
    *,
    kinks: Sequence[float] | None = None,
) -> float | None:
    """Find the n Var[w] between order and chaos, where chi = 1 at the E[z^2] that settles.

    None where there is no edge between 0.01 and 100, as for the sigmoid without biases. Arguments
    are those of `variance_map`.

    >>> round(edge_of_chaos("relu"), 9), round(edge_of_chaos("tanh"), 6)
    (2.0, 1.0)
    """
    function = find_activation(activation, kinks)

    def above(log_variance: float) -> float:
        return variance_map(function, math.exp(log_variance), bias_variance).chi - 1

    # From below: the first place where gradients stop vanishing.
    grid = np.linspace(math.log(0.01), math.log(100), 28)
    low = float(grid[0])
    value = above(low)
    for high in map(float, grid[1:]):
        next_value = above(high)
        if value < 0 <= next_value:
            return math.exp(_root(above, low, high))
        low, value = high, next_value
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    """The map from one layer's E[z^2], q, to that of the next."""

    activation: Activation
    weights: float
    biases: float

    def __call__(self, q: float) -> float:
        moment = self._moment(lambda z: self.activation.values(z) ** 2, q)
        return self.weights * moment + self.biases

    def chi(self, q: float) -> float:
        return self.weights * self._moment(lambda z: self.activation.slopes(z) ** 2, q)

    def fixed_points(self) -> list[float]:
        def excess(log_q: float) -> float:
            q = math.exp(log_q)
            return self(q) / q - 1

        grid: list[float] = np.linspace(math.log(1e-10), math.log(1e10), 47).tolist()
        values = [excess(log_q) for log_q in grid]
        if max(map(abs, values)) < 1e-9:  # every q is one
            return [1.0]
        vanishes = self(_SMALLEST) <= 1e3 * _SMALLEST
        return [0.0] * vanishes + [
            math.exp(_root(excess, grid[i], grid[i + 1]))
            for i in range(len(grid) - 1)
            if values[i] == 0 or values[i] * values[i + 1] < 0
        ]

    def settles_at(self, fixed: Sequence[float]) -> float | None:
        """Say where E[z^2] goes from 1: the map rises with q, so to the next fixed point that way.

        A map that falls somewhere is not one of these; there the nearest stable point is taken.
        """
        change = self(1.0) - 1
        if abs(change) < 1e-9:
            return 1.0
        if change > 0:
            return next((q for q in fixed if q > 1), None)
        return next((q for q in reversed(fixed) if q < 1), 0.0)

    def _moment(self, square: Real, q: float) -> float:
        return quick_expectation(square, deviation=math.sqrt(q), kinks=self.activation.kinks)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    root: Any = brentq(function, low, high, xtol=1e-12)
    return float(root)
