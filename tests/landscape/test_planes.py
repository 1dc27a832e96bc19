import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from downslope.errors import InputError
from downslope.landscape import Plane, Trajectory, pca_plane


def path_of(vectors: NDArray[np.floating]) -> Trajectory:
    trajectory = Trajectory()
    for i, vector in enumerate(vectors):
        trajectory.add(vector.astype(np.float32), step=i, loss=0.0)
    return trajectory


shapes = st.tuples(st.integers(3, 12), st.integers(2, 60), st.integers(0, 2**32 - 1))


def draw(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Snapshots with variances that fall by direction, far from the origin."""
    snapshots, parameters, seed = shape
    generator = np.random.default_rng(seed)
    widths = 0.7 ** np.arange(parameters) + 0.05
    points = 3 + generator.normal(size=(snapshots, parameters)) * generator.permutation(widths)
    return points.astype(np.float32)


@given(shapes)
def test_the_plane_is_scikit_learns_pca(shape: tuple[int, int, int]) -> None:
    vectors = draw(shape)
    plane = pca_plane(path_of(vectors))
    theirs = PCA(2, svd_solver="full").fit(vectors.astype(np.float64))
    np.testing.assert_allclose(plane.explained_variance, theirs.explained_variance_ratio_, 1e-6)
    np.testing.assert_allclose(plane.origin, theirs.mean_, rtol=1e-6)
    # Where two variances are all but equal, only the subspace is determined, not its axes.
    values = PCA(svd_solver="full").fit(vectors.astype(np.float64)).explained_variance_
    third = values[2] if len(values) > 2 else 0.0
    if values[0] > 1.01 * values[1] and values[1] > 1.01 * third:
        turn = plane.directions @ theirs.components_.T
        np.testing.assert_allclose(np.abs(turn), np.eye(2), atol=1e-5)


@given(shapes)
def test_directions_are_orthonormal_and_point_to_the_end(shape: tuple[int, int, int]) -> None:
    vectors = draw(shape)
    plane = pca_plane(path_of(vectors))
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    assert (plane.project(vectors[-1:]) >= 0).all()


@given(shapes)
def test_a_point_of_the_plane_comes_back_and_lies_in_it(shape: tuple[int, int, int]) -> None:
    plane = pca_plane(path_of(draw(shape)))
    coordinates = np.random.default_rng(0).normal(size=(5, 2))
    points = plane.points(coordinates)
    assert points.dtype == np.float32
    np.testing.assert_allclose(plane.project(points), coordinates, atol=1e-4)
    np.testing.assert_allclose(plane.residuals(points), 0, atol=1e-4)


@given(shapes)
def test_the_residual_is_the_distance_from_the_projection(shape: tuple[int, int, int]) -> None:
    vectors = draw(shape)
    plane = pca_plane(path_of(vectors))
    away = vectors.astype(np.float64) - plane.origin
    flat = plane.project(vectors) @ plane.directions
    np.testing.assert_allclose(
        plane.residuals(vectors), np.linalg.norm(away - flat, axis=1), atol=1e-9
    )
    # Pythagoras: what is not in the plane is beside it.
    squares = plane.residuals(vectors) ** 2 + (plane.project(vectors) ** 2).sum(1)
    np.testing.assert_allclose(squares, (away**2).sum(1), rtol=1e-9)


def test_variances_far_apart_still_give_an_orthonormal_plane() -> None:
    draw = np.random.default_rng(0)
    axes = np.linalg.qr(draw.normal(size=(40, 2)))[0].T
    vectors = draw.normal(size=(9, 2)) * [1, 1e-5] @ axes
    plane = pca_plane(path_of(vectors))
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.abs(plane.directions @ axes.T), np.eye(2), atol=0.02)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_snapshots_span_no_plane(count: int) -> None:
    with pytest.raises(InputError, match=f"{count} snapshots span no plane"):
        pca_plane(path_of(np.eye(3)[:count]))


@pytest.mark.parametrize(
    "vectors",
    [
        np.outer(np.arange(5), np.arange(7)) + 2.0,
        np.tile(np.arange(6.0), (4, 1)),
        np.zeros((4, 6)),
        np.arange(4.0)[:, None],
        np.array([[0.0, 0], [1, 2], [0, 0], [1, 2]]),
    ],
    ids=["a line", "one point", "all zero", "one parameter", "back and forth"],
)
def test_snapshots_on_a_line_span_no_plane(vectors: NDArray[np.float64]) -> None:
    with pytest.raises(InputError, match="on one line"):
        pca_plane(path_of(vectors))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_snapshot_that_is_not_finite_is_refused(value: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 5))
    vectors[2, 3] = value
    with pytest.raises(InputError, match="not finite"):
        pca_plane(path_of(vectors))


def test_huge_parameters_do_not_overflow() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 5)) * 1e37
    plane = pca_plane(path_of(vectors))
    assert np.isfinite(plane.explained_variance).all()


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        (np.ones((2, 3)), "orthonormal"),
        (np.eye(2, 3) * 2, "orthonormal"),
        (np.full((2, 3), np.nan), "orthonormal"),
        (np.eye(3), r"shape \(3, 3\) do not fit"),
        (np.eye(2), r"\(2, 2\) do not fit an origin of 3"),
    ],
)
def test_directions_that_make_no_plane_are_refused(
    directions: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Plane(np.zeros(3), directions)
