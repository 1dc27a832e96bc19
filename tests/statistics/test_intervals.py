import math

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
    found = accuracy_of([0.85, 0.9, 0.95], 200)
    assert found.mean == pytest.approx(0.9)
    assert found.spread == pytest.approx(0.05)
    assert found.interval == wilson_interval(0.9, 200)
    assert (found.per_seed, found.examples) == ([0.85, 0.9, 0.95], 200)


def test_one_seed_has_no_spread_and_no_seed_no_accuracy() -> None:
    assert accuracy_of([0.9], 100).spread is None
    with pytest.raises(InputError, match="no seed completed"):
        accuracy_of([], 100)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True))
def test_the_interval_of_a_mean_over_seeds_is_students(hits: list[int]) -> None:
    values = [k / 10_000 for k in hits]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((theirs.low, theirs.high))
    assert accuracy_of(values, 10_000).seed_interval == mean_interval(values)


def test_one_value_has_no_interval_over_seeds() -> None:
    assert mean_interval([0.8]) is None
    assert mean_interval([0.8, 0.8]) == (0.8, 0.8)
