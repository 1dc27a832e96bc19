"""The command for a network that we have never seen."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from downslope.cli import app
from downslope.data import read_examples
from downslope.errors import InputError
from downslope.landscape import LandscapeResult
from downslope.networks import load_function, make_module

NETWORK = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)
    )

def number():
    return 3

def broken():
    raise KeyError("inside")
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NETWORK, "utf-8")
    draw = np.random.default_rng(0)
    inputs, targets = draw.normal(size=(40, 1, 4, 4)), draw.integers(0, 4, 40)
    np.savez(tmp_path / "data.npz", inputs=inputs, targets=targets)
    (tmp_path / "saved").mkdir()
    module = make_module(load_function(f"{tmp_path / 'net.py'}:make"), seed=0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    examples = read_examples(tmp_path / "data.npz")
    for step in range(5):
        torch.save(module.state_dict(), tmp_path / "saved" / f"step-{step}.pt")
        outputs = module(torch.from_numpy(examples.inputs).float())
        torch.nn.functional.cross_entropy(outputs, torch.from_numpy(examples.targets)).backward()
        optimizer.step()
    return tmp_path


def test_a_network_from_files_gets_a_page(files: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["landscape", f"{files / 'net.py'}:make", "--snapshots", str(files / "saved"),
         "--data", str(files / "data.npz"), "--out", str(files / "out"), "--grid", "5x4",
         "--quiet"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(files / "out" / "landscape.html")
    result = msgspec.json.decode(
        (files / "out" / "landscape.json").read_bytes(), type=LandscapeResult
    )
    assert [p.step for p in result.path] == [0, 1, 2, 3, 4]
    assert (result.grid, result.batch_norm, result.examples) == ((5, 4), "recomputed", 40)
    assert [null.name for null in result.nulls] == ["independent", "autocorrelated"]
    page = (files / "out" / "landscape.html").read_text("utf-8")
    assert "recomputed from the same examples at every point" in page
    assert not (files / "out" / "surface-in-progress.npz").exists()
    with Image.open(files / "out" / "figures" / "landscape-descent.gif") as gif:
        assert gif.n_frames == 5  # pyright: ignore


def test_a_fine_surface_is_refined_and_has_a_second_one_on_held_out_examples(files: Path) -> None:
    draw = np.random.default_rng(1)
    np.savez(files / "held.npz", inputs=draw.normal(size=(30, 1, 4, 4)),
             targets=draw.integers(0, 4, 30))  # fmt: skip
    done = CliRunner().invoke(
        app,
        ["landscape", f"{files / 'net.py'}:make", "--snapshots", str(files / "saved"),
         "--data", str(files / "data.npz"), "--validation", str(files / "held.npz"),
         "--tolerance", "0.05", "--out", str(files / "out"), "--grid", "33x30", "--quiet"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = msgspec.json.decode(
        (files / "out" / "landscape.json").read_bytes(), type=LandscapeResult
    )
    assert (result.examples, result.validation_examples) == (40, 30)
    assert 0 < result.computed < 33 * 30 and result.interpolation_error > 0
    with np.load(files / "out" / "landscape.npz") as arrays:
        assert arrays["validation_loss"].shape == arrays["loss"].shape == (30, 33)
        assert arrays["computed"].sum() == result.computed
        assert np.abs(arrays["validation_loss"] - arrays["loss"]).min() > 0
    page = (files / "out" / "landscape.html").read_text("utf-8")
    assert f"{result.computed} were computed" in page
    assert "loss validation" in page


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("net.py", "write FILE.py:function"),
        ("none.py:make", "there is no file"),
        ("net.py:nothing", "has no function 'nothing'"),
        ("net.py:number", r"number\(\) returns int, not an nn.Module"),
        ("net.py:broken", r"broken\(\) fails with KeyError: 'inside' \(.*net.py, line 15\)"),
        ("bad.py:make", r"fails with SyntaxError: .*bad.py, line 1\)"),
    ],
)
def test_a_mistake_in_the_module_is_one_line(files: Path, where: str, match: str) -> None:
    (files / "bad.py").write_text("def make(:", "utf-8")
    with pytest.raises(InputError, match=match) as found:
        make_module(load_function(str(files / where)), seed=0)
    assert "\n" not in str(found.value)


def test_a_mistake_in_the_data_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with pytest.raises(InputError, match=r"data\.npz: "):
        read_examples(path)
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"data\.npz: is not a readable \.npz"):
        read_examples(path)
    np.savez(path, inputs=np.zeros(3))
    with pytest.raises(InputError, match="lacks targets; it has inputs"):
        read_examples(path)
    np.savez(path, inputs=np.zeros((3, 1)), targets=np.zeros(2))
    with pytest.raises(InputError, match="3 inputs but 2 targets"):
        read_examples(path)
    np.savez(path, inputs=np.array(["a"]), targets=np.zeros(1))
    with pytest.raises(InputError, match=r"inputs: has dtype <U1; only whole and floating"):
        read_examples(path)
    np.savez(path, inputs=[[1.0, 2.0], [3.0, np.nan]], targets=np.zeros(2))
    with pytest.raises(InputError, match=r"data\.npz: inputs of row 1 \(from 0\) are not all"):
        read_examples(path)
    np.savez(path, inputs=np.zeros((2, 2)), targets=[np.inf, 0.0])
    with pytest.raises(InputError, match=r"targets of row 0"):
        read_examples(path)


def test_examples_larger_than_what_is_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downslope.data.files.MAXIMUM_BYTES", 10_000)
    path = tmp_path / "data.npz"
    np.savez_compressed(path, inputs=np.zeros((500, 4)), targets=np.zeros(500))
    assert path.stat().st_size < 10_000  # the bound is on what it holds
    with pytest.raises(InputError, match=r"data\.npz: inputs: is larger than 10,000 bytes"):
        read_examples(path)
    np.savez_compressed(path, inputs=np.zeros((250, 4)), targets=np.zeros(250))
    assert len(read_examples(path)) == 250


def test_options_belong_together(files: Path) -> None:
    with pytest.raises(InputError, match=r"tolerance = -1\.0"):
        CliRunner().invoke(
            app,
            ["landscape", f"{files / 'net.py'}:make", "--snapshots",
             str(files / "saved"), "--data", str(files / "data.npz"), "--tolerance", "-1",
             "--out", str(files / "out"), "--quiet"],
            catch_exceptions=False,
        )  # fmt: skip
    assert not (files / "out").exists()
    done = CliRunner().invoke(app, ["landscape", "net.py:make", "--snapshots", str(files)])
    assert done.exit_code == 2 and "--data" in done.output


def command(files: Path, module: str = "net.py:make", data: str = "data.npz") -> list[str]:
    return ["landscape", str(files / module), "--snapshots", str(files / "saved"),
               "--data", str(files / data), "--out", str(files / "out"), "--quiet"]  # fmt: skip


def draw(files: Path, *more: str, **which: str) -> Result:
    return CliRunner().invoke(app, [*command(files, **which), *more])


def refused(files: Path, match: str, *more: str, **which: str) -> None:
    with pytest.raises(Exception) as caught:  # Typer's own are of different modules by version
        app([*command(files, **which), *more], standalone_mode=False)
    text = getattr(caught.value, "format_message", lambda: str(caught.value))()
    assert re.search(match, text), text
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--seed", "-1"], "'--seed': '-1' is not allowed; it must be a whole number from 0"),
        (["--grid", "99999x99999"], r"columns = 99999 is not allowed; .* 2 to 1000"),
        (["--grid", "²x5"], "must be columns x rows"),
        (["--margin", "nan"], "margin = nan is not allowed"),
        (["--tolerance", "5"], "tolerance = 5.0 is not allowed"),
        (["--examples", "0"], "'--examples': '0' is not allowed"),
        (["--threads", "1000000"], "'--threads': '1000000' is not allowed"),
        (["--loss", "hinge"], "'--loss': .*'hinge'"),
        (["--output", "logits"], "data.npz: output = 'logits'; the module returns one, a tensor"),
        (["--set", "search.trials=3"], "No such option: --set"),
    ],
)
def test_options_are_checked_before_any_work(files: Path, options: list[str], match: str) -> None:
    refused(files, match, *options)


OWN = """
import sys
from torch import nn

print("imported")

class Loud(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 4)
        print("made")

    def forward(self, inputs):
        print("run")
        return self.layer(inputs.flatten(1))

class Broken(Loud):
    def forward(self, inputs):
        raise ValueError("no \\x1b[31mway")

class Leaving(Loud):
    def forward(self, inputs):
        sys.exit(0)

class Empty(Loud):
    def forward(self, inputs):
        return None
"""


def test_what_a_module_prints_is_not_in_our_output(files: Path) -> None:
    (files / "own.py").write_text(OWN, "utf-8")
    module = make_module(load_function(f"{files / 'own.py'}:Loud"), seed=0)
    for path in (files / "saved").iterdir():
        path.unlink()
    for step in range(4):
        torch.nn.init.normal_(module.layer.weight)  # pyright: ignore
        torch.save(module.state_dict(), files / "saved" / f"step-{step}.pt")
    (files / "own.py").write_text(OWN, "utf-8")  # one that has changed is run again
    done = draw(files, "--grid", "2x2", module="own.py:Loud")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(files / "out" / "landscape.html")
    assert {"imported", "made", "run"} <= set(done.stderr.split())


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("Broken", r"data.npz: the module, given .* fails with ValueError: .*own.py, line 19\)"),
        ("Leaving", r"ends the program by sys.exit\(0\) \(.*own.py, line 23\)"),
        ("Empty", "the module returns a NoneType; it must return a tensor"),
    ],
)
def test_a_forward_that_fails_is_one_line_with_its_place(
    files: Path, name: str, match: str
) -> None:
    (files / "own.py").write_text(OWN, "utf-8")
    refused(files, match, module=f"own.py:{name}")


SEQUENCES = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, tokens, weights):
        return self.head(self.embedding(tokens) * weights[..., None])

def loss(module, batch):
    assert isinstance(module, Tagger)  # one class, though two functions of the file are loaded
    tokens, weights, tags = batch.values() if isinstance(batch, dict) else batch
    losses = functional.cross_entropy(module(tokens, weights).mT, tags, reduction="none")
    return losses.mean(1)

def once(module, batch):
    return loss(module, batch).detach()
"""


@pytest.mark.parametrize("named", [True, False])
def test_a_loss_and_batches_of_ones_own_from_files(tmp_path: Path, named: bool) -> None:
    (tmp_path / "net.py").write_text(SEQUENCES, "utf-8")
    numbers = np.random.default_rng(0)
    arrays = {"tokens": numbers.integers(0, 9, (20, 5)), "weights": numbers.normal(size=(20, 5)),
              "tags": numbers.integers(0, 3, (20, 5))}  # fmt: skip
    if named:
        np.savez(tmp_path / "data.npz", **arrays)
    else:
        np.savez(tmp_path / "data.npz", *arrays.values())
    (tmp_path / "saved").mkdir()
    module = make_module(load_function(f"{tmp_path / 'net.py'}:Tagger"), seed=0)
    for step in (2, 10, 100, 1000):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.3 * torch.randn(parameter.shape)
        state = {f"module.{name}": value for name, value in module.state_dict().items()}
        torch.save({"model_state_dict": state}, tmp_path / "saved" / f"{step}.pth.tar")
    bad = {f"module.{name}": value * torch.nan for name, value in module.state_dict().items()}
    torch.save(bad, tmp_path / "saved" / "2000.pth.tar")
    options = ["--loss", f"{tmp_path / 'net.py'}:{'loss' if named else 'once'}", "--grid", "3x3"]
    refused(tmp_path, "2000.pth.tar: 'embedding.weight' is nan", *options, module="net.py:Tagger")
    done = draw(tmp_path, *options, "--skip-not-finite", module="net.py:Tagger")
    assert done.exit_code == 0, done.output
    said = done.stderr.splitlines()
    assert any("'module.embedding.weight' is read as 'embedding.weight'" in line for line in said)
    assert any(
        "2000.pth.tar: 'embedding.weight' is nan at [0, 0]; left out" in line for line in said
    )
    result = msgspec.json.decode(
        (tmp_path / "out" / "landscape.json").read_bytes(), type=LandscapeResult
    )
    assert [point.step for point in result.path] == [2, 10, 100, 1000]
    parts = [torch.from_numpy(array) for array in arrays.values()]
    logits = module(parts[0], parts[1].float()).mT
    expected = torch.nn.functional.cross_entropy(logits, parts[2]).item()
    assert result.path[-1].true_loss == pytest.approx(expected, rel=1e-5)
    assert result.path[-1].standard_error and result.path[-1].true_accuracy is None
    assert len(result.curvature) == (4 if named else 0)
    assert any("the curvature is left out: the loss" in line for line in said) != named
