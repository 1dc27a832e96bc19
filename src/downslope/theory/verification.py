"""The machine's part of the derivation: each function takes a claim and tries to refute it.

Two tools: sympy for what is an identity in symbols or an integral, and enumeration in exact
rational arithmetic over small discrete distributions for what is a statement about random
variables. Nothing here is sampled, so a verdict has no error bar.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from operator import mul
from typing import Any, Final, NamedTuple

import sympy as sp

from downslope.theory.distributions import (
    POSITIVE,
    SIGNS,
    SKEWED,
    SYMMETRIC,
    Density,
    Law,
    dependent_inputs,
    independent,
    law_of,
    moment,
    to_sympy,
    variance,
)

# What claims are written in. Sympy's own annotations do not cover its operators.
n: Final[Any] = sp.Symbol("n", positive=True)  # fan_in: inputs of a unit
m: Final[Any] = sp.Symbol("m", positive=True)  # fan_out: units that read an output
variance_w: Final[Any] = sp.Symbol("V_w", positive=True)  # Var[w]
variance_wx: Final[Any] = sp.Symbol("V_wx", positive=True)  # Var[w x]
mean_x: Final[Any] = sp.Symbol("mu_x", real=True)  # E[x]
second_x: Final[Any] = sp.Symbol("s_x", positive=True)  # E[x^2]
_z: Final[Any] = sp.Symbol("z", real=True)
_x: Final[Any] = sp.Symbol("x", positive=True)
_ONE: Final[Any] = sp.Integer(1)


class Verification(NamedTuple):
    """Whether a claim survived, what was computed and what came out."""

    verified: bool
    text: str


def density_of_product(density: Callable[[Any], Any], z: Any, x: Any) -> Any:
    """Return f_w(z/x) / |x|, the density of z = w x at a known x."""
    return density(z / x) / sp.Abs(x)


def verify_sum(claim: Any = n * variance_wx, weights: Law = SKEWED) -> Verification:
    """Check the variance of a sum of n products by enumeration, with inputs that are dependent.

    >>> verify_sum().verified, verify_sum(n**2 * variance_wx).verified
    (True, False)
    """
    parts: list[str] = []
    verified = True
    for size in (2, 3):
        outcomes = [
            (w, x, p * q) for w, p in independent(weights, size) for x, q in dependent_inputs(size)
        ]
        total = law_of((sum(map(mul, w, x), Fraction(0)), p) for w, x, p in outcomes)
        single = law_of((w[0] * x[0], p) for w, x, p in outcomes)
        truth, alone = variance(total), variance(single)
        claimed = claim.subs({n: size, variance_wx: to_sympy(alone)})
        verified = verified and _zero(claimed - to_sympy(truth))
        parts.append(f"n = {size}: Var[sum] = {truth}, Var[wx] = {alone}, claim {claimed}")
    return Verification(
        verified, "all outcomes enumerated, inputs dependent on each other; " + "; ".join(parts)
    )


def verify_product(claim: Any = variance_w * second_x) -> Verification:
    """Check the variance of one product in symbols and on a discrete example with E[x] > 0.

    >>> verify_product().verified, verify_product(variance_w * (second_x - mean_x**2)).verified
    (True, False)
    """
    mean_w: Any = sp.Symbol("mu_w", real=True)
    # Independence alone: E[(wx)^2] = E[w^2] E[x^2] and E[wx] = E[w] E[x].
    general = (variance_w + mean_w**2) * second_x - (mean_w * mean_x) ** 2
    residual = sp.simplify(general.subs(mean_w, 0) - claim)
    law = law_of((w * x, p * q) for w, p in SKEWED.items() for x, q in POSITIVE.items())
    truth = variance(law)
    claimed = claim.subs(
        {
            variance_w: to_sympy(variance(SKEWED)),
            second_x: to_sympy(moment(POSITIVE, 2)),
            mean_x: to_sympy(moment(POSITIVE, 1)),
        }
    )
    return Verification(
        _zero(residual) and _zero(claimed - to_sympy(truth)),
        "E[w^2] E[x^2] - E[w]^2 E[x]^2 at E[w] = 0 minus the claim is "
        f"{residual}; enumerated example: Var[wx] = {truth}, claim {claimed}",
    )


def verify_zero_mean(weights: Law = SKEWED) -> Verification:
    """Check E[z | x] = 0 for three inputs that stay symbols.

    >>> verify_zero_mean().verified, verify_zero_mean({Fraction(1): Fraction(1)}).verified
    (True, False)
    """
    inputs: Any = sp.symbols("x1:4", real=True)
    terms = (
        to_sympy(p) * sum(to_sympy(a) * b for a, b in zip(w, inputs, strict=True))
        for w, p in independent(weights, 3)
    )
    mean = sp.expand(sum(terms))
    return Verification(_zero(mean), f"E[w1 x1 + w2 x2 + w3 x3] over all weights is {mean}")


def verify_density(
    claim: Callable[[Callable[[Any], Any], Any, Any], Any] = density_of_product,
) -> Verification:
    """Check the density of w x at a known x by differentiating P(w x <= t), for x of either sign.

    >>> verify_density(lambda density, z, x: density(z / x)).verified
    False
    """
    distributions: dict[str, Any] = {
        "normal": (1 + sp.erf(_z / sp.sqrt(2))) / 2,
        "logistic": 1 / (1 + sp.exp(-_z)),
        "Cauchy": _ONE / 2 + sp.atan(_z) / sp.pi,
    }
    wrong: list[str] = []
    for name, cumulative in distributions.items():
        for x in (_x, -_x):
            below = cumulative.subs(_z, _z / x)
            # For x < 0, w x <= z is w >= z / x.
            truth = sp.diff(below if x == _x else 1 - below, _z)
            claimed = claim(_substitute(sp.diff(cumulative, _z)), _z, x)
            if not _zero(sp.simplify(truth - claimed)):
                wrong.append(f"{name} at x {'>' if x == _x else '<'} 0")
    came_out = "the claim differs for " + ", ".join(wrong) if wrong else "all six equal the claim"
    return Verification(
        not wrong,
        f"d/dz P(wx <= z) for normal, logistic and Cauchy w at x > 0 and x < 0: {came_out}",
    )


def verify_symmetry(densities: Sequence[Density] = SYMMETRIC, weights: Law = SIGNS) -> Verification:
    """Check that z given x is symmetric: one product by its density, a sum by enumeration.

    >>> from downslope.theory.distributions import SHIFTED_EXPONENTIAL
    >>> verify_symmetry([SHIFTED_EXPONENTIAL]).verified, verify_symmetry(weights=SKEWED).verified
    (False, False)
    """
    wrong: list[str] = []
    for density in densities:
        for x in (_x, -_x):
            f = density_of_product(density.of, _z, x)
            if not _zero(sp.simplify(f.subs(_z, -_z) - f)):
                wrong.append(f"f(-z) != f(z) for {density.name} w")
    law = law_of((w[0] * 1 - w[1] * 2 + w[2] * 5, p) for w, p in independent(weights, 3))
    if any(law.get(-z) != p for z, p in law.items()):
        wrong.append("P(z) != P(-z) for z = w1 - 2 w2 + 5 w3")
    names = ", ".join(density.name for density in densities)
    came_out = "; ".join(dict.fromkeys(wrong)) if wrong else "no difference"
    return Verification(
        not wrong,
        f"f(-z) - f(z) for {names} w at x > 0 and x < 0, and P(z) against P(-z) of a sum of three "
        f"at a fixed x: {came_out}",
    )


def verify_half_integral(
    factor: Any = 2 * _ONE, densities: Sequence[Density] = SYMMETRIC
) -> Verification:
    """Check Var[z] = factor * (integral of z^2 f(z) over z > 0) in closed form.

    >>> from downslope.theory.distributions import SHIFTED_EXPONENTIAL
    >>> verify_half_integral().verified, verify_half_integral(densities=[SHIFTED_EXPONENTIAL])
    (True, Verification(verified=False, text='... Var[z] = 1, 2 * integral = 4*exp(-1)'))
    """
    return _compare_integrals(
        densities,
        lambda spread, upper: (spread, factor * upper),
        ("Var[z]", f"{factor} * integral"),
    )


def verify_relu(factor: Any = _ONE / 2, densities: Sequence[Density] = SYMMETRIC) -> Verification:
    """Check E[max(0, z)^2] = factor * Var[z] in closed form.

    >>> verify_relu().verified, verify_relu(sp.Integer(1)).verified
    (True, False)
    """
    return _compare_integrals(
        densities,
        lambda spread, upper: (upper, factor * spread),
        ("E[relu(z)^2]", f"{factor} * Var[z]"),
    )


def _compare_integrals(
    densities: Sequence[Density],
    sides: Callable[[Any, Any], tuple[Any, Any]],
    names: tuple[str, str],
) -> Verification:
    verified = True
    parts: list[str] = []
    for density in densities:
        f = density.of(_z)
        spread = _integral(_z**2 * f, density) - _integral(_z * f, density) ** 2
        # relu(z)^2 is 0 on z <= 0, so only z > 0 contributes.
        upper = sp.simplify(sp.integrate(_z**2 * f, (_z, 0, density.high)))
        left, right = sides(sp.simplify(spread), upper)
        verified = verified and _zero(left - right)
        parts.append(f"{density.name}: {names[0]} = {left}, {names[1]} = {right}")
    return Verification(verified, "integrated in closed form; " + "; ".join(parts))


def _integral(expression: Any, density: Density) -> Any:
    # Cut at 0, where |z| has its kink.
    return sp.integrate(expression, (_z, density.low, 0)) + sp.integrate(
        expression, (_z, 0, density.high)
    )


def _substitute(expression: Any) -> Callable[[Any], Any]:
    return lambda u: expression.subs(_z, u)


def _zero(expression: Any) -> bool:
    return sp.simplify(expression) == 0
