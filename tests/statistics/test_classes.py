import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_recall_fscore_support

from downslope.statistics import class_scores

MATRICES = st.integers(2, 5).flatmap(
    lambda k: arrays(np.int64, (k, k), elements=st.integers(0, 30))
)


@given(MATRICES)
def test_scores_are_those_of_scikit_learn(confusion: np.ndarray) -> None:
    rows, columns = np.nonzero(confusion)
    counts = confusion[rows, columns]
    found = class_scores(confusion.tolist())
    if not len(counts):
        assert found == []
        return
    expected = precision_recall_fscore_support(
        np.repeat(rows, counts),
        np.repeat(columns, counts),
        labels=range(len(confusion)),
        zero_division=np.nan,
    )
    for k, score in enumerate(found):
        for own, theirs in zip((score.precision, score.recall), expected[:2], strict=True):
            assert (own is None) == bool(np.isnan(theirs[k]))
            assert own is None or own == pytest.approx(theirs[k])
        if score.precision is not None and score.recall is not None:
            assert score.f1 == pytest.approx(expected[2][k])
        assert score.examples == expected[3][k]


@given(MATRICES)
def test_intervals_hold_their_score(confusion: np.ndarray) -> None:
    for score in class_scores(confusion.tolist()):
        for value, interval in (
            (score.precision, score.precision_interval),
            (score.recall, score.recall_interval),
        ):
            if value is None:
                assert interval is None
            else:
                assert interval is not None
                assert interval[0] - 1e-9 <= value <= interval[1] + 1e-9
        if score.f1_interval is not None:
            assert 0 <= score.f1_interval[0] <= score.f1_interval[1] <= 1


def test_the_interval_of_f1_narrows_with_the_examples() -> None:
    few, many = (class_scores([[8 * n, 2 * n], [3 * n, 7 * n]])[0] for n in (5, 500))
    widths = [high - low for low, high in (few.f1_interval or (), many.f1_interval or ())]
    assert widths[0] == pytest.approx(10 * widths[1], rel=0.2)  # as the root of their number
