import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from downslope.data import Examples, Scaling, split
from downslope.errors import InputError


def rows(n: int) -> Examples:
    return Examples(np.zeros((n, 1), np.float32), np.zeros(n, np.int64))


@given(st.integers(2, 300), st.integers(0, 2**63 - 1), st.data())
def test_split_is_random_split(n, seed, data):
    count = data.draw(st.integers(1, n - 1))
    training, validation = split(rows(n), count, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        oracle = torch.utils.data.random_split(range(n), [n - count, count])  # type: ignore[arg-type]
    assert training.tolist() == list(oracle[0].indices)
    assert validation.tolist() == list(oracle[1].indices)
    assert training.dtype == validation.dtype == np.int64


def test_a_split_neither_reads_nor_moves_the_global_stream():
    before = torch.get_rng_state()
    split(rows(10), 3, 1)
    assert torch.equal(before, torch.get_rng_state())


def test_split_of_a_fraction_is_the_assignment_s():
    training, validation = split(rows(60_000), 0.2, 541)
    assert (len(training), len(validation)) == (48_000, 12_000)


@pytest.mark.parametrize("validation", [0, 5, 6, -1, 0.0, 1.0, 0.01, 1.5])
def test_a_split_that_leaves_nothing_is_refused(validation):
    with pytest.raises(InputError, match="leaves nothing for"):
        split(rows(5), validation, 0)


def test_scaling_of_pixels_is_the_assignment_s():
    grey = Examples(np.arange(256, dtype=np.uint8)[:, None], np.zeros(256, np.int64))
    scaling = Scaling.fit(grey, 255.0, 0.5)
    oracle = torch.arange(256, dtype=torch.uint8)[:, None] / 255 - 0.5
    np.testing.assert_array_equal(scaling.apply(grey).inputs, oracle.numpy())
    assert grey.inputs.dtype == np.uint8


def test_scaling_of_a_table_is_sklearn_s():
    draw = np.random.default_rng(0)
    values = (draw.normal(size=(50, 4)) * [1, 10, 100, 0] + [0, 5, -7, 3]).astype(np.float32)
    table = Examples(values, np.zeros(50, np.int64))
    scaled = Scaling.fit(table, None, 0.0).apply(table).inputs
    oracle = StandardScaler().fit_transform(values.astype(np.float64))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, oracle, rtol=1e-4, atol=1e-5)


def test_the_unit_scaling_of_a_table_is_sklearn_s():
    draw = np.random.default_rng(0)
    values = (draw.normal(size=(50, 3)) * [1, 100, 0] + [0, -7, 3]).astype(np.float32)
    table = Examples(values, np.zeros(50, np.int64))
    scaled = Scaling.unit(table, None).apply(table).inputs
    oracle = MinMaxScaler().fit_transform(values.astype(np.float64))
    np.testing.assert_allclose(scaled, oracle, rtol=1e-5, atol=1e-6)
    assert Scaling.unit(table, 255.0) == Scaling(divisor=255.0)
