"""The page of a diagnosis holds what was measured, and its name is text."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

from downslope.cli import app
from downslope.progress import drain
from downslope.report.diagnosis_page import (
    GradientStrength,
    SignalStrength,
    layer_table,
    write_diagnosis,
)
from downslope.runs import Run
from downslope.theory import Diagnosis, diagnose

NETWORK = """
from torch import nn

def make():
    layers = [nn.Flatten(), nn.Linear(64, 30)]
    for _ in range(9):
        layers += [nn.ReLU(), nn.Linear(30, 30)]
    return nn.Sequential(*layers)
"""


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    inputs = np.random.default_rng(541).normal(size=(64, 8)).astype(np.float32)
    factory = lambda: nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))  # noqa: E731
    return drain(diagnose(factory, inputs, networks=4, seed=541))


def test_the_page_holds_figures_and_layers_and_repeats(found: Diagnosis, tmp_path: Path) -> None:
    write_diagnosis(Run(tmp_path), found, "<b>net</b>")
    page = (tmp_path / "diagnosis.html").read_text()
    assert "&lt;b&gt;net&lt;/b&gt;" in page
    assert "<b>net</b>" not in page
    assert all(f"<td>{layer.name}</td>" in page for layer in found.layers)
    saved = (tmp_path / "diagnosis.json").read_bytes()
    assert msgspec.json.decode(saved, type=Diagnosis) == found
    assert len(list((tmp_path / "figures").iterdir())) == 4
    write_diagnosis(Run(tmp_path), found, "<b>net</b>")
    assert (tmp_path / "diagnosis.html").read_text() == page


def test_the_curves_are_the_layers_own(found: Diagnosis) -> None:
    for display in (SignalStrength(found), GradientStrength(found)):
        frame = display.frame()
        part = display.name.removeprefix("diagnosis-")
        assert frame["as it is"] == [getattr(layer, part) for layer in found.layers]
        mended = [getattr(layer, f"mended_{part}") for layer in found.layers]
        assert frame["with the proposed gains"] == mended
        for line, column in zip(display.plot().axes[0].get_lines(), frame.columns[2:], strict=True):
            np.testing.assert_array_equal(line.get_ydata(), frame[column])
    table = layer_table(found)
    assert [len(row.cells) for row in table.rows] == [len(table.columns)] * 2


def test_the_command_names_the_layer_and_its_page(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    module = f"{tmp_path / 'net.py'}:make"
    words = ["diagnose", module, "--data", "digits", "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0
    assert "the signal dies at layer" in said.output
    assert "The signal dies at layer" in (tmp_path / "out" / "diagnosis.html").read_text()
    quiet = CliRunner().invoke(app, [*words, "--quiet"])
    assert quiet.output.strip() == str(tmp_path / "out" / "diagnosis.html")
