"""Initialization on networks so small that every one of them can be counted, in exact arithmetic.

The networks are 2-3-2: a Linear layer, ReLU, a Linear layer, no biases. Weights are +-sqrt(v), so
there are 2^12 networks, all equally likely. ReLU is positively homogeneous, so the networks with
weights +-1 are counted once and their second moments are scaled by v per layer.
"""

from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any, Final, NamedTuple

import sympy as sp

from downslope.theory.distributions import to_sympy
from downslope.theory.verification import Verification, m, n

_INPUT: Final = (1, 2)  # no sum of +-1 and +-2 is 0, so no pre-activation sits on the kink
_HIDDEN: Final = 3
_OUTPUTS: Final = 2
_COTANGENT: Final = (1, 3)


class SecondMoments(NamedTuple):
    """The second moments, per unit and over all networks with weights +-1."""

    inputs: Fraction
    hidden: Fraction  # after ReLU
    outputs: Fraction  # after a ReLU, too, so that two equal steps can be compared
    cotangent: Fraction  # of the gradient that enters at the outputs
    gradient_hidden: Fraction  # with respect to the hidden pre-activations
    gradient_inputs: Fraction


@cache
def count_networks() -> SecondMoments:
    """Average over all 4,096 networks of the shape 2-3-2 with weights +-1.

    >>> count_networks().hidden
    Fraction(5, 2)
    """
    hidden = outputs = gradient_hidden = gradient_inputs = networks = 0
    rows = tuple(product((-1, 1), repeat=len(_INPUT)))
    columns = tuple(product((-1, 1), repeat=_HIDDEN))
    for first in product(rows, repeat=_HIDDEN):
        z1 = [a * _INPUT[0] + b * _INPUT[1] for a, b in first]
        x1 = [max(0, z) for z in z1]
        for second in product(columns, repeat=_OUTPUTS):
            networks += 1
            z2 = [sum(a * b for a, b in zip(row, x1, strict=True)) for row in second]
            d1 = [
                (z1[i] > 0) * sum(row[i] * u for row, u in zip(second, _COTANGENT, strict=True))
                for i in range(_HIDDEN)
            ]
            d0 = [sum(first[i][j] * d1[i] for i in range(_HIDDEN)) for j in range(len(_INPUT))]
            hidden += sum(x * x for x in x1)
            outputs += sum(max(0, z) ** 2 for z in z2)
            gradient_hidden += sum(d * d for d in d1)
            gradient_inputs += sum(d * d for d in d0)
    return SecondMoments(
        inputs=Fraction(sum(x * x for x in _INPUT), len(_INPUT)),
        hidden=Fraction(hidden, networks * _HIDDEN),
        outputs=Fraction(outputs, networks * _OUTPUTS),
        cotangent=Fraction(sum(u * u for u in _COTANGENT), len(_COTANGENT)),
        gradient_hidden=Fraction(gradient_hidden, networks * _HIDDEN),
        gradient_inputs=Fraction(gradient_inputs, networks * len(_INPUT)),
    )


def verify_forward_variance(claim: Any = 2 / n) -> Verification:
    """Check that weights of this variance keep E[x^2] from layer to layer (He et al. 2015, eq. 10).

    The claim is Var[w] in `n` (fan_in) and `m` (fan_out).

    >>> verify_forward_variance().verified, verify_forward_variance(2 / (n + m)).verified
    (True, False)
    """
    counted = count_networks()
    first, second = _at(claim, len(_INPUT), _HIDDEN), _at(claim, _HIDDEN, _OUTPUTS)
    moments = (
        to_sympy(counted.inputs),
        to_sympy(counted.hidden) * first,
        to_sympy(counted.outputs) * first * second,
    )
    return _verify(
        "n", n * claim / 2, "with weights +-sqrt(Var[w]), E[x^2] after layers 0, 1, 2 is", moments
    )


def verify_backward_variance(claim: Any = 2 / m) -> Verification:
    """Check that weights of this variance keep gradients' second moments (He et al. 2015, eq. 14).

    The count includes the dependence that the paper assumes away: a unit's gate is decided by the
    same weights that its gradient is multiplied with.

    >>> verify_backward_variance().verified, verify_backward_variance(1 / m).verified
    (True, False)
    """
    counted = count_networks()
    first, second = _at(claim, len(_INPUT), _HIDDEN), _at(claim, _HIDDEN, _OUTPUTS)
    moments = (
        to_sympy(counted.cotangent),
        to_sympy(counted.gradient_hidden) * second,
        # No gate at the inputs: their gradient is twice what a ReLU there would let through.
        to_sympy(counted.gradient_inputs) * first * second / 2,
    )
    return _verify(
        "m",
        m * claim / 2,
        "the gradient's second moment at the outputs, the hidden layer and (halved) the inputs is",
        moments,
    )


def _verify(fan: str, growth: Any, what: str, moments: tuple[Any, ...]) -> Verification:
    growth, moments = sp.simplify(growth), tuple(sp.simplify(moment) for moment in moments)
    return Verification(
        growth == 1 and len(set(moments)) == 1,
        f"growth {fan} Var[w] / 2 per layer is {growth}; over all 4,096 networks 2-3-2 {what} "
        f"{', '.join(map(str, moments))}",
    )


def _at(claim: Any, fan_in: int, fan_out: int) -> Any:
    return claim.subs({n: fan_in, m: fan_out})
