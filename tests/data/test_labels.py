import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.data.labels import Labels, encode
from downslope.errors import InputError


def labels(values, at="y") -> Labels:
    return Labels(np.asarray(values), at, lambda row: f"row {row}")


WHOLE = st.lists(st.integers(0, 100), min_size=1, max_size=30)
TEXT = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=4),
    min_size=1,
    max_size=30,
).filter(lambda cells: not {"nan", "inf", "-inf"} & {cell.lower() for cell in cells})


@given(WHOLE, st.sampled_from(["u1", "i2", ">i4", "u8", "f2", "f8"]), st.integers(0, 3))
def test_whole_numbers_are_encoded_as_by_pandas(values, dtype, form):
    array = np.array(values, dtype)
    shaped = [array, array[:, None], array[None, :], array.astype(int).astype("U5")][form]
    (targets,), names = encode(labels(shaped))
    codes, uniques = pd.factorize(np.array(values), sort=True)
    np.testing.assert_array_equal(targets, codes)
    assert list(map(int, names)) == uniques.tolist()


@given(TEXT)
def test_text_is_encoded_as_by_pandas(cells):
    cells[0] = "a"  # not all numbers
    plain = [str(int(c)) if c.isascii() and c.isdigit() else c for c in cells]
    if any(c.isascii() and set("0123456789") & set(c) and not c.isdigit() for c in cells):
        return  # numbers in other spellings are of the next test
    (targets,), names = encode(labels(cells))
    codes, uniques = pd.factorize(np.array(plain, object), sort=True)
    np.testing.assert_array_equal(targets, codes)
    assert names == tuple(uniques)


SPELLINGS = ("{}", "0{}", "+{}", "{}.0", "{}.", "{}e0", " {} ")


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(SPELLINGS)), min_size=1))
def test_equal_numbers_are_one_class(written):
    cells = [spelling.format(number) for number, spelling in written]
    (targets,), names = encode(labels(cells))
    numbers = pd.to_numeric(pd.Series(cells).str.strip())
    codes, uniques = pd.factorize(numbers, sort=True)
    np.testing.assert_array_equal(targets, codes)
    assert list(map(int, names)) == uniques.tolist()


@given(st.lists(st.integers(0, 4), min_size=2), st.sampled_from(["u1", "?", "f4", "i8"]))
def test_one_hot_rows_are_classes(values, dtype):
    (targets,), names = encode(labels(np.eye(5)[values].astype(dtype)))
    codes, uniques = pd.factorize(np.array(values), sort=True)
    np.testing.assert_array_equal(targets, codes)
    assert list(map(int, names)) == uniques.tolist()


def test_kinds_of_labels_may_differ_between_training_and_test():
    (a, b, c), names = encode(labels([1, 3]), labels([3.0, 1.0]), labels(["03", "+1"]))
    assert names == ("1", "3")
    assert (a.tolist(), b.tolist(), c.tolist()) == ([0, 1], [1, 0], [1, 0])


def test_booleans_bytes_and_an_underscore():
    assert encode(labels([True, False]))[1] == ("0", "1")
    assert encode(labels(np.array([b"b", b"a"])))[1] == ("a", "b")
    assert encode(labels(["12_1", "121"]))[1] == ("121", "12_1")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0, 1, 0.5], "row 2 holds the label 0.5; classes are whole numbers or strings; round"),
        ([0, np.inf], "row 1 holds the label inf"),
        (["1", "0.5"], "row 1 holds '0.5'"),
        (["a", " "], "row 1 is empty"),
        (["a", "NaN"], "row 1 holds 'NaN'"),
        ([[0, 1], [1, 1]], "is not one-hot"),
    ],
)
def test_labels_that_are_no_classes_are_refused(values, says):
    with pytest.raises(InputError, match=says):
        encode(labels(values))


def test_a_label_that_training_does_not_have_is_named():
    with pytest.raises(InputError, match=r"^ty: row 1 holds the label 'c', .* classes are a, b"):
        encode(labels(["a", "b"]), labels(["a", "c"], "ty"))
