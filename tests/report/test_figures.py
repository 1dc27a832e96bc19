import math
from pathlib import Path

import matplotlib
import msgspec
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from downslope.report.equations import equation
from downslope.report.figures import autoencoder, landscape, refit, search, theory, variants
from downslope.report.figures.style import inline, slope_colours, svg
from downslope.report.gallery import arrays, gallery
from downslope.report.tables import trial_table
from downslope.results import Results
from downslope.runs import Run
from downslope.search import Settings, Trial


def trial(number: int, accuracy: float | None, **settings: object) -> Trial:
    own = Settings().replace(settings)
    return Trial(
        id=number,
        settings=own,
        member=own.member(4, 3, seed=number),
        outcome="diverged" if accuracy is None else "completed",
        reason="",
        validation_accuracy=accuracy,
        validation_loss=None,
        train_loss=None,
        curve=[],
        seconds=1.0,
    )


def found(*trials: Trial) -> search.SearchResult:
    best = max(
        (t for t in trials if t.validation_accuracy is not None),
        key=lambda t: t.validation_accuracy or 0,
        default=None,
    )
    return search.SearchResult(trials=list(trials), best=best, validation_examples=10)


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_drawing_leaves_the_settings_of_matplotlib_alone(finished: Run, results: Results) -> None:
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context():
        gallery(results, arrays(finished, results))
        assert dict(matplotlib.rcParams) == before


def test_the_learning_rate_is_shown_where_it_varies() -> None:
    scattered = search.scatter(
        found(
            trial(0, 0.5, learning_rate=0.001, batch_size=8),
            trial(1, None, learning_rate=1.0, batch_size=16),
            trial(2, 0.7, learning_rate=0.1, batch_size=16),
        )
    )
    assert (scattered.setting, scattered.colour) == ("learning_rate", "batch_size")
    assert scattered.points == [(0.001, 0.5, 8.0, False), (0.1, 0.7, 16.0, True)]
    assert scattered.stopped == [(1.0, "diverged")]
    assert scattered.logarithmic
    figure = search.draw_scatter(scattered)
    assert figure.axes[0].get_xscale() == "log"
    assert "diverged" in [t.get_text() for t in figure.axes[0].get_legend().get_texts()]


def test_else_the_most_telling_setting_is() -> None:
    accuracies = [0.5, 0.6, 0.7, 0.8]
    trials = [
        trial(i, a, units=10 * (i + 1), weight_decay=[0.1, 0.0, 0.1, 0.0][i])
        for i, a in enumerate(accuracies)
    ]
    assert search.scatter(found(*trials)).setting == "units"


def test_learning_curves_mark_the_best_and_the_diverged(results: Results) -> None:
    assert results.search and results.search.best
    lines = search.curves(results.search)
    assert lines[-1].best and lines[-1].trial == results.search.best.id
    assert lines[-1].accuracy[-1] == results.search.best.validation_accuracy
    first = lines[0]
    stopped = search.Curve(first.trial, first.epochs, first.accuracy, "diverged", False)
    legend = search.draw_curves([stopped, lines[-1]]).axes[0].get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["best", "diverged or failed"]


def test_trials_are_listed_best_first_and_stopped_last() -> None:
    table = trial_table(found(trial(0, None), trial(1, 0.3), trial(2, 0.9)), "trials")
    assert [row.cells[0] for row in table.rows] == ["2", "1", "0"]
    assert [row.mark for row in table.rows] == ["best", "", "stopped"]
    assert table.rows[2].cells[-1] == "diverged"


def test_variants_are_ranked() -> None:
    ranked = variants.ranking(
        found(trial(0, None), trial(1, 0.3), trial(2, 0.9, dropout=0.2)), most=2
    )
    assert [(v.name, v.accuracy, v.best) for v in ranked] == [
        ("3×40, relu, dropout 0.2", 0.9, True),
        ("3×40, relu", 0.3, False),
    ]
    assert "90.00" in texts(variants.draw_ranking(ranked))


def test_moments_are_those_of_the_layers(results: Results) -> None:
    assert results.theory
    forward = theory.moments(results.theory, "forward")
    assert [m.name for m in forward] == ["He", "Xavier", "LeCun", "orthogonal", "PyTorch default"]
    he = [layer for layer in results.theory.layers if layer.initialization == "he"]
    assert forward[0].mean == [layer.forward_mean for layer in he]
    backward = theory.moments(results.theory, "backward")
    assert backward[0].predicted == [layer.backward_predicted for layer in he]
    assert theory.draw_moments(forward, "E[x²]").axes[0].get_yscale() == "log"


def test_a_seed_that_stopped_early_leaves_a_gap(results: Results) -> None:
    assert results.refit
    *epochs, last = results.refit.epochs
    short = msgspec.structs.replace(last, train_loss=None, train_loss_per_seed=[0.5])
    training = refit.training(msgspec.structs.replace(results.refit, epochs=[*epochs, short]))
    assert math.isnan(training.mean[-1])
    assert training.per_seed[0][-1] == 0.5 and math.isnan(training.per_seed[1][-1])
    assert len(training.accuracy) == 3


def test_a_confusion_matrix_names_classes_as_they_are() -> None:
    figure = refit.draw_confusion([[3, 1], [0, 4]], ["$_{^", "<b>"])
    assert "3\n75.0 %" in texts(figure) and "$_{^" in texts(figure)
    assert svg(figure) == svg(refit.draw_confusion([[3, 1], [0, 4]], ["$_{^", "<b>"]))


@pytest.fixture
def terrain(finished: Run, results: Results) -> landscape.Terrain:
    assert results.landscape
    return landscape.terrain(results.landscape, finished.read_arrays("landscape/surface.npz"))


def test_holes_are_left_where_losses_are_not_finite(
    finished: Run, results: Results, terrain: landscape.Terrain
) -> None:
    assert results.landscape
    stored = finished.read_arrays("landscape/surface.npz")
    stored["loss"][2, 3] = np.inf  # within the grid of 7 columns and 5 rows: four cells touch it
    holed = landscape.terrain(results.landscape, stored)
    assert np.isnan(holed.loss[2, 3]) and np.isfinite(holed.loss).sum() == 34
    for one, cells in ((terrain, 24), (holed, 20)):
        (surface,) = landscape.draw_surface(one).findobj(Poly3DCollection)
        surface.axes.figure.draw_without_rendering()
        assert len(surface.get_facecolor()) == cells
    contours = landscape.draw_contour(holed).findobj(QuadContourSet)
    assert contours and np.ma.count_masked(np.ma.masked_invalid(holed.loss)) == 1


def test_axes_state_the_explained_variance(results: Results, terrain: landscape.Terrain) -> None:
    assert results.landscape
    first, second = (100 * share for share in results.landscape.explained_variance)
    shown = texts(landscape.draw_contour(terrain))
    assert f"first principal direction ({first:.1f} % of variance)" in shown
    assert f"second principal direction ({second:.1f} %)" in shown
    assert "cross-entropy loss (nats)" in shown


def test_the_path_is_drawn_at_its_true_loss(terrain: landscape.Terrain) -> None:
    axes = landscape.draw_losses(terrain).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    np.testing.assert_array_equal(drawn["true"], terrain.true)
    np.testing.assert_array_equal(drawn["projected onto the plane"], terrain.projected)


def test_wide_losses_are_coloured_by_their_logarithm() -> None:
    flat = np.linspace(1, 2, 4)
    axes = ("a", "b")
    path = np.zeros((2, 2))
    one = landscape.Terrain(
        flat, flat, np.ones((4, 4)), np.arange(2), path, flat[:2], flat[:2], flat[:2], axes
    )
    assert not one.wide and one.range == (1.0, pytest.approx(4 / 3))
    steep = landscape.Terrain(
        flat, flat, np.logspace(0, 3, 16).reshape(4, 4), np.arange(2), path, flat[:2], flat[:2],
        flat[:2], axes,
    )  # fmt: skip
    assert steep.wide and steep.logarithmic and "log scale" in steep.height_label
    svg(landscape.draw_surface(steep))
    svg(landscape.draw_contour(one))


@pytest.mark.parametrize(("shape", "image"), [([8, 8], (8, 8)), ([64], (1, 64))])
def test_pictures_have_the_shape_of_the_data(
    finished: Run, results: Results, shape: list[int], image: tuple[int, int]
) -> None:
    stored = finished.read_arrays("autoencoder/images.npz")
    shown = autoencoder.pictures(stored, shape, results.data.class_names)
    assert shown.originals.shape == (len(stored["labels"]), *image)
    np.testing.assert_array_equal(shown.linear.ravel(), stored["pca_reconstructions"].ravel())
    titles = texts(autoencoder.draw_pairs(shown))
    assert f"{shown.names[0]}: original" in titles
    assert f"{shown.names[1]}: reconstruction" in titles
    svg(autoencoder.draw_grid(shown))


def test_lightness_rises_with_the_loss() -> None:
    red, green, blue, _ = slope_colours()(np.linspace(0, 1, 64)).T
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (np.diff(luminance) > 0).all()


def test_inline_drawings_keep_to_themselves() -> None:
    figure = refit.draw_confusion([[3, 1], [0, 4]], ["a", "b"])
    element = inline(svg(figure), "one", 'a "matrix" <b>')
    assert 'aria-label="a &#34;matrix&#34; &lt;b&gt;"' in element
    assert 'id="figure' not in element and 'id="one-figure_1"' in element
    assert "<!--" not in element and "<metadata" not in element and "#22303c" not in element


def test_equations_are_typeset_and_what_cannot_be_is_shown() -> None:
    typeset = equation(r"\mathrm{Var}\Bigl[\sum_{j=1}^{n} w_j\Bigr] = \tfrac{1}{2}", "e")
    assert typeset.startswith('<span class="equation"><svg style="width:')
    assert r"\Bigl[" in typeset
    assert equation(r"\unheard{<x>}", "e") == ('<code class="equation">\\unheard{&lt;x&gt;}</code>')


def test_svg_does_not_name_the_date(tmp_path: Path) -> None:
    assert "<dc:date>" not in svg(refit.draw_confusion([[1, 0], [0, 1]], ["a", "b"]))
