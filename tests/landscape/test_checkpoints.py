"""Saved states in the layouts of training libraries: each gives the landscape of the plain one."""

import argparse
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape import Grid, LossOptions, compute_landscape, read_snapshots
from downslope.progress import drain

STEPS = [5, 9, 40, 100]
"""In the order of training; by letters 100 comes first and 9 last."""
State = dict[str, torch.Tensor]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))


def states() -> dict[int, State]:
    """Return states whose buffers differ too."""
    module = network()
    saved: dict[int, State] = {}
    for step in STEPS:
        with torch.no_grad():
            module[1].running_mean.fill_(step / 50)
            for parameter in module.parameters():
                parameter += 0.3 * torch.randn(parameter.shape)
        saved[step] = {name: value.clone() for name, value in module.state_dict().items()}
    return saved


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def optimizer() -> dict[str, Any]:
    module = network()
    adam = torch.optim.Adam(module.parameters())
    module(torch.ones(2, 3)).sum().backward()
    adam.step()
    return adam.state_dict()


def trainer(folder: Path, step: int, write: Callable[[Path], object]) -> None:
    """Write a folder as the Hugging Face Trainer does, the weights by a function."""
    inner = folder / f"checkpoint-{step}"
    inner.mkdir()
    write(inner)
    torch.save(optimizer(), inner / "optimizer.pt")
    torch.save({"last_epoch": step}, inner / "scheduler.pt")
    torch.save({"cpu": torch.get_rng_state()}, inner / "rng_state.pth")
    torch.save(argparse.Namespace(lr=0.1), inner / "training_args.bin")
    (inner / "trainer_state.json").write_text(json.dumps({"global_step": step, "epoch": 0.5}))


def shard(folder: Path, state: State) -> None:
    names = list(state)
    parts = {"model-00001-of-00002.safetensors": names[:3],
             "model-00002-of-00002.safetensors": names[3:]}  # fmt: skip
    for file, some in parts.items():
        save_file({name: state[name] for name in some}, folder / file)
    places = {name: file for file, some in parts.items() for name in some}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def saver(ending: str, wrap: Callable[[State, int], Mapping[str, Any]]) -> Any:
    return lambda folder, step, state: torch.save(wrap(state, step), folder / f"{step}{ending}")


def lightning(state: State, step: int) -> Mapping[str, Any]:
    return {
        "epoch": 0, "global_step": step, "pytorch-lightning_version": "2.6.6",
        "state_dict": prefixed("model.", state), "optimizer_states": [optimizer()],
        "lr_schedulers": [], "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
        "hyper_parameters": {"lr": 0.1},
    }  # fmt: skip


def script(state: State, step: int) -> Mapping[str, Any]:
    """As many scripts save: with their arguments, and numbers of NumPy."""
    return {
        "model": state, "optimizer": optimizer(), "iter": step, "best": np.float64(0.5),
        "count": np.int32(3), "args": argparse.Namespace(lr=0.1, out=Path("runs")),
    }  # fmt: skip


LAYOUTS: dict[str, Callable[[Path, int, State], object]] = {
    "plain": saver(".pt", lambda state, step: state),
    "module.": saver(".pth", lambda state, step: nn.DataParallel(load(state)).state_dict()),
    "_orig_mod.": saver(".pt", lambda state, step: prefixed("_orig_mod.", state)),
    "model.": saver(".ckpt", lambda state, step: prefixed("model.", state)),
    "all three": saver(".pt", lambda state, step: prefixed("model.module._orig_mod.", state)),
    "one layer compiled": saver(".pt", lambda state, step: {
        name.replace("0.", "0._orig_mod.", 1): value for name, value in state.items()}),
    "another prefix": saver(".pt", lambda state, step: {
        **prefixed("net.encoder.", state), "net.head.weight": torch.ones(2)}),
    "lightning": lambda folder, step, state: torch.save(
        lightning(state, step), folder / f"epoch={110 - step}.ckpt"),
    "state_dict": saver(".pth.tar", lambda state, step: {
        "epoch": step, "state_dict": prefixed("module.", state), "optimizer": optimizer()}),
    "model_state_dict": saver(".tar", lambda state, step: {
        "epoch": step, "model_state_dict": state, "optimizer_state_dict": optimizer(),
        "loss": 0.3}),
    "model": saver(".bin", script),
    "net": saver(".pt", lambda state, step: {"net": state, "acc": 90.0, "epoch": step}),
    "safetensors": lambda folder, step, state: save_file(state, folder / f"{step}.safetensors"),
    "safetensors with their step": lambda folder, step, state: save_file(
        state, folder / f"{1000 - step}.safetensors", {"step": str(step), "format": "pt"}),
    "checkpoint-N, safetensors": lambda folder, step, state: trainer(
        folder, step, lambda inner: save_file(state, inner / "model.safetensors")),
    "checkpoint-N, bin": lambda folder, step, state: trainer(
        folder, step, lambda inner: torch.save(state, inner / "pytorch_model.bin")),
    "checkpoint-N, sharded": lambda folder, step, state: trainer(
        folder, step, lambda inner: shard(inner, state)),
    "epoch_N": lambda folder, step, state: (
        (folder / f"epoch_{step}").mkdir(),
        torch.save(state, folder / f"epoch_{step}" / "weights.pt")),
}  # fmt: skip


def load(state: State) -> nn.Module:
    module = network()
    module.load_state_dict(state)
    return module


def read(folder: Path, **more: Any) -> tuple[list[int], bytes, list[str]]:
    """Return the steps, all bits of the landscape with frozen statistics, and what was said."""
    draw, module = np.random.default_rng(0), network()
    rows = Examples(draw.normal(size=(8, 3)).astype(np.float32), draw.integers(0, 2, 8))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = drain(read_snapshots(folder, module, **more))
    options = LossOptions(batch_norm="frozen", engine="pytorch")
    drawn = drain(compute_landscape(module, path, rows, loss=options, grid=Grid(3, 3)))
    arrays = b"".join(array.tobytes() for array in drawn.arrays().values())
    return path.steps, arrays, [str(warning.message) for warning in said]


def fill(folder: Path, layout: str) -> Path:
    folder.mkdir(parents=True)
    for step, state in states().items():
        LAYOUTS[layout](folder, step, state)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[int], bytes, list[str]]:
    return read(fill(tmp_path_factory.mktemp("plain") / "saved", "plain"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_landscape_of_the_plain_one_to_the_bit(
    tmp_path: Path, layout: str, plain: tuple[list[int], bytes, list[str]]
) -> None:
    steps, arrays, said = read(fill(tmp_path / "saved", layout))
    assert (steps, arrays) == (STEPS, plain[1])
    quiet = layout in ("plain", "model_state_dict", "model", "epoch_N")
    assert bool(said) == (not quiet and "safetensors" not in layout and "point-N" not in layout)


def test_what_is_read_otherwise_than_it_is_named_is_said_once(tmp_path: Path) -> None:
    *_, said = read(fill(tmp_path / "one", "another prefix"))
    assert said == [
        f"{tmp_path / 'one'}: 'net.encoder.0.weight' is read as '0.weight', and others likewise"
    ]
    *_, said = read(fill(tmp_path / "two", "net"))
    assert said == [f"{tmp_path / 'two'}: the state is taken from 'net'"]


def test_a_last_state_that_repeats_another_is_left_out_aloud(
    tmp_path: Path, plain: tuple[list[int], bytes, list[str]]
) -> None:
    for layout, name in (("lightning", "last.ckpt"), ("plain", "best.pt")):
        folder = fill(tmp_path / layout, layout)
        twin = max(folder.iterdir()) if layout == "plain" else folder / "epoch=10.ckpt"
        (folder / name).write_bytes(twin.read_bytes())
        steps, arrays, said = read(folder)
        assert (steps, arrays) == (STEPS, plain[1])
        assert said[0] == f"{folder / name}: the same as {twin.name}; left out"
    trainers = fill(tmp_path / "trainer", "checkpoint-N, sharded")
    shard(trainers, states()[100])  # the final model, as `save_model` leaves it
    assert read(trainers)[:2] == (STEPS, plain[1])
    shard(trainers, states()[9] | {"0.bias": torch.zeros(4)})
    with pytest.raises(InputError, match=r"model.safetensors.index.json: no step in it"):
        read(trainers)


def test_snapshots_that_are_not_finite_are_named_and_left_out_on_request(tmp_path: Path) -> None:
    folder = fill(tmp_path / "saved", "plain")
    good = read(folder)
    bad = load(states()[9])
    with torch.no_grad():
        bad[3].weight[1, 2] = torch.nan  # pyright: ignore
    for step in (7, 200):
        torch.save(bad.state_dict(), folder / f"{step}.pt")
    with pytest.raises(InputError, match=r"7.pt: '3.weight' is nan at \[1, 2\]; .*skip_not_finite"):
        read(folder)
    steps, arrays, said = read(folder, skip_not_finite=True)
    assert (steps, arrays) == good[:2]
    assert said == [
        f"{folder / f'{s}.pt'}: '3.weight' is nan at [1, 2]; left out" for s in (7, 200)
    ]
    for step in STEPS:
        (folder / f"{step}.pt").unlink()
    with pytest.raises(InputError, match="no snapshot is finite"):
        read(folder, skip_not_finite=True)


def test_what_could_be_meant_in_two_ways_is_refused(tmp_path: Path) -> None:
    state = states()[5]

    def refused(saved: Any, match: str) -> None:
        torch.save(saved, tmp_path / "1.pt")
        with pytest.raises(InputError, match=match) as error:
            read(tmp_path)
        assert "\n" not in str(error.value)

    refused({"student": state, "teacher": state}, "'student' and 'teacher' in it both fit")
    both = prefixed("student.", state) | prefixed("teacher.", state)
    refused(both, "behind 'student.' and behind 'teacher.'")
    refused(state | {"9.weight": torch.ones(1)}, "has '9.weight', which the module does not")
    refused({k: v for k, v in state.items() if "mean" not in k}, "no buffer '1.running_mean'")
    refused({"config": object}, "more than tensors and plain values")
    inner = tmp_path / "checkpoint-2"
    inner.mkdir()
    for name in ("a.pt", "b.pt"):
        torch.save(state, inner / name)
    refused(state, "checkpoint-2: holds a.pt, b.pt; a folder of one checkpoint")


@pytest.mark.parametrize(
    ("index", "match"),
    [
        ("[]", "holds a list; it must be an object"),
        ("{", "cannot be read"),
        ('{"weight_map": 3}', '"weight_map" must name files beside it'),
        ('{"weight_map": {"a": "../a.safetensors"}}', '"weight_map" must name files beside it'),
        ('{"weight_map": {"a": "gone.safetensors"}}', "gone.safetensors: cannot be read"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, index: str, match: str) -> None:
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=match):
        read(tmp_path)


class Tied(nn.Module):
    """Input and output share their weights, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight


@pytest.mark.parametrize("kept", ["embedding.weight", "head.weight"])
def test_of_tied_weights_one_is_enough(tmp_path: Path, kept: str) -> None:
    weights = {step: torch.full((5, 3), float(step)) for step in STEPS}
    for step, weight in weights.items():
        save_file({kept: weight}, tmp_path / f"step-{step}.safetensors")
    module = Tied()
    path = drain(read_snapshots(tmp_path, module))
    assert path.vectors.tolist() == [weights[step].reshape(-1).tolist() for step in STEPS]
    assert torch.equal(module.head.weight, weights[100])
