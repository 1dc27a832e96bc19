"""Any module: the layer that loses the signal is named, and the proposed gain mends it."""

import math

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from downslope.errors import InputError
from downslope.progress import drain
from downslope.theory import compute_gain, diagnose


def deep(activation=nn.ReLU, depth: int = 15, start=None):
    def factory() -> nn.Module:
        layers: list[nn.Module] = [nn.Linear(64, 64)]
        for _ in range(depth):
            layers += [activation(), nn.Linear(64, 64)]
        if start is not None:
            for layer in layers[::2]:
                start(layer.weight)
                nn.init.zeros_(layer.bias)
        return nn.Sequential(*layers)

    return factory


def he(weight):
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def test_pytorchs_default_dies_and_the_proposed_gain_is_hes(digits):
    found = drain(diagnose(deep(), digits, seed=541, networks=6))
    assert [line.split(",")[0] for line in found.findings] == [
        "the signal dies at layer 8 (Linear)",
        "the gradient dies at layer 22 (Linear)",
    ]
    # Signals shrink by six a layer: 6^4 > 1,000, from layer 0 four layers on, and likewise back.
    assert found.mended == []
    inner = [one.proposed_gain for one in found.layers[2:]]
    assert np.mean(inner) == pytest.approx(math.sqrt(2), abs=0.06)
    assert found.layers[3].gain == pytest.approx(1 / math.sqrt(3), rel=0.05)
    low, high = found.layers[0].size_interval
    assert low < found.layers[0].size < high


@pytest.mark.parametrize(
    ("activation", "name"), [(nn.Tanh, "tanh"), (nn.SELU, "selu"), (nn.GELU, "gelu")]
)
def test_proposed_gains_are_those_of_quadrature(digits, activation, name):
    found = drain(diagnose(deep(activation, 6), digits, seed=541, networks=6))
    inner = [one.proposed_gain for one in found.layers[1:]]
    assert np.mean(inner) == pytest.approx(compute_gain(name).forward, rel=0.06)


def test_he_is_well_and_ten_times_he_explodes(digits):
    assert drain(diagnose(deep(start=he), digits, seed=541, networks=4)).findings == []

    def wild(weight):
        he(weight)
        with torch.no_grad():
            weight.mul_(3)

    found = drain(diagnose(deep(start=wild), digits, seed=541, networks=4))
    assert "the signal explodes at layer" in found.findings[0]
    assert "the gradient explodes at layer" in found.findings[1]
    assert found.mended == []


def test_one_bad_layer_is_named(digits):
    def factory() -> nn.Module:
        module = deep(start=he)()
        with torch.no_grad():
            module[10].weight.mul_(1e-3)
        return module

    found = drain(diagnose(factory, digits, seed=541, networks=4))
    assert found.findings[0].startswith("the signal dies at layer 10 (Linear)")
    assert found.layers[5].proposed_gain == pytest.approx(math.sqrt(2), rel=0.15)


def test_convolutions_norms_and_functions_work(digits):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 8, 3)
            self.norm = nn.BatchNorm2d(8)
            self.last = nn.Linear(8 * 36, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.norm(self.first(x))).flatten(1))

    found = drain(diagnose(Own, digits, shape=(8, 8), seed=541, networks=3))
    assert [one.name for one in found.layers] == ["first (Conv2d)", "last (Linear)"]
    assert [one.fan_in for one in found.layers] == [9, 288]
    assert found.findings == []


def test_it_repeats_and_leaves_the_global_generator_alone(digits):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = drain(diagnose(deep(depth=3), digits, seed=541, networks=3))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    assert drain(diagnose(deep(depth=3), digits, seed=541, networks=3)) == first


def test_a_factory_that_seeds_itself_is_noticed(digits):
    def seeded() -> nn.Module:
        torch.manual_seed(0)
        return deep(depth=3)()

    found = drain(diagnose(seeded, digits, seed=541, networks=3))
    assert found.networks == 1
    assert [one.size_interval for one in found.layers] == [None] * 4
    assert "the same network from every seed" in found.caution
    assert "torch.manual_seed" in found.caution

    def half() -> nn.Module:
        first = nn.Linear(64, 64)
        torch.manual_seed(0)
        return nn.Sequential(first, nn.ReLU(), nn.Linear(64, 8))

    found = drain(diagnose(half, digits, seed=541, networks=3))
    assert found.networks == 3 and found.repeated == ["2 (Linear)"]
    assert "gives 2 (Linear) the same weights from every seed" in found.caution
    assert drain(diagnose(deep(depth=3), digits, seed=541, networks=3)).caution == ""


def test_an_output_of_several_is_chosen_by_its_key(digits):
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = deep(depth=3)()

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.inner(x), "inputs": x}

    alone = drain(diagnose(deep(depth=3), digits, seed=541, networks=3))
    chosen = drain(diagnose(Several, digits, output="logits", seed=541, networks=3))
    same = [msgspec.structs.replace(layer, name="") for layer in alone.layers]
    assert [msgspec.structs.replace(layer, name="") for layer in chosen.layers] == same
    with pytest.raises(InputError, match="as in output='logits'"):
        drain(diagnose(Several, digits, seed=541, networks=3))
    with pytest.raises(InputError, match="output = 'none'; the module returns a dict with"):
        drain(diagnose(Several, digits, output="none", seed=541, networks=3))


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lambda: 3, "returns int"),
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: nn.Linear(5, 2), r"takes no batch of these examples; tried \(64,\)"),
        (nn.ReLU, "two or more"),
        (lambda: nn.Linear(64, 2), "two or more"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(digits, factory, words):
    with pytest.raises(InputError, match=words):
        drain(diagnose(factory, digits, seed=541, networks=3))


def test_arguments_are_refused_at_the_call(digits):
    with pytest.raises(InputError, match="networks = 2 is not allowed; it must be a whole number"):
        diagnose(deep(), digits, seed=541, networks=2)
    with pytest.raises(InputError, match="2 rows"):
        diagnose(deep(), digits[:1], seed=541)
