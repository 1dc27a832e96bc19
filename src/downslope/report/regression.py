"""What a report says of numbers that are predicted: errors in the target's units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from downslope.report import formats
from downslope.report.arrays import Arrays
from downslope.report.blocks import (
    Block,
    Column,
    Columns,
    Details,
    Fact,
    Figures,
    Paragraph,
    Row,
    Table,
)
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import number, plural, times
from downslope.report.refit import Losses, epoch_table, minibatch_table
from downslope.report.statements import describe, is_chosen, outcomes, standing
from downslope.report.style import INDIGO, INK, MUTED, panel, plain
from downslope.results import DataResult, Results
from downslope.search import RefitResult, SearchResult, Trial
from downslope.statistics import RegressionScore

MOST_SHOWN = 4000
"""Points in a figure; of more test examples, evenly spaced ones are drawn."""

ERROR = Source(
    "results.json: refit.test_error",
    "root mean squared error on the held-out test set, mean over seeds; 95 % interval over seeds "
    "and test examples",
)


@dataclass(frozen=True)
class _Points(Display):
    """A point for each test example, of the first completed seed."""

    predictions: Sequence[float]
    truth: Sequence[float]
    target: str
    source = Source("refit/predictions.npz", "the first completed seed on the test set")

    @property
    def _shown(self) -> list[tuple[float, float]]:
        """Pairs of truth and prediction."""
        order = np.linspace(0, len(self.truth) - 1, min(MOST_SHOWN, len(self.truth))).astype(int)
        return [(self.truth[i], self.predictions[i]) for i in order]

    def _panel(self, frame: Frame, labels: tuple[str, str], height: float) -> tuple[Figure, Axes]:
        """Draw the second column of a frame against the first; labels name the target."""
        name = plain(self.target, 40)
        figure, axes = panel(*(label.format(name) for label in labels), height=height)
        x, y = (frame.numbers(column) for column in frame.columns)
        axes.plot(x, y, ".", color=INDIGO, ms=4, alpha=0.5, rasterized=True)
        return figure, axes


@dataclass(frozen=True)
class Predictions(_Points):
    """Predicted numbers against the true ones."""

    name = "refit-predictions"
    title = "How close are the predictions?"

    def frame(self) -> Frame:
        return Frame(("truth", "prediction"), self._shown)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = self._panel(frame, ("true {}", "predicted {}"), 4.4)
        truth = frame.numbers("truth")
        ends = [float(truth.min()), float(truth.max())]
        axes.plot(ends, ends, color=INK, lw=1, label="prediction = truth")
        axes.legend(loc="upper left")
        return figure

    def texts(self) -> Texts:
        alt = "Predictions against the truth"
        if np.ptp(self.predictions) > 0 and np.ptp(self.truth) > 0:
            correlation = np.corrcoef(self.truth, self.predictions)[0, 1]
            alt += f"; their correlation is {correlation:.3f}"
        return Texts(
            "Each point is a test example; on the line the prediction is right. The first "
            "completed seed.",
            f"{alt}.",
        )


@dataclass(frozen=True)
class Residuals(_Points):
    """Prediction minus truth against the prediction."""

    name = "refit-residuals"
    title = "Where are the predictions off?"

    def frame(self) -> Frame:
        return Frame(("prediction", "residual"), [(p, p - t) for t, p in self._shown])

    def draw(self, frame: Frame) -> Figure:
        figure, axes = self._panel(frame, ("predicted {}", "prediction minus truth"), 3.4)
        axes.axhline(0, color=MUTED, lw=1)
        return figure

    def texts(self) -> Texts:
        residuals = np.asarray(self.predictions) - np.asarray(self.truth)
        low, high = np.quantile(residuals, [0.05, 0.95])
        return Texts(
            "Residuals by prediction: a bend means that the network misses a trend, a wedge that "
            "large predictions are less certain.",
            f"Residuals; 90 % of them lie between {number(low)} and {number(high)}.",
        )


def error(score: RegressionScore) -> str:
    """Write a test error with its interval."""
    low, high = score.interval
    return f"{number(score.mean)}, 95 % interval {number(low)} to {number(high)}"


def answer(results: Results) -> str:
    """Say what was trained and how good it is, for those who read no further."""
    refit, data = results.refit, results.data
    if refit is None or refit.test_error is None:
        return f"No network that predicts {data.target or 'the target'} was trained to its end."
    score = refit.test_error
    return (
        f"A {refit.member.network.label} network ({describe(refit)}), trained on "
        f"{refit.examples:,} examples of {data.name}, predicts {data.target or 'the target'} with "
        f"a root mean squared error of {error(score)}, on {score.examples:,} test examples. Always "
        f"predicting the mean has {number(score.chance)}. The test set was opened "
        f"{times(len(results.test_set.openings))}, and never used to choose anything."
    )


def fact(results: Results) -> Fact:
    """Return the headline's first fact."""
    refit = results.refit
    if refit is None or refit.test_error is None:
        return Fact("test error", "none", "no final training completed", ERROR)
    score = refit.test_error
    low, high = score.interval
    note = f"RMSE, 95 % interval {number(low)} to {number(high)}"
    detail = f"{number(score.chance)} for always predicting the mean; mean absolute error "
    detail += number(score.mae) + ("" if score.r2 is None else f"; R² {score.r2:.4f}")
    return Fact("test error", number(score.mean), note, ERROR, detail)


def validated(search: SearchResult, data: DataResult) -> str:
    """Say which trial did best on validation data, and which was chosen."""
    if search.best is None or search.chosen is None:
        return "no trial completed"
    best = _units(search.best.validation_loss, data)
    text = f"trial {search.best.id} led with a root mean squared error of {best}"
    chosen = search.chosen
    if search.choice is not None and search.choice.chosen is not None:
        text += f"; of the best, trained again, trial {chosen.id} was chosen"
    return f"{text} ({describe(chosen)})"


def _units(loss: float | None, data: DataResult) -> str:
    """Write the mean squared error of the standardized target as one in the target's units."""
    return "–" if loss is None else number(math.sqrt(max(0.0, loss)) * data.target_spread)


def refit_blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the final model."""
    refit, predicted, data = results.refit, arrays.predictions, results.data
    assert refit is not None
    for line in refit.stopped:
        yield Paragraph(line, "warning")
    if refit.test_error is not None:
        yield Paragraph(f"Root mean squared error on the test set: {error(refit.test_error)}.")
    displays: list[Display] = []
    if predicted is not None and len(predicted["truth"]):
        shown: Any = (predicted["predictions"][0], predicted["truth"], data.target or "target")
        displays += [Predictions(*shown), Residuals(*shown)]
    yield Figures([*displays, Losses(refit)])
    if refit.test_error is not None:
        yield _score_table(refit, refit.test_error)
    yield Details(
        "Loss of the last epochs and minibatches",
        [Columns([[epoch_table(refit)], [minibatch_table(refit)]], on_paper=True)],
    )


def _score_table(refit: RefitResult, score: RegressionScore) -> Table:
    completed = [
        seed
        for seed in refit.seeds
        if not any(line.startswith(f"seed {seed} ") for line in refit.stopped)
    ]
    rows = [
        Row([f"seed {seed}", number(rmse)])
        for seed, rmse in zip(completed, score.rmse, strict=True)
    ]
    rows += [
        Row(["mean", number(score.mean)], "best"),
        Row(["95 % interval", " to ".join(map(number, score.interval))]),
        Row(["mean absolute error", number(score.mae)]),
        Row(["R²", "–" if score.r2 is None else f"{score.r2:.4f}"]),
        Row(["always the training mean", number(score.chance)]),
    ]
    columns = [Column("root mean squared error", numeric=False), Column("test set")]
    return Table("Test errors in the target's units", columns, rows, ERROR)


def search_blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the search."""
    assert results.search is not None
    yield from _trials(results.search, results.data, "search")


def variants_blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the variants; that they beat the plain winner is shown by their errors alone."""
    variants = results.variants
    assert variants is not None
    if variants.refit is not None and variants.refit.test_error is not None:
        yield Paragraph(
            "The chosen variant has a root mean squared error on the test set of "
            f"{error(variants.refit.test_error)}. Both networks' errors share their test examples, "
            "so that overlapping intervals do not mean that they are equal."
        )
        yield _score_table(variants.refit, variants.refit.test_error)
    yield from _trials(variants.search, results.data, "variants")


def _trials(search: SearchResult, data: DataResult, part: str) -> Iterator[Block]:
    def order(trial: Trial) -> tuple[float, int]:
        loss = trial.validation_loss
        return (math.inf if loss is None else loss), trial.id

    trials = sorted(search.trials, key=order)
    yield Paragraph(
        formats.capitalized(
            f"{plural(len(trials), 'trial')}, {outcomes(trials)}; {validated(search, data)}."
        )
    )
    rows = [
        Row(
            [
                *(str(trial.id), _units(trial.validation_loss, data), describe(trial)),
                standing(search, trial.id) or trial.outcome,
            ],
            "best" if is_chosen(search, trial.id) else "",
            f"{part}-{trial.id}",
            describe(trial),
        )
        for trial in trials
    ]
    columns = [Column("trial"), Column("validation error"), Column("network", False)]
    columns.append(Column("outcome", False))
    place = "search" if part == "search" else "variants.search"
    source = Source(
        f"results.json: {place}.trials", "root mean squared error on the validation examples"
    )
    yield Table("All trials, the best first", columns, rows, source, True, True)


SECTIONS: dict[str, Callable[[Results, Arrays], Iterator[Block]]] = {
    "refit": refit_blocks,
    "search": search_blocks,
    "variants": variants_blocks,
}
"""The sections that differ from those of a classification."""
