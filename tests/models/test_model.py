"""A trained model: what it predicts, on which disk it lies, and what it refuses."""

import hashlib
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

from downslope import Model, load_model
from downslope.data import Dataset
from downslope.errors import InputError
from downslope.models import ModelCard, conformal_quantile, row_digests
from downslope.runs import Run

Make = Callable[..., Dataset]
MakeModel = Callable[..., Model]


def test_a_run_s_model_is_ten_lines_of_pytorch(finished: Run, make_digits: Make) -> None:
    pixels = make_digits().test.open("the oracle").inputs
    scaled = torch.from_numpy(pixels.astype(np.float32) / 16 - 0.5)
    each = []
    for seed in (7, 8):
        state = safetensors.torch.load_file(finished.path / f"model/seed-{seed}.safetensors")
        widths = [w.shape for name, w in state.items() if name.endswith("weight")]
        layers: list[nn.Module] = []
        for rows, columns in sorted(widths, key=lambda shape: (shape[1] != 64, shape[0] == 10)):
            layers += [nn.Linear(columns, rows), nn.ReLU()]
        module = nn.Sequential(*layers[:-1])
        module.load_state_dict(state)
        each.append(module(scaled).softmax(1).detach().numpy())
    model = load_model(finished.path)
    np.testing.assert_allclose(model.predict_proba(pixels), np.mean(each, axis=0), atol=1e-6)
    pictures = pixels.reshape(-1, 8, 8)
    np.testing.assert_array_equal(model.predict_proba(pictures), model.predict_proba(pixels))
    names = np.array(model.encoding.class_names)[np.mean(each, axis=0).argmax(1)]
    np.testing.assert_array_equal(model.predict(pixels), names)
    predictions = model.combine(model.encode(pixels))
    of_chosen = np.array(each)[:, np.arange(60), np.mean(each, axis=0).argmax(1)]
    np.testing.assert_allclose(predictions.spread, of_chosen.std(0, ddof=1), atol=1e-6)
    assert list(model.modules) == [7, 8]


def test_a_row_s_prediction_does_not_depend_on_the_rows_beside_it(
    finished: Run, make_digits: Make
) -> None:
    model, pixels = load_model(finished.path), make_digits().training.inputs[:50]
    alone = np.concatenate([model.predict_proba(pixels[i : i + 1]) for i in range(50)])
    np.testing.assert_allclose(alone, model.predict_proba(pixels), atol=1e-13)


def test_moved_elsewhere_it_predicts_the_same_bits(
    finished: Run, make_digits: Make, tmp_path: Path
) -> None:
    pixels = make_digits().training.inputs
    expected = load_model(finished.path).predict_proba(pixels)
    moved = shutil.copytree(finished.path / "model", tmp_path / "elsewhere")
    np.testing.assert_array_equal(load_model(moved).predict_proba(pixels), expected)
    load_model(moved).save(tmp_path / "again")
    for path in Path(moved).iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_it_knows_the_rows_it_has_seen(finished: Run, make_digits: Make) -> None:
    model, digits = load_model(finished.path), make_digits()
    test = digits.test.open("the oracle").inputs
    for part, rows in (("training", digits.training.inputs), ("test", test)):
        np.testing.assert_array_equal(row_digests(model.encode(rows)), model.seen[part])
    assert not np.isin(row_digests(model.encode(test + 1)), model.seen["test"]).any()


def test_rows_are_matched_by_the_names_of_columns(
    make_table: MakeModel, table: pd.DataFrame
) -> None:
    model = make_table()
    shuffled = table[["fresh", "kind", "length"]].assign(more="extra")
    np.testing.assert_array_equal(model.predict_proba(shuffled), model.predict_proba(table))
    as_text = table.astype(object).where(table.notna(), "").astype(str)
    np.testing.assert_array_equal(model.predict_proba(as_text), model.predict_proba(table))
    with pytest.raises(InputError, match="predict: lacks the column 'kind'"):
        model.predict(table[["fresh", "length"]])
    with pytest.raises(InputError, match="give a data frame with the columns length, kind, fresh"):
        model.predict(np.zeros((2, 3)))


def test_a_table_s_model_is_scikit_learn_and_pytorch(
    make_table: MakeModel, table: pd.DataFrame
) -> None:
    model = make_table()
    kinds = table[["kind"]].fillna(table["kind"].mode()[0])
    length = table[["length"]].fillna(table["length"].median())
    parts = [StandardScaler().fit_transform(length), table[["length"]].isna(), table[["fresh"]]]
    parts += [OneHotEncoder(sparse_output=False).fit_transform(kinds), table[["kind"]].isna()]
    rows = torch.from_numpy(np.hstack(parts).astype(np.float32))
    expected = torch.stack([m(rows).softmax(1) for m in model.modules.values()]).mean(0)
    np.testing.assert_allclose(model.predict_proba(table), expected.detach().numpy(), atol=1e-6)


def test_numbers_come_with_an_interval_in_the_target_s_units(
    make_table: MakeModel, table: pd.DataFrame
) -> None:
    targets = np.linspace(1e5, 3e5, 60)
    model = make_table(targets)
    predictions = model.combine(model.encode(table))
    assert predictions.interval is not None
    low, high = predictions.interval.T
    np.testing.assert_allclose(predictions.values, (low + high) / 2)
    np.testing.assert_allclose(high - low, 2 * 38.0)  # the 38th of 39: ceil(40 * 0.95)
    inputs = torch.from_numpy(model.encode(table))
    each = [m.float()(inputs).detach().numpy()[:, 0] for m in model.modules.values()]
    expected = np.mean(each, axis=0) * targets.std() + targets.mean()
    np.testing.assert_allclose(predictions.values, expected, rtol=1e-6)
    with pytest.raises(InputError, match="predicts numbers"):
        model.predict_proba(table)


@pytest.mark.parametrize(("rows", "level"), [(19, 0.95), (100, 0.9), (250, 0.95)])
def test_conformal_intervals_cover_what_they_say(rows: int, level: float) -> None:
    rng = np.random.default_rng(rows)
    repetitions = 20_000
    residuals = np.abs(rng.standard_t(3, (repetitions, rows + 1)))
    held = [new <= conformal_quantile(old, level) for *old, new in residuals[:4000]]
    exact = math.ceil((rows + 1) * level) / (rows + 1)
    assert np.mean(held) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 4000))


FILES = ["model.json", "rows.safetensors", "seed-7.safetensors", "seed-8.safetensors"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_refused_by_name(finished: Run, tmp_path: Path, name: str) -> None:
    model = Path(shutil.copytree(finished.path / "model", tmp_path / "model"))
    content = bytearray((model / name).read_bytes())
    assert sorted(path.name for path in model.iterdir()) == FILES
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_model(model)
    (model / name).unlink()
    with pytest.raises(InputError, match=r"does not exist|holds no trained model"):
        load_model(model)


def resealed(folder: Path, **changes: Any) -> Path:
    card = ModelCard.from_bytes((folder / "model.json").read_bytes())
    (folder / "model.json").write_bytes(msgspec.structs.replace(card, **changes).to_bytes())
    return folder


def test_a_hostile_folder_is_refused(finished: Run, tmp_path: Path) -> None:
    def fresh(name: str) -> tuple[Path, ModelCard]:
        folder = Path(shutil.copytree(finished.path / "model", tmp_path / name))
        return folder, ModelCard.from_bytes((folder / "model.json").read_bytes())

    folder, card = fresh("pickle")
    pickled = b"\x80\x04cos\nsystem\n(S'echo pwned'\ntR."
    (folder / "seed-7.safetensors").write_bytes(pickled)
    digest = hashlib.sha256(pickled).hexdigest()
    resealed(folder, files=card.files | {"seed-7.safetensors": digest})
    with pytest.raises(InputError, match=r"seed-7.safetensors: is no safetensors file"):
        load_model(folder)

    folder, card = fresh("outside")
    for name in ("../precious", "/etc/passwd"):
        resealed(folder, files=card.files | {name: "0" * 64})
        with pytest.raises(InputError, match="is the name of no file in it"):
            load_model(folder)
    folder, card = fresh("link")
    (folder / "seed-7.safetensors").unlink()
    (folder / "seed-7.safetensors").symlink_to(finished.path / "model/seed-7.safetensors")
    with pytest.raises(InputError, match="is a link"):
        load_model(folder)

    folder, card = fresh("huge")
    vast = msgspec.structs.replace(card.network, widths=(64, 2**20, 2**20, 10))
    with pytest.raises(InputError, match="the weights of seed 7 are not those of 64-1048576"):
        load_model(resealed(folder, network=vast))
    with pytest.raises(InputError, match="does not have 3 outputs"):
        encoding = msgspec.structs.replace(card.encoding, class_names=["a", "b", "c"])
        load_model(resealed(folder, network=card.network, encoding=encoding))
    with pytest.raises(InputError, match="inputs of its encoding"):
        encoding = msgspec.structs.replace(card.encoding, shape=[2**40, 2**40])
        load_model(resealed(folder, encoding=encoding))
    scaling = msgspec.structs.replace(card.encoding.scaling, shift=[0.0] * 3)
    with pytest.raises(InputError, match="its encoding cannot be used"):
        encoding = msgspec.structs.replace(card.encoding, scaling=scaling)
        load_model(resealed(folder, encoding=encoding))


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no trained model"):
        load_model(tmp_path)
