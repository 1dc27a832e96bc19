"""Every claim of the derivation survives its check, and every mutation of it is refuted."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from scipy import integrate, stats

from downslope.theory import distributions, verification
from downslope.theory.distributions import NORMAL, SHIFTED_EXPONENTIAL, SYMMETRIC, Density
from downslope.theory.verification import mean_x, n, second_x, variance_w, variance_wx


@pytest.mark.parametrize("claim", [n**2 * variance_wx, variance_wx, (n - 1) * variance_wx])
def test_a_wrong_variance_of_the_sum_is_refuted(claim):
    assert verification.verify_sum().verified
    assert not verification.verify_sum(claim).verified


def test_the_sum_needs_weights_of_mean_zero():
    biased = {Fraction(0): Fraction(1, 2), Fraction(1): Fraction(1, 2)}
    assert not verification.verify_sum(weights=biased).verified


@pytest.mark.parametrize(
    "claim",
    [
        variance_w * (second_x - mean_x**2),  # Var[x] in place of E[x^2]
        variance_w * mean_x**2,
        2 * variance_w * second_x,
    ],
)
def test_a_wrong_variance_of_the_product_is_refuted(claim):
    assert verification.verify_product().verified
    assert not verification.verify_product(claim).verified


def test_weights_with_a_mean_give_z_a_mean():
    assert verification.verify_zero_mean().verified
    assert not verification.verify_zero_mean(
        {Fraction(-1): Fraction(1, 2), Fraction(2): Fraction(1, 2)}
    ).verified


@pytest.mark.parametrize(
    "claim",
    [
        lambda density, z, x: density(z / x) / x,  # negative for x < 0
        lambda density, z, x: density(z / x),
        lambda density, z, x: density(z * x) * sp.Abs(x),
    ],
)
def test_a_wrong_density_is_refuted(claim):
    assert verification.verify_density().verified
    assert not verification.verify_density(claim).verified


def test_the_density_is_that_of_scipys_scaled_normal():
    x = -1.7
    z = sp.Symbol("z", real=True)
    f = sp.lambdify(z, verification.density_of_product(NORMAL.of, z, sp.Float(x)))
    at = np.linspace(-4, 4, 9)
    np.testing.assert_allclose([f(v) for v in at], stats.norm(scale=abs(x)).pdf(at), rtol=1e-12)


def test_asymmetric_weights_are_not_called_symmetric():
    assert verification.verify_symmetry().verified
    assert not verification.verify_symmetry([SHIFTED_EXPONENTIAL]).verified
    assert not verification.verify_symmetry(weights=distributions.SKEWED).verified


@pytest.mark.parametrize("factor", [1, 3, sp.pi / 2])
def test_a_wrong_share_of_the_integral_is_refuted(factor):
    assert verification.verify_half_integral().verified
    assert not verification.verify_half_integral(factor).verified


@pytest.mark.parametrize("factor", [1, sp.Rational(1, 3), 1 / sp.pi])
def test_a_wrong_share_for_relu_is_refuted(factor):
    assert verification.verify_relu().verified
    assert not verification.verify_relu(factor).verified


def test_an_asymmetric_z_passes_two_over_e_and_not_a_half():
    upper, _ = integrate.quad(lambda z: z**2 * np.exp(-z - 1), 0, np.inf)
    assert upper == pytest.approx(2 / np.e)
    assert not verification.verify_relu(densities=[SHIFTED_EXPONENTIAL]).verified
    assert verification.verify_relu(2 / sp.E, [SHIFTED_EXPONENTIAL]).verified


@pytest.mark.parametrize("density", [*SYMMETRIC, SHIFTED_EXPONENTIAL], ids=lambda d: d.name)
def test_densities_are_densities_of_mean_zero(density: Density):
    z = sp.Symbol("z", real=True)
    f = sp.lambdify(z, density.of(z), "math")
    low, high = max(float(density.low), -40.0), min(float(density.high), 40.0)
    for power, expected in ((0, 1.0), (1, 0.0)):
        found, _ = integrate.quad(lambda v, p=power: v**p * f(v), low, high, points=[0], limit=200)
        assert found == pytest.approx(expected, abs=1e-7)


def test_the_dependent_inputs_are_dependent_and_of_one_law():
    outcomes = list(distributions.dependent_inputs(3))
    probability = np.array([float(p) for _, p in outcomes])
    x = np.array([[float(v) for v in values] for values, _ in outcomes])
    covariance = np.cov(x.T, aweights=probability, ddof=0)
    assert probability.sum() == pytest.approx(1)
    assert np.ptp(np.diag(covariance)) < 1e-12
    assert abs(covariance[0, 1]) > 0.1
