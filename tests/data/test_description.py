from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from downslope.data import FileCheck, describe, fashion_mnist, list_datasets, load, verify
from downslope.errors import InputError


def test_list(bare_machine, put_fashion):
    missing, digits = list_datasets()
    assert (missing.name, missing.found) == ("fashion-mnist", None)
    assert digits.found is not None
    assert (digits.examples, digits.download) == (len(load_digits().data), 0)
    put_fashion(fashion_mnist.PACKAGE_FOLDER)
    assert list_datasets()[0].found == fashion_mnist.PACKAGE_FOLDER


def test_describe_keeps_the_seal():
    dataset = load("digits")
    seen = describe(dataset)
    assert dataset.test.openings == ()
    counts = np.bincount(dataset.training.targets)
    assert [kind.training for kind in seen.classes] == counts.tolist()
    assert (seen.features, seen.shape, seen.dtype) == (64, (8, 8), "uint8")
    assert (seen.lowest, seen.highest, seen.max_pixel) == (0, 16, 16)
    assert seen.sha256 == dataset.sha256
    assert seen.training + seen.test == 1797


def test_verify_named(bare_machine, put_fashion):
    with pytest.raises(InputError, match="not on this machine; run `downslope data fetch"):
        verify("fashion-mnist")
    folder = put_fashion(bare_machine / "fashion-mnist")
    checks = verify("fashion-mnist")
    assert [check.ok for check in checks] == [True] * 4
    assert [check.sha256 for check in checks] == list(fashion_mnist.DIGESTS.values())
    damaged = folder / "train-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:20])
    check = verify("fashion-mnist")[1]
    assert (check.path, check.sha256, check.ok) == (damaged, "", False)
    assert "truncated" in check.note
    assert "downslope data fetch" in check.note


def test_verify_a_path(idx_folder: Path, small_fashion, to_idx, monkeypatch):
    assert [check.ok for check in verify(idx_folder)] == [True] * 4
    labels = idx_folder / "t10k-labels-idx1-ubyte"
    labels.write_bytes(to_idx(np.zeros(10, np.uint8)))
    *_, last = verify(idx_folder)
    assert (last.ok, last.path) == (False, labels)
    assert last.note == "other content than Fashion-MNIST's test labels"
    monkeypatch.setattr(fashion_mnist, "DIGESTS", dict.fromkeys(fashion_mnist.DIGESTS, "0"))
    checks = verify(idx_folder)
    assert [check.ok for check in checks] == [None] * 4
    assert all(check.sha256 for check in checks)
    labels.write_bytes(b"x")
    with pytest.raises(InputError, match="wrong magic"):
        verify(idx_folder)


def test_verify_a_table(tmp_path: Path):
    import hashlib

    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "1,0\n2,1\n" * 5)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert verify(path) == (FileCheck(path, digest, None),)


def test_a_table_is_described_column_by_column():
    frame = pd.DataFrame(
        {
            "size": [1.0, None, 3.0, 4.0] * 10,
            "kind": ["a", "b", "a", "c"] * 10,
            "open": [True, False, False, False] * 10,
            "day": pd.date_range("2024-01-01", periods=40),
            "same": 1,
            "id": range(40),
            "y": ["u", "v"] * 20,
        }
    )
    dataset = load(frame, drop=["id"])
    size, kind, truth, day, same, key = describe(dataset).columns
    assert (size.kind, size.holds) == ("number", "1 to 4")
    assert size.missing == dataset.training.inputs["size"].isna().mean() > 0
    assert size.becomes == "2 features: value, is missing"
    assert kind.holds.startswith("3 levels: a, ")  # the most frequent first
    assert kind.becomes == "3 features: a, b, c"
    assert (truth.kind, truth.holds) == (
        "boolean",
        f"{100 * dataset.training.inputs['open'].mean():.0f} % true",
    )
    days = dataset.training.inputs["day"]
    assert (day.kind, day.holds) == ("date", f"{days.min().date()} to {days.max().date()}")
    assert same.becomes == "left out: the same in all rows"
    assert key.becomes == "left out: not asked for"


def test_a_name_that_begins_as_another_takes_none_of_its_features():
    frame = pd.DataFrame(
        {"income": np.arange(40.0), "income (log)": np.arange(40.0), "y": ["u", "v"] * 20}
    )
    described = describe(load(frame.assign(**{"income = x": frame["income"]}))).columns
    assert [column.becomes for column in described[:2]] == ["1 feature: value"] * 2
