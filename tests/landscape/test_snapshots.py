import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from downslope.errors import InputError
from downslope.landscape import read_snapshots
from downslope.networks import flatten
from downslope.progress import drain


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def fill(folder: Path, steps: list[int], form: str) -> list[np.ndarray]:
    vectors: list[np.ndarray] = []
    for step in steps:
        module = network(step)
        module[1].running_mean.fill_(step)
        state = module.state_dict()
        if form == "safetensors":
            save_file(state, folder / f"step-{step}.safetensors")
        elif form == "lightning":
            whole = {"state_dict": state, "global_step": step, "epoch": 0, "loss": step / 2}
            torch.save(whole, folder / f"epoch={9 - step}.ckpt")
        else:
            torch.save(state, folder / f"step-{step}.pt")
        vectors.append(flatten(module))
    return vectors


@pytest.mark.parametrize("form", ["plain", "lightning", "safetensors"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_folder_is_read_in_the_order_of_its_steps(
    tmp_path: Path, form: str, on_disk: bool
) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    vectors = fill(folder, [0, 2, 9, 5], form)
    module = network()
    found = drain(read_snapshots(folder, module, tmp_path / "kept" if on_disk else None))
    assert found.steps == [0, 2, 5, 9]
    assert np.array_equal(found.vectors, np.stack([vectors[i] for i in (0, 1, 3, 2)]))
    if form == "lightning":
        assert found.losses == [0, 1, 2.5, 4.5]
    assert module[1].running_mean.tolist() == [9, 9]
    assert np.array_equal(flatten(module), vectors[2])
    if on_disk:  # read again, nothing is added twice
        assert drain(read_snapshots(folder, network(), tmp_path / "kept")).steps == found.steps


class Runs:
    def __reduce__(self) -> Any:
        return (Path("ran").touch, ())


def test_nothing_is_run_by_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    torch.save({"weight": Runs()}, tmp_path / "in" / "step-1.pt")
    with pytest.raises(InputError, match="more than tensors and plain values"):
        drain(read_snapshots(tmp_path / "in", network()))
    (tmp_path / "in" / "step-1.pt").write_bytes(pickle.dumps(Runs()))
    with pytest.raises(InputError):
        drain(read_snapshots(tmp_path / "in", network()))
    assert not (tmp_path / "ran").exists()


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(InputError, match=match):
            drain(read_snapshots(tmp_path, network()))

    refused("holds no snapshot")
    with pytest.raises(InputError, match="is no folder"):
        drain(read_snapshots(tmp_path / "none", network()))
    broken = tmp_path / "step-1.pt"
    broken.write_bytes(b"PK not a zip")
    refused("step-1.pt: cannot be read")
    torch.save([1], broken)
    refused("holds a list")
    torch.save({"note": "no tensor"}, broken)
    refused("holds no tensors")
    torch.save(nn.Linear(3, 2).state_dict(), broken)
    refused("no parameter '0.weight'")
    torch.save(nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).state_dict(), broken)
    refused(r"'0.weight' has shape \(2, 4\), the module's has \(2, 3\)")
    torch.save(network().state_dict(), broken)
    torch.save(network().state_dict(), tmp_path / "again-1.pt")
    refused("each step only once")
    (tmp_path / "again-1.pt").unlink()
    torch.save(network(1).state_dict(), tmp_path / "last.pt")
    refused("no number in its name")


def test_a_snapshot_that_is_not_finite_is_named_with_its_place(tmp_path: Path) -> None:
    fill(tmp_path, [0, 1], "plain")
    module = network()
    with torch.no_grad():
        module[0].weight[1, 2] = torch.inf
    torch.save(module.state_dict(), tmp_path / "step-2.pt")
    with pytest.raises(
        InputError, match=r"step-2.pt: '0.weight' is inf at \[1, 2\]; .*move this and those"
    ):
        drain(read_snapshots(tmp_path, network()))
