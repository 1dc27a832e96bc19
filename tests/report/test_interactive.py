import json

import numpy as np
import pytest

from downslope.report.figures.landscape import Terrain, terrain
from downslope.report.interactive import HERE, figure_json, interactive
from downslope.results import Results
from downslope.runs import Run


@pytest.fixture
def drawn(finished: Run, results: Results) -> Terrain:
    assert results.landscape
    return terrain(results.landscape, finished.read_arrays("landscape/surface.npz"))


def test_surface_path_projection_and_stems(drawn: Terrain) -> None:
    traces = {trace.name: trace for trace in interactive(drawn).data}
    height = np.log10 if drawn.logarithmic else np.asarray
    np.testing.assert_array_equal(traces["surface"].z, height(drawn.loss))
    np.testing.assert_array_equal(traces["path at its true loss"].z, height(drawn.true))
    np.testing.assert_array_equal(traces["projected path"].z, height(drawn.projected))
    np.testing.assert_array_equal(traces["projected path"].x, drawn.path[:, 0])
    assert len(traces["stems"].z) == 3 * len(drawn.steps)
    assert traces["stems"].z[:2] == (height(drawn.true)[0], height(drawn.projected)[0])
    assert list(traces[HERE].z) == [height(drawn.true)[-1]]


def test_hovering_tells_step_and_losses(drawn: Terrain) -> None:
    (path,) = (t for t in interactive(drawn).data if t.name == "path at its true loss")
    assert tuple(path.customdata[3]) == (
        drawn.steps[3], drawn.true[3], drawn.projected[3], drawn.residual[3],
    )  # fmt: skip
    for word in ("step", "true loss", "projected loss", "distance"):
        assert word in path.hovertemplate


def test_stems_are_left_out_where_a_loss_is_not_finite(drawn: Terrain) -> None:
    drawn.true[0] = np.nan
    (stems,) = (t for t in interactive(drawn).data if t.name == "stems")
    assert len(stems.z) == 3 * (len(drawn.steps) - 1)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_ticks_name_losses_within_the_range(scale: float) -> None:
    axis = np.linspace(0, 1, 3)
    loss = np.linspace(1, 1 + scale, 9).reshape(3, 3)
    path = np.array([[0.0, 0.0], [1.0, 1.0]])
    ends = np.array([1.0, 1 + scale])
    one = Terrain(axis, axis, loss, np.arange(2), path, ends, ends, 0 * ends, ("a", "b"))
    shown = interactive(one).layout.scene.zaxis
    named = [float(text) for text in shown.ticktext]
    assert 3 <= len(named) <= 12
    assert min(named) >= 1 and max(named) <= 1 + scale
    height = np.log10 if one.logarithmic else np.asarray
    np.testing.assert_allclose(shown.tickvals, height(named))


def test_the_json_is_stable_and_cannot_end_its_element(drawn: Terrain) -> None:
    figure = interactive(drawn)
    figure.layout.title.text = "</script><b>&amp;"
    text = figure_json(figure)
    assert text == figure_json(figure)
    assert not set("<>&") & set(text)
    assert json.loads(text)["layout"]["title"]["text"] == "</script><b>&amp;"
