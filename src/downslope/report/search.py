"""The search section: how the trials learned, which hyperparameters mattered, what was chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from downslope.report import statements
from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Details, Figures, Finder, Paragraph
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import plural
from downslope.report.statements import standing
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    ROSE,
    WIDTH,
    HouseFigure,
    count_along,
    legend_above,
    panel,
    row_panel,
    trial_mark,
    within_reach,
)
from downslope.report.trials import (
    STOPPED,
    budget_table,
    candidate_table,
    choice,
    colour,
    trial_table,
    varied,
    word,
)
from downslope.results import Results
from downslope.search import SearchResult
from downslope.statistics import wilson_interval

PANELS = 4
FEW = 6
"""Values of a hyperparameter, up to which each has a place of its own on an axis."""


@dataclass(frozen=True)
class Curves(Display):
    """The validation accuracy of all trials by epoch."""

    search: SearchResult
    name = "search-curves"
    title = "How did each trial learn?"
    source = Source("results.json: search.trials.curve", "on the validation examples")

    def frame(self) -> Frame:
        columns = ("trial", "outcome", "standing", "epoch", "validation accuracy")
        return Frame((*columns, "training loss", "validation loss"), [
            (
                *(trial.id, trial.outcome, standing(self.search, trial.id), point.epoch),
                *(point.validation_accuracy, point.train_loss, point.validation_loss),
            )
            for trial in self.search.trials
            for point in trial.curve
        ])  # fmt: skip

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("epoch", "validation accuracy (%)", height=3.9)
        kinds = {
            "best and chosen": ("best and chosen", INDIGO, "", 1.0),
            "best": ("best of the search", colour("best", frame), "", 1.0),
            "chosen": ("chosen", INDIGO, "", 1.0),
            "completed": ("other trials", MUTED, "", 0.5),
            "pruned": ("pruned", MUTED, "v", 0.5),
            "stopped": ("diverged or failed", ROSE, "x", 1.0),
        }
        legend: set[str] = set()
        curves = list(frame.groups("trial").items())
        for trial, curve in sorted(curves, key=lambda one: statements.rank(one[1]["standing"][0])):
            name, outcome = curve["standing"][0], curve["outcome"][0]
            kind = name or ("stopped" if outcome in STOPPED else outcome)
            accuracies = curve.numbers("validation accuracy")
            finite = np.isfinite(accuracies)
            if not finite.any():
                continue
            legend.add(kind)
            epochs, errors = curve.numbers("epoch")[finite], _errors(accuracies[finite])
            _, tone, end, alpha = kinds[kind]
            look: Any = {"color": tone, "alpha": alpha, "gid": trial_mark([trial])}
            axes.plot(epochs, errors, linewidth=2.2 if name else 1.0, **look)
            if end or len(epochs) == 1:
                axes.plot(epochs[-1], errors[-1], end or "o", markersize=5, **look)
        for kind, (label, tone, end, _) in kinds.items():
            if kind in legend:
                axes.plot([], [], color=tone, marker=end, label=label)
        count_along(axes.xaxis)
        _mark_accuracies(axes)
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        search = self.search
        return Texts(
            "Validation accuracy after each epoch, one line a trial; the scale is logarithmic in "
            f"the error.{_in_colour(self.search)}",
            f"Validation accuracy by epoch of {plural(len(search.trials), 'trial')} "
            f"({statements.outcomes(search.trials)}); {statements.led(search)}.",
        )


@dataclass(frozen=True)
class Slices(Display):
    """The accuracy of all trials against the hyperparameters that matter most."""

    search: SearchResult
    name = "search-slices"
    title = "Which values led to high accuracy?"
    source = Source("results.json: search.trials", "after the last epoch of each trial")

    def frame(self) -> Frame:
        trials, shares = self.search.trials, self.search.importances
        names = sorted(varied(trials), key=lambda name: -shares.get(name, 0.0))
        columns = ("trial", "outcome", "standing", "validation accuracy")
        return Frame((*columns, *map(word, names)), [
            (
                *(trial.id, trial.outcome, standing(self.search, trial.id)),
                *(trial.validation_accuracy, *(getattr(trial.settings, name) for name in names)),
            )
            for trial in trials
        ])  # fmt: skip

    def draw(self, frame: Frame) -> Figure:
        names = frame.columns[4:][:PANELS]
        columns, rows = min(2, len(names)), math.ceil(len(names) / 2)
        figure = HouseFigure(figsize=(WIDTH, 0.4 + 1.75 * rows), layout="constrained")
        trials, errors = np.array(frame["trial"]), _errors(frame.numbers("validation accuracy"))
        completed = np.isfinite(errors)
        stopped = np.array([outcome in STOPPED for outcome in frame["outcome"]])
        first: Axes | None = None
        for place, setting in enumerate(names):
            axes = figure.add_subplot(rows, columns, place + 1, sharey=first)
            first = first or axes
            at = _place(axes, frame[setting])
            look: Any = {"color": MUTED, "alpha": 0.7, "mew": 0, "ms": 5}
            mark = trial_mark(trials[completed].tolist())
            axes.plot(at[completed], errors[completed], "o", **look, gid=mark)
            for i, name in enumerate(frame["standing"]):
                if name:
                    look = {"color": colour(name, frame), "ms": 8, "mew": 0}
                    axes.plot(at[i], errors[i], "o", **look, gid=trial_mark([trials[i]]))
            if stopped.any():
                look = {"color": ROSE, "ms": 6, "mew": 1.6}
                look |= {"transform": axes.get_xaxis_transform()}
                mark = trial_mark(trials[stopped].tolist())
                axes.plot(at[stopped], np.full(stopped.sum(), 0.04), "x", **look, gid=mark)
            axes.set_xlabel(setting)
            axes.margins(x=0.12, y=0.12)
            if place % columns:
                axes.tick_params(labelleft=False)
        if first is not None:
            _mark_accuracies(first)
        figure.supylabel("validation accuracy (%)", fontsize=10, color=INK)
        return figure

    def texts(self) -> Texts:
        count = len(varied(self.search.trials))
        which = f"the {PANELS} most important of {count}" if count > PANELS else "the"
        stopped = any(trial.outcome in STOPPED for trial in self.search.trials)
        names = ", ".join(self.frame().columns[4:][:PANELS])
        return Texts(
            f"Final validation accuracy against {which} hyperparameters; the others vary too."
            + _in_colour(self.search)
            + (" Crosses: diverged or failed." if stopped else ""),
            f"Final validation accuracy of {len(self.search.trials)} trials against {names}.",
        )


@dataclass(frozen=True)
class Importances(Display):
    """The share of each hyperparameter in the variance of the accuracy."""

    search: SearchResult
    name = "search-importances"
    title = "Which hyperparameters mattered?"
    source = Source("results.json: search.importances", "fANOVA (Hutter et al. 2014)")

    def frame(self) -> Frame:
        rows = [(word(name), share) for name, share in self.search.importances.items()]
        return Frame(("hyperparameter", "share of the variance"), rows)

    def draw(self, frame: Frame) -> Figure:
        names, height = frame["hyperparameter"], 0.9 + 0.36 * len(frame)
        figure, axes = row_panel("share of the variance (%)", names, height=height)
        shares = 100 * frame.numbers("share of the variance")
        bars = axes.barh(range(len(frame)), shares, height=0.62, color=INDIGO)
        axes.bar_label(bars, [f"{share:.0f}" for share in shares], padding=4)
        axes.set_xlim(0, 1.12 * max(shares))
        return figure

    def texts(self) -> Texts:
        name, share = self.frame().rows[0]
        return Texts(
            "Share of each hyperparameter in the variance of the validation accuracy over this "
            "space. It shows what to search, not which values are good.",
            f"Bars of {len(self.search.importances)} shares; the largest: {name}, {share:.0%}.",
        )


def _in_colour(search: SearchResult) -> str:
    names = {trial.id: standing(search, trial.id) for trial in search.trials}
    texts = [f"{name} trial {trial}" for trial, name in names.items() if name]
    return f" In colour: {', '.join(texts)}." if texts else ""


def _errors(accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return errors in percent; none is 0, which no logarithmic axis could show."""
    return np.maximum(100 * (1 - accuracies), 0.05)


def _mark_accuracies(axes: Axes) -> None:
    """Write accuracies along an axis of errors, the best on top."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(lambda error, _: f"{100 - error:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()


def _place(axes: Axes, values: Sequence[Any]) -> NDArray[np.float64]:
    """Place values along the horizontal axis and mark it: a few kinds side by side, else to scale.

    Numbers over more than a decade are placed by their logarithm.
    """
    kinds = sorted({*values}, key=lambda value: (isinstance(value, str), value))
    words = any(isinstance(value, str | bool) for value in kinds)
    if words or len(kinds) <= FEW:
        labels = [str(k).replace("_", " ").lower() if words else f"{k:g}" for k in kinds]
        slanted = sum(len(label) + 2 for label in labels) > 22
        turn: Any = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        axes.set_xticks(range(len(kinds)), labels, **turn)
        return np.array([kinds.index(value) for value in values], np.float64)
    positions = np.array([within_reach(value) for value in values])
    low, high = positions.min(), positions.max()
    if low <= 0 or high < 10 * low:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        return positions
    axes.set_xscale("log")
    steps = (1, 2, 5) if high < 15 * low else (1, 3) if high < 1000 * low else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    return positions


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    search = results.search
    assert search is not None
    trials, ended = search.trials, "search" in results.seconds
    if not ended:
        planned = results.recipe.search.trials
        text = f"The search was interrupted: {len(trials)} of {planned} trials had finished."
        yield Paragraph(text, "warning")
    yield Paragraph(statements.searched(search), "" if search.best else "warning")
    if ended and search.best is None:
        yield Paragraph(f"What to try: {advice(results)}.", "warning")
    if poor := at_chance(search, results.data.class_counts):
        yield Paragraph(poor)
    if search.choice is not None:
        yield Paragraph(choice(search))
    if not trials:
        return
    yield Finder("search", len(trials))
    yield Figures(displays(search))
    yield trial_table(search, "search")
    if search.choice is not None:
        yield Details("The best trials retrained", [
            candidate_table(search, "search"),
            Paragraph(
                "New seeds reveal a lucky seed. Overfitting to these validation examples shows "
                "only on other examples: see second and folds of search.choice.",
                "small",
            ),
        ])  # fmt: skip
    if any(len(trial.curve) < trial.settings.epochs for trial in trials):
        yield Details("What the search cost", [budget_table(search)])


def displays(search: SearchResult) -> list[Display]:
    """List the figures of a search."""
    shown: list[Display] = []
    if any(p.validation_accuracy is not None for trial in search.trials for p in trial.curve):
        shown.append(Curves(search))
    if search.best is not None and varied(search.trials):
        shown.append(Slices(search))
    if search.importances:
        shown.append(Importances(search))
    return shown


def at_chance(search: SearchResult, counts: Sequence[int]) -> str:
    """Count completed trials that do no better than always predicting the most frequent class.

    >>> at_chance(SearchResult(trials=[], best=None, validation_examples=9), [5, 4])
    ''
    """
    chance = max(counts, default=0) / max(1, sum(counts))
    # Above the upper end of the interval of such a prediction, something was learnt.
    top = wilson_interval(chance, search.validation_examples)[1]
    accuracies = [t.validation_accuracy for t in search.trials if t.outcome == "completed"]
    poor = sum(accuracy is not None and accuracy <= top for accuracy in accuracies)
    text = f"{poor} of the completed trials did no better than always predicting the most frequent"
    return f"{text} class." if poor else ""


def advice(results: Results) -> str:
    """Say what to try where nothing completed; empty where something did."""
    search, refit = results.search, results.refit
    if search is not None and search.trials and search.best is None:
        count = plural(len(search.trials), "trial")
        failed = [trial for trial in search.trials if trial.outcome == "failed"]
        if len(failed) == len(search.trials):
            return f"none of {count} could be trained; trial {failed[0].id}: {failed[0].reason}"
        rates = [trial.settings.learning_rate for trial in search.trials]
        low, high = min(rates), max(rates)
        return (
            f"none of {count} completed ({statements.outcomes(search.trials)}) at learning rates "
            f"from {low:.3g} to {high:.3g}; try search.space.learning_rate from "
            f"{np.clip(low / 1000, 1e-4, 1e-2):.1g} to {np.clip(low / 10, 1e-3, 1e-1):.1g}, "
            "search.settings.clip_norm = 1, or search.settings.normalization = 'batch'"
        )
    if refit is not None and not refit.completed:
        rate = np.clip(refit.member.training.learning_rate / 10, 1e-4, 1e-1)
        return (
            f"no seed of the final training completed ({'; '.join(refit.stopped)}); try "
            f"refit.settings.learning_rate = {rate:.1g}, or refit.settings.clip_norm = 1"
        )
    return ""
