"""What the page's interactive landscapes are drawn from is what the run found."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from downslope.report.comparison import RunLosses
from downslope.report.interactive import Scene, scenes_json
from downslope.report.terrain import Contour
from downslope.results import Results
from downslope.runs import Run


@pytest.fixture
def scene(finished: Run, results: Results) -> Scene:
    assert results.landscape
    arrays = finished.read_arrays("landscape/surface.npz")
    return Scene("The only one", results.landscape, arrays)


def read(scene: Scene) -> dict[str, Any]:
    (found,) = json.loads(scenes_json([scene]))["scenes"]
    return found


def test_surfaces_and_paths_are_the_runs_own(scene: Scene) -> None:
    found = read(scene)
    for quantity in ("loss", "accuracy"):
        shown = np.array(found["surfaces"][f"{quantity} training"], np.float64)
        np.testing.assert_allclose(shown, scene.arrays[quantity], rtol=1e-5)
    np.testing.assert_allclose(found["x"], scene.arrays["x"], rtol=1e-5)
    (run,) = found["runs"]
    path = scene.result.path
    assert run["step"] == [p.step for p in path]
    for name, values in (
        ("true", [p.true_loss for p in path]),
        ("projected", [p.projected_loss for p in path]),
    ):
        np.testing.assert_allclose(run[name]["loss training"], values, rtol=1e-5)
    accuracies = np.array(run["true"]["accuracy training"])
    np.testing.assert_allclose(accuracies, [p.true_accuracy for p in path], rtol=1e-5)
    assert ((accuracies >= 0) & (accuracies <= 1)).all()
    np.testing.assert_allclose(run["residual"], [p.residual for p in path], rtol=1e-5)


def test_a_run_has_one_colour_in_every_figure(scene: Scene, results: Results) -> None:
    (run,) = scene.result.runs
    runs = [msgspec.structs.replace(run, label=name) for name in "ABCDEF"]
    several = msgspec.structs.replace(scene.result, runs=runs)
    interactive = [run["colour"] for run in read(Scene("runs", several, scene.arrays))["runs"]]
    drawn = Contour(several, scene.arrays).plot()
    lines = [line for line in drawn.axes[0].lines if str(line.get_label()) in "ABCDEF"]
    assert [line.get_color() for line in lines] == interactive
    assert results.refit and results.refit.test_accuracy
    compared = RunLosses(dict.fromkeys("ABCDEF", results.refit)).plot().axes[0]
    curves = [line for line in compared.lines if str(line.get_label()).startswith("run ")]
    assert [line.get_color() for line in curves] == interactive
    (alone,) = RunLosses({"C": results.refit}).plot().axes[0].get_lines()
    assert alone.get_color() == interactive[2]


def test_validation_is_offered_where_it_was_computed(scene: Scene) -> None:
    assert not [name for name in read(scene)["surfaces"] if "validation" in name]
    more = {**scene.arrays, "validation_loss": scene.arrays["loss"] + 1}
    found = read(Scene(scene.title, scene.result, more))
    assert np.array(found["surfaces"]["loss validation"]).shape == scene.arrays["loss"].shape


def test_what_is_not_finite_is_left_out(scene: Scene) -> None:
    holed = {**scene.arrays, "loss": np.array(scene.arrays["loss"], np.float64)}
    holed["loss"][1, 2], holed["loss"][0, 0] = np.nan, np.inf
    first = msgspec.structs.replace(scene.result.path[0], true_loss=None)
    run = msgspec.structs.replace(scene.result.runs[0], path=[first, *scene.result.path[1:]])
    result = msgspec.structs.replace(scene.result, runs=[run])
    found = read(Scene(scene.title, result, holed))
    assert found["surfaces"]["loss training"][1][2] is None
    assert found["surfaces"]["loss training"][0][0] is None
    assert found["runs"][0]["true"]["loss training"][0] is None


def test_the_json_is_stable_and_cannot_end_its_element(scene: Scene) -> None:
    hostile = Scene("</script><b>&amp;", scene.result, scene.arrays)
    text = scenes_json([hostile])
    assert text == scenes_json([hostile])
    assert not set("<>&") & set(text)
    assert read(hostile)["title"] == "</script><b>&amp;"
