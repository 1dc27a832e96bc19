import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from downslope.errors import InputError
from downslope.statistics import (
    accuracy_of,
    bootstrap_interval,
    compare,
    paired_test,
    wilson_interval,
)

shares = st.lists(st.floats(0, 1), min_size=2, max_size=6)


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


@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True),
    st.lists(st.integers(0, 10_000), min_size=2, max_size=6, unique=True),
)
def test_the_interval_is_welchs_as_scipy_has_it(first: list[int], second: list[int]) -> None:
    a, b = np.array(first) / 10_000, np.array(second) / 10_000
    found = compare(a.tolist(), b.tolist())
    theirs = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)
    assert found.difference == pytest.approx(b.mean() - a.mean())
    spread = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert found.seed_spread == pytest.approx(spread)


def test_one_side_without_spread_leaves_the_one_sample_interval() -> None:
    second = [0.91, 0.92, 0.94]
    theirs = stats.ttest_1samp(second, 0.9).confidence_interval(0.95)
    found = compare([0.9] * 3, second)
    assert found.interval == pytest.approx((theirs.low - 0.9, theirs.high - 0.9))


@given(shares, shares)
def test_comparing_the_other_way_round_turns_the_sign(
    first: list[float], second: list[float]
) -> None:
    one, other = compare(first, second), compare(second, first)
    if one.interval is None or other.interval is None:
        assert one.interval is other.interval
        return
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    turned = {"better": "worse", "worse": "better", "undecided": "undecided"}
    assert other.verdict == turned[one.verdict]


@given(shares, shares)
def test_the_verdict_follows_from_the_interval(first: list[float], second: list[float]) -> None:
    found = compare(first, second)
    if found.interval is None:
        assert np.var(first) + np.var(second) < 1e-30, "only without any spread"
        assert found.verdict == "undecided"
        return
    low, high = found.interval
    assert low <= found.difference <= high
    expected = "better" if low > 0 else "worse" if high < 0 else "undecided"
    assert found.verdict == expected


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ([0.9, 0.9], [0.9, 0.9], "undecided"),
        ([0.8, 0.8], [0.9, 0.9], "undecided"),  # no spread was seen, so nothing to measure by
        ([0.1] * 3, [0.1] * 2, "undecided"),  # their means differ in the last bit
        ([0.90, 0.91], [0.90, 0.91], "undecided"),
        ([0.90, 0.91, 0.92], [0.95, 0.96, 0.97], "better"),
        ([0.95, 0.96, 0.97], [0.90, 0.91, 0.92], "worse"),
        ([0.90, 0.95], [0.93, 0.98], "undecided"),
        ([0.9], [0.99, 0.99], "undecided"),
        ([0.9, 0.9], [0.99], "undecided"),
    ],
)
def test_verdicts(first: list[float], second: list[float], verdict: str) -> None:
    assert compare(first, second).verdict == verdict


def test_one_seed_on_a_side_leaves_the_difference_alone() -> None:
    found = compare([0.8], [0.9, 0.92])
    assert (found.interval, found.seed_spread) == (None, None)
    assert found.difference == pytest.approx(0.11)


def test_equal_members_are_seldom_called_different() -> None:
    draw = np.random.default_rng(0)
    pairs = draw.normal(0.88, 0.003, (2000, 2, 4))
    wrong = sum(compare(a.tolist(), b.tolist()).verdict != "undecided" for a, b in pairs)
    # 5 % nominal; Welch is a little conservative with few seeds. Three standard errors above.
    assert 0.02 < wrong / 2000 < 0.065


def test_the_interval_covers_the_true_difference() -> None:
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        first, second = draw.normal(0.87, 0.002, 5), draw.normal(0.88, 0.006, 3)
        interval = compare(first.tolist(), second.tolist()).interval
        assert interval is not None
        covered += interval[0] <= 0.01 <= interval[1]
    assert 0.92 < covered / 1000 < 0.985


# Over seeds by bootstrap, example by example by McNemar


def test_the_bootstrap_interval_is_scipys() -> None:
    values = [0.87, 0.875, 0.89, 0.88, 0.872]
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=50_000, rng=np.random.default_rng(1)
    ).confidence_interval
    own = bootstrap_interval(values)
    assert own is not None
    assert own == pytest.approx((theirs.low, theirs.high), abs=3e-4)
    assert own == bootstrap_interval(values)


def test_two_values_have_no_bootstrap_interval() -> None:
    assert bootstrap_interval([0.8, 0.9]) is None
    assert bootstrap_interval([0.8, 0.8, 0.8]) == pytest.approx((0.8, 0.8))


def right(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Make hits of one seed a side: both, only the first, only the second, neither."""
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return first[None], second[None]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
def test_mcnemar_is_the_exact_binomial_test(a: int, b: int, c: int, d: int) -> None:
    test = paired_test(*right(a, b, c, d))
    assert (test.first_only, test.second_only, test.examples) == (b, c, a + b + c + d)
    # Two-sided from the definition: twice the smaller tail, at most one.
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert test.p_value == pytest.approx(min(1.0, 2 * tail))
    assert test.interval[0] <= (c - b) / (a + b + c + d) <= test.interval[1] or b + c < 8


def test_the_paired_interval_is_scipys() -> None:
    generator = np.random.default_rng(3)
    first = generator.random((3, 400)) < 0.8
    second = generator.random((2, 400)) < 0.85
    theirs = stats.bootstrap(
        (second.mean(axis=0) - first.mean(axis=0),),
        np.mean,
        method="percentile",
        n_resamples=20_000,
        rng=generator,
    ).confidence_interval
    own = paired_test(first, second).interval
    assert own == pytest.approx((theirs.low, theirs.high), abs=2e-3)


def test_a_verdict_needs_both_intervals() -> None:
    far, near = [0.870, 0.872, 0.871], [0.884, 0.886, 0.885]
    sure = paired_test(*right(100, 1, 30, 10))
    unsure = paired_test(*right(100, 20, 24, 10))
    assert compare(far, near).verdict == "better"
    assert compare(far, near, sure).verdict == "better"
    assert compare(far, near, unsure).verdict == "undecided"
    assert compare(near, far, sure).verdict == "undecided"
    assert compare(far, near, sure).paired == sure


def test_predictions_of_other_examples_are_refused() -> None:
    hits = np.ones((1, 5), bool)
    with pytest.raises(InputError, match="not of the same examples"):
        paired_test(hits, hits[:, :4])
    with pytest.raises(InputError, match="not of the same examples"):
        paired_test(hits[:0], hits)
