import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from downslope.data.assembly import HOLD_OUT_SEED, Part, assemble
from downslope.data.examples import content_digest
from downslope.errors import InputError

LABELS = np.arange(20) % 2
CLEAN = np.arange(60, dtype=np.float32).reshape(20, 3)


def make(x, y=LABELS, test_x=None, test_y=None, **options):
    x, y = np.asarray(x), np.asarray(y)
    test = None if test_x is None else Part(np.asarray(test_x), np.asarray(test_y), "tx", "ty")
    return assemble("n", "s", Part(x, y, "x", "y"), test, **options)


def with_at(array, at, value):
    array = np.array(array)
    array[at] = value
    return array


def test_hold_out_is_sklearn_s_stratified_fifth():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    x = np.arange(100, dtype=np.float32)[:, None]
    dataset = make(x, y)
    kept, held = train_test_split(
        np.arange(100), test_size=0.2, stratify=y, random_state=HOLD_OUT_SEED
    )
    np.testing.assert_array_equal(dataset.training.inputs[:, 0], np.sort(kept))
    opened = dataset.test.open("test of the hold-out")
    np.testing.assert_array_equal(opened.inputs[:, 0], np.sort(held))
    assert np.bincount(opened.targets).tolist() == [10, 6, 4]


@pytest.mark.parametrize(
    ("x", "options", "shape", "white", "dtype"),
    [
        (np.zeros((20, 4, 5), np.uint8), {}, (4, 5), 255.0, np.uint8),
        (np.zeros((20, 16), np.uint8), {}, (4, 4), 255.0, np.uint8),
        (np.zeros((20, 15), np.uint8), {}, (15,), 255.0, np.uint8),
        (np.zeros((20, 4, 5, 1), np.uint8), {}, (4, 5), 255.0, np.uint8),
        (np.zeros((20, 4, 5, 3), np.uint8), {}, (4, 5, 3), 255.0, np.uint8),
        (np.full((20, 4, 4), 200, np.int64), {}, (4, 4), 255.0, np.uint8),
        (np.full((20, 4, 4), 200, np.int64), {"images": False}, (4, 4), None, np.float32),
        (np.full((20, 4, 4), 0.5), {}, (4, 4), 1.0, np.float32),
        (np.full((20, 16), 0.5), {"images": True}, (4, 4), 1.0, np.float32),
        (np.full((20, 4, 4), 200.5), {}, (4, 4), 255.0, np.float32),
        (np.full((20, 4, 4), -0.5), {}, (4, 4), None, np.float32),
        (np.full((20, 16), 0.5), {}, (16,), None, np.float32),
        (np.full((20, 16), 3, np.int16), {}, (16,), None, np.float32),
        (np.full((20, 16), True), {}, (16,), None, np.float32),
        (np.full((20, 16), 1.5, ">f8"), {}, (16,), None, np.float32),
        (np.full((20, 16), 16, np.uint8), {"white": 16.0}, (4, 4), 16.0, np.uint8),
    ],
)
def test_shape_white_and_type(x, options, shape, white, dtype):
    dataset = make(x, **options)
    assert (dataset.shape, dataset.white) == (shape, white)
    inputs = dataset.training.inputs
    assert inputs.dtype == dtype
    assert inputs.shape == (16, x[0].size)
    assert inputs.flags.writeable and inputs.flags.c_contiguous
    np.testing.assert_array_equal(inputs, np.broadcast_to(x.flat[0], inputs.shape))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u8", ">i4", "f2", "f8", "?"])
def test_labels_of_any_type_become_int64(dtype):
    dataset = make(CLEAN, LABELS.astype(dtype)[:, None], CLEAN, LABELS.astype(dtype))
    assert dataset.training.targets.dtype == np.int64
    np.testing.assert_array_equal(dataset.training.targets, LABELS)
    assert dataset.class_names == ("0", "1")


def test_digest_is_of_all_arrays_in_order():
    dataset = make(CLEAN, LABELS, CLEAN + 1, 1 - LABELS)
    assert dataset.sha256 == content_digest(CLEAN, LABELS, CLEAN + 1, 1 - LABELS)
    assert dataset.test.openings == ()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_names_row_and_column(bad):
    with pytest.raises(InputError, match=r"^x: row 7, column 2 .* holds (nan|inf|-inf);"):
        make(with_at(CLEAN, (7, 2), bad))
    images = np.zeros((20, 4, 5))
    with pytest.raises(InputError, match=r"^tx: row 3, column 7 "):
        make(images, LABELS, with_at(images, (3, 1, 2), bad), LABELS)


def test_too_large_for_float32():
    with pytest.raises(InputError, match=r"row 0, column 1 .*holds 1e\+300"):
        make(with_at(CLEAN.astype(np.float64), (0, 1), 1e300))


TEN = np.arange(20) % 10


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((CLEAN, LABELS[:19]), {}, "^x: 20 examples but 19 labels in y; the counts"),
        ((CLEAN, LABELS, CLEAN, LABELS[:3]), {}, "^tx: 20 examples but 3 labels in ty"),
        ((CLEAN, LABELS, CLEAN[:, :2], LABELS), {}, r"^tx: test examples of shape \(2,\), train"),
        ((CLEAN, LABELS, CLEAN.astype("u1"), LABELS), {}, "^tx: test examples of type uint8"),
        ((CLEAN[:, 0],), {}, r"^x: has 1 dimensions, shape \(20,\)"),
        ((np.zeros((20, 1, 1, 1, 1)),), {}, "^x: has 5 dimensions"),
        ((np.float32(3),), {}, "^x: has 0 dimensions"),
        ((CLEAN[:0], LABELS[:0]), {}, r"^x: holds nothing \(shape \(0, 3\)\)"),
        ((CLEAN[:, :0],), {}, "^x: holds nothing"),
        ((CLEAN.astype(complex),), {}, "^x: has dtype complex128"),
        ((CLEAN, CLEAN), {}, "^y: has 2 dimensions"),
        ((CLEAN, np.array(["a"] * 20)), {}, "^y: has dtype <U1; labels must be whole"),
        ((CLEAN, with_at(LABELS, 4, -1)), {}, "^y: row 4 .* label -1, which is outside"),
        ((CLEAN, with_at(LABELS * 1.0, 4, 0.5)), {}, "^y: row 4 .* label 0.5, which is outside"),
        ((CLEAN, with_at(LABELS * 1.0, 4, np.nan)), {}, "^y: row 4 .* label nan"),
        ((CLEAN, with_at(LABELS.astype("u8"), 4, 2**63)), {}, "^y: row 4 .*9223372036854775808"),
        ((CLEAN, with_at(LABELS, 4, 99)), {}, "^y: row 4 .* label 99, outside the classes 0 to 2"),
        ((CLEAN, LABELS, CLEAN, with_at(LABELS, 4, 2)), {}, "^ty: row 4 .* 2, outside .* 0 to 1:"),
        ((CLEAN, with_at(TEN, 4, 10)), {"classes": 10}, "^y: row 4 .* 10, outside .* 0 to 9, as"),
        ((CLEAN, TEN, CLEAN, with_at(TEN, 4, 255)), {"classes": 10}, "^ty: row 4 .* 255, outside"),
        ((CLEAN, LABELS * 0), {}, "^y: holds a single class"),
        ((CLEAN[:9], LABELS[:9]), {}, "^y: has 9 rows of 2 classes, 4 of the rarest; .* 10 in all"),
        ((CLEAN, with_at(LABELS * 0, 4, 1)), {}, "^y: has 20 rows of 2 classes, 1 of the rarest"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, options, says):
    with pytest.raises(InputError, match=says) as raised:
        make(*arguments, **options)
    assert "\n" not in str(raised.value)
