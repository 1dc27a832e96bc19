"""Losses on a plane against plain forward passes in PyTorch."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from downslope import Examples, InputError, NetworkSpec
from downslope.engines import instruction_sets, losses_on_plane
from downslope.engines.planes import PIECE
from downslope.engines.pytorch import loss_of
from downslope.networks import build, flatten, load_flat
from downslope.progress import drain

pytestmark = pytest.mark.skipif(not instruction_sets(), reason="no compiled engine")


def plane(network: NetworkSpec, seed: int) -> NDArray[np.float32]:
    """A start and two random directions of about its length."""
    start = flatten(build(network, torch.Generator().manual_seed(seed)))
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(2, len(start))) * 0.1
    return np.concatenate([start[None], directions]).astype(np.float32)


def examples_for(network: NetworkSpec, rows: int, seed: int, loss: str) -> Examples:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(rows, network.widths[0])).astype(np.float32)
    if loss == "cross_entropy":
        return Examples(inputs, generator.integers(0, network.widths[-1], rows))
    return Examples(inputs, generator.random((rows, network.widths[-1]), dtype=np.float32))


@settings(max_examples=40)
@given(
    hidden=st.lists(st.integers(1, 60), min_size=0, max_size=3),
    activation=st.sampled_from(["relu", "leaky_relu", "elu", "prelu", "gelu", "tanh"]),
    normalization=st.sampled_from(["none", "batch"]),
    loss=st.sampled_from(["cross_entropy", "mean_squared_error"]),
    rows=st.integers(1, 200),
    seed=st.integers(0, 99),
)
def test_every_point_is_a_plain_forward_pass(
    hidden: list[int], activation: Any, normalization: Any, loss: Any, rows: int, seed: int
) -> None:
    network = NetworkSpec(
        widths=(7, *hidden, 3), activation=activation, normalization=normalization
    )
    module = build(network, torch.Generator().manual_seed(seed)).eval()
    buffers = []
    for layer in module:
        if isinstance(layer, torch.nn.BatchNorm1d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(generator=torch.Generator().manual_seed(seed))
            layer.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(seed))
            buffers += [layer.running_mean, layer.running_var]
    vectors, examples = plane(network, seed), examples_for(network, rows, seed, loss)
    points = np.random.default_rng(seed).normal(size=(5, 2))
    found, accuracies = drain(
        losses_on_plane(
            network,
            vectors,
            points,
            examples,
            loss,
            buffers=torch.cat(buffers).numpy() if buffers else None,
        )
    )
    for (a, b), value, accuracy in zip(points, found, accuracies, strict=True):
        load_flat(module, vectors[0] + np.float32(a) * vectors[1] + np.float32(b) * vectors[2])
        with torch.no_grad():
            outputs = module.double()(torch.from_numpy(examples.inputs).double())
            targets = torch.from_numpy(examples.targets)
            targets = targets if loss == "cross_entropy" else targets.double()
            expected = float(loss_of(loss, outputs, targets))
        module.float()
        assert value == pytest.approx(expected, rel=2e-6, abs=1e-7)
        if loss == "cross_entropy":
            top = outputs.sort(dim=1).values
            if float((top[:, -1] - top[:, -2]).min()) > 1e-4:  # no tie that rounding decides
                right = (outputs.argmax(1).numpy() == examples.targets).mean()
                assert accuracy == pytest.approx(float(right))
        else:
            assert np.isnan(accuracy)


@settings(max_examples=25)
@given(
    hidden=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    activation=st.sampled_from(["relu", "elu", "prelu", "tanh"]),
    rows=st.integers(2, 300),
    seed=st.integers(0, 99),
)
def test_recomputed_statistics_are_those_of_a_pass_with_momentum_one(
    hidden: list[int], activation: Any, rows: int, seed: int
) -> None:
    network = NetworkSpec(
        widths=(7, *hidden, 3), activation=activation, normalization="batch", dropout=0.3
    )
    module = build(network, torch.Generator().manual_seed(seed))
    vectors = plane(network, seed)
    examples = examples_for(network, rows, seed, "cross_entropy")
    # More points than a piece, so that the last ones are another core's.
    points = np.random.default_rng(seed).normal(size=(PIECE + 3, 2))
    found, accuracies = drain(
        losses_on_plane(network, vectors, points, examples, recompute=True, threads=2)
    )
    inputs = torch.from_numpy(examples.inputs).double()
    targets = torch.from_numpy(examples.targets)
    for row in (0, 1, PIECE - 1, PIECE, PIECE + 2):
        a, b = points[row].astype(np.float32)
        load_flat(module.float(), vectors[0] + a * vectors[1] + b * vectors[2])
        module.double().eval()
        norms = [layer for layer in module if isinstance(layer, torch.nn.BatchNorm1d)]
        with torch.no_grad():
            for norm in norms:
                norm.momentum = 1.0
                norm.train()
            module(inputs)
            outputs = module.eval()(inputs)
        expected = float(loss_of("cross_entropy", outputs, targets))
        # Where a feature hardly varies, its scale is made of rounding: batch norm magnifies it.
        spread = min(float(norm.running_var.min()) for norm in norms)  # type: ignore[union-attr]
        if spread > 1e-3:
            assert found[row] == pytest.approx(expected, rel=2e-5, abs=1e-6)
            top = outputs.sort(dim=1).values
            if float((top[:, -1] - top[:, -2]).min()) > 1e-3:
                right = (outputs.argmax(1).numpy() == examples.targets).mean()
                assert accuracies[row] == pytest.approx(float(right))


def test_recomputed_statistics_forget_a_point_that_was_not_finite() -> None:
    network = NetworkSpec(widths=(3, 4, 2), normalization="batch")
    vectors = plane(network, 0)
    examples = examples_for(network, 30, 0, "cross_entropy")
    points = np.array([[0.5, 0.5], [1e38, 1e38], [0.5, 0.5]])
    losses, _ = drain(losses_on_plane(network, vectors, points, examples, recompute=True))
    assert not np.isfinite(losses[1])
    assert np.isfinite(losses[0]) and losses[2] == losses[0]


def test_one_example_has_no_statistics() -> None:
    network = NetworkSpec(widths=(3, 4, 2), normalization="batch")
    examples = examples_for(network, 1, 0, "cross_entropy")
    with pytest.raises(InputError, match="2 examples"):
        drain(
            losses_on_plane(network, plane(network, 0), np.zeros((1, 2)), examples, recompute=True)
        )


def test_threads_and_neighbours_do_not_change_a_bit() -> None:
    network = NetworkSpec(widths=(20, 30, 4))
    vectors = plane(network, 1)
    examples = examples_for(network, 1000, 1, "cross_entropy")
    points = np.random.default_rng(0).normal(size=(9, 2))
    runs = [
        drain(losses_on_plane(network, vectors, points, examples, threads=threads))
        for threads in (1, 2, 4)
    ]
    alone = drain(losses_on_plane(network, vectors, points[4:5], examples))
    for losses, accuracies in runs:
        np.testing.assert_array_equal(losses, runs[0][0])
        np.testing.assert_array_equal(accuracies, runs[0][1])
    assert alone[0][0] == runs[0][0][4]


def test_what_is_not_finite_is_shown_as_such() -> None:
    network = NetworkSpec(widths=(3, 4, 2))
    vectors = plane(network, 0)
    vectors[1, 0] = np.nan
    losses, _ = drain(
        losses_on_plane(
            network,
            vectors,
            np.array([[1.0, 0.0], [0.0, 1e38]]),
            examples_for(network, 30, 0, "cross_entropy"),
        )
    )
    assert not np.isfinite(losses).any()


def test_shapes_that_do_not_fit_are_named() -> None:
    network = NetworkSpec(widths=(3, 2))
    examples = examples_for(network, 5, 0, "cross_entropy")
    with pytest.raises(InputError, match=r"vectors: shape \(3, 8\)"):
        drain(losses_on_plane(network, np.zeros((3, 7), np.float32), np.zeros((1, 2)), examples))
    with pytest.raises(InputError, match=r"points: shape \(n, 2\)"):
        drain(losses_on_plane(network, np.zeros((3, 8), np.float32), np.zeros((1, 3)), examples))


def test_a_caller_who_has_seen_enough_stops_the_threads() -> None:
    network = NetworkSpec(widths=(50, 300, 300, 4))
    examples = examples_for(network, 4096, 0, "cross_entropy")
    steps = losses_on_plane(network, plane(network, 0), np.zeros((400, 2)), examples)
    first = next(steps)
    assert 0 < first.done < first.total
    steps.close()
