import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape import (
    Grid,
    LossOptions,
    Plane,
    Trajectory,
    compute_landscape,
    evaluate,
    evaluate_surface,
    fit_grid,
    pca_plane,
    trace_path,
)
from downslope.networks import load_flat
from downslope.progress import Steps, drain


def network() -> nn.Sequential:
    """A module with buffers, dropout, modes that differ, a frozen parameter and gradients."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.PReLU(), nn.Dropout(0.5), nn.Linear(6, 3)
    )
    module(torch.randn(20, 4)).sum().backward()  # moves the running statistics off their start
    module.eval()
    module[1].train()
    module[0].bias.requires_grad_(False)
    return module


@pytest.fixture
def examples() -> Examples:
    draw = np.random.default_rng(0)
    return Examples(
        draw.normal(size=(30, 4)).astype(np.float32), draw.integers(0, 3, 30, dtype=np.int64)
    )


@pytest.fixture
def trajectory() -> Trajectory:
    draw = np.random.default_rng(1)
    start = nn.utils.parameters_to_vector(network().parameters()).detach().numpy()
    found = Trajectory()
    for step in range(5):
        moved = start + 0.3 * draw.normal(size=start.size) * (1 + step)
        found.add(moved.astype(np.float32), step=step * 10, loss=0.0)
    return found


def directly(vector: NDArray[np.float32], examples: Examples) -> float:
    """Load the weights, run the network, take the loss in double precision."""
    module = network().eval()
    load_flat(module, vector)
    with torch.no_grad():
        outputs = module(torch.from_numpy(examples.inputs)).double().numpy()
    return -float(log_softmax(outputs, axis=1)[np.arange(len(outputs)), examples.targets].mean())


def test_every_point_of_a_surface_is_a_plain_forward_pass(
    trajectory: Trajectory, examples: Examples
) -> None:
    plane = pca_plane(trajectory)
    x, y = fit_grid(plane, trajectory, Grid(4, 3, 0.2))
    surface = drain(evaluate_surface(network(), plane, x, y, examples))
    assert surface.loss.shape == (3, 4)
    for j in range(3):
        for i in range(4):
            vector = plane.origin + x[i] * plane.directions[0] + y[j] * plane.directions[1]
            expected = directly(vector.astype(np.float32), examples)
            assert surface.loss[j, i] == pytest.approx(expected, rel=1e-6)


def test_true_and_projected_losses_are_plain_forward_passes(
    trajectory: Trajectory, examples: Examples
) -> None:
    plane = pca_plane(trajectory)
    path = drain(trace_path(network(), plane, trajectory, examples))
    assert [p.step for p in path] == trajectory.steps
    for point, vector in zip(path, trajectory.vectors, strict=True):
        shadow = plane.points(plane.project(vector[None]))[0]
        assert point.true_loss == pytest.approx(directly(vector, examples), rel=1e-6)
        assert point.projected_loss == pytest.approx(directly(shadow, examples), rel=1e-6)
        assert point.residual == pytest.approx(np.linalg.norm(vector - shadow), rel=1e-4)
        assert (point.x, point.y) == pytest.approx(tuple(plane.project(vector[None])[0]))


def test_a_path_within_the_plane_has_its_projected_loss(examples: Examples) -> None:
    size = sum(p.numel() for p in network().parameters())
    directions = np.linalg.qr(np.random.default_rng(2).normal(size=(size, 2)))[0].T
    within = Trajectory()
    for step, at in enumerate([(0.0, 0.0), (1.0, 0.5), (2.0, -1.0), (-1.0, 1.0)]):
        within.add((np.array(at) @ directions).astype(np.float32), step=step, loss=0.0)
    plane = pca_plane(within)
    assert sum(plane.explained_variance or ()) == pytest.approx(1)
    for point in drain(trace_path(network(), plane, within, examples)):
        assert point.residual == pytest.approx(0, abs=1e-6)
        assert point.projected_loss == pytest.approx(point.true_loss, rel=1e-5)


def bowl() -> tuple[nn.Linear, Examples, Plane]:
    """A network of two weights, mean squared error and a plane that is its whole space.

    With inputs (1, 0), (0, 2) and targets 3, 4 the loss is ((a - 3)^2 + (2 b - 4)^2) / 2.
    """
    module = nn.Linear(2, 1, bias=False)
    rows = Examples(np.diag([1, 2]).astype(np.float32), np.array([[3], [4]], np.float32))
    return module, rows, Plane(np.zeros(2), np.eye(2))


def test_a_bowl_is_the_bowl_and_not_its_transpose() -> None:
    module, rows, plane = bowl()
    x, y = np.linspace(-1, 5, 7), np.linspace(0, 3, 4)
    surface = drain(evaluate_surface(module, plane, x, y, rows, "mean_squared_error"))
    expected = [[((a - 3) ** 2 + (2 * b - 4) ** 2) / 2 for a in x] for b in y]
    np.testing.assert_allclose(surface.loss, expected, rtol=1e-6, atol=1e-6)
    j, i = np.unravel_index(surface.loss.argmin(), surface.loss.shape)
    assert (surface.x[i], surface.y[j]) == (3, 2)


def test_losses_that_are_not_finite_stay_so() -> None:
    module, rows, _ = bowl()
    vectors = np.array([[3, 2], [np.nan, 0], [3e38, 0], [np.inf, 0]], np.float32)
    values = drain(evaluate(module, vectors, len(vectors), rows, LossOptions("mean_squared_error")))
    losses = values.loss
    assert losses[0] == 0
    assert np.isnan(losses[1])
    assert losses[2] == np.inf
    assert not np.isfinite(losses[3])


def test_a_path_of_losses_that_are_not_finite_says_none() -> None:
    module, rows, plane = bowl()
    path = Trajectory()
    for step, at in enumerate([(0, 0), (3e38, 0), (3, 2)]):
        path.add(np.array(at, np.float32), step=step, loss=0.0)
    points = drain(trace_path(module, plane, path, rows, "mean_squared_error"))
    assert [p.true_loss for p in points] == [12.5, None, 0]
    assert [p.projected_loss for p in points] == [12.5, None, 0]


def everything(module: nn.Module) -> list[Any]:
    """All that must not change, bytes and flags."""
    state = [(k, v.numpy().tobytes()) for k, v in module.state_dict().items()]
    flags = [(n, p.requires_grad, id(p), p.data_ptr()) for n, p in module.named_parameters()]
    grads = [
        (n, p.grad if p.grad is None else p.grad.numpy().tobytes())
        for n, p in module.named_parameters()
    ]
    modes = [(n, m.training) for n, m in module.named_modules()]
    legacy = np.random.get_state()  # noqa: NPY002
    generators = (
        torch.get_rng_state().numpy().tobytes(),
        (legacy[0], legacy[1].tobytes(), *legacy[2:]),
        random.getstate(),
    )
    return [state, flags, grads, modes, generators, torch.get_num_threads()]


Work = Callable[[nn.Module, Plane, Trajectory, Examples], Steps[Any]]
WORK: dict[str, Work] = {
    "surface": lambda m, p, t, e: evaluate_surface(m, p, *fit_grid(p, t, Grid(3, 4, 0.1)), e),
    "path": trace_path,
    "losses": lambda m, p, t, e: evaluate(m, t.vectors, len(t), e),
    "all in one": lambda m, p, t, e: compute_landscape(
        m, t, e, validation=e, grid=Grid(3, 4, tolerance=0.1), curvature_points=1
    ),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
@pytest.mark.parametrize("end", ["drained", "closed", "thrown into", "failed"])
def test_the_module_given_comes_back_bit_for_bit(
    trajectory: Trajectory, examples: Examples, work: Work, end: str
) -> None:
    module, plane = network(), pca_plane(trajectory)
    before = everything(module)
    if end == "failed":
        examples = Examples(examples.inputs[:, :3], examples.targets)
        with pytest.raises((RuntimeError, InputError)):
            drain(work(module, plane, trajectory, examples))
    else:
        steps = work(module, plane, trajectory, examples)
        next(steps)
        next(steps)
        if end == "drained":
            drain(steps)
        elif end == "closed":
            steps.close()
        else:
            with pytest.raises(KeyboardInterrupt):
                steps.throw(KeyboardInterrupt())
    assert everything(module) == before


def test_a_module_in_training_mode_is_evaluated_without_dropout_and_batch_statistics(
    trajectory: Trajectory, examples: Examples
) -> None:
    training = network().train()
    before = everything(training)
    losses = drain(evaluate(training, trajectory.vectors, len(trajectory), examples)).loss
    assert everything(training) == before
    assert losses == pytest.approx([directly(v, examples) for v in trajectory.vectors], rel=1e-6)


def test_tied_parameters_are_moved_together() -> None:
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False))
    module[2].weight = module[0].weight
    rows = Examples(np.eye(3, dtype=np.float32), np.arange(3))
    vector = np.arange(9, dtype=np.float32) / 4
    weight = torch.from_numpy(vector.reshape(3, 3))
    outputs = torch.tanh(weight.T) @ weight.T
    expected = float(functional.cross_entropy(outputs, torch.arange(3)))
    assert drain(evaluate(module, vector[None], 1, rows)).loss[0] == pytest.approx(
        expected, rel=1e-6
    )


def test_vectors_of_another_length_are_refused(examples: Examples) -> None:
    with pytest.raises(InputError, match=r"shape \(5,\) does not fit"):
        drain(evaluate(network(), np.zeros((1, 5), np.float32), 1, examples))


def test_a_grid_spans_the_path_and_its_margin() -> None:
    path = Trajectory()
    for step, at in enumerate([(0, 0), (10, 1), (4, 5)]):
        path.add(np.array(at, np.float32), step=step, loss=0.0)
    x, y = fit_grid(Plane(np.zeros(2), np.eye(2)), path, Grid(7, 3, 0.2))
    np.testing.assert_allclose(x, np.linspace(-2, 12, 7))
    np.testing.assert_allclose(y, np.linspace(-1, 6, 3))
    x, y = fit_grid(Plane(np.zeros(2), np.eye(2)), path, Grid(2, 2, 0))
    assert (x.tolist(), y.tolist()) == ([0, 10], [0, 5])


@pytest.mark.parametrize(
    ("shape", "margin", "message"),
    [
        ((1, 5), 0.2, "columns = 1 "),
        ((5, 0), 0.2, "rows = 0 "),
        ((5, 5), -0.1, "margin = -0.1"),
        ((5, 5), float("nan"), "margin = nan"),
        ((5, 5), float("inf"), "margin = inf"),
    ],
)
def test_an_impossible_grid_is_refused(shape: tuple[int, int], margin: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Grid(*shape, margin)


def test_progress_counts_every_point(trajectory: Trajectory, examples: Examples) -> None:
    plane = pca_plane(trajectory)
    x, y = fit_grid(plane, trajectory, Grid(4, 3, 0.2))
    seen = list(evaluate_surface(network(), plane, x, y, examples))
    assert (seen[0].done, seen[-1].done) == (0, 12)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    plain = LossOptions(engine="pytorch")
    each = evaluate_surface(network(), plane, x, y, examples, plain)
    assert sorted({p.done for p in each}) == list(range(13))
    assert {(p.task, p.total) for p in seen} == {("surface", 12)}


def test_a_saved_surface_is_gone_on_with_and_no_other(
    trajectory: Trajectory, examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("downslope.landscape.surfaces.SAVE_EVERY", 0.0)
    plane = pca_plane(trajectory)
    x, y = fit_grid(plane, trajectory, Grid(40, 20, 0.2))
    whole = drain(evaluate_surface(network(), plane, x, y, examples))
    path = tmp_path / "part.npz"
    steps = evaluate_surface(network(), plane, x, y, examples, save=path)
    while next(steps).done < 300:  # 256 points are in the file by then
        pass
    steps.close()
    with np.load(path) as held:
        assert len(held["loss"]) == 256
    first = next(evaluate_surface(network(), plane, x, y, examples, save=path))
    assert first.done == 256
    # Of other examples, nothing is taken over.
    other = Examples(examples.inputs + 1, examples.targets)
    assert next(evaluate_surface(network(), plane, x, y, other, save=path)).done == 0
    again = drain(evaluate_surface(network(), plane, x, y, examples, save=path))
    np.testing.assert_allclose(again.loss, whole.loss, rtol=1e-6)
    path.write_bytes(b"damaged")
    assert next(evaluate_surface(network(), plane, x, y, examples, save=path)).done == 0


def test_a_logarithmic_grid_is_fine_near_the_end(trajectory: Trajectory) -> None:
    plane = pca_plane(trajectory)
    even = fit_grid(plane, trajectory, Grid(31, 21, 0.2))
    axes = fit_grid(plane, trajectory, Grid(31, 21, 0.2, "log"))
    end = plane.project(trajectory.vectors[-1:])[0]
    for axis, straight, at in zip(axes, even, end, strict=True):
        assert (axis[0], axis[-1], len(axis)) == (straight[0], straight[-1], len(straight))
        gaps = np.diff(axis)
        assert (gaps > 0).all()
        assert abs(axis[gaps.argmin()] - at) < 0.05 * np.ptp(axis)
        assert gaps.min() < 0.3 * np.diff(straight)[0]
    with pytest.raises(InputError, match="spacing = 'even'"):
        fit_grid(plane, trajectory, Grid(3, 3, 0.2, "even"))
