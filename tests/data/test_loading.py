import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris

from downslope.data import Scaling, describe, fashion_mnist, load, split, verify
from downslope.errors import InputError


def check_against(dataset, arrays):
    opened = dataset.test.open("comparison with what was written")
    np.testing.assert_array_equal(dataset.training.inputs, arrays["train images"].reshape(30, 20))
    np.testing.assert_array_equal(dataset.training.targets, arrays["train labels"])
    np.testing.assert_array_equal(opened.inputs, arrays["test images"].reshape(10, 20))
    np.testing.assert_array_equal(opened.targets, arrays["test labels"])
    assert dataset.shape == (4, 5)
    assert dataset.max_pixel == 255
    assert dataset.class_names == tuple("0123456789")
    assert dataset.training.inputs.dtype == np.uint8


def test_digits_are_sklearn_s():
    dataset = load("digits")
    opened = dataset.test.open("comparison with scikit-learn")
    pixels, classes = load_digits(return_X_y=True)
    ours = np.vstack([dataset.training.inputs, opened.inputs])
    targets = np.concatenate([dataset.training.targets, opened.targets])

    def ordered(rows, labels):
        return sorted(map(tuple, np.column_stack([rows, labels]).astype(int).tolist()))

    assert ordered(ours, targets) == ordered(pixels, classes)
    assert dataset.training.inputs.dtype == np.uint8
    assert (dataset.max_pixel, dataset.shape) == (16, (8, 8))
    assert np.abs(np.bincount(opened.targets) - np.bincount(classes) / 5).max() < 1
    assert load("digits").sha256 == dataset.sha256


def test_every_format_says_the_same(idx_folder: Path, arrays, tmp_path: Path):
    npy = tmp_path / "npy"
    npy.mkdir()
    for role, array in arrays.items():
        np.save(npy / f"course_{role.replace(' ', '_')}.npy", array)
    torchvision = tmp_path / "root" / "FashionMNIST"
    shutil.copytree(idx_folder, torchvision / "raw")
    keys = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "a.npz", **dict(zip(keys, arrays.values(), strict=True)))
    keys = tuple(role.replace(" ", "_") for role in arrays)
    np.savez_compressed(tmp_path / "b.NPZ", **dict(zip(keys, arrays.values(), strict=True)))
    paths = [
        idx_folder,
        npy,
        tmp_path / "root",
        torchvision,
        torchvision / "raw",
        tmp_path / "a.npz",
        tmp_path / "b.NPZ.npz",
    ]
    sets = [load(path) for path in paths] + [load(str(path)) for path in paths]
    for dataset in sets:
        check_against(dataset, arrays)
    assert len({dataset.sha256 for dataset in sets}) == 1
    assert sets[0].name == str(idx_folder)


def test_a_table_in_csv_and_npz(tmp_path: Path):
    iris = load_iris()
    lines = ["a,b,c,d,kind"] + [
        ",".join([*map(repr, row), str(iris.target_names[kind])])
        for row, kind in zip(iris.data.tolist(), iris.target, strict=True)
    ]
    path = tmp_path / "iris.csv"
    path.write_text("\n".join(lines))
    np.savez(tmp_path / "iris.npz", X=iris.data, y=iris.target)
    table, archive = load(path, label="kind"), load(tmp_path / "iris.npz")
    np.testing.assert_array_equal(table.training.inputs, archive.training.inputs)
    assert list(table.training.inputs) == list("abcd")
    assert table.sha256 == load(path).sha256
    assert table.class_names == ("setosa", "versicolor", "virginica")
    assert archive.class_names == ("0", "1", "2")
    assert table.max_pixel is None
    assert table.shape == (4,)
    assert (len(table.training), len(table.test)) == (120, 30)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            "no/such/path",
            "'no/such/path' is neither a file or folder nor one of fashion-mnist, dig",
        ),
        ("fashion_mnist", "did you mean 'fashion-mnist'"),
        ("", "is neither|lacks"),
    ],
)
def test_a_missing_path(bare_machine, given, says):
    with pytest.raises(InputError, match=says):
        load(given)


def test_paths_that_hold_no_set(tmp_path: Path):
    with pytest.raises(
        InputError, match=r"lacks train-images-idx3-ubyte, .*; give a folder with a subfolder of"
    ):
        load(tmp_path)
    (tmp_path / "a.npy").write_bytes(b"x")
    with pytest.raises(InputError, match=r"is not a \.npy file"):
        load(tmp_path / "a.npy")
    (tmp_path / "a.gz").write_bytes(b"x")
    with pytest.raises(InputError, match="only IDX files and tables of text are read compressed"):
        load(tmp_path / "a.gz")
    name = "train-images-idx3-ubyte.gz"
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="give the folder that holds it and its three"):
        load(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / "t.csv").write_text("a,y\n")
    with pytest.raises(InputError, match=r"give a file of it, .*t\.csv"):
        load(tmp_path)
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"not a data set by itself.* a \.npz, a table \(\.csv"):
        load(tmp_path / "a.xlsx")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_examples_without_labels(tmp_path: Path, kind):
    examples = np.random.default_rng(541).integers(0, 17, (30, 3, 4)).astype(kind)
    np.save(tmp_path / "x.npy", examples)
    found = load(tmp_path / "x.npy")
    opened = found.test.open("comparison with what was written")
    assert (found.class_names, found.shape) == ((), (3, 4))
    assert not found.training.targets.any()
    assert describe(found).classes == ()
    assert (len(found.training), len(opened)) == (24, 6)
    together = np.vstack([found.training.inputs, opened.inputs])
    assert sorted(map(tuple, together)) == sorted(map(tuple, examples.reshape(30, 12)))


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 3)), "has 4 rows of 1 class"),
        (np.zeros(9), "has 1 dimensions"),
        (np.full((9, 2), np.nan), "row 0, column 0"),
        (np.zeros((9, 0)), "holds nothing"),
        (np.zeros((9, 2), "U3"), "has dtype <U3"),
    ],
)
def test_a_lone_array_that_cannot_be_used(tmp_path: Path, array, says):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=says):
        load(tmp_path / "x.npy")


def test_what_is_for_tables_only(idx_folder: Path):
    for given in ("digits", idx_folder):
        with pytest.raises(InputError, match="label = 'y' only applies to tables"):
            load(given, label="y")


def test_a_path_may_have_a_known_name(arrays, tmp_path: Path, idx_folder: Path, monkeypatch):
    idx_folder.rename(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert load("digits").shape == (8, 8)
    check_against(load("./digits"), arrays)
    check_against(load(Path("digits")), arrays)
    monkeypatch.chdir("/")
    assert load(Path("digits")).shape == (8, 8)


def test_a_label_of_the_test_set_alone(idx_folder: Path):
    path = idx_folder / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte: row 9 .* '10', which no train"):
        load(idx_folder)


@pytest.mark.parametrize("first", [0, 1, 3])
def test_labels_from_any_number_give_no_empty_class(idx_folder: Path, arrays, to_idx, first):
    for role, name in (("train labels", "train-labels-idx1"), ("test labels", "t10k-labels-idx1")):
        (idx_folder / f"{name}-ubyte").write_bytes(to_idx(arrays[role] + np.uint8(first)))
    letters = load(idx_folder)  # EMNIST letters are numbered from 1
    keys = ("x_train", "y_train", "x_test", "y_test")
    shifted = [a + first if "labels" in role else a for role, a in arrays.items()]
    np.savez(idx_folder / "a.npz", **dict(zip(keys, shifted, strict=True)))
    for dataset in (letters, load(idx_folder / "a.npz")):
        assert dataset.class_names == tuple(str(first + i) for i in range(10))
        np.testing.assert_array_equal(dataset.training.targets, arrays["train labels"])


@pytest.mark.parametrize("name", ["MNIST", "KMNIST", "FashionMNIST"])
def test_a_torchvision_root(idx_folder: Path, arrays, tmp_path: Path, name):
    shutil.copytree(idx_folder, tmp_path / "root" / name / "raw")
    for given in (tmp_path / "root", tmp_path / "root" / name):
        check_against(load(given), arrays)
        assert len(verify(given)) == 4
    shutil.copytree(idx_folder, tmp_path / "root" / "Other" / "raw")
    with pytest.raises(InputError, match=r"holds several sets \(.*; give one of these folders"):
        load(tmp_path / "root")


def test_a_compressed_table(tmp_path: Path):
    frame = pd.DataFrame({"a": np.arange(20.0), "label": np.arange(20) % 2 + 1})
    frame.to_csv(tmp_path / "t.csv.gz")
    frame.to_csv(tmp_path / "t.csv", index=False)
    packed, plain = load(tmp_path / "t.csv.gz"), load(tmp_path / "t.csv")
    assert packed.sha256 == plain.sha256
    assert packed.class_names == ("1", "2")
    assert any("an index" in column.left_out for column in packed.columns)


def test_a_kind_that_cannot_act_is_refused(tmp_path: Path):
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    for given in ("digits", tmp_path / "t.csv"):
        with pytest.raises(InputError, match="kind = 'table' cannot act"):
            load(given, kind="table")


def test_counts_that_differ(idx_folder: Path, to_idx):
    (idx_folder / "t10k-labels-idx1-ubyte").write_bytes(to_idx(np.zeros(9, np.uint8)))
    with pytest.raises(InputError, match=r"10 examples but 9 labels in .*t10k-labels"):
        load(idx_folder)


@pytest.mark.fashion
def test_the_real_set(real_dataset):
    dataset = real_dataset
    assert dataset.training.inputs.shape == (60_000, 784)
    assert len(dataset.test) == 10_000
    assert dataset.shape == (28, 28)
    assert dataset.class_names == fashion_mnist.CLASS_NAMES
    assert [kind.training for kind in describe(dataset).classes] == [6000] * 10
    # The first labels as the publisher's page shows them: ankle boot, T-shirt, T-shirt, dress.
    assert dataset.training.targets[:4].tolist() == [9, 0, 0, 3]
    # Mean and deviation of the training pixels that the literature normalizes with.
    assert dataset.training.inputs.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert dataset.training.inputs.std() / 255 == pytest.approx(0.3530, abs=5e-5)
    training, validation = split(dataset.training, 12_000, 541)
    assert (len(training), len(validation)) == (48_000, 12_000)
    scaled = Scaling.fit(dataset.training, dataset.max_pixel, 0.5).apply(
        dataset.training.take(training)
    )
    assert (scaled.inputs.min(), scaled.inputs.max()) == (-0.5, 0.5)


@pytest.mark.fashion
def test_the_real_set_is_known_in_other_formats(real_dataset, real_folder, tmp_path: Path):
    from downslope.data.idx import read_idx_folder

    files = read_idx_folder(real_folder)
    for role, file in files.items():
        flat = file.array.reshape(len(file.array), -1)
        np.save(tmp_path / f"fashion_mnist_{role.replace(' ', '_')}.npy", flat)
    dataset = load(tmp_path)
    assert dataset.class_names == fashion_mnist.CLASS_NAMES
    assert dataset.shape == (28, 28)
    assert dataset.sha256 == real_dataset.sha256 == load(real_folder).sha256
