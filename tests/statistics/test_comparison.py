import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from downslope.errors import InputError
from downslope.statistics import compare

hits = st.integers(2, 12).flatmap(
    lambda examples: st.tuples(
        *[
            st.integers(1, 4).flatmap(lambda seeds: arrays(np.bool_, (seeds, examples)))
            for _ in range(2)
        ]
    )
)


def right(random: np.random.Generator, seeds: int, accuracies: list[float]) -> np.ndarray:
    """Draw what seeds of these accuracies classify correctly among 2,000 examples."""
    return random.random((seeds, 2000)) < np.array(accuracies)[:, None]


@given(hits)
def test_the_verdict_follows_from_the_interval_that_is_kept(sides: tuple[np.ndarray, ...]) -> None:
    first, second = sides
    compared, turned = compare(first, second), compare(second, first)
    assert compared.interval is not None and turned.interval is not None
    low, high = compared.interval
    assert low <= compared.difference <= high
    assert turned.interval == pytest.approx((-high, -low))
    if min(len(first), len(second)) == 1:
        assert (compared.covers, compared.verdict) == ("examples", "undecided")
        assert compared.seed_spread is None
        return
    assert compared.covers == "seeds and examples"
    assert compared.verdict == ("better" if low > 0 else "worse" if high < 0 else "undecided")


def test_where_seeds_agree_the_interval_is_that_of_paired_examples() -> None:
    random = np.random.default_rng(0)
    first, second = (np.repeat(random.random((1, 400)) < p, 3, axis=0) for p in (0.8, 0.85))
    interval = compare(first, second).interval
    theirs = stats.ttest_rel(second[0].astype(float), first[0]).confidence_interval(0.95)
    assert interval == pytest.approx((theirs.low, theirs.high), abs=2e-4)


def by_seed(*hits: int) -> np.ndarray:
    """Make seeds that classify the first of 2,000 examples correctly, and no other."""
    return np.array([[k < n for k in range(2000)] for n in hits])


def test_where_only_seeds_differ_the_interval_is_welchs() -> None:
    # Every example twice as often would change nothing: the seeds' accuracies differ by far more.
    first, second = by_seed(400, 700, 1000, 1300, 1600), by_seed(300, 700, 1100, 1500, 1900)
    interval = compare(first, second).interval
    theirs = stats.ttest_ind(
        second.mean(axis=1), first.mean(axis=1), equal_var=False
    ).confidence_interval(0.95)
    assert interval is not None
    assert interval[1] - interval[0] == pytest.approx(theirs.high - theirs.low, rel=0.01)


def test_two_seeds_against_more_lie_half_way_to_the_bound_that_always_holds() -> None:
    first, second = by_seed(400, 1600), by_seed(900, 1000, 1100, 1200, 1300)
    interval = compare(first, second).interval
    theirs = stats.ttest_ind(
        second.mean(axis=1), first.mean(axis=1), equal_var=False
    ).confidence_interval(0.95)
    bound = sum(
        (stats.t.ppf(0.975, len(side) - 1) * stats.sem(side.mean(axis=1))) ** 2
        for side in (first, second)
    )
    assert interval is not None
    half_way = math.sqrt((((theirs.high - theirs.low) / 2) ** 2 + bound) / 2)
    assert (interval[1] - interval[0]) / 2 == pytest.approx(half_way, rel=0.01)


def test_more_comparisons_have_wider_intervals_as_bonferroni_has_them() -> None:
    random = np.random.default_rng(1)
    first, second = (np.repeat(random.random((1, 4000)) < p, 2, axis=0) for p in (0.8, 0.9))
    one, ten = compare(first, second), compare(first, second, comparisons=10)
    assert one.interval is not None and ten.interval is not None
    widths = [high - low for low, high in (one.interval, ten.interval)]
    ratio = stats.t.ppf(1 - 0.05 / 20, 3999) / stats.t.ppf(0.975, 3999)
    assert widths[1] / widths[0] == pytest.approx(ratio)
    assert ten.comparisons == 10


def counts(*numbers: int) -> tuple[np.ndarray, np.ndarray]:
    """Make what one seed a side gets right: both, only the first, only the second, neither."""
    first = np.repeat([True, True, False, False], numbers)
    second = np.repeat([True, False, True, False], numbers)
    return first[None], second[None]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(2, 30))
def test_mcnemar_is_the_exact_binomial_test(a: int, b: int, c: int, d: int) -> None:
    test = compare(*counts(a, b, c, d)).paired
    assert test is not None
    assert (test.first_only, test.second_only, test.examples) == (b, c, a + b + c + d)
    # Two-sided from the definition: twice the smaller tail, at most one.
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert test.p_value == pytest.approx(min(1.0, 2 * tail))


def test_predictions_of_other_examples_are_refused() -> None:
    ones = np.ones((2, 5), bool)
    for other in (ones[:, :4], ones[:0]):
        with pytest.raises(InputError, match="not of the same examples"):
            compare(ones, other)
    with pytest.raises(InputError, match="one test example is too few"):
        compare(ones[:, :1], ones[:, :1])
