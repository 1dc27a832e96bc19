"""The command that predicts, from files to files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn
from typer.testing import CliRunner

from downslope import drain, load, load_model, run_recipe
from downslope.cli.application import app
from downslope.data import Dataset, split
from downslope.errors import InputError
from downslope.recipes import parse_recipe
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


def passengers(rows: int) -> pd.DataFrame:
    """Make a bare mixed table: text, blanks, a date, an identifier."""
    rng = np.random.default_rng(rows)
    survived = rng.integers(0, 2, rows)
    return pd.DataFrame(
        {
            "passenger_id": np.arange(1, rows + 1),
            "sex": np.where(rng.random(rows) < 0.85, survived, 1 - survived),
            "age": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(30, 10, rows).round(1)),
            "port": np.where(rng.random(rows) < 0.1, None, rng.choice(["S", "C", "Q"], rows)),
            "booked": pd.date_range("1912-01-01", periods=rows, freq="7h").strftime("%Y-%m-%d"),
            "survived": np.where(survived == 1, "yes", "no"),
        }
    ).assign(sex=lambda frame: np.where(frame["sex"] == 1, "female", "male"))


REFIT: dict[str, Any] = {
    "title": "table",
    "seed": 3,
    "data": {"validation": 0.2},
    "refit": {
        "seeds": 2,
        "epochs": 5,
        "choice": {"hidden_layers": 1, "units": 6, "learning_rate": 0.1},
    },
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on the bare table, up to the final training."""
    folder = tmp_path_factory.mktemp("table")
    passengers(300).to_csv(folder / "passengers.csv", index=False)
    recipe = parse_recipe(REFIT, "table")
    dataset = load(folder / "passengers.csv", label="survived")
    drain(run_recipe(recipe, dataset, Run(folder / "run"), stages=["refit"], threads=1))
    return Run(folder / "run")


def test_a_bare_table_to_predictions_is_scikit_learn_and_pytorch(ran: Run, tmp_path: Path) -> None:
    new = passengers(40)
    shuffled = new[["port", "booked", "age", "sex"]].assign(cabin="an extra column")
    shuffled.to_csv(tmp_path / "new.csv", index=False, sep=";")
    invoke("predict", ran.path, tmp_path / "new.csv", "--proba", "--out", tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv")

    old = pd.read_csv(ran.path.parent / "passengers.csv", parse_dates=["booked"])
    dataset = load(ran.path.parent / "passengers.csv", label="survived")
    kept, _ = split(dataset.training, 0.2, 3)
    assert dataset.training.frame is not None
    train = old.loc[dataset.training.frame.index[kept]]
    new["booked"] = pd.to_datetime(new["booked"])

    def numbers(frame: pd.DataFrame) -> pd.DataFrame:
        days = (frame["booked"] - pd.Timestamp(0)) / pd.Timedelta(days=1)
        at = frame["booked"].dt
        return pd.DataFrame(
            {
                "age": frame["age"],
                "days": days,
                "month": at.month,
                "day": at.day,
                "w": at.day_of_week,
            }
        )

    frequent = train["port"].mode()[0]
    scaler = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers(train))
    one_hot = OneHotEncoder(sparse_output=False)
    one_hot.fit(train[["sex", "port"]].fillna({"port": frequent}))
    parts = [scaler.transform(numbers(new)), new[["age"]].isna()]
    parts += [one_hot.transform(new[["sex", "port"]].fillna({"port": frequent}))]
    parts += [new[["port"]].isna()]
    rows = torch.from_numpy(np.hstack(parts).astype(np.float32))
    each = []
    for seed in (3, 4):
        state = load_file(ran.path / f"model/seed-{seed}.safetensors")
        module = nn.Sequential(nn.Linear(rows.shape[1], 6), nn.ReLU(), nn.Linear(6, 2))
        module.load_state_dict(state)
        each.append(module(rows).softmax(1).detach().numpy())
    expected = np.mean(each, axis=0)
    columns = ["probability of no", "probability of yes"]
    np.testing.assert_allclose(found[columns], expected, atol=1e-6)
    assert list(found["prediction"]) == list(np.array(["no", "yes"])[expected.argmax(1)])


def test_labels_among_new_rows_give_the_score(ran: Run, tmp_path: Path) -> None:
    new = passengers(40)
    new.loc[:9, "survived"] = ""
    new.to_csv(tmp_path / "new.csv", index=False)
    said = invoke("predict", ran.path, tmp_path / "new.csv", "--out", tmp_path / "p.csv").stderr
    found = pd.read_csv(tmp_path / "p.csv")["prediction"]
    share = np.mean(found[10:] == new["survived"][10:])
    assert said.startswith(f"accuracy {share:.4f} (95 % interval ")
    assert said.endswith("on 30 rows\n")
    new.drop(columns=["age"]).to_csv(tmp_path / "lacking.csv", index=False)
    with pytest.raises(InputError, match="lacks the column 'age'"):
        invoke("predict", ran.path, tmp_path / "lacking.csv")


def test_no_number_of_a_model_moves_with_rows_it_must_not_see(ran: Run, tmp_path: Path) -> None:
    """A sentinel in validation, test and new rows leaves every fitted number as it was."""
    path = ran.path.parent / "passengers.csv"
    dataset = load(path, label="survived")
    kept, _ = split(dataset.training, 0.2, 3)
    assert dataset.training.frame is not None
    seen = set(dataset.training.frame.index[kept])
    frame = pd.read_csv(path)
    unseen = [at for at in range(len(frame)) if at not in seen]
    frame.loc[unseen, "age"] = 98765.25
    frame.loc[unseen, "port"] = "SENTINEL"
    frame.to_csv(tmp_path / "passengers.csv", index=False)
    other = load(tmp_path / "passengers.csv", label="survived")
    recipe = parse_recipe(REFIT, "table")
    drain(run_recipe(recipe, other, Run(tmp_path / "run"), stages=["refit"], threads=1))
    moved, still = load_model(tmp_path / "run").encoding, load_model(ran.path).encoding
    assert moved.to_dict() == still.to_dict()
    assert "SENTINEL" not in str(moved.to_dict())


def test_a_price_is_predicted_in_its_units_with_an_interval(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    homes = pd.DataFrame({"area": rng.normal(100, 30, 600), "city": rng.choice(["A", "B"], 600)})
    homes["price"] = 3000 * homes["area"] + 5e4 * (homes["city"] == "A") + rng.normal(0, 2e4, 600)
    homes["size"] = (1000 * homes["area"]).round()
    as_written = {"index": False, "sep": ";", "decimal": ","}
    homes[:400].to_csv(tmp_path / "homes.csv", **as_written)
    homes[400:].to_csv(tmp_path / "new.csv", **as_written)
    table = {"title": "t", "seed": 3, "data": {"validation": 100}, "refit": {"seeds": 2}}
    table["refit"] |= {"epochs": 40, "choice": {"hidden_layers": 1, "units": 8}}
    dataset = load(tmp_path / "homes.csv", label="price", task="regression")
    run = Run(tmp_path / "run")
    drain(run_recipe(parse_recipe(table, "t"), dataset, run, stages=["refit"], threads=1))
    done = invoke("predict", run.path, tmp_path / "new.csv", "--out", tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv")
    assert list(found.columns) == ["prediction", "low", "high", "spread"]
    prices = homes["price"][400:].to_numpy()
    errors = found["prediction"] - prices
    rmse = np.sqrt(np.mean(errors**2))
    assert 15_000 < rmse < 30_000  # the noise's deviation is 20,000
    how, score = done.stderr.splitlines()
    assert how == "numbers with a decimal comma in 'area', 'price', 'size'"
    assert score.startswith(f"root mean squared error {rmse:.4g}, R2 0.9")
    assert load_model(run.path).residuals is not None
    within = (found["high"] - found["low"]) / 2 >= errors.abs()
    assert 0.88 < within.mean() <= 1  # 100 calibration rows: 0.95 +- 3 * 0.022
    one = homes[["city"]][400:401].assign(area="80,000", size="80.000")  # 80, and 80 000
    one.to_csv(tmp_path / "one.csv", index=False)
    invoke("predict", run.path, tmp_path / "one.csv", "--out", tmp_path / "p.csv")
    plain = load_model(run.path).predict(one.assign(area=80.0, size=80_000.0))
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.csv")["prediction"], plain)
    with pytest.raises(InputError, match="--proba: this model predicts numbers"):
        invoke("predict", run.path, tmp_path / "new.csv", "--proba")


def refitted(data: Any, folder: Path, **options: Any) -> Run:
    recipe = parse_recipe(REFIT, "table")
    drain(run_recipe(recipe, load(data, **options), Run(folder), stages=["refit"], threads=1))
    return Run(folder)


def test_a_class_called_none_is_scored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"dose": rng.normal(size=90), "harm": ["none", "mild", "severe"] * 30})
    table.to_csv(tmp_path / "harm.csv", index=False)
    run = refitted(tmp_path / "harm.csv", tmp_path / "run", label="harm")
    new = pd.DataFrame({"dose": [0.5, -0.5, 0.1], "harm": ["none", "mild", "NA"]})
    new.to_csv(tmp_path / "new.csv", index=False)
    said = invoke("predict", run.path, tmp_path / "new.csv", "--out", tmp_path / "p.csv").stderr
    assert said.endswith("on 2 rows\n")
    new.assign(harm=["none", "?", "1_"]).to_csv(tmp_path / "other.csv", index=False)
    said = invoke("predict", run.path, tmp_path / "other.csv", "--out", tmp_path / "p.csv").stderr
    assert said.endswith("on 2 rows\n")


def test_columns_named_twice_not_at_all_or_with_blanks_are_found_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 3))).assign(y=["u", "v"] * 30)
    table.columns = [" a", "", "a", "y"]
    table.to_csv(tmp_path / "t.csv", index=False)
    run = refitted(tmp_path / "t.csv", tmp_path / "run", label="y")
    model = load_model(run.path)
    assert [column.name for column in model.encoding.columns] == ["a", "column 2"]
    invoke("predict", run.path, tmp_path / "t.csv", "--out", tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv")["prediction"]
    assert list(found) == list(model.predict(table))
    plain = table.set_axis(["a", "column 2", "other", "y"], axis=1)
    assert list(found) == list(model.predict(plain[["column 2", "other", "a"]]))


def test_an_array_of_numbers_to_predict_is_scored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(80, 3))
    np.savez(tmp_path / "all.npz", X=inputs, y=inputs[:, 0] + 0.5)
    run = refitted(tmp_path / "all.npz", tmp_path / "run")
    inputs = rng.normal(size=(20, 3))
    np.savez(tmp_path / "new.npz", X=inputs, y=inputs[:, 0] + 0.5)
    done = invoke("predict", run.path, tmp_path / "new.npz", "--out", tmp_path / "p.csv")
    errors = load_model(run.path).predict(inputs) - inputs[:, 0] - 0.5
    rmse = np.sqrt(np.mean(errors**2))
    assert done.stderr.startswith(f"root mean squared error {rmse:.4g}, R2 ")


def test_a_folder_of_pictures_to_predictions_is_pillow_and_pytorch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, brightness in (("day", 200), ("night", 30)):
        for part, count in (("photos", 20), ("new", 60)):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 50, (5, 6, 3), np.uint8) + np.uint8(brightness)
                Image.fromarray(pixels).save(folder / f"{i:02}.png")
    run = refitted(tmp_path / "photos", tmp_path / "run")
    files = sorted((tmp_path / "new").rglob("*.png"))
    files.pop(3).write_bytes(b"broken")
    done = invoke("predict", run.path, tmp_path / "new", "--out", tmp_path / "p.csv", "--proba")
    passed_over, score = done.stderr.splitlines()
    assert passed_over.startswith("passed over: day/03.png cannot be read as a picture")
    assert score.startswith("accuracy 1.0000") and score.endswith("on 119 rows")
    found = pd.read_csv(tmp_path / "p.csv")
    assert list(found["file"]) == [str(file.relative_to(tmp_path / "new")) for file in files]
    pixels = np.stack([np.asarray(Image.open(file)).reshape(-1) for file in files])
    rows = torch.from_numpy(pixels.astype(np.float32) / 255 - 0.5)
    each = []
    for seed in (3, 4):
        module = nn.Sequential(nn.Linear(90, 6), nn.ReLU(), nn.Linear(6, 2))
        module.load_state_dict(load_file(run.path / f"model/seed-{seed}.safetensors"))
        each.append(module(rows).softmax(1).detach().numpy())
    columns = ["probability of day", "probability of night"]
    np.testing.assert_allclose(found[columns], np.mean(each, axis=0), atol=1e-6)
    files[0].write_bytes(b"broken")
    with pytest.raises(InputError, match="2 of 120 pictures cannot be read"):
        invoke("predict", run.path, tmp_path / "new")
