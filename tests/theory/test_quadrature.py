"""Expectations against closed forms and against mpmath at 30 digits."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.errors import InputError
from downslope.theory.quadrature import expectation, quick_expectation


@pytest.mark.parametrize("power", [0, 2, 4, 6, 8])
def test_normal_moments_are_double_factorials(power):
    value, bound = expectation(lambda z: z**power, deviation=1.5)
    expected = math.prod(range(1, power, 2)) * 1.5**power
    assert abs(value - expected) <= bound < 1e-11 * expected


@pytest.mark.parametrize("deviation", [1e-3, 0.3, 1.0, 4.0, 50.0])
def test_the_bound_holds_against_mpmath(deviation):
    mpmath.mp.dps = 30
    scale = mpmath.mpf(deviation)
    cuts = sorted({0, *(x / max(deviation, 1) for x in (-4, -1, 1, 4)), -30, 30, -8, 8})
    truth = mpmath.quad(lambda z: mpmath.tanh(scale * z) ** 2 * mpmath.npdf(z), cuts)
    value, bound = expectation(lambda z: np.tanh(z) ** 2, deviation=deviation, kinks=())
    assert abs(value - float(truth)) <= bound < 1e-10


def test_gauss_hermite_would_have_been_wrong_there():
    nodes, weights = np.polynomial.hermite_e.hermegauss(128)
    by_hermite = (np.tanh(10 * nodes) ** 2 * weights).sum() / math.sqrt(2 * math.pi)
    assert abs(by_hermite - quick_expectation(lambda z: np.tanh(10 * z) ** 2)) > 0.01


@given(
    at=st.floats(-3, 3),
    left=st.floats(-5, 5),
    right=st.floats(-5, 5),
    deviation=st.floats(0.05, 20),
)
def test_a_kink_anywhere_is_exact(at, left, right, deviation):
    """E of a function with two slopes that meet at a kink, in closed form."""
    value = quick_expectation(
        lambda z: np.where(z < at, left, right) * (z - at), deviation=deviation, kinks=(at,)
    )
    t = at / deviation
    density = math.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    below = 0.5 * math.erfc(-t / math.sqrt(2))
    expected = left * (-deviation * density - at * below)
    expected += right * (deviation * density - at * (1 - below))
    assert value == pytest.approx(expected, abs=1e-11 * (1 + deviation))


def test_a_kink_that_was_not_named_widens_the_bound():
    truth = 0.5 * math.erfc(1 / math.sqrt(2)) + 0.0
    value, bound = expectation(lambda z: (z > 1.2345).astype(float), kinks=())
    truth = 0.5 * math.erfc(1.2345 / math.sqrt(2))
    assert abs(value - truth) <= bound
    assert bound > 1e-9


def test_what_has_no_second_moment_is_refused():
    with pytest.raises(InputError, match="not finite"), np.errstate(over="ignore"):
        expectation(lambda z: np.exp(z**2))
