"""The command that predicts, from files to files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from downslope import load_model
from downslope.cli.application import app
from downslope.data import Dataset
from downslope.errors import InputError
from downslope.runs import Run

Make = Callable[..., Dataset]


def invoke(*arguments: Any) -> Any:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_an_array_is_predicted_as_in_python(
    finished: Run, make_digits: Make, tmp_path: Path
) -> None:
    pixels = make_digits().test.open("the oracle").inputs
    np.save(tmp_path / "new.npy", pixels.reshape(-1, 8, 8))
    done = invoke("predict", finished.path, tmp_path / "new.npy", "--out", tmp_path / "a.csv")
    assert done.stdout == f"60 predictions: {tmp_path / 'a.csv'}\n"
    frame = pd.read_csv(tmp_path / "a.csv", dtype={"prediction": str})
    model = load_model(finished.path)
    assert list(frame.columns) == ["prediction", "probability", "spread"]
    assert list(frame["prediction"]) == list(model.predict(pixels))
    probabilities = model.predict_proba(pixels)
    np.testing.assert_allclose(frame["probability"], probabilities.max(1), rtol=1e-12)
    shown = invoke("predict", finished.path, tmp_path / "new.npy", "--proba").stdout
    header = shown.splitlines()[0].split(",")
    assert header[3:] == [f"probability of {name}" for name in range(10)]
    assert len(shown.splitlines()) == 61


def test_a_score_on_the_sealed_test_set_is_counted(
    copied: Run, make_digits: Make, tmp_path: Path
) -> None:
    digits = make_digits()
    test = digits.test.open("the oracle")
    inputs = np.concatenate([digits.training.inputs[:5], test.inputs[:20], test.inputs[:7] + 1])
    targets = np.concatenate([digits.training.targets[:5], test.targets[:20], test.targets[:7]])
    np.savez(tmp_path / "labelled.npz", X=inputs, y=targets)
    before = copied.read_results().test_set.openings
    manifest = copied.read_manifest()
    done = invoke("predict", copied.path, tmp_path / "labelled.npz", "--out", tmp_path / "a.csv")
    model = load_model(copied.path)
    share = np.mean(model.predict(test.inputs[:20]) == test.targets[:20].astype(str))
    new, sealed, trained = done.stderr.splitlines()
    assert new.endswith("on 7 rows")
    assert sealed.startswith(f"accuracy {share:.4f} (95 % interval ")
    assert sealed.endswith("on 20 rows of the sealed test set, which is counted as an opening")
    assert trained.endswith("on 5 rows that the model was trained on: no estimate for others")
    after = copied.read_results().test_set.openings
    assert after[: len(before)] == before
    assert [o.reason for o in after[len(before) :]] == [
        f"predict: score on 20 rows of {tmp_path / 'labelled.npz'}"
    ]
    assert copied.damaged() == []
    now = copied.read_manifest()
    assert manifest is not None and now is not None
    assert (now.versions, now.seconds, now.stages) == (
        manifest.versions,
        manifest.seconds,
        manifest.stages,
    )
    shutil.copytree(copied.path / "model", tmp_path / "alone")
    done = invoke("predict", tmp_path / "alone", tmp_path / "labelled.npz")
    assert "an opening that is not counted, since the run is not here" in done.stderr


def test_a_model_is_exported_beside_the_tables(copied: Run) -> None:
    done = invoke("export", copied.path, "--format", "csv,torch,safetensors")
    names = [Path(line.partition(": ")[0]).name for line in done.stdout.splitlines()]
    assert names == ["members.csv", "epochs.csv", "model.pt2", "model.safetensors"]
    assert "takes pictures (rows, 8, 8)" in done.stdout


def test_a_mistake_is_one_line(finished: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "narrow.npy", np.zeros((2, 63)))
    for arguments, message in (
        ((tmp_path, tmp_path / "narrow.npy"), "holds no trained model"),
        ((finished.path, tmp_path / "narrow.npy"), r"rows of shape \(2, 63\); it must be \(rows"),
        ((finished.path, tmp_path / "nowhere.npy"), "does not exist"),
        ((finished.path, "digits", "--out", "a.txt"), r"must end in .csv or .parquet"),
    ):
        with pytest.raises(InputError, match=message):
            invoke("predict", *arguments)
