"""State out of a module and into another, beside what PyTorch itself does."""

import numpy as np
import pytest
import torch
from torch import nn

from downslope.networks import (
    has_batch_norm,
    load_running_statistics,
    load_state,
    running_statistics,
)


def trained() -> nn.Sequential:
    """Make a module whose running statistics are those of a few minibatches."""
    torch.manual_seed(541)
    inner = nn.Sequential(nn.Linear(18, 4), nn.BatchNorm1d(4), nn.ReLU())
    module = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), inner)
    for _ in range(3):
        module(torch.randn(5, 1, 4, 4))
    return module


def test_arrays_that_are_read_only_become_a_module_of_the_same_outputs() -> None:
    module, other = trained().eval(), trained().eval()
    arrays = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    for array in arrays.values():
        array.setflags(write=False)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    load_state(other, arrays)
    rows = torch.randn(3, 1, 4, 4)
    assert torch.equal(other(rows), module(rows))
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_state(other, {**arrays, "0.weight": np.zeros(3, np.float32)})


def test_statistics_go_out_and_in_layer_after_layer_wherever_they_stand() -> None:
    module = trained()
    flat = running_statistics(module)
    first, second = module[1], module[3][1]
    expected = [first.running_mean, first.running_var, second.running_mean, second.running_var]
    np.testing.assert_array_equal(flat, torch.cat(expected).numpy())
    other = nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
    )
    load_running_statistics(other, flat, steps=3)
    np.testing.assert_array_equal(running_statistics(other), flat)
    assert [int(n.num_batches_tracked) for n in (other[1], other[2][1])] == [3, 3]
    with pytest.raises(RuntimeError, match="split"):
        load_running_statistics(other, flat[:-1], steps=3)


def test_a_norm_without_statistics_is_a_batch_norm_that_has_none() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False))
    assert has_batch_norm(module)
    assert running_statistics(module).shape == (0,)
    assert not has_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
