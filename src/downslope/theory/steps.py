"""The derivation of He initialization as objects: equation, reason, assumptions, verdict."""

from types import MappingProxyType
from typing import Any, Final

import msgspec

from downslope.theory import small_networks, verification

ASSUMPTIONS: Final = MappingProxyType(
    {
        "weights independent of inputs": "The weights are drawn without looking at x.",
        "zero-mean weights": "E[w] = 0 for every weight.",
        "uncorrelated weights": "The weights of a layer are drawn independently of each other "
        "with equal variance; for the sum, uncorrelated is enough.",
        "equal second moments": "All inputs of a layer have the same E[x^2], or E[x^2] is read as "
        "their average; they need not be independent of each other.",
        "finite moments": "Var[w] and E[x^2] are finite.",
        "symmetric weights": "w and -w have the same distribution.",
        "zero bias": "b = 0, so z is the weighted sum alone.",
        "ReLU": "The activation is max(0, z).",
        "incoming gradient independent": "The gradient that arrives at a layer's output is "
        "independent of its weights and of which of its units are on.",
    }
)
"""What the derivation assumes: one line of explanation by name."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the derivation with the verdict of its check.

    Args:
        name: a short identifier.
        title: what the step says, in words.
        statement: the equation in LaTeX, without dollar signs.
        justification: why it holds.
        assumptions: what it needs, names from `ASSUMPTIONS`.
        source: paper and equation.
        verified: whether the check came out as claimed.
        verification: what was computed and what came out.
    """

    name: str
    title: str
    statement: str
    justification: str
    assumptions: tuple[str, ...]
    source: str
    verified: bool
    verification: str


_HE: Final = "He et al. (2015), Delving Deep into Rectifiers, arXiv:1502.01852, section 2.2"
_SYMMETRIC: Final = ("weights independent of inputs", "uncorrelated weights", "symmetric weights")
_STEPS: Final[tuple[tuple[Any, ...], ...]] = (
    (
        "sum",
        "The variance of a sum is the sum of the variances",
        r"\mathrm{Var}\Bigl[\sum_{j=1}^{n} w_j x_j\Bigr] = n\, \mathrm{Var}[w x]",
        "For j != k the products are uncorrelated: E[w_j x_j w_k x_k] = E[w_j] E[w_k] E[x_j x_k] "
        "= 0, because the weights are independent of each other and of the inputs and have mean "
        "zero. So the variances add, and they are equal because the weights share one variance "
        "and the inputs one second moment. The inputs may depend on each other, as pixels do.",
        (
            "weights independent of inputs",
            "zero-mean weights",
            "uncorrelated weights",
            "equal second moments",
            "finite moments",
        ),
        f"{_HE}, equation 6",
        verification.verify_sum,
    ),
    (
        "product",
        "The variance of one product",
        r"\mathrm{Var}[w x] = \mathrm{Var}[w]\, \mathrm{E}[x^2]",
        "For independent w and x, Var[w x] = E[w^2] E[x^2] - E[w]^2 E[x]^2. With E[w] = 0 the "
        "second term vanishes and E[w^2] = Var[w]. It is E[x^2], not Var[x]: what a ReLU passes "
        "on has a mean above zero.",
        ("weights independent of inputs", "zero-mean weights", "finite moments"),
        f"{_HE}, equation 7",
        verification.verify_product,
    ),
    (
        "mean",
        "Pre-activations have mean zero whatever the inputs are",
        r"\mathrm{E}[z] = \mathrm{E}_x\Bigl[\sum_j \mathrm{E}[w_j]\, x_j\Bigr] = 0",
        "Given x, the expectation is linear in the weights, and each weight has mean zero. It is "
        "zero for every x, so it is zero on average over any distribution of x.",
        ("weights independent of inputs", "zero-mean weights", "zero bias", "finite moments"),
        f"{_HE}, text above equation 8",
        verification.verify_zero_mean,
    ),
    (
        "density",
        "The density of z = w x when x is known",
        r"f(z \mid x) = \frac{1}{|x|}\, f_w\!\left(\frac{z}{x}\right), \qquad x \neq 0",
        "z = w x is a change of variable with dz = x dw. For negative x the order of the bounds "
        "turns round, hence the absolute value.",
        ("weights independent of inputs", "zero bias"),
        "Change of variables; used in He et al. (2015), text above equation 8",
        verification.verify_density,
    ),
    (
        "symmetry",
        "Pre-activations are symmetric about zero",
        r"f(-z \mid x) = \frac{1}{|x|}\, f_w\!\left(-\frac{z}{x}\right) = f(z \mid x)",
        "f_w is even, so f is. The sum over j is symmetric too: changing the sign of all weights "
        "of a unit changes the sign of z and leaves the weights' distribution as it was. A "
        "mixture over x of symmetric distributions is symmetric.",
        (*_SYMMETRIC, "zero bias"),
        f"{_HE}, text above equation 8",
        verification.verify_symmetry,
    ),
    (
        "half",
        "Half of the variance lies on each side",
        r"\mathrm{Var}[z] = \mathrm{E}[z^2] = 2 \int_{0}^{\infty} z^2 f(z)\, dz",
        "E[z] = 0, so the variance is the second moment; z^2 f(z) is even, so the integral over "
        "the whole line is twice that over z > 0.",
        (*_SYMMETRIC, "zero bias", "finite moments"),
        f"{_HE}, text above equation 8",
        verification.verify_half_integral,
    ),
    (
        "relu",
        "ReLU passes half of the variance on as second moment",
        r"\mathrm{E}[x_{l}^2] = \int_{0}^{\infty} z^2 f(z)\, dz"
        r" = \tfrac{1}{2}\, \mathrm{Var}[z_{l-1}]",
        "x = max(0, z) equals z where z > 0 and is 0 elsewhere, so only the upper half of the "
        "integral is left.",
        (*_SYMMETRIC, "zero bias", "ReLU", "finite moments"),
        f"{_HE}, text above equation 8",
        verification.verify_relu,
    ),
    (
        "forward",
        "Signals keep their size from layer to layer: He initialization",
        r"\tfrac{1}{2}\, n\, \mathrm{Var}[w] = 1 \;\Longrightarrow\; \mathrm{Var}[w] = 2/n",
        "Put together, Var[z_l] = n Var[w] E[x_l^2] = n Var[w] Var[z_{l-1}] / 2. Over many layers "
        "the factor n Var[w] / 2 is raised to the depth; only 1 neither vanishes nor explodes. "
        "Xavier's variance, 1/n between layers of equal width, halves the signal in each layer.",
        tuple(name for name in ASSUMPTIONS if name != "incoming gradient independent"),
        f"{_HE}, equations 8 to 10",
        lambda: small_networks.verify_forward_variance(),
    ),
    (
        "backward",
        "Gradients keep their size: the same with the fan out",
        r"\tfrac{1}{2}\, m\, \mathrm{Var}[w] = 1 \;\Longrightarrow\; \mathrm{Var}[w] = 2/m",
        "The gradient at a unit is the sum over the m units that read it of weight times gradient, "
        "passed on where the unit is on, which by symmetry is half of the time. Between layers "
        "of equal width m = n, so 2/n serves both directions. The independence that the paper "
        "assumes is harmless: the sign symmetry of the weights makes a single example's "
        "second moments come out as if it held, unless a layer is dead (chance 2^-width).",
        (
            "uncorrelated weights",
            "zero-mean weights",
            "symmetric weights",
            "finite moments",
            "ReLU",
            "incoming gradient independent",
        ),
        f"{_HE}, equations 11 to 14; without the assumption: Nguyen (2021), arXiv:2101.12017",
        lambda: small_networks.verify_backward_variance(),
    ),
)
"""Name, title, statement, justification, assumptions, source and check of each step."""


def derivation() -> list[Step]:
    r"""Derive Var[w] = 2/n for ReLU step by step, running the check of every step.

    Source: He et al. (2015), equations 5 to 10, and 11 to 14 for the gradients. Takes about half
    a second, nothing is random.

    >>> steps = derivation()
    >>> [step.name for step in steps if not step.verified]
    []
    >>> steps[-2].statement
    '\\tfrac{1}{2}\\, n\\, \\mathrm{Var}[w] = 1 \\;\\Longrightarrow\\; \\mathrm{Var}[w] = 2/n'
    """
    steps: list[Step] = []
    for *words, check in _STEPS:
        values: tuple[Any, ...] = (*words, *check())
        steps.append(Step(**dict(zip(Step.__struct_fields__, values, strict=True))))
    return steps
