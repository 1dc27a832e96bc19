"""What other tools get wrong about landscapes, from a network to the drawn figure.

The network has two weights and its loss is known: ((a - 3)^2 + (2 b - 4)^2) / 2. It falls ever
faster along b than along a, so whatever is mirrored, shifted or transposed shows.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from downslope import Examples
from downslope.landscape import (
    Grid,
    Landscape,
    LossOptions,
    Plane,
    Trajectory,
    compute_landscape,
    evaluate_surface,
    pca_plane,
)
from downslope.progress import drain
from downslope.report import terrain
from downslope.report.terrain import Contour, Surface

AT = [(0.0, 0.0), (1.0, 1.5), (2.0, 1.0), (4.0, 2.0)]


def bowl(a: Any, b: Any) -> Any:
    return ((a - 3) ** 2 + (2 * b - 4) ** 2) / 2


@pytest.fixture(scope="module")
def rows() -> Examples:
    return Examples(np.diag([1, 2]).astype(np.float32), np.array([[3], [4]], np.float32))


def computed(rows: Examples, grid: tuple[int, int], **more: Any) -> Landscape:
    path = Trajectory()
    for step, at in enumerate(AT):
        path.add(np.array(at, np.float32), step=step, loss=0.0)
    more = {"plane": Plane(np.zeros(2), np.eye(2)), "grid": Grid(*grid, 0.5), **more}
    module = nn.Linear(2, 1, bias=False)
    return drain(compute_landscape(module, path, rows, loss="mean_squared_error", **more))


def contour(found: Landscape) -> Contour:
    return Contour(found.result, found.arrays())


def surface(found: Landscape) -> Surface:
    return Surface(found.result, found.arrays())


@pytest.mark.parametrize("grid", [(7, 4), (4, 7), (5, 5), (6, 3)])
def test_every_row_is_where_it_belongs_whatever_the_shape(
    rows: Examples, grid: tuple[int, int]
) -> None:
    """Alternate rows mirrored; grids that are not square transposed; odd sizes refused."""
    grid_of = computed(rows, grid).surface
    assert grid_of.loss.shape == (grid[1], grid[0])
    for j, b in enumerate(grid_of.y):
        np.testing.assert_allclose(grid_of.loss[j], bowl(grid_of.x, b), rtol=1e-6)


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[np.float64]]:
    """What is handed to the two collections of a drawing in three dimensions."""
    given: dict[str, NDArray[np.float64]] = {}
    for name in ("Poly3DCollection", "Line3DCollection"):
        kind = getattr(terrain, name)

        def spy(shapes: Any, *args: Any, name: str = name, kind: Any = kind, **more: Any) -> Any:
            given[name] = np.array(shapes)
            return kind(shapes, *args, **more)

        monkeypatch.setattr(terrain, name, spy)
    return given


@pytest.mark.parametrize("grid", [(7, 4), (5, 5)])
def test_the_drawn_surface_is_the_computed_one(
    rows: Examples, grid: tuple[int, int], shapes: dict[str, NDArray[np.float64]]
) -> None:
    (axes,) = surface(computed(rows, grid)).plot().axes
    assert "log scale" in axes.get_zlabel()  # type: ignore[attr-defined]
    corners = shapes["Poly3DCollection"].reshape(-1, 3)
    assert len(corners) == 4 * (grid[0] - 1) * (grid[1] - 1)
    np.testing.assert_allclose(10 ** corners[:, 2], bowl(*corners[:, :2].T), rtol=1e-5)


def test_each_axis_has_its_own_name(rows: Examples) -> None:
    """Axes named the wrong way round, or as components that they are not."""
    spread = Trajectory()
    for step, at in enumerate(np.random.default_rng(0).normal(size=(6, 2)) * (5, 1)):
        spread.add(at.astype(np.float32), step=step, loss=0.0)
    module = nn.Linear(2, 1, bias=False)
    for pair in ((1, 2), (2, 1)):
        found = drain(
            compute_landscape(
                module, spread, rows, loss="mean_squared_error", components=pair, grid=Grid(3, 4)
            )
        )
        shares = pca_plane(spread, components=pair).explained_variance
        assert shares is not None
        names = [f"{('first', 'second')[c - 1]} principal" for c in pair]
        axes = contour(found).plot().axes[0]
        for label, name, share in zip(
            (axes.get_xlabel(), axes.get_ylabel()), names, shares, strict=True
        ):
            assert label.startswith(name) and f"({100 * share:.1f} %" in label
    axes = contour(computed(rows, (3, 4))).plot().axes[0]
    assert axes.get_xlabel() == "first direction of the plane"
    assert axes.get_ylabel() == "second direction of the plane"


def path_of(display: Contour) -> NDArray[np.float64]:
    return np.array(display.plot().axes[0].lines[0].get_xydata())


def test_the_path_lies_in_the_frame_of_the_surface(
    rows: Examples, shapes: dict[str, NDArray[np.float64]]
) -> None:
    """A path projected about another origin than the surface's, or along turned directions."""
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    origin = np.array([1.0, -2.0])
    found = computed(rows, (9, 8), plane=Plane(origin, turn))
    places = path_of(contour(found))
    weights = origin + places @ turn
    np.testing.assert_allclose(weights, AT, atol=1e-6)
    for point, at, (a, b) in zip(found.result.path, places, AT, strict=True):
        assert (point.x, point.y) == pytest.approx(tuple(at))
        assert point.true_loss == pytest.approx(bowl(a, b), rel=1e-6, abs=1e-9)
        assert point.projected_loss == pytest.approx(bowl(a, b), rel=1e-5, abs=1e-6)
    surface(found).plot()
    for end in (0, 1):
        ends = shapes["Line3DCollection"][:, end]
        np.testing.assert_allclose(origin + ends[:, :2] @ turn, AT, atol=1e-6)
        np.testing.assert_allclose(10 ** ends[:, 2], [bowl(*at) for at in AT], rtol=1e-5)


def test_a_point_beyond_the_grid_is_not_put_on_its_edge(rows: Examples) -> None:
    whole = computed(rows, (5, 4))
    arrays = whole.arrays()
    small = {**arrays, "x": arrays["x"] * 0.1, "y": arrays["y"] * 0.1}
    np.testing.assert_allclose(path_of(Contour(whole.result, small)), AT, atol=1e-12)


@pytest.mark.parametrize("tolerance", [None, 0.01])
def test_no_value_takes_the_place_of_one_that_is_not_finite(
    rows: Examples, tolerance: float | None
) -> None:
    """The mean for NaN, the maximum for infinity, noise on the highest."""

    def wild(module: nn.Module, batch: Any) -> torch.Tensor:
        outputs = module(batch[0])
        loss = (outputs - batch[1]).square().mean()
        return torch.where(outputs[1, 0] > 5, torch.nan, loss)  # where 2 b > 5

    path = Trajectory()
    for step, at in enumerate(AT):
        path.add(np.array(at, np.float32), step=step, loss=0.0)
    found = drain(
        compute_landscape(
            nn.Linear(2, 1, bias=False), path, rows, loss=LossOptions(wild),
            plane=Plane(np.zeros(2), np.eye(2)), grid=Grid(40, 30, 0.5, tolerance=tolerance or 0.0),
        )
    )  # fmt: skip
    grid = found.surface
    for j, b in enumerate(grid.y):
        if 2 * b > 5:
            assert np.isnan(grid.loss[j]).all()
        else:
            np.testing.assert_allclose(grid.loss[j], bowl(grid.x, b), rtol=2e-2, atol=1e-2)
    assert found.result.not_finite == np.isnan(grid.loss).sum() > 0
    corner = (grid.x[0], grid.y[0])
    assert found.result.loss_range[1] == pytest.approx(bowl(*corner), rel=1e-6)


@pytest.mark.parametrize("batch_norm", ["frozen", "recomputed"])
def test_running_statistics_are_no_parameters(batch_norm: Any) -> None:
    """Statistics moved along the directions, or by the passes over the examples."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    draw = np.random.default_rng(0)
    some = Examples(draw.normal(size=(20, 3)).astype(np.float32), draw.integers(0, 2, 20))
    module(torch.from_numpy(some.inputs))
    size = sum(p.numel() for p in module.parameters())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    directions = np.linalg.qr(draw.normal(size=(size, 2)))[0].T
    for engine in ("auto", "pytorch"):
        options = LossOptions(batch_norm=batch_norm, engine=engine)  # type: ignore[arg-type]
        plane = Plane(np.zeros(size), directions)
        drain(evaluate_surface(module, plane, np.arange(3.0), np.arange(4.0), some, options))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
