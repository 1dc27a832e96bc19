import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from downslope.data import Examples, Range, Scaling, split
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


def labelled(values) -> Examples:
    return Examples(values, np.zeros(len(values), np.int64))


@given(
    st.floats(-1e12, 1e12),
    st.floats(1e-3, 1e6),
    st.sampled_from(["u1", "f4", "f8"]),
    st.integers(3, 40),
)
def test_scaling_is_sklearn_s_wherever_the_values_lie(center, spread, dtype, count):
    draw = np.random.default_rng(count)
    values = draw.uniform(0, 255, (count, 2)).astype("u1")
    if dtype != "u1":
        values = (center + spread * draw.normal(size=(count, 2))).astype(dtype)
    wide = values.astype(np.float64)
    if (np.ptp(wide, axis=0) <= 1e-6 * np.abs(wide).max(axis=0)).any():
        return  # near to constant columns: the tests below
    table = labelled(values)
    scaled = Scaling.fit(table, None, 0.0).apply(table).inputs
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(wide), rtol=1e-5, atol=1e-6)
    unit = Scaling.unit(table, None).apply(table).inputs
    np.testing.assert_allclose(unit, MinMaxScaler().fit_transform(wide), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("first", [1_700_000_000, 10**15])
def test_large_whole_numbers_keep_their_differences(first):
    values = first + np.random.default_rng(0).permutation(1000)[:, None].astype(np.float64)
    table = labelled(values)
    for scaling in (Scaling.fit(table, None, 0.0), Scaling.unit(table, None)):
        scaled = scaling.apply(table).inputs
        assert len(np.unique(scaled)) == 1000
        np.testing.assert_array_equal(np.argsort(scaled[:, 0]), np.argsort(values[:, 0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_is_constant_but_for_rounding_is_constant(dtype):
    values = np.full((50, 1), 0.3, dtype)
    values[::2] = np.nextafter(values[0], dtype(1))
    table = labelled(values)
    for scaling in (Scaling.fit(table, None, 0.0), Scaling.unit(table, None)):
        assert scaling.spread == [1.0]
        assert np.abs(scaling.apply(table).inputs).max() < 1e-6


def test_values_that_cannot_be_scaled_are_named():
    table = labelled(np.array([[0.0], [1.0]]))
    with pytest.raises(InputError, match=r"row 1, column 0 .* holds 1e\+300, .* float32"):
        Scaling.fit(table, None, 0.0).apply(labelled(np.array([[0.0], [1e300]])))
    with pytest.raises(InputError, match=r"column 0 .* up to 1e\+300, too large to standardize"):
        Scaling.fit(labelled(np.array([[0.0], [1e300]])), None, 0.0)


def test_undo_is_the_inverse():
    values = 1e9 + np.random.default_rng(0).normal(size=(20, 3))
    scaling = Scaling.fit(labelled(values), None, 0.0)
    scaled = scaling.apply(labelled(values)).inputs
    np.testing.assert_allclose(scaling.undo(scaled), values, atol=1e-6)


def test_a_range_doubts_other_scales_by_row_and_column():
    values = np.random.default_rng(0).integers(0, 256, (50, 4))
    fitted = Range.of(values)
    assert fitted.scale_warnings(values) == []
    assert fitted.scale_warnings(values[:1] // 2) == []
    (small,) = fitted.scale_warnings(values / 255)
    assert small.startswith("no value is beyond 1 in magnitude, while those fitted on reach 255")
    (large,) = Range.of(values / 255).scale_warnings(np.vstack([values[:3] / 255, values[3:]]))
    assert "first row 3, column " in large


@pytest.mark.parametrize("low", [0.0, -1.7e308])
def test_ranges_near_the_largest_number_raise_no_doubt(low: float) -> None:
    largest = Range(low=[low, 0.0], high=[8.98846567431158e307, 0.0])
    assert largest.scale_warnings(np.array([[8.98846567431158e307, 0.0]])) == []
