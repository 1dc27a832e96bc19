"""The figures and tables of the final model's section."""

import math
from collections.abc import Callable, Sequence

import matplotlib.image
import msgspec
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from downslope.report import refit
from downslope.report.arrays import Arrays, arrays
from downslope.report.blocks import Block, Figures, Paragraph, Table, walk, words
from downslope.report.calibration import Calibration
from downslope.report.display import draw_all
from downslope.report.refit import Confusion, Losses, Minibatches, Mistakes
from downslope.report.style import svg
from downslope.results import Results
from downslope.runs import Run
from downslope.search import RefitResult
from downslope.statistics import reliability


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]  # type: ignore[attr-defined]


def images(figure: Figure) -> list[NDArray[np.float64]]:
    found = figure.findobj(matplotlib.image.AxesImage)
    return [np.asarray(image.get_array()) for image in found]  # type: ignore[attr-defined]


def final(results: Results, **changes: object) -> RefitResult:
    assert results.refit
    return msgspec.structs.replace(results.refit, **changes)


@pytest.fixture
def section(finished: Run, results: Results) -> Callable[[], list[Block]]:
    def compose() -> list[Block]:
        return [*walk([*refit.blocks(results, arrays(finished, results))])]

    return compose


def names(blocks: Sequence[Block]) -> list[str]:
    return [d.name for block in blocks if isinstance(block, Figures) for d in block.displays]


def test_a_seed_that_stopped_early_leaves_a_gap(results: Results) -> None:
    *epochs, last = final(results).epochs
    short = msgspec.structs.replace(last, train_loss=None, train_loss_per_seed=[0.5, None])
    display = Losses(final(results, epochs=[*epochs, short]))
    frame = display.frame()
    first, second = (f"seed {seed}" for seed in final(results).seeds)
    assert math.isnan(frame.numbers("mean loss")[-1])
    assert frame[first][-1] == 0.5 and math.isnan(frame.numbers(second)[-1])
    assert len(frame["test accuracy"]) == 3 and "test accuracy (%)" in texts(display.plot())


def test_a_single_seed_has_one_line(results: Results) -> None:
    epochs = [
        msgspec.structs.replace(e, train_loss_per_seed=[e.train_loss], test_accuracy=None)
        for e in final(results).epochs
    ]
    display = Losses(final(results, epochs=epochs, seeds=[541]))
    assert display.frame().columns == ("epoch", "loss")
    assert len(display.plot().axes) == 1


def test_minibatches_are_counted_back_from_the_last(results: Results) -> None:
    last = final(results).last_minibatches
    frame = Minibatches(final(results)).frame()
    assert frame["minibatch"] == list(range(1 - len(last), 1))
    assert frame["step"] == [one.step for one in last]


def test_a_confusion_matrix_names_classes_as_they_are() -> None:
    display = Confusion([[3, 1], [0, 4]], ["$_{^", "<b>"])
    assert {"75", "25", "100", "$_{^", "<b>"} <= {*texts(display.plot())}
    assert display.frame().rows[:2] == [("$_{^", "$_{^", 3, 0.75), ("$_{^", "<b>", 1, 0.25)]
    assert "$_{^ taken for <b>, once" in display.caption
    assert svg(display.plot()) == svg(display.plot())


def test_a_confusion_matrix_of_many_classes_and_of_none_wrong() -> None:
    many = Confusion(np.eye(50, dtype=int).tolist(), [str(i) for i in range(50)])
    assert many.frame()["share of the class"].count(1.0) == 50
    assert "100" not in texts(many.plot()) and "Most frequent" not in many.caption
    assert Confusion([[0, 0], [1, 1]], ["a", "b"]).frame()["share of the class"][:2] == [0, 0]


def test_calibration_shows_every_bin() -> None:
    confidences = np.array([[0.95, 0.9, 0.6, 0.6]])
    right = np.array([[True, True, True, False]])
    display = Calibration(reliability(confidences, right))
    assert display.frame()["predictions"] == [2, 1, 1]
    assert {"confidence (%)", "mean confidence", "accuracy"} <= {*texts(display.plot())}


def test_mistakes_in_colour_are_drawn_in_the_range_of_all() -> None:
    halves = np.zeros((4, 6, 3))
    halves[:2, :, 0], halves[2:, :, 2] = 1, 1
    answers = {
        "truth": np.array([0, 1]),
        "predictions": np.array([[1, 0]]),
        "confidences": np.array([[0.9, 0.999999]]),
        "mistakes": np.array([0, 1]),
        "mistake_inputs": np.stack([halves - 0.5, np.zeros((4, 6, 3))]).reshape(2, -1),
    }
    display = Mistakes(answers, ["a", "b"], (4, 6, 3))
    first, second = images(display.plot())
    np.testing.assert_array_equal(first, halves)
    np.testing.assert_array_equal(second, np.full((4, 6, 3), 0.5))
    assert display.frame().where(row=0, channel="red").numbers("column 0").tolist() == [0.5, 0.0]
    assert "(90.00 % to above 99.99 %)" in display.caption
    assert display.caption.startswith("All 2 mistakes of the first completed seed, whatever their")
    answers |= {key: answers[key][:1] for key in ("mistakes", "mistake_inputs")}
    few = Mistakes(answers, ["a", "b"], (4, 6, 3)).caption
    assert few.startswith("Of 2 mistakes of the first completed seed the 1 with the highest confi")


def test_mistakes_of_one_class_pair_stand_together() -> None:
    answers = {
        "truth": np.array([0, 1, 0, 1]),
        "predictions": np.array([[1, 2, 2, 2]]),
        "confidences": np.array([[0.9, 0.8, 0.7, 0.6]]),
        "mistakes": np.arange(4),
        "mistake_inputs": np.arange(16.0).reshape(4, 4),
    }
    display = Mistakes(answers, ["a", "b", "c"], (2, 2))
    pairs = display.frame().where(row=0)
    assert list(zip(pairs["label"], pairs["prediction"], strict=True)) == [
        ("b", "c"), ("b", "c"), ("a", "b"), ("a", "c"),
    ]  # fmt: skip


def test_the_section_gives_every_number(
    section: Callable[[], list[Block]], results: Results
) -> None:
    blocks = section()
    tables = [block for block in blocks if isinstance(block, Table)]
    cells = [[words(cell) for cell in row.cells] for table in tables for row in table.rows]
    for epoch in final(results).epochs:
        (row,) = (row for row in cells if row[:2] == [str(epoch.epoch), f"{epoch.train_loss:.4f}"])
        assert row[-1] == f"{100 * (epoch.test_accuracy or 0):.2f} %"
    for one in final(results).last_minibatches:
        assert [f"{one.step:,}", f"{one.train_loss:.4f}"] in cells
    assert {row[0] for row in cells} >= set(results.data.class_names)
    assert names(blocks)[:3] == ["refit-loss", "refit-minibatches", "refit-calibration"]


def test_losses_that_are_not_finite_are_said_to_be_so(
    section: Callable[[], list[Block]], results: Results
) -> None:
    epochs = [
        msgspec.structs.replace(epoch, train_loss=None, train_loss_per_seed=[None, None])
        for epoch in final(results).epochs
    ]
    line = "seed 542 diverged: a loss was nan"
    results.refit = final(results, epochs=epochs, test_accuracy=None, confusion=[], stopped=[line])
    blocks = section()
    tables = [block for block in blocks if isinstance(block, Table)]
    assert any("not finite" in row.cells for table in tables for row in table.rows)
    assert line in [block.text for block in blocks if isinstance(block, Paragraph)]
    drawings = draw_all([d for b in blocks if isinstance(b, Figures) for d in b.displays])
    assert not [one for one in drawings.values() if "cannot be drawn" in one.alt]


def test_giant_names_are_drawn_short(results: Results) -> None:
    display = Confusion(final(results).confusion, ["x" * 20_000] * 10)
    assert max(map(len, texts(display.plot()))) < 30 and len(display.caption) < 400


def test_a_run_without_confidences_says_so(results: Results) -> None:
    nothing = Arrays(surface=None, joint=None, trials=None, images=None, predictions=None)
    blocks = [*refit.blocks(results, nothing)]
    assert names(blocks) == ["refit-loss", "refit-minibatches", "refit-confusion"]
    said = [words(block.text) for block in blocks if isinstance(block, Paragraph)]
    assert any("holds no confidences" in text for text in said)
