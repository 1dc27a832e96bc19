"""The laws that the derivation is tried on, and exact arithmetic over the discrete ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import sympy as sp

_ONE: Final[Any] = sp.Integer(1)
_HALF: Final = Fraction(1, 2)

Law = Mapping[Fraction, Fraction]
"""A discrete distribution: probability by value, both exact."""

SIGNS: Final[Law] = MappingProxyType({Fraction(-1): _HALF, Fraction(1): _HALF})
"""Symmetric, E[w] = 0, Var[w] = 1."""

SKEWED: Final[Law] = MappingProxyType({Fraction(-1): Fraction(2, 3), Fraction(2): Fraction(1, 3)})
"""Not symmetric, yet E[w] = 0; Var[w] = 2."""

POSITIVE: Final[Law] = MappingProxyType({Fraction(k): Fraction(1, 3) for k in (0, 1, 3)})
"""What a ReLU might pass on: E[x] > 0, so E[x^2] is not Var[x]."""


class Density(NamedTuple):
    """A continuous law on the real line: its density and its support."""

    name: str
    of: Callable[[Any], Any]
    low: Any
    high: Any


def _normal(u: Any) -> Any:
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)


def _laplace(u: Any) -> Any:
    return sp.exp(-sp.Abs(u)) / 2


def _uniform(u: Any) -> Any:
    return sp.Piecewise((_ONE / 2, sp.Abs(u) <= 1), (0, True))


def _shifted_exponential(u: Any) -> Any:
    return sp.Piecewise((sp.exp(-u - 1), u >= -1), (0, True))


NORMAL: Final = Density("normal", _normal, -sp.oo, sp.oo)
LAPLACE: Final = Density("Laplace", _laplace, -sp.oo, sp.oo)
UNIFORM: Final = Density("uniform", _uniform, -_ONE, _ONE)
SHIFTED_EXPONENTIAL: Final = Density(
    "exponential minus its mean", _shifted_exponential, -_ONE, sp.oo
)
"""Mean 0 and variance 1, but not symmetric: the classic counter-example to E[x^2] = Var[z]/2."""

SYMMETRIC: Final = (NORMAL, LAPLACE, UNIFORM)


def to_sympy(value: Fraction) -> Any:
    """Turn a fraction into sympy's, exactly."""
    return sp.Rational(value.numerator, value.denominator)


def law_of(outcomes: Iterable[tuple[Fraction, Fraction]]) -> Law:
    """Add up the probabilities of each value.

    >>> law_of((x + y, p * q) for x, p in SIGNS.items() for y, q in SIGNS.items())[Fraction(0)]
    Fraction(1, 2)
    """
    law: dict[Fraction, Fraction] = {}
    for value, probability in outcomes:
        law[value] = law.get(value, Fraction(0)) + probability
    return law


def moment(law: Law, order: int) -> Fraction:
    """Return E[value^order].

    >>> moment(SKEWED, 2)
    Fraction(2, 1)
    """
    return sum((value**order * p for value, p in law.items()), Fraction(0))


def variance(law: Law) -> Fraction:
    """Return E[value^2] - E[value]^2."""
    return moment(law, 2) - moment(law, 1) ** 2


def independent(law: Law, count: int) -> Iterator[tuple[tuple[Fraction, ...], Fraction]]:
    """Yield every outcome of `count` independent draws with its probability."""
    for outcome in product(law.items(), repeat=count):
        values, probabilities = zip(*outcome, strict=True)
        yield values, prod(probabilities, start=Fraction(1))


def dependent_inputs(count: int) -> Iterator[tuple[tuple[Fraction, ...], Fraction]]:
    """Yield vectors whose entries share one law with mean above 0, but are not independent."""
    share = Fraction(1, count + 1)
    yield (Fraction(0),) * count, share
    for place in range(count):
        yield tuple(Fraction(2 if i == place else 1) for i in range(count)), share
