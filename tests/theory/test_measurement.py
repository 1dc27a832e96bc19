"""Recorded moments against a NumPy recursion; determinism; what must be left untouched."""

import math

import numpy as np
import pytest
import torch

from downslope.errors import InputError
from downslope.networks import NetworkSpec, build
from downslope.progress import drain
from downslope.theory import measure, record


def small(digits, **changes):
    arguments = {"depth": 3, "width": 32, "repetitions": 3, "seed": 541, "examples": 20}
    return measure(digits, **{**arguments, **changes})


def test_record_equals_a_recursion_in_numpy(digits):
    spec = NetworkSpec(widths=(64, 16, 12, 8, 4))
    network = build(spec, torch.Generator().manual_seed(541))
    rows = digits[:7]
    direction = torch.tensor([1.0, -0.5, 2.0, 0.25])
    found = record(network, torch.from_numpy(rows), direction)
    linears = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    parameters = [
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for layer in linears
    ]
    x, pre = rows.astype(np.float64), []
    for i, (w, b) in enumerate(parameters[:-1]):
        z = x @ w.T + b
        x = np.maximum(z, 0)
        pre.append(z)
        assert found.z_mean[i] == pytest.approx(z.mean(), abs=1e-7)
        assert found.z_second[i] == pytest.approx((z**2).mean(), rel=1e-5)
        assert found.x_second[i] == pytest.approx((x**2).mean(), rel=1e-5)
    d = np.tile(direction.double().numpy(), (7, 1))
    for i in reversed(range(3)):
        above = (d**2).mean(axis=1)
        d = (d @ parameters[i + 1][0]) * (pre[i] > 0)
        row = (d**2).mean(axis=1)
        assert found.d_second[i] == pytest.approx(row.mean(), rel=1e-5)
        assert found.d_growth[i] == pytest.approx((row / above).mean(), rel=1e-5)
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_results_do_not_depend_on_threads_or_the_global_generator(digits):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = drain(small(digits, width=128, examples=200))
        assert torch.equal(before, torch.get_rng_state())
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        torch.manual_seed(2)
        second = drain(small(digits, width=128, examples=200))
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(first, second, strict=True):
        for name in ("z_mean", "z_second", "x_second", "d_second", "d_growth"):
            assert np.array_equal(getattr(a.moments, name), getattr(b.moments, name))


def test_threads_are_the_callers_between_steps_and_after_a_failure(digits):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        steps = small(digits)
        for _ in range(3):
            next(steps)
            assert torch.get_num_threads() == 2
        steps.close()
        assert torch.get_num_threads() == 2
        network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
        with pytest.raises(RuntimeError):
            record(network, torch.ones(2, 5), torch.ones(1))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_it_works_inside_no_grad(digits):
    with torch.no_grad():
        inside = drain(small(digits, initializations=["he"]))
        assert not torch.is_grad_enabled()
    outside = drain(small(digits, initializations=["he"]))
    assert np.array_equal(inside[0].moments.d_second, outside[0].moments.d_second)


def test_no_two_networks_share_their_draws(digits):
    he, xavier = drain(small(digits, initializations=["he", "xavier"], depth=2))
    # From one seed the two would differ by a factor that is the same in every repetition.
    ratio = he.moments.z_second[:, 1] / xavier.moments.z_second[:, 1]
    assert np.ptp(ratio) > 0.01
    assert len(np.unique(he.moments.x_second[:, 0])) == 3


def test_an_initialization_is_measured_the_same_alone(digits):
    alone = drain(small(digits, initializations=["xavier"]))[0]
    among = drain(small(digits, initializations=["he", "xavier"]))[1]
    assert np.array_equal(alone.moments.d_growth, among.moments.d_growth)


def test_rows_are_chosen_by_seed_and_all_taken_where_few(digits):
    first, second = drain(small(digits, examples=5))[0], drain(small(digits, seed=1, examples=5))[0]
    assert first.examples == 5
    assert first.input_second != second.input_second
    everything = drain(small(digits, examples=10_000))[0]
    assert everything.examples == len(digits)
    assert everything.input_second == pytest.approx(float((digits.astype(float) ** 2).mean()))


def test_the_spread_over_networks_is_that_of_finite_width():
    """Relative variance (1 + 5/n)^(l-1) (1 + 2/n) - 1 of z_l, for one row; skewed downwards."""
    row = np.random.default_rng(541).normal(size=(1, 40)).astype(np.float32)
    width, repetitions = 32, 600
    he = drain(
        measure(
            row,
            depth=3,
            width=width,
            initializations=["he"],
            repetitions=repetitions,
            seed=541,
            examples=1,
        )
    )[0]
    for layer in (1, 3):
        samples = he.moments.z_second[:, layer - 1] / (2 * he.input_second)
        predicted = (1 + 5 / width) ** (layer - 1) * (1 + 2 / width) - 1
        assert samples.var() == pytest.approx(predicted, rel=0.3)
        assert samples.mean() == pytest.approx(1, abs=4 * math.sqrt(predicted / repetitions))
    assert np.median(samples) < samples.mean() - 0.05


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 1}, "depth = 1"),
        ({"depth": 2.5}, "depth = 2.5"),
        ({"width": 31}, "width = 31"),
        ({"repetitions": 2}, "repetitions = 2"),
        ({"examples": 0}, "examples = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"initializations": ["kaiming"]}, "kaiming"),
        ({"initializations": []}, "initializations"),
        ({"initializations": ["he", "he"]}, "none twice"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(digits, changes, words):
    with pytest.raises(InputError, match=words) as refusal:
        small(digits, **changes)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "inputs", [np.zeros((3, 2)), np.ones(3), np.ones((0, 3)), np.array([[np.nan, 1.0]])]
)
def test_bad_inputs_are_refused(inputs):
    with pytest.raises(InputError, match="theory: inputs"):
        small(inputs.astype(np.float32))
