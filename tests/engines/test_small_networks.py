"""Networks in lanes against a PyTorch loop in double precision, and the bits they have."""

import math

import numpy as np
import pytest
import torch

from downslope import InputError
from downslope.engines import SmallNetworks, instruction_sets, train_small_networks
from downslope.progress import drain

pytestmark = pytest.mark.skipif(not instruction_sets(), reason="needs the compiled engine")

FUSED = [isa for isa in instruction_sets() if isa != "baseline"]


def make_task(examples: int = 32, features: int = 6, units: int = 8) -> SmallNetworks:
    draw = np.random.default_rng(3).normal
    return SmallNetworks(
        inputs=draw(size=(examples, features)),
        targets=draw(size=examples),
        first=draw(size=(units, features)),
        second=draw(size=units),
    )


def losses_of_a_loop(task: SmallNetworks, rates: np.ndarray, steps: int) -> list[float]:
    """Return the losses before each update, as PyTorch computes them."""
    inputs, targets = torch.from_numpy(task.inputs), torch.from_numpy(task.targets)
    weights = [torch.tensor(w, requires_grad=True) for w in (task.first, task.second)]
    losses: list[float] = []
    for _ in range(steps):
        outputs = torch.tanh(inputs @ weights[0].T) @ weights[1] / len(task.second)
        loss = torch.nn.functional.mse_loss(outputs, targets)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient, rate in zip(weights, gradients, rates, strict=True):
                weight -= rate * gradient
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    ("rates", "steps"),
    [
        pytest.param([0.5, 0.5], 200, id="converges"),
        pytest.param([5.0, 1.0], 200, id="converges fast"),
        pytest.param([10.0, 4.0], 12, id="wild, before rounding grows"),
    ],
)
def test_a_network_equals_a_loop_of_pytorch(rates: list[float], steps: int) -> None:
    task = make_task()
    losses = losses_of_a_loop(task, np.array(rates), steps)
    relative = np.array(losses) / losses[0]
    found = drain(train_small_networks(task, np.array([rates]), steps=steps, tail=5))
    assert found.steps[0] == steps
    np.testing.assert_allclose(found.losses[0], relative.sum(), rtol=1e-13)
    np.testing.assert_allclose(found.inverses[0], (1 / relative).sum(), rtol=1e-13)
    np.testing.assert_allclose(found.last[0], relative[-5:].mean(), rtol=1e-13)


def test_a_network_ends_at_the_step_at_which_the_loop_passes_the_limit() -> None:
    task, rates = make_task(), np.array([1.0, 200.0])
    losses = losses_of_a_loop(task, rates, 30)
    first = next(i for i, loss in enumerate(losses, 1) if loss > 1000 * losses[0])
    found = drain(train_small_networks(task, rates[None], steps=30, limit=1000))
    assert found.steps[0] == first < 30
    assert math.isinf(found.last[0])


@pytest.mark.parametrize("isa", FUSED)
def test_bits_depend_on_neither_neighbours_nor_instruction_set(
    isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rates beyond the edge, where networks end at different steps and lanes are taken over.
    task = make_task(units=16)
    rates = 10 ** np.random.default_rng(0).uniform(-1, 3, (41, 2))
    whole = drain(train_small_networks(task, rates, steps=60))
    assert 5 < np.isinf(whole.last).sum() < 36
    monkeypatch.setenv("DOWNSLOPE_ISA", isa)
    order = np.random.default_rng(1).permutation(41)[:30]
    some = drain(train_small_networks(task, rates[order], steps=60, threads=1))
    for name in ("losses", "inverses", "last", "steps"):
        assert (getattr(some, name) == getattr(whole, name)[order]).all(), name


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="examples must be a multiple of 16"):
        drain(train_small_networks(make_task(examples=17), np.ones((1, 2)), steps=20))
