import numpy as np
import pytest

from downslope.landscape import Trajectory, null_models


def path_of(vectors: np.ndarray) -> Trajectory:
    path = Trajectory()
    for step, vector in enumerate(vectors):
        path.add(vector.astype(np.float32), step=step, loss=0.0)
    return path


def share(vectors: np.ndarray) -> float:
    values = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False) ** 2
    return float(values[:2].sum() / values.sum())


def test_long_walks_reach_the_published_limit() -> None:
    """Antognini and Sohl-Dickstein (2018), section 3: 6/pi^2 + 6/(4 pi^2) = 0.76 of variance."""
    steps = np.random.default_rng(0).normal(size=(200, 5000))
    (found, _) = null_models(path_of(np.cumsum(steps, 0)), walks=20)
    assert found.mean == pytest.approx(6 / np.pi**2 * 1.25, abs=0.01)


@pytest.mark.parametrize("parameters", [5, 400])
def test_independent_walks_agree_with_walks_drawn_whole(parameters: int) -> None:
    draw = np.random.default_rng(1)
    lengths = np.geomspace(3, 0.2, 14)
    steps = draw.normal(size=(14, parameters))
    steps *= (lengths / np.linalg.norm(steps, axis=1))[:, None]
    (found, _) = null_models(path_of(np.concatenate([np.zeros((1, parameters)), steps]).cumsum(0)))
    drawn: list[float] = []
    for _ in range(300):
        walk = draw.normal(size=(14, parameters))
        walk *= (lengths / np.linalg.norm(walk, axis=1))[:, None]
        drawn.append(share(np.concatenate([np.zeros((1, parameters)), walk]).cumsum(0)))
    error = np.std(drawn) / np.sqrt(200) + np.std(drawn) / np.sqrt(300)
    assert abs(found.mean - np.mean(drawn)) < 4 * error
    assert found.interval[0] < found.mean < found.interval[1]


def test_a_walk_with_momentum_is_not_told_from_its_own_null() -> None:
    """An autoregressive walk: independent steps explain too little, its own null does not."""
    draw = np.random.default_rng(2)
    steps = np.zeros((60, 3000))
    steps[0] = draw.normal(size=3000)
    for t in range(1, 60):
        steps[t] = 0.9 * steps[t - 1] + np.sqrt(1 - 0.81) * draw.normal(size=3000)
    vectors = np.concatenate([np.zeros((1, 3000)), steps]).cumsum(0)
    independent, correlated = null_models(path_of(vectors))
    assert (independent.name, correlated.name) == ("independent", "autocorrelated")
    assert share(vectors) > independent.interval[1]
    assert share(vectors) == pytest.approx(correlated.mean, abs=0.05)


def test_a_straight_walk_has_a_straight_null() -> None:
    vectors = np.outer(np.arange(8), np.ones(30)) + 1e-3 * np.random.default_rng(0).normal(
        size=(8, 30)
    )
    _, correlated = null_models(path_of(vectors), walks=20)
    assert correlated.mean > 0.999


def test_the_null_of_other_components_is_of_those() -> None:
    steps = np.random.default_rng(0).normal(size=(200, 3000))
    (found, _) = null_models(path_of(np.cumsum(steps, 0)), components=(2, 3), walks=20)
    assert found.mean == pytest.approx(6 / np.pi**2 * (1 / 4 + 1 / 9), abs=0.01)


def test_the_same_seed_gives_the_same_nulls_and_a_pause_is_no_error() -> None:
    vectors = np.random.default_rng(3).normal(size=(6, 20)).cumsum(0)
    vectors[3] = vectors[2]  # a step of no length
    one, again = null_models(path_of(vectors), seed=1), null_models(path_of(vectors), seed=1)
    assert one == again != null_models(path_of(vectors), seed=2)
    assert all(0 < m.mean <= 1 for m in one)
