import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parameters_to_vector

from downslope import InputError
from downslope.networks import NetworkSpec, build, flatten, load_flat, unflatten

shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple)


@given(shapes, st.sampled_from(["none", "batch"]), st.sampled_from(["relu", "prelu"]))
def test_the_layout_is_pytorchs(widths, normalization, activation) -> None:
    spec = NetworkSpec(widths=widths, normalization=normalization, activation=activation)
    module = build(spec, torch.Generator())
    reference = parameters_to_vector(module.parameters()).detach().numpy()
    np.testing.assert_array_equal(flatten(module), reference)


@given(shapes, st.integers(0, 2**32 - 1))
def test_a_vector_goes_in_and_comes_out_exactly(widths, seed: int) -> None:
    module = build(NetworkSpec(widths=widths), torch.Generator())
    vector = np.random.default_rng(seed).standard_normal(flatten(module).size, np.float32)
    load_flat(module, vector)
    np.testing.assert_array_equal(flatten(module), vector)


def test_flatten_copies() -> None:
    module = nn.Linear(3, 2)
    vector = flatten(module)
    vector[:] = 7
    assert not (flatten(module) == 7).any()


def test_unflatten_only_reads_the_module() -> None:
    module = nn.Linear(3, 2)
    before = flatten(module)
    parts = unflatten(module, np.zeros(8, np.float32))
    assert not parts["weight"].any()
    np.testing.assert_array_equal(flatten(module), before)


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_vector_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=r"it must be \(8,\)"):
        load_flat(nn.Linear(3, 2), np.zeros(size, np.float32))


def test_a_module_without_parameters_is_an_empty_vector() -> None:
    assert flatten(nn.ReLU()).shape == (0,)
