"""Test accuracies beside each other: of each seed, with their mean and its interval."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from downslope.report.display import Display, Frame, Texts
from downslope.report.formats import percent
from downslope.report.statements import describe, over
from downslope.report.style import INK, PAPER, row_panel
from downslope.search import RefitResult
from downslope.statistics import Accuracy


@dataclass(frozen=True)
class Scores(Display):
    """Test accuracies by name; a subclass says how each is marked."""

    refits: Mapping[str, RefitResult]
    title = "How accurate is each on the test set?"

    @abstractmethod
    def mark(self, name: str) -> tuple[str, str]:
        """Return a name's colour and marker."""

    def _accuracies(self) -> dict[str, Accuracy]:
        tested = {name: refit.test_accuracy for name, refit in self.refits.items()}
        return {name: accuracy for name, accuracy in tested.items() if accuracy is not None}

    def frame(self) -> Frame:
        columns = ("name", "seed", "test accuracy", "mean", "low", "high")
        rows = [
            (name, i, accuracy, x.mean, *x.interval)
            for name, x in self._accuracies().items()
            for i, accuracy in enumerate(x.per_seed)
        ]
        return Frame(columns, rows)

    def draw(self, frame: Frame) -> Figure:
        groups = frame.groups("name")
        height = 1.1 + 0.5 * len(groups)
        figure, axes = row_panel("test accuracy (%)", list(groups), height=height)
        for i, (name, seeds) in enumerate(groups.items()):
            colour, marker = self.mark(name)
            mean, low, high = (100 * seeds[column][0] for column in ("mean", "low", "high"))
            axes.hlines(i, low, high, color=colour, linewidth=9, alpha=0.22)
            axes.vlines(mean, i - 0.22, i + 0.22, color=colour, linewidth=2.4)
            axes.plot(
                100 * seeds.numbers("test accuracy"), [i] * len(seeds), marker, color=colour,
                markeredgecolor=PAPER, markeredgewidth=0.8, markersize=6.5,
            )  # fmt: skip
            axes.annotate(
                f"{mean:.2f}", (mean, i - 0.24), (0, 2), textcoords="offset points", ha="center",
                va="bottom", color=INK, fontweight="bold",
            )  # fmt: skip
        axes.margins(x=0.1)
        return figure

    def texts(self) -> Texts:
        accuracies = self._accuracies()
        reached = (
            f"{name} ({describe(self.refits[name])}) {percent(accuracy.mean)}"
            for name, accuracy in accuracies.items()
        )
        alt = f"Test accuracy: {'; '.join(reached)}"
        caption = "Each seed (points), the mean (line) and its 95 % interval "
        covers: dict[str, list[str]] = {}
        for name, accuracy in accuracies.items():
            covers.setdefault(over(accuracy), []).append(name)
        if len(covers) < 2:
            return Texts(f"{caption}over {next(iter(covers), 'test examples')} (band).", alt)
        named = (f"over {kind} for {' and '.join(names)}" for kind, names in covers.items())
        return Texts(f"{caption}(band): {'; '.join(named)}.", alt)
