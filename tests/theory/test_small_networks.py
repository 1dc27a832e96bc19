"""The count over all 2-3-2 networks against autograd, and mutations of the variance."""

import itertools

import pytest
import torch

from downslope.theory.small_networks import (
    count_networks,
    verify_backward_variance,
    verify_forward_variance,
)
from downslope.theory.verification import m, n


def test_the_count_equals_autograd_over_all_networks():
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=12)), dtype=torch.float64)
    first, second = signs[:, :6].reshape(-1, 3, 2), signs[:, 6:].reshape(-1, 2, 3)
    x = torch.tensor([1.0, 2.0], dtype=torch.float64).expand(len(signs), 2).clone()
    x.requires_grad_(True)
    z1 = torch.einsum("kij,kj->ki", first, x)
    x1 = torch.relu(z1)
    z2 = torch.einsum("kij,kj->ki", second, x1)
    functional = (z2 * torch.tensor([1.0, 3.0], dtype=torch.float64)).sum()
    d1, d0 = torch.autograd.grad(functional, (z1, x))
    counted = count_networks()
    assert float(counted.hidden) == x1.square().mean().item()
    assert float(counted.outputs) == torch.relu(z2).square().mean().item()
    assert float(counted.gradient_hidden) == d1.square().mean().item()
    assert float(counted.gradient_inputs) == d0.square().mean().item()
    assert (counted.inputs, counted.cotangent) == (2.5, 5)


@pytest.mark.parametrize("claim", [1 / n, 2 / n**2, 2 / (n + m), 2 / m, 1 / (3 * n)])
def test_a_wrong_forward_variance_is_refuted(claim):
    assert verify_forward_variance().verified
    assert not verify_forward_variance(claim).verified


@pytest.mark.parametrize("claim", [1 / m, 2 / m**2, 2 / (n + m), 2 / n])
def test_a_wrong_backward_variance_is_refuted(claim):
    assert verify_backward_variance().verified
    assert not verify_backward_variance(claim).verified


def test_xavier_halves_the_signal_between_layers_of_equal_width():
    text = verify_forward_variance((2 / (n + m)).subs(m, n)).text
    assert "per layer is 1/2" in text
    assert "5/2, 5/4, 5/8" in text
