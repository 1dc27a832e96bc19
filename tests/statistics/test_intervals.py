import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from downslope.errors import InputError
from downslope.statistics import accuracy_of, mean_interval, wilson_interval


@given(st.integers(1, 20_000), st.floats(0, 1))
def test_wilson_is_scipys_and_takes_means_over_seeds(examples: int, share: float) -> None:
    hits = round(share * examples)
    found = stats.binomtest(hits, examples).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits / examples, examples) == pytest.approx(tuple(found), abs=1e-9)
    # A mean over seeds lies between two whole numbers of hits, and so does its interval.
    lower, upper = math.floor(share * examples), math.ceil(share * examples)
    for end, value in enumerate(wilson_interval(share, examples)):
        low, high = (wilson_interval(k / examples, examples)[end] for k in (lower, upper))
        assert low - 1e-12 <= value <= high + 1e-12


def test_an_accuracy_summarizes_its_seeds() -> None:
    right = np.arange(200) < np.array([170, 180, 190])[:, None]
    accuracy = accuracy_of(right)
    assert accuracy.mean == pytest.approx(0.9)
    assert accuracy.spread == pytest.approx(0.05)
    assert accuracy.interval_method == "crossed"
    assert (accuracy.per_seed, accuracy.examples) == ([0.85, 0.9, 0.95], 200)


def test_one_seed_has_no_spread_and_no_seed_no_accuracy() -> None:
    accuracy = accuracy_of(np.arange(100)[None] < 90)
    assert accuracy.spread is None
    assert accuracy.interval == wilson_interval(0.9, 100)
    assert accuracy.interval_method == "wilson"
    with pytest.raises(InputError, match="no seed completed"):
        accuracy_of(np.empty((0, 5), bool))


def test_where_seeds_agree_the_interval_of_an_accuracy_is_wilsons() -> None:
    right = np.repeat(np.arange(2000)[None] < 1700, 3, axis=0)
    assert accuracy_of(right).interval == pytest.approx(wilson_interval(0.85, 2000), abs=1e-4)
    assert accuracy_of(np.ones((3, 50), bool)).interval == wilson_interval(1.0, 50)


def test_where_only_seeds_differ_the_interval_of_an_accuracy_reaches_as_students() -> None:
    right = np.arange(20_000) < np.array([9_000, 10_000, 11_000])[:, None]
    low, high = accuracy_of(right).interval
    theirs = stats.ttest_1samp(right.mean(axis=1), 0).confidence_interval(0.95)
    assert high - low == pytest.approx(theirs.high - theirs.low, rel=0.05)


@given(st.lists(st.integers(1, 9_999), min_size=2, max_size=6, unique=True))
def test_the_interval_of_a_mean_over_seeds_is_students(hits: list[int]) -> None:
    values = [k / 10_000 for k in hits]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((theirs.low, theirs.high))
    # Over other examples too it is no shorter than that of a single seed.
    low, high = mean_interval(values, examples=10_000) or (0.0, 0.0)
    alone = wilson_interval(sum(values) / len(values), 10_000)
    assert low <= alone[0] + 1e-12 and alone[1] <= high + 1e-12


def test_one_value_has_no_interval_over_seeds() -> None:
    assert mean_interval([0.8]) is None
    assert mean_interval([0.8, 0.8]) == (0.8, 0.8)
