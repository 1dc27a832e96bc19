"""Why every assumption is needed, and why no other formula will do: exact counter-examples.

An assumption is dropped alone, the others kept as far as they can be, and an exact calculation
shows what the step then says and what is true. A mutation changes a formula and leaves the
assumptions; the step's own check must refute it. Nothing here is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any, Final

import msgspec
import sympy as sp

from downslope.theory import small_networks, verification
from downslope.theory.distributions import (
    POSITIVE,
    SHIFTED_EXPONENTIAL,
    SIGNS,
    SYMMETRIC,
    Law,
    independent,
    law_of,
    moment,
    to_sympy,
    variance,
)
from downslope.theory.verification import Verification, m, mean_x, n, second_x, variance_w

_ONE: Final[Any] = sp.Integer(1)
_z: Final[Any] = sp.Symbol("z", real=True)


class CounterExample(msgspec.Struct, frozen=True, kw_only=True):
    """A case without one assumption, in which the step comes out wrong.

    Args:
        assumption: the name of what is dropped, from `ASSUMPTIONS`.
        step: the name of the step that breaks.
        setting: the case, in words and symbols.
        claimed: what the step says of it, in LaTeX.
        found: what is true of it, in LaTeX.
        breaks: whether the two differ; False would mean that the assumption is not needed here.
    """

    assumption: str
    step: str
    setting: str
    claimed: str
    found: str
    breaks: bool


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """A wrong formula and whether the step's own check refuted it.

    Args:
        step: the name of the step whose formula was changed.
        title: what was changed, in words.
        statement: the wrong formula, in LaTeX.
        refuted: whether the check said no, as it must.
        verification: what the check computed.
    """

    step: str
    title: str
    statement: str
    refuted: bool
    verification: str


def counterexamples() -> list[CounterExample]:
    r"""Drop each assumption of the derivation in turn and calculate exactly what becomes of it.

    >>> examples = counterexamples()
    >>> [one.assumption for one in examples if not one.breaks]
    []
    >>> [one.found for one in examples if one.assumption == "symmetric weights"]
    ['\\mathrm{E}[x^2] = \\frac{2}{e}\\,\\mathrm{Var}[z]']
    """
    return [*_about_sums(), *_about_halves()]


def mutations() -> list[Mutation]:
    """Change the theory's formulas in the ways in which they are got wrong, and check each.

    >>> [one.title for one in mutations() if not one.refuted]
    []
    """
    forward, backward = (
        small_networks.verify_forward_variance,
        small_networks.verify_backward_variance,
    )
    wrong = (
        (
            "product",
            "Var[x] in place of E[x^2], wrong by π/(π − 1) after a ReLU of a normal z",
            r"\mathrm{Var}[wx] = \mathrm{Var}[w]\,\mathrm{Var}[x]",
            _with_factor(verification.verify_product(variance_w * (second_x - mean_x**2))),
        ),
        (
            "sum",
            "the sum's standard deviation, not its variance, grows with n",
            r"\mathrm{Var}\left[\sum_j w_j x_j\right] = n^2\,\mathrm{Var}[wx]",
            verification.verify_sum(n**2 * verification.variance_wx),
        ),
        (
            "density",
            "a change of variable without its Jacobian",
            r"f(z \mid x) = f_w(z/x)",
            verification.verify_density(lambda density, z, x: density(z / x)),
        ),
        (
            "relu",
            "ReLU passes everything on",
            r"\mathrm{E}[x^2] = \mathrm{Var}[z]",
            verification.verify_relu(_ONE),
        ),
        ("forward", "LeCun's variance for ReLU", r"\mathrm{Var}[w] = 1/n", forward(1 / n)),
        ("forward", "a square too many", r"\mathrm{Var}[w] = 2/n^2", forward(2 / n**2)),
        (
            "forward",
            "Xavier's variance for ReLU",
            r"\mathrm{Var}[w] = 2/(n + m)",
            forward(2 / (n + m)),
        ),
        (
            "backward",
            "the fan in where the fan out belongs",
            r"\mathrm{Var}[w] = 2/n",
            backward(2 / n),
        ),
    )
    return [
        Mutation(
            step=step,
            title=title,
            statement=statement,
            refuted=not outcome.verified,
            verification=outcome.text,
        )
        for step, title, statement, outcome in wrong
    ]


def _about_sums() -> Iterator[CounterExample]:
    law = law_of((w * (1 + w), p) for w, p in SIGNS.items())
    claimed = variance(SIGNS) * Fraction(2)  # E[(1 + w)^2] = 2
    yield _example(
        "weights independent of inputs",
        "product",
        "w = +-1 and x = 1 + w, so that x knows w",
        (r"\mathrm{Var}[wx] = \mathrm{Var}[w]\,\mathrm{E}[x^2] = ", claimed),
        (r"\mathrm{Var}[wx] = ", variance(law)),
    )
    half = Fraction(1, 2)
    biased: Law = {Fraction(0): half, Fraction(1): half}
    law = law_of((w * x, p * q) for w, p in biased.items() for x, q in POSITIVE.items())
    yield _example(
        "zero-mean weights",
        "product",
        "w is 0 or 1, each half of the time; x is 0, 1 or 3, each a third",
        (
            r"\mathrm{Var}[wx] = \mathrm{Var}[w]\,\mathrm{E}[x^2] = ",
            variance(biased) * moment(POSITIVE, 2),
        ),
        (r"\mathrm{Var}[wx] = ", variance(law)),
    )
    tied = law_of((w + w, p) for w, p in SIGNS.items())
    yield _example(
        "uncorrelated weights",
        "sum",
        "two inputs of 1 and tied weights w_1 = w_2 = +-1, as in a shared filter",
        (r"\mathrm{Var}[w_1 x_1 + w_2 x_2] = 2\,\mathrm{Var}[w x] = ", 2 * variance(SIGNS)),
        (r"\mathrm{Var}[w_1 x_1 + w_2 x_2] = ", variance(tied)),
    )
    uneven = law_of((a * 1 + b * 3, p) for (a, b), p in independent(SIGNS, 2))
    yield _example(
        "equal second moments",
        "sum",
        "two inputs, x_1 = 1 and x_2 = 3, the first taken for typical; with the average of their "
        "squares, 5, the formula is right again",
        (r"\mathrm{Var}[w_1 x_1 + w_2 x_2] = 2\,\mathrm{Var}[w x_1] = ", 2 * variance(SIGNS)),
        (r"\mathrm{Var}[w_1 x_1 + w_2 x_2] = ", variance(uneven)),
    )
    limit: Any = sp.Symbol("a", positive=True)
    inside = sp.integrate(_z**2 / (sp.pi * (1 + _z**2)), (_z, -limit, limit))
    infinite = sp.limit(inside, limit, sp.oo) == sp.oo
    yield CounterExample(
        assumption="finite moments",
        step="sum",
        setting="Cauchy weights, f_w(w) = 1 / (π (1 + w^2)), at x = 1: the mean of n of them is "
        "distributed as one of them is, so no division by a power of n tames the sum's variance",
        claimed=r"\mathrm{Var}[w] < \infty",
        found=r"\int_{-a}^{a} w^2 f_w(w)\, dw = " + sp.latex(sp.simplify(inside)) + r" \to \infty",
        breaks=bool(infinite),
    )


def _about_halves() -> Iterator[CounterExample]:
    exponential = SHIFTED_EXPONENTIAL.of(_z)
    spread = sp.integrate(_z**2 * exponential, (_z, -1, sp.oo))
    upper = sp.integrate(_z**2 * exponential, (_z, 0, sp.oo))
    yield CounterExample(
        assumption="symmetric weights",
        step="relu",
        setting="x = 1 and w exponential minus its mean: E[w] = 0 and Var[w] = 1, but not "
        "symmetric",
        claimed=r"\mathrm{E}[x^2] = \frac{1}{2}\,\mathrm{Var}[z]",
        found=r"\mathrm{E}[x^2] = \frac{2}{e}\,\mathrm{Var}[z]",
        breaks=bool(sp.simplify(upper / spread - 2 / sp.E) == 0 and upper / spread != _ONE / 2),
    )
    shifted: Law = {w + 1: p for w, p in SIGNS.items()}
    passed = sum((max(Fraction(0), z) ** 2 * p for z, p in shifted.items()), Fraction(0))
    yield _example(
        "zero bias",
        "relu",
        "w = +-1, x = 1 and a bias of 1, so that z is 0 or 2",
        (r"\mathrm{E}[x^2] = \frac{1}{2}\,\mathrm{Var}[z] = ", variance(shifted) / 2),
        (r"\mathrm{E}[x^2] = ", passed),
    )
    slope: Any = sp.Symbol("a", positive=True)
    normal = SYMMETRIC[0].of(_z)
    share = sp.integrate(_z**2 * normal, (_z, 0, sp.oo))
    share += slope**2 * sp.integrate(_z**2 * normal, (_z, -sp.oo, 0))
    yield CounterExample(
        assumption="ReLU",
        step="relu",
        setting="a leaky ReLU of slope a below 0 on a normal z; a = 1 is no activation at all, "
        "whose share is 1",
        claimed=r"\mathrm{E}[x^2] = \frac{1}{2}\,\mathrm{Var}[z]",
        found=r"\mathrm{E}[x^2] = \frac{1 + a^2}{2}\,\mathrm{Var}[z]",
        breaks=bool(sp.expand(share - (1 + slope**2) / 2) == 0),
    )
    # The loss y^2 / 2 on the unit's own output: the gradient that arrives is y, and y is 0 where
    # the unit is off.
    sums = [a * 1 + b * 2 for a, b in product((-1, 1), repeat=2)]
    outputs = [max(0, z) for z in sums]
    arrives = Fraction(sum(y * y for y in outputs), len(outputs))
    gradients = [y if z > 0 else 0 for y, z in zip(outputs, sums, strict=True)]
    leaves = Fraction(sum(d * d for d in gradients), len(sums))
    yield _example(
        "incoming gradient independent",
        "backward",
        "one ReLU unit y over inputs 1 and 2 with weights +-1 and the loss y^2 / 2: the gradient "
        "that arrives is y itself, and it knows whether the unit is on",
        (r"\mathrm{E}[d^2] = \frac{1}{2}\,\mathrm{E}[y^2] = ", arrives / 2),
        (r"\mathrm{E}[d^2] = ", leaves),
    )


def _with_factor(outcome: Verification) -> Verification:
    """Add by how much Var[x] is too small for x = relu(z), z standard normal."""
    density = SYMMETRIC[0].of(_z)
    second = sp.integrate(_z**2 * density, (_z, 0, sp.oo))
    first = sp.integrate(_z * density, (_z, 0, sp.oo))
    factor = sp.simplify(second / (second - first**2))
    wrong = not outcome.verified and sp.simplify(factor - sp.pi / (sp.pi - 1)) == 0
    return Verification(
        not wrong, f"{outcome.text}; for x = relu(z), z normal, E[x^2] / Var[x] = {factor}"
    )


def _example(
    assumption: str,
    step: str,
    setting: str,
    claimed: tuple[str, Fraction],
    found: tuple[str, Fraction],
) -> CounterExample:
    return CounterExample(
        assumption=assumption,
        step=step,
        setting=setting,
        claimed=claimed[0] + sp.latex(to_sympy(claimed[1])),
        found=found[0] + sp.latex(to_sympy(found[1])),
        breaks=claimed[1] != found[1],
    )
