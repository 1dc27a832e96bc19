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
from downslope.landscape import Trajectory, curvature, hessian_plane
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
def test_curvature_is_that_of_the_exact_hessian(examples: Examples, chunk: int) -> None:
    path = Trajectory()
    for step, scale in enumerate((1.0, 2.0)):
        path.add(flatten(network()) * np.float32(scale), step=step, loss=0.0)
    found = drain(curvature(network(), path, examples, eigenvalues=3, probes=400, chunk=chunk))
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


def test_a_plane_of_top_eigenvectors(examples: Examples) -> None:
    plane = hessian_plane(network(), examples)
    bend, _ = exact(examples, flatten(network()))
    _, vectors = np.linalg.eigh(bend)
    np.testing.assert_allclose(
        np.abs(plane.directions @ vectors[:, ::-1][:, :2]), np.eye(2), atol=2e-3
    )
    assert np.array_equal(plane.origin, flatten(network()))


def test_the_module_is_left_alone(examples: Examples) -> None:
    module = network()
    module[0].weight.requires_grad_(False)
    before = flatten(module).tobytes()
    path = Trajectory()
    path.record(module, 0, 0.0)
    state = torch.get_rng_state()
    drain(curvature(module, path, examples, probes=2))
    assert flatten(module).tobytes() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in module.parameters()] == [False, True, True, True]
    assert all(p.grad is None for p in module.parameters())


def test_a_snapshot_that_is_not_finite_has_no_curvature(examples: Examples) -> None:
    path = Trajectory()
    path.add(np.full_like(flatten(network()), np.nan), step=0, loss=0.0)
    (point,) = drain(curvature(network(), path, examples))
    assert (point.eigenvalues, point.trace, point.gradient_norm) == ([], None, None)


@pytest.mark.parametrize(
    ("more", "word"), [({"eigenvalues": 0}, "eigenvalues"), ({"probes": 1}, "probes")]
)
def test_impossible_counts_are_refused(examples: Examples, more: dict[str, int], word: str) -> None:
    path = Trajectory()
    path.record(network(), 0, 0.0)
    with pytest.raises(InputError, match=word):
        drain(curvature(network(), path, examples, **more))
