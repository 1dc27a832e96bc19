"""Results that were edited are refused in one line; nothing that is read costs the page."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from downslope.errors import InputError
from downslope.report import summary
from downslope.report.arrays import Arrays
from downslope.report.display import Drawing, Frame, draw_all
from downslope.report.document import compose
from downslope.report.html import render_page
from downslope.report.search import Slices
from downslope.report.typst import render_source
from downslope.results import Results
from downslope.runs import Run

NOTHING = Arrays(surface=None, joint=None, trials=None, images=None, predictions=None)
HUGE = 10**18

Table = dict[str, Any]


def edit(run: Run, change: Callable[[Table], None]) -> None:
    path = run.path / "results.json"
    table = msgspec.json.decode(path.read_bytes())
    change(table)
    path.write_bytes(msgspec.json.encode(table))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["data"].update(shape=[10**9, 10**9]), "must agree"),
        (lambda t: t["data"].update(shape=[-8, -8]), "each must be at least 1"),
        (lambda t: t["data"].update(shape=[]), "each must be at least 1"),
        (lambda t: t["data"].update(training=-1), "data.training = -1"),
        (lambda t: t["data"].update(class_counts=[-1] * 10), "data.class_counts has -1"),
        (lambda t: t["search"]["trials"][1].update(id=HUGE), "search.trials"),
        (lambda t: t["search"]["trials"][1].update(id=0), "search.trials: each id"),
        (lambda t: t["search"]["best"].update(id=77), "search.best.id = 77: no such trial"),
        (lambda t: t["variants"]["search"]["best"].update(id=7), "variants.search.best.id = 7"),
        (lambda t: t["search"]["choice"].update(chosen=99), "search.choice.chosen = 99"),
        (lambda t: t["search"]["choice"].update(candidates=[]), "at least one"),
        (lambda t: t["refit"].update(epochs=[]), "refit.epochs: must be at least one"),
        (lambda t: t["refit"]["seeds"].append(3), "one loss for each of the seeds"),
        (lambda t: t["refit"]["confusion"].pop(), "refit.confusion: must have 10 rows"),
        (lambda t: t["variants"]["refit"]["test_accuracy"].update(per_seed=[]), "per_seed"),
        (lambda t: t["landscape"]["runs"][0].update(path=[]), "landscape.runs"),
        (lambda t: t["autoencoder"]["member"]["network"]["widths"].__setitem__(0, 9), "9 inputs"),
    ],
)
def test_what_does_not_hold_together_is_refused_in_one_line(
    run: Run, change: Callable[[Table], None], words: str
) -> None:
    edit(run, change)
    with pytest.raises(InputError) as refusal:
        run.read_results()
    text = str(refusal.value)
    assert "results.json" in text and words in text
    assert "\n" not in text and len(text) < 400


def said(results: Results, drawings: dict[str, Drawing] | None = None) -> tuple[str, str]:
    """Set a report as a page and on paper, its figures left out."""
    document = compose(results, None, NOTHING)
    if drawings is None:
        drawings = {
            d.name: Drawing(d.name, d.title, d.caption, d.alt, "<svg></svg>", "")
            for d in document.displays()
        }
    return render_page(document, drawings), render_source(document, drawings)


def test_a_figure_that_cannot_be_drawn_does_not_cost_the_page(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(display: Slices, frame: Frame) -> None:
        raise OverflowError("cannot convert float infinity to integer")

    results.theory = results.refit = results.variants = results.landscape = None
    results.joint_landscape = results.trials_landscape = results.autoencoder = None
    monkeypatch.setattr(Slices, "draw", fail)
    drawings = draw_all(compose(results, None, NOTHING).displays())
    assert "cannot be drawn" not in drawings["search-curves"].caption
    words = "This figure cannot be drawn (OverflowError: cannot convert"
    assert words in drawings["search-slices"].caption
    for text in said(results, drawings):
        assert words in text


def test_enormous_rates_are_drawn_and_listed(results: Results) -> None:
    assert results.search
    trials = list(results.search.trials)
    for i, rate in enumerate((1e38, 1e-37)):
        training = msgspec.structs.replace(trials[i].member.training, learning_rate=rate)
        trials[i] = msgspec.structs.replace(
            trials[i],
            settings=trials[i].settings.replace({"learning_rate": rate}),
            member=msgspec.structs.replace(trials[i].member, training=training),
        )
    results.search = msgspec.structs.replace(results.search, trials=trials)
    drawing = draw_all([Slices(results.search)])["search-slices"]
    assert "1e+38" in drawing.csv and "cannot be drawn" not in drawing.caption
    for text in said(results):
        assert "1e+38" in text


def test_giant_names_and_losses_that_are_not_finite(results: Results) -> None:
    assert results.refit
    name = "x" * 20_000
    data = msgspec.structs.replace(results.data, name=name, class_names=[name] * 10)
    epochs = [
        msgspec.structs.replace(epoch, train_loss=None, train_loss_per_seed=[None, None])
        for epoch in results.refit.epochs
    ]
    results.data = data
    results.refit = msgspec.structs.replace(results.refit, epochs=epochs)
    results.recipe = msgspec.structs.replace(results.recipe, title=name)
    assert "not finite" in dict(summary(results))["final model"]
    for text in said(results):
        assert "not finite" in text
