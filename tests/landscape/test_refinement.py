from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape import (
    LossOptions,
    Plane,
    evaluate_surface,
    filter_normalized_plane,
    interpolate,
)
from downslope.networks import flatten
from downslope.progress import drain


def bowl() -> tuple[nn.Module, Examples, Plane]:
    module = nn.Linear(2, 1, bias=False)
    rows = Examples(np.diag([1, 2]).astype(np.float32), np.array([[3], [4]], np.float32))
    return module, rows, Plane(np.zeros(2), np.eye(2))


def test_a_bowl_needs_few_points_and_keeps_its_shape() -> None:
    module, rows, plane = bowl()
    x, y = np.linspace(-4, 2, 121), np.linspace(-3, 1, 90)
    options = LossOptions("mean_squared_error")
    fine = drain(evaluate_surface(module, plane, x, y, rows, options, tolerance=0.01))
    whole = drain(evaluate_surface(module, plane, x, y, rows, options))
    assert fine.loss.shape == (90, 121)
    assert fine.computed.mean() < 0.1
    assert np.array_equal(fine.loss[fine.computed], whole.loss[fine.computed])
    off = np.abs(fine.loss / whole.loss - 1)
    assert off.max() < 0.01
    assert 0 < fine.interpolation_error < 0.01 * whole.loss.max()


class Cliff(nn.Module):
    """A loss that jumps at a = 0.3 and is infinite beyond b = 0.6."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.zeros(2))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        a, b = self.at
        height = torch.where(a > 0.3, 3.0, 1.0) + torch.where(b > 0.6, torch.inf, 0.0)
        return height.expand(len(inputs), 1)


def level(module: Any, batch: Any) -> torch.Tensor:
    return module(batch[0])[:, 0]


def test_edges_are_computed_not_smeared() -> None:
    rows = Examples(np.zeros((2, 1), np.float32), np.zeros(2, np.int64))
    x, y = np.linspace(-1, 1, 70), np.linspace(-1, 1, 65)
    plane = Plane(np.zeros(2), np.eye(2))
    fine = drain(evaluate_surface(Cliff(), plane, x, y, rows, LossOptions(level), tolerance=0.01))
    expected = np.where(x[None] > 0.3, 3.0, 1.0) + np.where(y[:, None] > 0.6, np.inf, 0.0)
    np.testing.assert_allclose(fine.loss, expected, rtol=0.02)
    assert fine.computed.mean() < 0.75


def test_an_impossible_tolerance_is_refused() -> None:
    module, rows, plane = bowl()
    with pytest.raises(InputError, match="tolerance = -1"):
        drain(evaluate_surface(module, plane, np.zeros(2), np.zeros(2), rows, tolerance=-1))


def test_a_slice_is_plain_forward_passes_between_two_networks() -> None:
    torch.manual_seed(0)
    module, other = nn.Linear(4, 3), nn.Linear(4, 3)
    draw = np.random.default_rng(0)
    rows = Examples(draw.normal(size=(20, 4)).astype(np.float32), draw.integers(0, 3, 20))
    found = drain(interpolate(module, flatten(module), flatten(other), rows))
    assert found.positions[[0, -1]].tolist() == [-0.25, 1.25]
    for share, loss in zip(found.positions, found.loss, strict=True):
        weight = torch.lerp(module.weight.double(), other.weight.double(), share).float()
        bias = torch.lerp(module.bias.double(), other.bias.double(), share).float()
        outputs = torch.from_numpy(rows.inputs) @ weight.T + bias
        expected = nn.functional.cross_entropy(outputs.double(), torch.from_numpy(rows.targets))
        assert loss == pytest.approx(float(expected.detach()), rel=1e-6)
    assert found.distance == pytest.approx(np.linalg.norm(flatten(module) - flatten(other)))
    with pytest.raises(InputError, match="same point"):
        drain(interpolate(module, flatten(module), flatten(module), rows))
    with pytest.raises(InputError, match="must be alike"):
        drain(interpolate(module, flatten(module), np.zeros(3), rows))


def test_a_random_plane_of_a_network_is_refined_within_its_stated_error() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
    draw = np.random.default_rng(0)
    rows = Examples(draw.normal(size=(60, 4)).astype(np.float32), draw.integers(0, 3, 60))
    plane = filter_normalized_plane(module, 0)
    assert plane.lengths
    x, y = (np.linspace(-1, 1, 97) * length for length in plane.lengths)
    fine = drain(evaluate_surface(module, plane, x, y, rows, tolerance=0.005))
    whole = drain(evaluate_surface(module, plane, x, y, rows))
    assert fine.computed.mean() < 0.3
    assert np.abs(fine.loss / whole.loss - 1).max() < 0.01
