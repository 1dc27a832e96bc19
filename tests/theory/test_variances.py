"""Predicted variances against torch's own draws and an independent Monte Carlo in NumPy."""

import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch

from downslope.networks import Initialization, bias_variance, initialize, weight_variance
from downslope.theory import predict_backward, predict_forward

ALL: tuple[Initialization, ...] = get_args(Initialization)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(300, 500), (500, 300)])
def test_the_variance_is_that_of_the_weights_drawn(name: Initialization, shape: tuple[int, int]):
    fan_in, fan_out = shape
    linear = torch.nn.utils.skip_init(torch.nn.Linear, fan_in, fan_out)
    initialize(linear, name, torch.Generator().manual_seed(541))
    found = linear.weight.detach().double().square().mean().item()
    # 150,000 weights: the variance of normal ones is known to 0.4 %.
    assert found == pytest.approx(weight_variance(name, fan_in, fan_out), rel=0.02)
    biases = linear.bias.detach().double().square().mean().item()
    assert biases == pytest.approx(bias_variance(name, fan_in), rel=0.2, abs=1e-12)


def test_he_is_the_relu_gain_of_torch():
    gain = torch.nn.init.calculate_gain("relu")
    assert weight_variance("he", 77, 5) == pytest.approx(gain**2 / 77)
    default = torch.nn.init.calculate_gain("leaky_relu", math.sqrt(5))
    assert weight_variance("pytorch", 77, 5) == pytest.approx(default**2 / 77)


@pytest.mark.parametrize("name", ["he", "xavier", "pytorch"])
def test_moments_are_exact_in_narrow_networks(name: Initialization):
    """Expectations hold at width 12, not only in the limit: 20,000 networks written in NumPy."""
    random = np.random.default_rng(541)
    networks, widths = 20_000, (5, 12, 12, 12, 3)
    x = np.broadcast_to(np.array([1.0, -2.0, 0.5, 3.0, 0.0]), (networks, 5))
    second = float((x[0] ** 2).mean())
    weights, gates, signals = [], [], []
    for fan_in, fan_out in pairwise(widths):
        shape = (networks, fan_out, fan_in)
        if name == "pytorch":
            bound = 1 / math.sqrt(fan_in)
            w = random.uniform(-bound, bound, shape)
            b = random.uniform(-bound, bound, shape[:2])
        else:
            scale = 2 / fan_in if name == "he" else 2 / (fan_in + fan_out)
            w, b = random.normal(0, math.sqrt(scale), shape), np.zeros(shape[:2])
        z = np.einsum("kij,kj->ki", w, x) + b
        x = np.maximum(z, 0)
        weights.append(w)
        gates.append(z > 0)
        signals.append((x**2).mean(axis=1))
    d = np.broadcast_to(np.array([1.0, -1.0, 1.0]), (networks, 3))
    gradients = []
    for w, gate in zip(weights[:0:-1], gates[-2::-1], strict=True):
        d = np.einsum("kij,ki->kj", w, d) * gate
        gradients.append((d**2).mean(axis=1))
    pairs = [
        *zip(signals[:3], predict_forward(name, widths, second), strict=True),
        *zip(gradients[::-1], predict_backward(name, widths), strict=True),
    ]
    for samples, predicted in pairs:
        error = samples.std() / math.sqrt(networks)
        assert abs(samples.mean() - predicted) < 4 * error
        assert error < 0.03 * predicted  # narrow enough to notice a wrong factor


def test_pytorchs_default_stalls_where_its_biases_hold_it():
    width = 200
    moments = predict_forward("pytorch", (width,) * 30, 1.0)
    assert moments[0] == pytest.approx(1 / 6 + 1 / (6 * width))
    assert moments[-1] == pytest.approx(1 / (5 * width))
