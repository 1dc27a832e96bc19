"""Bootstrap intervals: coverage on skewed samples, agreement with SciPy, degenerate samples."""

import math

import numpy as np
import pytest
from scipy import stats

from downslope.statistics import bootstrap_intervals


@pytest.mark.parametrize("networks", [15, 30])
def test_the_interval_covers_the_mean_of_skewed_samples(networks):
    """Spread as at width 256, depth 20: log standard deviation 0.61."""
    random = np.random.default_rng(541)
    sigma, trials = math.sqrt(math.log(1.455)), 1500
    samples = random.lognormal(-(sigma**2) / 2, sigma, (networks, trials))  # mean 1
    # All trials are columns of one resampling: each column by itself is a bootstrap of its own.
    low, high = bootstrap_intervals(samples, seed=541)
    covered = np.mean((low <= 1) & (high >= 1))
    assert 0.92 < covered < 0.975


def test_percentiles_of_the_mean_would_cover_less():
    random = np.random.default_rng(541)
    sigma = math.sqrt(math.log(1.455))
    samples = random.lognormal(-(sigma**2) / 2, sigma, (15, 300))
    found = stats.bootstrap(
        (samples,), np.mean, axis=0, n_resamples=500, method="percentile", rng=random
    ).confidence_interval
    assert np.mean((found.low <= 1) & (found.high >= 1)) < 0.92


def test_many_normal_samples_give_students_interval():
    samples = np.random.default_rng(541).normal(10, 1, (400, 1))
    low, high = bootstrap_intervals(samples, seed=1)
    expected = stats.t.interval(0.95, 399, samples.mean(), stats.sem(samples)[0])
    assert (low[0], high[0]) == pytest.approx(expected, abs=0.02)


def test_rows_stay_together_and_seeds_repeat():
    samples = np.random.default_rng(541).lognormal(size=(9, 1)) * np.array([1.0, 7.0])
    low, high = bootstrap_intervals(samples, seed=3)
    np.testing.assert_allclose(low[1], 7 * low[0])
    again = bootstrap_intervals(samples, seed=3)
    assert np.array_equal(low, again[0]) and np.array_equal(high, again[1])
    assert not np.array_equal(low, bootstrap_intervals(samples, seed=4)[0])


def test_equal_samples_have_an_interval_of_no_width():
    low, high = bootstrap_intervals(np.full((5, 2), 3.0), seed=0)
    assert low.tolist() == high.tolist() == [3.0, 3.0]


def test_three_networks_are_enough_for_a_finite_interval():
    low, high = bootstrap_intervals(np.array([[1.0], [2.0], [4.0]]), seed=0)
    assert 0 < low[0] < 7 / 3 < high[0] < math.inf
