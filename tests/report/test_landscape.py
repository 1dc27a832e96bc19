"""The figures and sentences of the landscape's section."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report import landscape
from downslope.report.arrays import Arrays, arrays
from downslope.report.blocks import Figures, Interactive, Paragraph, walk, words
from downslope.report.display import draw_all
from downslope.report.landscape import Losses, Nulls
from downslope.report.style import slope_colours, svg
from downslope.report.terrain import Contour, Surface
from downslope.results import Results
from downslope.runs import Run


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]  # type: ignore[attr-defined]


def said(results: Results, given: Arrays) -> str:
    blocks = walk([*landscape.blocks(results, given)])
    return " ".join(words(block.text) for block in blocks if isinstance(block, Paragraph))


@pytest.fixture
def result(results: Results) -> LandscapeResult:
    assert results.landscape
    return results.landscape


@pytest.fixture
def surface(finished: Run) -> dict[str, NDArray[Any]]:
    return finished.read_arrays("landscape/surface.npz")


def test_holes_are_left_where_losses_are_not_finite(
    result: LandscapeResult, surface: dict[str, NDArray[Any]]
) -> None:
    holed = {**surface, "loss": np.array(surface["loss"])}
    holed["loss"][2, 3] = np.inf  # within the grid of 7 columns and 5 rows: four cells touch it
    for given, cells in ((surface, 24), (holed, 20)):
        (drawn,) = Surface(result, given).plot().findobj(Poly3DCollection)
        drawn.axes.figure.draw_without_rendering()  # type: ignore[attr-defined]
        assert len(drawn.get_facecolor()) == cells  # type: ignore[attr-defined]
    display = Contour(result, holed)
    assert display.plot().findobj(QuadContourSet)
    points = display.frame().where(what="surface")
    assert np.isfinite(points.numbers(result.loss)).sum() == 34
    assert ",,,\n" in display.frame().csv()


def test_axes_state_the_explained_variance(
    result: LandscapeResult, surface: dict[str, NDArray[Any]]
) -> None:
    first, second = (100 * share for share in result.explained_variance)
    shown = texts(Contour(result, surface).plot())
    assert f"first principal direction ({first:.1f} % of variance)" in shown
    assert f"second principal direction ({second:.1f} %)" in shown
    assert "cross-entropy loss (nats)" in shown


def test_the_path_is_drawn_at_its_true_loss(result: LandscapeResult) -> None:
    upper, lower = Losses(result).plot().axes
    drawn = {line.get_label(): line.get_ydata() for line in upper.get_lines()}
    np.testing.assert_array_equal(drawn["true"], [p.true_loss for p in result.path])
    projected = [p.projected_loss for p in result.path]
    np.testing.assert_array_equal(drawn["projected onto the plane"], projected)
    assert list(lower.get_lines()[0].get_ydata()) == [p.residual for p in result.path]


@pytest.mark.parametrize("losses", [np.ones(35), np.logspace(0, 3, 35), np.full(35, np.nan)])
def test_losses_of_any_range_are_drawn(
    result: LandscapeResult, surface: dict[str, NDArray[Any]], losses: NDArray[np.float64]
) -> None:
    path = [
        msgspec.structs.replace(p, true_loss=float(x), projected_loss=None)
        for p, x in zip(result.path, losses, strict=False)
    ]
    run = msgspec.structs.replace(result.runs[0], path=path)
    changed = msgspec.structs.replace(result, runs=[run])
    given = {**surface, "loss": losses.reshape(5, 7)}
    for display in (Surface(changed, given), Contour(changed, given)):
        figure = display.plot()
        assert svg(figure)
    (axes,) = Surface(changed, given).plot().axes
    assert ("log scale" in axes.get_zlabel()) == (losses[-1] > 12)  # type: ignore[attr-defined]


def test_runs_in_one_plane_are_told_apart(
    result: LandscapeResult, surface: dict[str, NDArray[Any]]
) -> None:
    runs = [msgspec.structs.replace(result.runs[0], label=name) for name in ("one", "two")]
    joint = msgspec.structs.replace(result, runs=runs)
    for kind in (Surface, Contour):
        assert {"one", "two"} <= {*texts(kind(joint, surface).plot())}
    assert set(Contour(joint, surface).frame()["run"]) == {None, "one", "two"}


def test_walks_stand_beside_the_training(result: LandscapeResult) -> None:
    display = Nulls(result)
    assert display.frame()["share of variance"][0] == sum(result.explained_variance)
    assert f"{100 * sum(result.explained_variance):.1f}" in texts(display.plot())


def test_lightness_rises_with_the_loss() -> None:
    red, green, blue, _ = slope_colours()(np.linspace(0, 1, 64)).T
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (np.diff(luminance) > 0).all()


def test_losses_that_are_not_finite_are_said_to_be_so(
    finished: Run, results: Results, result: LandscapeResult
) -> None:
    *path, end = result.path
    end = msgspec.structs.replace(end, true_loss=None, projected_loss=None)
    run = msgspec.structs.replace(result.runs[0], path=[*path, end])
    results.landscape = msgspec.structs.replace(result, runs=[run], not_finite=1)
    given = arrays(finished, results)
    text = said(results, given)
    assert "At 1 grid point the loss is not finite." in text
    assert "At the end the true loss is not finite" in text
    blocks = walk([*landscape.blocks(results, given)])
    displays = [d for b in blocks if isinstance(b, Figures | Interactive) for d in b.displays]
    assert not [one for one in draw_all(displays).values() if "cannot be drawn" in one.alt]


def test_a_missing_surface_is_told(results: Results) -> None:
    nothing = Arrays(surface=None, joint=None, trials=None, images=None, predictions=None)
    assert "landscape/surface.npz is missing or damaged" in said(results, nothing)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: {"batch_norm": "recomputed"}, "statistics are recomputed from the same"),
        (lambda r: {"computed": 9, "interpolation_error": 0.5}, "it was off by at most 0.50 nats."),
        (lambda r: {"explained_variance": (float("nan"),) * 2}, "projected onto a given plane"),
    ],
)
def test_how_it_was_computed_is_said(
    results: Results,
    result: LandscapeResult,
    change: Callable[[LandscapeResult], dict[str, Any]],
    text: str,
) -> None:
    results.landscape = msgspec.structs.replace(result, **change(result))
    nothing = Arrays(surface=None, joint=None, trials=None, images=None, predictions=None)
    assert text in said(results, nothing)
