from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from downslope.errors import InputError
from downslope.landscape import Trajectory, components, pca_plane, share_in_plane


def walk(snapshots: int = 8, parameters: int = 50, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    scale = 0.8 ** np.arange(parameters)
    return (2 + np.cumsum(draw.normal(size=(snapshots, parameters)) * scale, 0)).astype(np.float32)


def path_of(vectors: np.ndarray, directory: Path | None = None) -> Trajectory:
    path = Trajectory(directory)
    for step, vector in enumerate(vectors):
        path.add(vector, step=step, loss=0.0)
    return path


@pytest.mark.parametrize("pair", [(1, 2), (2, 3), (3, 1)])
@pytest.mark.parametrize("origin", ["mean", "final"])
def test_any_pair_of_components_is_scikit_learns(pair: tuple[int, int], origin: str) -> None:
    vectors = walk()
    plane = pca_plane(path_of(vectors), components=pair, origin=origin)  # pyright: ignore
    theirs = PCA(4, svd_solver="full").fit(vectors.astype(np.float64))
    at = [c - 1 for c in pair]
    np.testing.assert_allclose(plane.explained_variance, theirs.explained_variance_ratio_[at], 1e-6)
    turn = np.abs(plane.directions @ theirs.components_[at].T)
    np.testing.assert_allclose(turn, np.eye(2), atol=1e-6)
    np.testing.assert_allclose(
        plane.origin, vectors[-1] if origin == "final" else theirs.mean_, rtol=1e-6
    )
    if origin == "final":
        assert plane.residuals(vectors[-1:])[0] == 0


@pytest.mark.parametrize("pair", [(0, 1), (1, 1), (1, 8), (-1, 2)])
def test_components_that_do_not_exist_are_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="components = "):
        pca_plane(path_of(walk()), components=pair)


def test_a_component_without_variance_is_refused() -> None:
    flat = walk(6, 2)
    with pytest.raises(InputError, match="do not vary along component 3"):
        pca_plane(path_of(flat), components=(1, 3))


def test_runs_in_blocks_from_disk_give_the_same_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = walk(7, 200)
    whole = pca_plane(path_of(vectors))
    monkeypatch.setattr(components, "BLOCK", 8 * 7 * 13)  # 13 parameters at a time
    streamed = pca_plane(path_of(vectors, tmp_path / "kept"))
    np.testing.assert_allclose(streamed.directions, whole.directions, atol=1e-12)
    np.testing.assert_allclose(streamed.explained_variance, whole.explained_variance, 1e-12)
    # Opened again, the trajectory is the same and can be gone on with.
    again = Trajectory(tmp_path / "kept")
    assert np.array_equal(again.vectors, vectors)
    again.add(vectors[0], step=99, loss=1.5)
    assert Trajectory(tmp_path / "kept").steps == [*range(7), 99]
    with pytest.raises(InputError, match="step 99 comes after step 99"):
        Trajectory(tmp_path / "kept").add(vectors[0], step=99, loss=0.0)


def test_a_torn_vector_is_written_over(tmp_path: Path) -> None:
    path_of(walk(3), tmp_path)
    with (tmp_path / "vectors.f32").open("ab") as file:
        file.write(b"torn")
    opened = Trajectory(tmp_path)
    opened.add(walk(4)[3], step=3, loss=0.0)
    assert np.array_equal(Trajectory(tmp_path).vectors, walk(4))


@pytest.mark.parametrize("damage", ["short", "no json"])
def test_a_damaged_trajectory_is_refused(tmp_path: Path, damage: str) -> None:
    path_of(walk(3), tmp_path)
    if damage == "short":
        (tmp_path / "vectors.f32").write_bytes(b"123")
    else:
        (tmp_path / "snapshots.jsonl").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"too short|damaged"):
        Trajectory(tmp_path)


def test_a_joint_plane_is_that_of_all_snapshots() -> None:
    one, two = walk(5, 40, 1), walk(6, 40, 2)
    joint = pca_plane([path_of(one), path_of(two)])
    together = pca_plane(path_of(np.concatenate([one, two])))
    np.testing.assert_allclose(joint.directions, together.directions, atol=1e-12)
    for vectors in (one, two):
        # The same share, from scikit-learn's projection.
        centered = vectors - vectors.mean(0, dtype=np.float64)
        expected = ((centered @ joint.directions.T) ** 2).sum() / (centered**2).sum()
        assert share_in_plane(path_of(vectors), joint) == pytest.approx(expected, rel=1e-9)


def test_runs_of_different_networks_share_no_plane() -> None:
    with pytest.raises(InputError, match=r"\[40, 50\] parameters share no plane"):
        pca_plane([path_of(walk(5, 40)), path_of(walk(5, 50))])
