"""Barriers between seeds against interpolated PyTorch modules, and matching that must find."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from downslope.data import load
from downslope.engines import instruction_sets, train
from downslope.networks import Member, NetworkSpec, TrainingSpec, build, load_flat
from downslope.progress import drain
from downslope.runs import Run
from downslope.studies import Barriers, run_study
from downslope.studies.matching import match_units
from downslope.studies.populations import flat, split_examples

pytestmark = pytest.mark.skipif(not instruction_sets(), reason="needs the compiled engine")

SMALL = Barriers(data="digits", widths=(4, 8), examples=300, evaluated=200, epochs=3, seeds=3)


def losses_between(network: NetworkSpec, ends: list[np.ndarray], inputs, classes) -> list[float]:
    module = build(network, torch.Generator().manual_seed(0))
    losses: list[float] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        load_flat(module, (ends[0] + np.float32(share) * (ends[1] - ends[0])).astype(np.float32))
        with torch.no_grad():
            losses.append(torch.nn.functional.cross_entropy(module(inputs), classes).item())
    return losses


def test_barriers_are_those_of_interpolated_modules(tmp_path: Path) -> None:
    drain(run_study(SMALL, Run(tmp_path / "study")))
    with np.load(tmp_path / "study/parts/width-0008.npz") as arrays:
        before, after = arrays["before"], arrays["after"]
    training = split_examples(load("digits"), 300, 1, SMALL.seed).training
    network = NetworkSpec(widths=(64, 8, 8, 10))
    spec = TrainingSpec(optimizer="adam", learning_rate=0.001, batch_size=64, epochs=3)
    members = [Member(network=network, training=spec, seed=SMALL.seed + i) for i in (0, 1)]
    ends = [np.empty(0)] * 2
    for record in train(members, training):
        if record.outcome is not None:
            ends[record.member] = flat(record)
    inputs = torch.from_numpy(training.inputs[:200])
    classes = torch.from_numpy(training.targets[:200])
    for barriers, other in ((before, ends[1]), (after, match_units(*ends, network.widths))):
        losses = losses_between(network, [ends[0], other], inputs, classes)
        expected = max(losses) - (losses[0] + losses[-1]) / 2
        assert barriers[0, 1] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert losses[-1] == pytest.approx(
            losses_between(network, [ends[1]] * 2, inputs, classes)[0]
        )


def test_units_in_another_order_are_found_again() -> None:
    network = NetworkSpec(widths=(20, 30, 25, 4))
    module = build(network, torch.Generator().manual_seed(1))
    original = torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy().copy()
    linear = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer, after in pairwise(linear):
            order = torch.randperm(layer.out_features, generator=random)
            layer.weight.copy_(layer.weight[order])
            layer.bias.copy_(layer.bias[order])
            after.weight.copy_(after.weight[:, order])
    shuffled = torch.nn.utils.parameters_to_vector(module.parameters()).detach().numpy()
    assert (shuffled != original).any()
    assert (match_units(original, shuffled, network.widths) == original).all()
