"""Sharpness along training against dense Hessians of PyTorch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from downslope.data import Examples, load
from downslope.engines import train
from downslope.networks import Member, NetworkSpec, TrainingSpec, build, load_flat
from downslope.progress import drain
from downslope.runs import Run
from downslope.studies import EdgeOfStability, edge_of_stability, run_study
from downslope.studies.populations import split_examples


def test_sharpness_is_the_largest_eigenvalue_of_the_dense_hessian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, small in (("WIDTHS", (4,)), ("POINTS", 4), ("BATCHES", 3)):
        monkeypatch.setattr(edge_of_stability, name, small)
    study = EdgeOfStability(
        data="digits", learning_rates=(0.3,), examples=60, steps=12, batch_size=20, seeds=3
    )
    drain(run_study(study, Run(tmp_path / "study")))
    drawn = split_examples(load("digits"), 60, 1, study.seed).training
    targets = np.eye(10, dtype=np.float32)[drawn.targets]
    network = NetworkSpec(widths=(64, 4, 10), activation="tanh")
    for part, size, epochs in (("rate-0", 60, 12), ("minibatches", 20, 4)):
        spec = TrainingSpec(
            loss="mean_squared_error", learning_rate=0.3, batch_size=size, epochs=epochs
        )
        member = Member(network=network, training=spec, seed=study.seed)
        last = [*train([member], Examples(drawn.inputs, targets), snapshots_per_epoch=1)][-1]
        module = build(network, torch.Generator().manual_seed(0))
        load_flat(module, last.snapshots[-1].parameters)
        names = [name for name, _ in module.named_parameters()]
        sizes = [p.numel() for p in module.parameters()]
        shapes = [p.shape for p in module.parameters()]

        def loss(flat: torch.Tensor, module=module, names=names, sizes=sizes, shapes=shapes):
            pieces = [p.reshape(s) for p, s in zip(flat.split(sizes), shapes, strict=True)]
            outputs = torch.func.functional_call(
                module, dict(zip(names, pieces, strict=True)), (torch.from_numpy(drawn.inputs),)
            )
            return torch.nn.functional.mse_loss(outputs, torch.from_numpy(targets))

        vector = torch.from_numpy(last.snapshots[-1].parameters.copy())
        dense = torch.autograd.functional.hessian(loss, vector).double().numpy()
        expected = np.linalg.eigvalsh((dense + dense.T) / 2)[-1] * 0.3 / 2
        with np.load(tmp_path / f"study/parts/{part}.npz") as arrays:
            assert arrays["sharpness"][0, -1] == pytest.approx(expected, rel=1e-3)
            assert arrays["step"][-1] == epochs * (60 // size)
            late = arrays["batch_sharpness"][:, -edge_of_stability.LATE :]
            assert np.isfinite(late).all() == (part == "minibatches")
