import numpy as np
import pytest
import torch
from torch import nn

from downslope.errors import InputError
from downslope.landscape import Plane, filter_normalized_plane, orthonormal
from downslope.networks import flatten


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))


def test_each_filter_has_the_norm_of_the_networks() -> None:
    module = network()
    plane = filter_normalized_plane(module, seed=4)
    assert plane.lengths
    # The first direction is only scaled; the second also loses what lay along the first.
    first = torch.from_numpy(plane.directions[0] * plane.lengths[0])
    parts = dict(
        zip(
            (name for name, _ in module.named_parameters()),
            first.split([p.numel() for p in module.parameters()]),
            strict=True,
        )
    )
    for name in ("0.weight", "3.weight"):
        own = module.get_parameter(name).detach().double()
        theirs = parts[name].reshape(own.shape)
        np.testing.assert_allclose(
            theirs.flatten(1).norm(dim=1), own.flatten(1).norm(dim=1), rtol=1e-9
        )
    for name in ("0.bias", "1.weight", "1.bias", "3.bias"):
        assert not parts[name].any()
    assert np.array_equal(plane.origin, flatten(module))
    moved = filter_normalized_plane(module, seed=4, biases=True)
    assert np.count_nonzero(moved.directions[0]) == moved.directions.shape[1] - 3  # beta is zero


def test_a_plane_is_drawn_by_its_seed_and_no_global_generator() -> None:
    module = network()
    before = torch.get_rng_state()
    one, same, other = (filter_normalized_plane(module, s).directions for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_directions_are_mended_only_where_that_is_asked() -> None:
    given = np.array([[3.0, 0, 0], [1.0, 2, 0]])
    with pytest.raises(InputError, match=r"orthonormal\(\) makes them so"):
        Plane(np.zeros(3), given)
    np.testing.assert_allclose(orthonormal(given), np.eye(2, 3), atol=1e-15)
    assert given.tolist() == [[3, 0, 0], [1, 2, 0]]
    tiny = orthonormal(given * 1e-200)
    np.testing.assert_allclose(tiny, np.eye(2, 3), atol=1e-15)
    for bad in ([[1, 0], [2, 0]], [[0, 0], [1, 0]], [[np.inf, 0], [1, 0]]):
        with pytest.raises(InputError, match=r"parallel|zero or not finite"):
            orthonormal(np.array(bad, np.float64))
