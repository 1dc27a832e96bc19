import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from downslope.errors import InputError
from downslope.statistics import confidence_of, confident_mistakes, reliability


def answers(seed: int, seeds: int, examples: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    confidences = generator.uniform(0.1, 1.0, (seeds, examples))
    return confidences, generator.uniform(size=confidences.shape) < confidences**2


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_bins_are_those_of_scikit_learn(seed: int) -> None:
    confidences, right = answers(seed, 1, 200)
    shares, means = calibration_curve(right[0], confidences[0], n_bins=15)
    found = reliability(confidences, right)
    assert [b.accuracy for b in found.bins] == pytest.approx(shares)
    assert [b.confidence for b in found.bins] == pytest.approx(means)
    gaps = np.abs(shares - means) * [b.examples for b in found.bins]
    assert found.error == pytest.approx(gaps.sum() / 200)


def test_seeds_are_pooled_and_do_not_count_as_more_examples() -> None:
    confidences, right = answers(3, 1, 3000)
    once = reliability(confidences, right)
    again = reliability(np.repeat(confidences, 4, axis=0), np.repeat(right, 4, axis=0))
    assert again.error == pytest.approx(once.error)
    assert again.interval == pytest.approx(once.interval)
    for one, other in zip(once.bins, again.bins, strict=True):
        assert other.examples == 4 * one.examples
        assert other.interval == pytest.approx(one.interval)


def test_the_interval_shows_the_error_of_an_overconfident_classifier() -> None:
    confidences, right = answers(5, 2, 4000)
    found = reliability(confidences, right)
    assert found.interval[0] < found.error < found.interval[1]
    # E[p - p²] for p uniform on [0.1, 1].
    expected = (0.5 * (1 - 0.01) - (1 - 0.001) / 3) / 0.9
    assert found.interval[0] < expected < found.interval[1]


def test_confidence_is_the_largest_probability_of_a_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 8, (50, 6)).astype(np.float32)
    expected = torch.softmax(torch.from_numpy(logits).double(), dim=1).max(dim=1).values
    assert confidence_of(logits) == pytest.approx(expected.numpy(), rel=1e-6)
    assert confidence_of(np.array([[1e4, -1e4]])).tolist() == [1.0]


def test_the_surest_mistakes_come_first() -> None:
    confidences, right = answers(7, 1, 500)
    found = confident_mistakes(confidences[0], right[0], 24)
    assert len(found) == 24 and not right[0][found].any()
    assert (np.diff(confidences[0][found]) <= 0).all()
    assert confidences[0][found].min() >= np.sort(confidences[0][~right[0]])[-24]
    assert not len(confident_mistakes(confidences[0], np.ones(500, bool), 24))


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="seeds and examples"):
        reliability(np.ones((2, 3)), np.ones((3, 2), bool))
