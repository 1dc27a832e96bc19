import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from downslope.data.assembly import HOLD_OUT_SEED, Part, assemble
from downslope.data.examples import content_digest
from downslope.data.labels import Labels
from downslope.errors import InputError

LABELS = np.arange(20) % 2
CLEAN = np.arange(60, dtype=np.float32).reshape(20, 3)


def make(x, y=LABELS, test_x=None, test_y=None, task=None, **known):
    x, y = np.asarray(x), np.asarray(y)
    test = None
    if test_x is not None:
        test = Part(np.asarray(test_x), "tx", Labels(np.asarray(test_y), "ty"))
    return assemble("n", "s", Part(x, "x", Labels(y, "y"), **known), test, task)


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
    ("x", "options", "shape", "max_pixel", "dtype"),
    [
        (np.zeros((20, 4, 5), np.uint8), {}, (4, 5), 255.0, np.uint8),
        (np.zeros((20, 16), np.uint8), {}, (16,), None, np.uint8),
        (np.full((20, 64), 1, np.uint8), {}, (64,), None, np.uint8),
        (np.full((20, 64), 16, np.uint8), {}, (64,), None, np.uint8),
        (np.full((20, 63), 200, np.uint8), {}, (63,), None, np.uint8),
        (np.full((20, 64), 200, np.uint8), {}, (8, 8), 255.0, np.uint8),
        (np.full((20, 64), 200, np.uint8), {"kind": "table"}, (64,), None, np.uint8),
        (np.full((20, 64), 100, np.uint8), {"kind": "images"}, (8, 8), 100.0, np.uint8),
        (np.full((20, 8, 8), 16, np.uint8), {}, (8, 8), 16.0, np.uint8),
        (np.full((20, 8, 8), 16.0), {}, (8, 8), 16.0, np.float32),
        (np.zeros((20, 4, 5, 1), np.uint8), {}, (4, 5), 255.0, np.uint8),
        (np.zeros((20, 4, 5, 3), np.uint8), {}, (4, 5, 3), 255.0, np.uint8),
        (np.full((20, 4, 4), 200, np.int64), {}, (4, 4), 255.0, np.uint8),
        (np.full((20, 4, 4), 200, np.int64), {"kind": "table"}, (4, 4), None, np.float32),
        (np.full((20, 4, 4), 0.5), {}, (4, 4), 1.0, np.float32),
        (np.full((20, 16), 0.5), {"kind": "images"}, (4, 4), 1.0, np.float32),
        (np.full((20, 4, 4), 200.5), {}, (4, 4), 255.0, np.float32),
        (np.full((20, 4, 4), -0.5), {}, (4, 4), None, np.float32),
        (np.full((20, 16), 0.5), {}, (16,), None, np.float32),
        (np.full((20, 16), 3, np.int16), {}, (16,), None, np.float32),
        (np.full((20, 16), True), {}, (16,), None, np.float32),
        (np.full((20, 16), 1.5, ">f8"), {}, (16,), None, np.float32),
        (
            np.full((20, 16), 16, np.uint8),
            {"kind": "images", "max_pixel": 16.0},
            (4, 4),
            16.0,
            np.uint8,
        ),
    ],
)
def test_shape_max_pixel_and_type(x, options, shape, max_pixel, dtype):
    dataset = make(x, **options)
    assert (dataset.shape, dataset.max_pixel) == (shape, max_pixel)
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


@pytest.mark.parametrize("value", [1e300, 2.0**53 - 1, 0.1, 1_700_000_001])
def test_float64_stays_where_float32_would_lose_digits(value):
    dataset = make(CLEAN, LABELS, with_at(CLEAN.astype(np.float64), (0, 1), value), LABELS)
    assert dataset.training.inputs.dtype == np.float64
    assert dataset.test.open("comparison").inputs[0, 1] == value


def test_bytes_that_may_be_either_are_refused_with_both_ways():
    with pytest.raises(InputError, match=r'data.kind = "images" or data.kind = "table"'):
        make(np.full((20, 64), 100, np.uint8))


def test_white_and_classes_come_from_training_rows():
    y = np.arange(50) % 2
    x = np.full((50, 4, 4), 100, np.uint8)
    _, held = train_test_split(np.arange(50), test_size=0.2, stratify=y, random_state=541)
    x[held] = 120
    dataset = make(x, y)
    assert dataset.max_pixel == 100
    assert set(dataset.training.targets) == {0, 1}
    # The test rows decide nothing about what the bytes are, either.
    flat = np.full((50, 64), 16, np.uint8)
    flat[held] = 255
    assert make(flat, y).max_pixel is None


def test_a_test_set_on_another_scale_is_said():
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = np.arange(40) % 2
    assert make(x, y, x, y).notes == ("inputs taken for a table: 3 columns of float64",)
    (note,) = make(x, y, with_at(x, (7, 1), 1000), y).notes[1:]
    assert "1 of 40 rows lie far outside of the range fitted on, first row 7, column 1" in note
    pictures = np.random.default_rng(0).integers(0, 256, (40, 4, 4)).astype(np.float32)
    assert "no value is beyond 1 " in " ".join(make(pictures, y, pictures / 255, y).notes)


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
        ((CLEAN, CLEAN), {}, r"^y: has shape \(20, 3\) and is not one-hot"),
        ((CLEAN, np.zeros((20, 2, 2))), {}, "^y: has 3 dimensions"),
        ((CLEAN, np.array([None] * 20)), {}, "^y: has dtype object; labels must be whole"),
        (
            (CLEAN, with_at(LABELS * 1.0, 4, 0.5)),
            {"task": "classification"},
            "^y: row 4 .* label 0.5; .* round or bin",
        ),
        ((CLEAN, with_at(LABELS * 1.0, 4, np.nan)), {}, "^y: row 4 .* label nan"),
        ((CLEAN, with_at(LABELS, 4, 99)), {}, "^y: has 20 rows of 3 .*, 1 of the rarest .'99'"),
        ((CLEAN, LABELS, CLEAN, with_at(LABELS, 4, 2)), {}, "^ty: row 4 .* '2', which no training"),
        ((CLEAN, TEN, CLEAN, with_at(TEN, 4, 255)), {}, "^ty: row 4 .* label '255', which no"),
        ((CLEAN, LABELS * 0), {}, "^y: holds a single class"),
        ((CLEAN[:9], LABELS[:9]), {}, "^y: has 9 rows of 2 classes, 4 of the rarest .* 10 in all"),
        ((CLEAN, with_at(LABELS * 0, 4, 1)), {}, "^y: has 20 rows of 2 classes, 1 of the rarest"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, options, says):
    with pytest.raises(InputError, match=says) as raised:
        make(*arguments, **options)
    assert "\n" not in str(raised.value)
