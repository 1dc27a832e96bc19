"""Objects in a console and a notebook: short, whole, harmless; tables and figures from them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from downslope import (
    Dataset,
    Examples,
    InputError,
    Member,
    NetworkSpec,
    Run,
    TrainingSpec,
    Trajectory,
    build,
    compute_landscape,
    drain,
    load_model,
    to_frame,
    train,
)
from downslope.engines import Records
from downslope.landscape import Grid, Landscape
from downslope.report import write_report
from downslope.report.display import Display
from downslope.results import Results
from downslope.showing import LINE, Shown
from downslope.statistics import class_scores

HOSTILE = "<script>alert(1)</script>\x1b[2J"
SHORT = LINE + 2


@pytest.fixture(scope="module")
def records(scaled: Examples) -> Records:
    members = [
        Member(
            network=NetworkSpec(widths=(64, units, 10)),
            training=TrainingSpec(epochs=2, learning_rate=0.1),
            seed=7,
        )
        for units in (8, 12)
    ]
    rows = np.arange(len(scaled))
    training, validation = scaled.take(rows[:150]), scaled.take(rows[150:])
    return drain(train(members, training, validation, snapshots_per_epoch=2))


@pytest.fixture(scope="module")
def landscape(records: Records, scaled: Examples) -> Landscape:
    module = build(NetworkSpec(widths=(64, 8, 10)), torch.Generator())
    trajectory = Trajectory.of(s for r in records if r.member == 0 for s in r.snapshots)
    grid = Grid(columns=4, rows=3)
    return drain(compute_landscape(module, trajectory, scaled, grid=grid, subset=50))


def shown(
    results: Results, run: Run, records: Records, landscape: Landscape, dataset: Dataset
) -> list[Any]:
    assert results.search and results.refit and results.landscape
    trajectory = Trajectory.of(records[0].snapshots)
    model = load_model(run.path)
    return [
        *(dataset, dataset.training, results, run, model, trajectory, Trajectory()),
        *(results.search, results.refit, results.search.trials[0], results.refit.member),
        *(results.landscape, results.theory, results.autoencoder, results.variants),
        *(records, records[0], records[-1], Records(), landscape, landscape.surface),
        landscape.plane,
    ]


def test_every_object_is_short_in_a_console_and_a_table_in_a_notebook(
    finished: Run,
    finished_results: Results,
    records: Records,
    landscape: Landscape,
    make_digits: Callable[..., Dataset],
) -> None:
    for one in shown(finished_results, finished, records, landscape, make_digits()):
        assert isinstance(one, Shown), type(one)
        assert len(repr(one)) <= SHORT and "\n" not in repr(one), repr(one)
        assert type(one).__name__ in repr(one)
        page = one._repr_html_()
        assert len(page) < 20_000 and page.startswith("<div>") and page.endswith("</div>")


def test_facts_say_what_the_object_is(
    finished_results: Results, records: Records, landscape: Landscape
) -> None:
    trial = finished_results.search.trials[1]  # type: ignore[union-attr]
    assert repr(trial).startswith("<Trial id 1, outcome completed, validation accuracy ")
    assert "network 64-" in repr(trial) and "learning rate" in repr(trial)
    assert repr(records).startswith("<Records members 2 completed, epochs 4, best validation")
    assert "snapshots 4" in repr(landscape) and "grid 4 × 3" in repr(landscape)


def test_text_of_others_is_shown_and_never_acts(make_digits: Callable[..., Dataset]) -> None:
    digits = make_digits()
    dataset = Dataset(
        name=HOSTILE,
        source="",
        shape=digits.shape,
        class_names=(HOSTILE,) * 3,
        training=digits.training,
        test=digits.test,
        max_pixel=None,
        sha256="",
    )
    assert "\x1b" not in repr(dataset) and "\x1b" not in dataset._repr_html_()
    assert "<script>" not in dataset._repr_html_()


def test_a_damaged_run_shows_itself_too(copied: Run) -> None:
    (copied.path / "results.json").write_text("{}")
    assert "damaged" in repr(copied) and repr(Run("nowhere")) == "<Run path nowhere>"


def test_frames_have_a_row_for_each(finished_results: Results, records: Records) -> None:
    search, refit = finished_results.search, finished_results.refit
    assert search and refit and finished_results.landscape
    trials = search.to_frame()
    assert trials["id"].tolist() == [trial.id for trial in search.trials]
    rates = [trial.settings.learning_rate for trial in search.trials]
    assert trials["learning_rate"].tolist() == rates
    assert "label_smoothing" in to_frame(search.trials) and "label_smoothing" not in trials
    epochs = to_frame(list(records))
    assert epochs.equals(records.to_frame())
    assert epochs["train_loss"].tolist() == [record.train_loss for record in records]
    path = finished_results.landscape.to_frame()
    assert path["true_loss"].tolist() == [p.true_loss for p in finished_results.landscape.path]
    classes = refit.to_frame(finished_results.data.class_names)
    precisions = [score.precision for score in class_scores(refit.confusion)]
    assert classes["precision"].isna().tolist() == [one is None for one in precisions]
    assert classes["precision"].dropna().tolist() == [x for x in precisions if x is not None]
    assert classes["class"].tolist() == finished_results.data.class_names
    with pytest.raises(InputError, match="int has no fields"):
        to_frame([3])


@pytest.fixture(scope="module")
def reported(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run of some stages whose report was shown, then written."""
    path = shutil.copytree(finished.path, tmp_path_factory.mktemp("reported") / "run")
    run, results = Run(path), finished.read_results()
    results.theory = results.autoencoder = results.variants = None
    run.commit(results, [])
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    page = run.report()
    assert before == {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    write_report(run)
    frame = page._repr_html_()
    assert frame.startswith('<iframe srcdoc="&lt;!doctype html') and frame.count("<") == 2
    return run, page.html


@pytest.mark.slow
def test_the_report_is_shown_as_it_is_written(reported: tuple[Run, str]) -> None:
    run, page = reported
    assert page == (run.path / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_every_figure_of_the_report_can_be_drawn_from_the_run(reported: tuple[Run, str]) -> None:
    run, _ = reported
    written = {path.stem: path for path in (run.path / "figures").glob("*.csv")}
    figures = run.figures()
    assert set(figures) == set(written) and "landscape-surface" in figures
    for name, display in figures.items():
        assert isinstance(display, Display)
        assert display.frame().csv() == written[name].read_text("utf-8"), name


def test_objects_draw_their_figures(finished_results: Results, landscape: Landscape) -> None:
    search = finished_results.search
    assert search
    assert set(landscape.figures()) == {"surface", "contour", "losses", "nulls", "slice"}
    for figure in (landscape.plot(), landscape.plot("contour"), search.plot_history()):
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    display = search.figures()["curves"]
    assert 'alt="Validation accuracy' in display._repr_html_()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"'slise' is no figure of this Landscape; it has .*slice"):
        landscape.plot("slise")


def test_a_landscape_is_turned_within_a_frame_of_its_own(landscape: Landscape) -> None:
    widget = landscape.interactive()
    assert "<header>" not in widget.html and 'id="terrain"' in widget.html
    assert repr(widget).startswith("<InlinePage ")


def test_records_are_watched_or_iterated(scaled: Examples) -> None:
    member = Member(
        network=NetworkSpec(widths=(64, 8, 10)), training=TrainingSpec(epochs=3), seed=7
    )
    iterated = [record.train_loss for record in train([member], scaled)]
    steps = train([member], scaled).steps()
    shares = [step.done / step.total for step in steps]
    assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares)
    assert [record.train_loss for record in drain(train([member], scaled))] == iterated
    with pytest.raises(InputError, match="fit"):
        train([member], Examples(np.zeros((3, 2), np.float32), np.zeros(3, np.int64)))


def test_the_path_of_a_run_may_be_text(finished: Run) -> None:
    assert Run(str(finished.path)).path == Path(finished.path)
