import numpy as np
import pytest

from downslope.data import Examples, SealedTestSet, content_digest
from downslope.errors import InputError


def pair(n: int, m: int) -> Examples:
    return Examples(np.arange(2 * n, dtype=np.float32).reshape(n, 2), np.arange(m))


def test_counts_must_agree():
    with pytest.raises(InputError, match="3 inputs but 4 targets"):
        pair(3, 4)


def test_take_keeps_the_order_asked_for():
    taken = pair(4, 4).take(np.array([2, 0]))
    assert taken.targets.tolist() == [2, 0]
    assert taken.inputs.tolist() == [[4, 5], [0, 1]]


def test_every_opening_is_counted_in_order():
    test = SealedTestSet(pair(3, 3))
    assert (len(test), test.openings) == (3, ())
    assert len(test.open("first")) == 3
    test.open("second")
    assert [opening.reason for opening in test.openings] == ["first", "second"]


@pytest.mark.parametrize("reason", ["", " \n"])
def test_an_opening_needs_a_reason(reason):
    test = SealedTestSet(pair(3, 3))
    with pytest.raises(InputError, match="needs a reason"):
        test.open(reason)
    assert test.openings == ()


def test_the_seal_shows_no_examples():
    test = SealedTestSet(pair(3, 3))
    public = [name for name in dir(test) if not name.startswith("_")]
    assert public == ["encoded", "open", "openings"]
    assert "array" not in repr(test)


def test_digest_sees_values_shapes_types_and_order():
    a, b = np.arange(6), np.arange(6) + 1
    digests = [
        content_digest(a, b),
        content_digest(b, a),
        content_digest(a.reshape(2, 3), b),
        content_digest(a.astype(np.int32), b),
        content_digest(a),
    ]
    assert len(set(digests)) == len(digests)
    assert content_digest(a.reshape(2, 3).T) == content_digest(a.reshape(2, 3).T.copy())
