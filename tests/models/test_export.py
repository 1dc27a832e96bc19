"""An exported model beside the one it was made of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from downslope import Model, load_model
from downslope.data import Dataset
from downslope.estimators import MLPClassifier
from downslope.models import export_model
from downslope.runs import Run

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def inputs_of(model: Model, table: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Return the inputs of an exported table that its notes ask for."""
    encoded = model.encode(table)
    numbers = model.encoding.numbers
    assert numbers is not None
    rest = encoded if "numbers" not in names else encoded[:, len(numbers.features) :]
    values = {"numbers": table[numbers.names].to_numpy(np.float64), "encoded": rest}
    return {name: values[name] for name in names}


@pytest.mark.parametrize("numbers", ["standard", "piecewise-linear", "quantile"])
@pytest.mark.parametrize("regression", [False, True])
def test_onnx_and_torch_predict_the_same(
    numbers: str,
    regression: bool,
    make_table: Callable[..., Model],
    table: pd.DataFrame,
    tmp_path: Path,
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = make_table(np.linspace(1, 3, 60) if regression else None, numbers)
    predictions = model.combine(model.encode(table))
    expected = predictions.probabilities
    if expected is None:
        expected = predictions.values[:, None]
    (onnx, note), (program, _) = export_model(model, ["onnx", "torch"], tmp_path)
    session = runtime.InferenceSession(onnx)
    names = [one.name for one in session.get_inputs()]
    assert names == (["encoded"] if numbers == "quantile" else ["numbers", "encoded"])
    assert all(f"{name} (rows, " in note for name in names)
    rows = inputs_of(model, table, names)
    np.testing.assert_allclose(session.run(None, rows)[0], expected, atol=1e-5)
    few = {name: value[:3] for name, value in rows.items()}
    np.testing.assert_allclose(session.run(None, few)[0], expected[:3], atol=1e-5)
    classes = session.get_modelmeta().custom_metadata_map["classes"]
    assert json.loads(classes) == model.encoding.class_names
    module = torch.export.load(program).module()
    outputs = module(*(torch.tensor(value) for value in rows.values()))
    np.testing.assert_allclose(outputs.detach().numpy(), expected, atol=1e-5)


def test_pictures_are_scaled_inside(
    finished: Run, make_digits: Callable[..., Dataset], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, pixels = load_model(finished.path), make_digits().training.inputs
    ((path, note),) = export_model(model, ["onnx"], tmp_path)
    assert note == "takes pictures (rows, 8, 8)"
    pictures = pixels.reshape(-1, 8, 8).astype(np.float32)
    found = runtime.InferenceSession(path).run(None, {"pictures": pictures})[0]
    np.testing.assert_allclose(found, model.predict_proba(pixels), atol=1e-5)


def test_one_file_has_the_weights_of_every_seed(finished: Run, tmp_path: Path) -> None:
    model = load_model(finished.path)
    ((path, _),) = export_model(model, ["safetensors"], tmp_path)
    weights = safetensors.torch.load_file(path)
    for seed, module in model.modules.items():
        for name, value in module.state_dict().items():
            assert torch.equal(weights[f"{seed}.{name}"], value)
    assert export_model(model, ["safetensors"], tmp_path / "again")[0][0].read_bytes() == (
        path.read_bytes()
    )


def test_dates_are_given_as_the_numbers_that_the_note_says(tmp_path: Path) -> None:
    days = pd.date_range("2023-11-20", periods=60, freq="31h")
    frame = pd.DataFrame({"sold": days, "price": np.linspace(1, 2, 60)})
    fitted = MLPClassifier((4,), epochs=2, random_state=0).fit(frame, ["u", "v"] * 30)
    ((path, note),) = export_model(fitted.to_model(), ["torch"], tmp_path)
    assert "days since 1970, month, day, weekday (Monday 0) and hour" in note
    at = frame["sold"].dt
    parts = {
        "price": frame["price"],
        "sold (days)": (frame["sold"] - pd.Timestamp(0)) / pd.Timedelta(days=1),
        "sold (month)": at.month,
        "sold (day)": at.day,
        "sold (weekday)": at.day_of_week,
        "sold (hour)": at.hour,
    }
    assert fitted.encoding_.numbers is not None
    rows = pd.DataFrame(parts)[fitted.encoding_.numbers.names].to_numpy(np.float64)
    found = torch.export.load(path).module()(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, fitted.predict_proba(frame), atol=1e-5)
