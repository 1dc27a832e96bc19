import numpy as np
import pytest
from torch import nn

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape import Grid, Landscape, Trajectory, compute_landscape, evaluate_surface
from downslope.progress import drain


@pytest.fixture
def trajectory() -> Trajectory:
    draw = np.random.default_rng(0)
    found = Trajectory()
    for step in range(6):
        found.add(draw.normal(size=15).astype(np.float32), step=step, loss=0.0)
    return found


@pytest.fixture
def examples() -> Examples:
    draw = np.random.default_rng(1)
    return Examples(draw.normal(size=(50, 4)).astype(np.float32), np.arange(50) % 3)


def draw(trajectory: Trajectory, examples: Examples, **more: int) -> Landscape:
    return drain(compute_landscape(nn.Linear(4, 3), trajectory, examples, grid=Grid(5, 4), **more))


def test_the_result_describes_its_surface(trajectory: Trajectory, examples: Examples) -> None:
    found = draw(trajectory, examples, subset=20)
    assert found.surface.loss.shape == (4, 5)
    assert found.result.grid == (5, 4)
    assert found.result.loss_range == (found.surface.loss.min(), found.surface.loss.max())
    assert (found.result.examples, found.result.not_finite) == (20, 0)
    assert found.result.explained_variance == found.plane.explained_variance
    assert len(found.result.path) == 6
    x = [point.x for point in found.result.path]
    assert found.surface.x[0] == pytest.approx(min(x) - 0.2 * (max(x) - min(x)))
    assert found.surface.x[-1] == pytest.approx(max(x) + 0.2 * (max(x) - min(x)))


def test_the_subset_is_drawn_by_its_seed_without_repetition(
    trajectory: Trajectory, examples: Examples
) -> None:
    one, again, other = (draw(trajectory, examples, subset=9, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.surface.loss, again.surface.loss)
    assert not np.array_equal(one.surface.loss, other.surface.loss)


def test_a_subset_larger_than_the_examples_is_all_of_them(
    trajectory: Trajectory, examples: Examples
) -> None:
    found = draw(trajectory, examples, subset=10_000)
    whole = drain(
        evaluate_surface(nn.Linear(4, 3), found.plane, found.surface.x, found.surface.y, examples)
    )
    assert found.result.examples == 50
    np.testing.assert_allclose(found.surface.loss, whole.loss, rtol=1e-5)


def test_points_that_are_not_finite_are_counted(examples: Examples) -> None:
    path = Trajectory()
    for step, scale in enumerate((0.0, 1.0, 2.5e38, 1.5e38)):
        vector = np.zeros(15, np.float32)
        vector[step] = scale
        path.add(vector, step=step, loss=0.0)
    found = draw(path, examples)
    bad = ~np.isfinite(found.surface.loss)
    assert 0 < found.result.not_finite == bad.sum() < 20
    assert np.isfinite(found.result.loss_range).all()


def test_a_surface_without_one_finite_loss_is_refused(
    trajectory: Trajectory, examples: Examples
) -> None:
    broken = Examples(np.full_like(examples.inputs, np.nan), examples.targets)
    with pytest.raises(InputError, match="not finite anywhere"):
        draw(trajectory, broken)


def test_a_subset_of_none_is_refused(trajectory: Trajectory, examples: Examples) -> None:
    with pytest.raises(InputError, match="subset = 0"):
        draw(trajectory, examples, subset=0)
