"""Gains against closed forms, mpmath and a sample; where torch's gain is wrong or missing."""

import math

import mpmath
import numpy as np
import pytest
import torch

from downslope.errors import InputError
from downslope.theory import ACTIVATIONS, compute_gain, find_activation

mpmath.mp.dps = 30
_HALF_MEAN = 1 / math.sqrt(2 * math.pi)  # E[max(0, z)]
_UPPER_EXP = math.exp(0.5) * 0.5 * math.erfc(1 / math.sqrt(2))  # E[exp(z); z < 0]
_UPPER_EXP_2 = math.exp(2.0) * 0.5 * math.erfc(2 / math.sqrt(2))  # E[exp(2 z); z < 0]
_ELU = 0.5 + _UPPER_EXP_2 - 2 * _UPPER_EXP + 0.5
_LAMBDA, _ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
# E[gelu^2] = 1/3 + 1/(2 sqrt(3) pi), and of its derivative 1/3 + ... by Owen (1980).
_CLOSED = {
    "linear": (1.0, 1.0),
    "relu": (0.5, 0.5),
    "leaky_relu": ((1 + 1e-4) / 2, (1 + 1e-4) / 2),
    "prelu": ((1 + 1 / 16) / 2, (1 + 1 / 16) / 2),
    "elu": (_ELU, 0.5 + _UPPER_EXP_2),
    "selu": (
        _LAMBDA**2 * (0.5 + _ALPHA**2 * (_ELU - 0.5)),
        _LAMBDA**2 * (0.5 + _ALPHA**2 * _UPPER_EXP_2),
    ),
    "gelu": (1 / 3 + 1 / (2 * math.sqrt(3) * math.pi), None),
    "hardtanh": (
        math.erf(1 / math.sqrt(2)) - 2 * math.exp(-0.5) * _HALF_MEAN + math.erfc(1 / math.sqrt(2)),
        math.erf(1 / math.sqrt(2)),
    ),
}


@pytest.mark.parametrize("name", sorted(_CLOSED))
def test_gains_are_those_of_the_closed_form(name):
    gain = compute_gain(name)
    second, slope = _CLOSED[name]
    assert gain.forward == pytest.approx(second**-0.5, abs=1e-10)
    assert abs(gain.forward - second**-0.5) <= gain.bound
    if slope is not None:
        assert gain.backward == pytest.approx(slope**-0.5, abs=1e-10)
        assert abs(gain.backward - slope**-0.5) <= gain.bound


_BY_MPMATH = {
    "tanh": mpmath.tanh,
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "mish": lambda z: z * mpmath.tanh(mpmath.log1p(mpmath.exp(z))),
    "softplus": lambda z: mpmath.log1p(mpmath.exp(z)),
    "gelu": lambda z: z * mpmath.ncdf(z),
    "softsign": lambda z: z / (1 + abs(z)),
}


@pytest.mark.parametrize("name", sorted(_BY_MPMATH))
def test_the_stated_bound_holds_against_mpmath(name):
    f = _BY_MPMATH[name]
    cuts = [-25, -8, -3, -1, 0, 1, 3, 8, 25]
    second = mpmath.quad(lambda z: f(z) ** 2 * mpmath.npdf(z), cuts)
    slope = mpmath.quad(lambda z: mpmath.diff(f, z) ** 2 * mpmath.npdf(z), cuts)
    gain = compute_gain(name)
    # softplus of torch is cut off at 20, which is 1e-9 of its slope and 1e-100 in probability.
    assert abs(gain.forward - float(1 / mpmath.sqrt(second))) <= gain.bound < 1e-12
    assert gain.backward == pytest.approx(float(1 / mpmath.sqrt(slope)), abs=1e-11)


def test_tanh_and_selu_where_torch_is_off():
    tanh, selu = compute_gain("tanh"), compute_gain("selu")
    assert tanh.forward == pytest.approx(1.5925374, abs=1e-7) and tanh.torch_gain == 5 / 3
    assert selu.forward == pytest.approx(1.0, abs=1e-12) and selu.torch_gain == 0.75


@pytest.mark.parametrize("name", ["gelu", "silu", "elu"])
def test_torch_refuses_what_is_computed_here(name):
    with pytest.raises(ValueError):
        torch.nn.init.calculate_gain(name)
    assert compute_gain(name).torch_gain is None


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_gain_keeps_a_sample_of_signals(name):
    gain = compute_gain(name)
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(541), dtype=torch.float64)
    z.requires_grad_(True)
    x = ACTIVATIONS[name].function(z)
    (slope,) = torch.autograd.grad(x.sum(), z)
    assert (gain.forward**2 * x.square().mean()).item() == pytest.approx(1, abs=0.02)
    assert (gain.backward**2 * slope.square().mean()).item() == pytest.approx(1, abs=0.02)
    assert gain.chi == pytest.approx((gain.forward / gain.backward) ** 2)


def test_a_users_function_works():
    def squeeze(z: torch.Tensor) -> torch.Tensor:
        return torch.where(z > 0.7, z, 0.1 * z)

    gain = compute_gain(squeeze, kinks=(0.7,))
    share = 0.5 * math.erfc(0.7 / math.sqrt(2))
    tail = share + 0.7 * math.exp(-0.245) * _HALF_MEAN
    assert gain.activation == "squeeze"
    assert gain.forward == pytest.approx((tail + 0.01 * (1 - tail)) ** -0.5, abs=1e-10)
    assert compute_gain(torch.nn.ReLU6(), kinks=(0, 6)).torch_gain is None


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        ("reul", "not known"),
        (lambda z: z - z.mean(), "not elementwise"),
        (lambda z: torch.softmax(z, 0), "not elementwise"),
        (lambda z: z.sum(), "not elementwise"),
        (lambda z: math.tanh(z), "float64 tensor"),
        (lambda z: 0 * z, "constant"),
        (lambda z: 0 * z + 2, "constant"),
        (lambda z: torch.exp(z**2), "not finite"),
    ],
)
def test_what_has_no_gain_is_refused(activation, words):
    with pytest.raises(InputError, match=words):
        compute_gain(activation)


def test_the_derivative_is_that_of_finite_differences():
    z = np.array([-2.3, -0.4, 0.3, 1.7])
    for activation in ACTIVATIONS.values():
        by_difference = (activation.values(z + 1e-6) - activation.values(z - 1e-6)) / 2e-6
        np.testing.assert_allclose(activation.slopes(z), by_difference, atol=1e-8)
    assert find_activation("tanh") is ACTIVATIONS["tanh"]
