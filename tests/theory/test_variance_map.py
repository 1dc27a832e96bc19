"""Fixed points, phases and the edge: closed forms, published values, iteration, wide networks."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from downslope.errors import InputError
from downslope.theory import edge_of_chaos, variance_map


def iterated(f, weights: float, biases: float, layers: int = 400) -> float:
    """The map by brute force: a midpoint sum over 20,001 points, iterated."""
    z = np.linspace(-9, 9, 20_001)
    density = np.exp(-(z**2) / 2)
    density /= density.sum()
    q = 1.0
    for _ in range(layers):
        q = weights * float((f(math.sqrt(q) * z) ** 2 * density).sum()) + biases
    return q


@pytest.mark.parametrize(("weights", "biases"), [(1.3, 0.1), (3.0, 0.0), (2.0, 0.5), (0.5, 0.01)])
def test_tanh_settles_where_iteration_does(weights, biases):
    found = variance_map("tanh", weights, biases)
    q = iterated(np.tanh, weights, biases)
    assert found.settles_at == pytest.approx(q, abs=1e-7)
    slope, _ = quad(
        lambda z: math.cosh(math.sqrt(q) * z) ** -4 * math.exp(-z * z / 2), -12, 12, limit=200
    )
    assert found.chi == pytest.approx(weights * slope / math.sqrt(2 * math.pi), abs=1e-6)
    assert found.fixed_points.count(found.settles_at) == 1


@pytest.mark.parametrize(
    ("weights", "phase", "settles"), [(1.9, "order", 0.0), (2.0, "edge", 1.0), (2.1, "chaos", None)]
)
def test_relu_is_on_the_edge_at_two(weights, phase, settles):
    found = variance_map("relu", weights)
    assert (found.phase, found.settles_at) == (phase, settles)
    assert found.chi == pytest.approx(weights / 2)
    if phase == "edge":
        assert found.depth_scale is None
    else:
        assert found.depth_scale == pytest.approx(1 / abs(math.log(weights / 2)))


def test_relu_with_biases_settles_at_the_geometric_sum():
    found = variance_map("relu", 1.5, 0.05)
    assert found.settles_at == pytest.approx(0.05 / (1 - 0.75))
    assert found.fixed_points == [found.settles_at]


def test_the_edge_where_it_is_known():
    assert edge_of_chaos("relu") == pytest.approx(2, abs=1e-9)
    assert edge_of_chaos("leaky_relu") == pytest.approx(2 / (1 + 1e-4), abs=1e-9)
    assert edge_of_chaos("linear") == pytest.approx(1, abs=1e-9)
    assert edge_of_chaos("tanh") == pytest.approx(1, abs=1e-6)
    # Lee et al. (2018), arXiv:1711.00165, and Schoenholz et al. (2017) work at (1.76, 0.05).
    assert edge_of_chaos("tanh", 0.05) == pytest.approx(1.76, abs=0.005)


def test_selus_own_point_is_fixed():
    found = variance_map("selu", 1.0)
    assert found.settles_at == pytest.approx(1, abs=1e-9)
    assert found.chi == pytest.approx(1.0715749924, abs=1e-9)


def test_a_users_function_has_a_map():
    found = variance_map(lambda z: torch.erf(z), 2.0, 0.1, kinks=())
    # E[erf(sqrt(q) z)^2] = 2/pi asin(2 q / (1 + 2 q)), Williams (1997).
    q = found.settles_at
    assert q == pytest.approx(2 * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + 0.1, abs=1e-9)


def test_wide_networks_go_where_the_map_says():
    generator = torch.Generator().manual_seed(541)
    x = torch.randn(8, 1000, generator=generator)
    for _ in range(12):
        w = torch.randn(1000, 1000, generator=generator) * math.sqrt(3.0 / 1000)
        x = torch.tanh(z := x @ w)
    expected = variance_map("tanh", 3.0).settles_at
    assert z.square().mean().item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("weights", "biases"), [(0.0, 0.0), (-1.0, 0.0), (1.0, -0.1), (math.nan, 0.0)]
)
def test_variances_out_of_range_are_refused(weights, biases):
    with pytest.raises(InputError, match="variance map: "):
        variance_map("tanh", weights, biases)


def test_without_an_edge_it_says_so():
    assert edge_of_chaos("sigmoid") is None
