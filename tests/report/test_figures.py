import math
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import msgspec
import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from downslope.report import wording
from downslope.report.equations import equation
from downslope.report.figures import (
    autoencoder,
    history,
    landscape,
    refit,
    search,
    space,
    theory,
    variants,
)
from downslope.report.gallery import arrays, gallery
from downslope.report.sections.trials import (
    budget_table,
    candidate_table,
    stopped_table,
    trial_table,
)
from downslope.report.style import inline, slope_colours, svg
from downslope.results import Results
from downslope.runs import Run
from downslope.search import (
    Candidate,
    Choice,
    Range,
    Settings,
    Space,
    Trial,
    TrialEpoch,
    importances,
)


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


@pytest.mark.slow
def test_drawing_leaves_the_settings_of_matplotlib_alone(finished: Run, results: Results) -> None:
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context():
        drawn = gallery(results, arrays(finished, results))
        assert not [name for name in drawn if name.endswith("-missing")]
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
    assert scattered.points == [(0.001, 0.5, 8.0, "", 0), (0.1, 0.7, 16.0, "best", 2)]
    assert scattered.stopped == [(1.0, "diverged", 1)]
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


def test_learning_curves_mark_best_chosen_and_diverged(parted: Results) -> None:
    assert parted.search and parted.search.best and parted.search.chosen
    lines = search.curves(parted.search)
    assert [line.standing for line in lines[-2:]] == ["best", "chosen"]
    assert lines[-2].trial == parted.search.best.id
    assert lines[-1].trial == parted.search.chosen.id
    first = lines[0]
    stopped = search.Curve(first.trial, first.epochs, first.accuracy, "diverged", "")
    legend = search.draw_curves([stopped, *lines[-2:]]).axes[0].get_legend()
    names = [t.get_text() for t in legend.get_texts()]
    assert names == ["best of the search", "chosen", "diverged or failed"]


def test_the_chosen_trial_is_the_bold_one(parted: Results) -> None:
    assert parted.search and parted.search.best and parted.search.chosen
    ranked = variants.ranking(parted.search)
    assert [v.trial for v in ranked if v.chosen] == [parted.search.chosen.id]
    drawn = variants.draw_ranking(ranked)
    bold = [t.get_text() for t in drawn.axes[0].texts if t.get_fontweight() == "bold"]
    accuracy = parted.search.chosen.validation_accuracy or 0
    assert bold == [f"{100 * accuracy:.2f} chosen"]
    rows = trial_table(parted.search, "trials").rows
    assert [row.cells[0] for row in rows if row.mark == "best"] == [str(parted.search.chosen.id)]
    assert {row.cells[-1]: row.cells[0] for row in rows}["best"] == str(parted.search.best.id)
    points = search.scatter(parted.search).points
    assert {p[3]: p[4] for p in points if p[3]} == {
        "best": parted.search.best.id,
        "chosen": parted.search.chosen.id,
    }


def test_trials_are_listed_best_first_and_stopped_last() -> None:
    table = trial_table(found(trial(0, None), trial(1, 0.3), trial(2, 0.9)), "trials")
    assert [row.cells[0] for row in table.rows] == ["2", "1", "0"]
    assert [row.mark for row in table.rows] == ["best", "", "stopped"]
    assert table.rows[2].cells[-1] == "diverged"


def test_variants_are_ranked() -> None:
    ranked = variants.ranking(
        found(trial(0, None), trial(1, 0.3), trial(2, 0.9, dropout=0.2)), most=2
    )
    assert [(v.name, v.accuracy, v.chosen) for v in ranked] == [
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
    typeset = equation(r"\mathrm{Var}\Bigl[\sum_{j=1}^{n} w_j\Bigr] = \tfrac{1}{2}")
    root = ElementTree.fromstring(typeset)
    assert root.tag == "math" and root.get("display") == "block"
    assert next(e.text for e in root.iter("mi")) == "Var"
    assert [e.text for e in root.find(".//munderover") or ()][:1] == ["\u2211"]
    assert r"\Bigl[" in root.get("alttext", "")
    for broken in (r"\unheard{<x>}", r"\frac{a}", r"\left( x", "x_1_2"):
        shown = equation(broken)
        assert shown.startswith('<code class="equation">') and "<x>" not in shown


def test_every_equation_of_the_theory_is_typeset(results: Results) -> None:
    assert results.theory
    statements = [step.statement for step in results.theory.steps]
    statements += [s for one in results.theory.counterexamples for s in (one.claimed, one.found)]
    for statement in statements:
        root = ElementTree.fromstring(equation(statement))
        assert not any("\\" in (e.text or "") for e in root.iter()), statement


def test_svg_does_not_name_the_date(tmp_path: Path) -> None:
    assert "<dc:date>" not in svg(refit.draw_confusion([[1, 0], [0, 1]], ["a", "b"]))


# What a search found out


def stopped(number: int, outcome: str, accuracy: float, **settings: object) -> Trial:
    """A trial that ended early, its last accuracy in its curve alone."""
    point = TrialEpoch(epoch=1, train_loss=1.0, validation_loss=1.0, validation_accuracy=accuracy)
    return msgspec.structs.replace(
        trial(number, None, **settings), outcome=outcome, curve=[point], reason="why"
    )


def test_the_history_follows_the_best_so_far_and_shows_the_pruned() -> None:
    seen = history.history(
        found(
            stopped(0, "pruned", 0.9), trial(1, 0.5), trial(2, 0.4), trial(3, 0.7),
            stopped(4, "diverged", 0.1),
        )
    )  # fmt: skip
    assert [a.best for a in seen] == [None, 0.5, 0.5, 0.7, 0.7]
    assert [a.accuracy for a in seen] == [0.9, 0.5, 0.4, 0.7, None]
    words = texts(history.draw_history(seen))
    for word in ("best so far", "completed", "pruned", "diverged or failed"):
        assert word in words


def test_pruned_curves_are_told_from_diverged_ones() -> None:
    lines = search.curves(found(stopped(0, "pruned", 0.5), stopped(1, "diverged", 0.2)))
    words = texts(search.draw_curves(lines))
    assert "pruned" in words
    assert "diverged or failed" in words
    assert "best" not in words


def test_settings_are_placed_by_value_and_by_word() -> None:
    trials = [
        trial(i, 0.5 + i / 50, learning_rate=10.0 ** -(i % 8), activation=("relu", "elu")[i % 2])
        for i in range(16)
    ]
    placed = space.coordinates(found(*trials))
    assert placed is not None
    rate, activation = (
        next(a for a in placed.axes if a.name == name) for name in ("learning rate", "activation")
    )
    assert rate.positions == pytest.approx([-(i % 8) for i in range(16)])
    assert (rate.ticks[0], rate.ticks[-1]) == ((-7.0, "1e-07"), (0.0, "1"))
    assert activation.ticks == [(0.0, "elu"), (1.0, "relu")]
    assert activation.positions[:2] == [1.0, 0.0]
    for drawn in (space.draw_slices(placed), space.draw_parallel(placed)):
        assert "learning" in texts(drawn)
    assert space.coordinates(found(trial(0, 0.5), trial(1, 0.6))) is None


def test_the_map_has_the_best_of_each_cell() -> None:
    trials = [
        trial(0, 0.5, learning_rate=0.1, batch_size=16),
        trial(1, 0.7, learning_rate=0.1, batch_size=16),
        trial(2, 0.6, learning_rate=0.01, batch_size=32),
        trial(3, None, learning_rate=0.01, batch_size=16),
    ]
    chart = space.chart(found(*trials))
    assert chart is not None
    assert (chart.rates, chart.batches) == (["0.01", "0.1"], ["16", "32"])
    assert chart.trials.tolist() == [[0, 2], [1, 0]]
    np.testing.assert_array_equal(chart.best, [[np.nan, 0.7], [0.6, np.nan]])
    assert "70.0" in texts(space.draw_chart(chart))
    assert space.chart(found(trial(0, 0.5), trial(1, 0.5, batch_size=8))) is None


def test_importances_find_the_setting_that_matters() -> None:
    generator = np.random.default_rng(0)
    inner = Space(
        base=Settings(),
        values={"learning_rate": Range(low=1e-4, high=1.0, log=True), "units": [10, 20, 40]},
    )
    trials: list[Trial] = []
    for i in range(40):
        rate, units = float(10 ** generator.uniform(-4, 0)), int(generator.choice([10, 20, 40]))
        accuracy = 0.9 - 0.05 * (np.log10(rate) + 2) ** 2 + 0.0002 * units
        trials.append(trial(i, float(accuracy), learning_rate=rate, units=units))
    shares = importances(trials, inner)
    assert list(shares) == ["learning_rate", "units"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["learning_rate"] > 0.8
    assert importances(trials, inner) == shares
    assert importances(trials[:9], inner) == {}
    assert "learning rate" in texts(space.draw_importances(shares))


def test_the_choice_shows_both_figures_of_each_candidate() -> None:
    made = Choice(
        evidence="second",
        examples=50,
        seeds=2,
        candidates=[
            Candidate(trial=1, accuracies=[0.6, 0.62], mean=0.61, interval=None, stopped=[]),
            Candidate(trial=0, accuracies=[], mean=None, interval=None, stopped=["seed 3 failed"]),
        ],
        chosen=1,
        optimism=0.04,
        optimism_interval=(-0.09, 0.17),
    )
    whole = msgspec.structs.replace(found(trial(0, 0.5), trial(1, 0.65)), choice=made)
    assert "trial 1" in texts(history.draw_choice(made, {0: 0.5, 1: 0.65}))
    table = candidate_table(whole)
    assert [row.mark for row in table.rows] == ["best", ""]
    assert "seed 3 failed" in table.rows[1].cells[4]
    said = wording.choice(whole)
    assert "on 50 validation examples that had ranked nothing" in said
    assert "the search was 4.00 points above that" in said
    assert "itself the best of 2 means" in said
    assert "+4.00 points, 95 % interval −9.00 to +17.00" in said
    lucky = msgspec.structs.replace(made, optimism=-0.01)
    assert "1.00 points below that" in wording.choice(msgspec.structs.replace(whole, choice=lucky))


def test_tables_tell_what_stopped_and_what_it_cost() -> None:
    whole = found(stopped(0, "pruned", 0.5), stopped(1, "diverged", 0.2), trial(2, 0.7))
    assert [row.cells[:2] for row in stopped_table(whole).rows] == [["1", "diverged"]]
    rows = budget_table(whole).rows
    assert [row.cells[:4] for row in rows] == [
        ["completed", "1", "0", "20"],
        ["pruned", "1", "1", "20"],
        ["diverged", "1", "1", "20"],
        ["all", "3", "2", "60"],
    ]
    marks = {row.cells[0]: row.mark for row in trial_table(whole, "").rows}
    assert marks == {"2": "best", "0": "", "1": "stopped"}


def test_trials_at_chance_are_counted() -> None:
    whole = msgspec.structs.replace(
        found(trial(0, 0.1), trial(1, 0.11), trial(2, 0.5)), validation_examples=1000
    )
    assert wording.at_chance(whole, [100] * 10).startswith("2 of the completed did no better")
    assert wording.at_chance(whole, [50, 950]).startswith("3 of the completed")
