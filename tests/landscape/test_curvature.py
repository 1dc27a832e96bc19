from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn import functional

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape import Trajectory, curvature
from downslope.networks import flatten
from downslope.progress import drain


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.fixture
def examples() -> Examples:
    draw = np.random.default_rng(0)
    return Examples(draw.normal(size=(50, 3)).astype(np.float32), draw.integers(0, 3, 50))


def exact(examples: Examples, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole Hessian and gradient by torch.func, in double precision."""
    module = network().double()
    inputs = torch.from_numpy(examples.inputs).double()
    targets = torch.from_numpy(examples.targets)
    sizes = [p.numel() for p in module.parameters()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        named = zip(module.named_parameters(), flat.split(sizes), strict=True)
        parts = {name: part.reshape(p.shape) for (name, p), part in named}
        return functional.cross_entropy(functional_call(module, parts, (inputs,)), targets)

    at = torch.from_numpy(vector.astype(np.float64)).requires_grad_()
    bend: Any = hessian(loss, at)
    return bend.detach().numpy(), torch.autograd.grad(loss(at), at)[0].numpy()


@pytest.mark.parametrize("chunk", [1024, 13])
def test_curvature_is_that_of_the_exact_hessian(
    examples: Examples, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"EIGENVALUES": 3, "PROBES": 400, "CHUNK": chunk}
    for name, value in settings.items():
        monkeypatch.setattr(import_module("downslope.landscape.curvature"), name, value)
    path = Trajectory()
    for step, scale in enumerate((1.0, 2.0)):
        path.add(flatten(network()) * np.float32(scale), step=step, loss=0.0)
    found = drain(curvature(network(), path, examples))
    for point, vector in zip(found, path.vectors, strict=True):
        bend, slope = exact(examples, vector)
        top = np.linalg.eigvalsh(bend)[::-1][:3]
        assert point.eigenvalues == pytest.approx(top, rel=1e-3)
        assert point.gradient_norm == pytest.approx(np.linalg.norm(slope), rel=1e-4)
        assert point.trace is not None and point.trace_error is not None
        assert abs(point.trace - np.trace(bend)) < 4 * point.trace_error
        # Hutchinson's variance with signs is twice the squares off the diagonal.
        off = bend - np.diag(np.diag(bend))
        assert point.trace_error == pytest.approx(np.sqrt(2 * (off**2).sum() / 400), rel=0.2)


def test_the_module_is_left_alone(examples: Examples) -> None:
    module = network()
    module[0].weight.requires_grad_(False)
    before = flatten(module).tobytes()
    path = Trajectory()
    path.record(module, 0, 0.0)
    state = torch.get_rng_state()
    drain(curvature(module, path, examples))
    assert flatten(module).tobytes() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in module.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in module.parameters())


def test_a_snapshot_that_is_not_finite_has_no_curvature(examples: Examples) -> None:
    path = Trajectory()
    path.add(np.full_like(flatten(network()), np.nan), step=0, loss=0.0)
    (point,) = drain(curvature(network(), path, examples))
    assert (point.eigenvalues, point.trace, point.gradient_norm) == ([], None, None)


def test_a_module_of_two_parameters_is_refused(examples: Examples) -> None:
    path = Trajectory()
    path.add(np.ones(2, np.float32), step=0, loss=0.0)
    with pytest.raises(InputError, match="2 parameters; 3 or more"):
        drain(curvature(nn.Linear(1, 1), path, examples))
