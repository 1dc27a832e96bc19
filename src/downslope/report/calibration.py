"""The reliability diagram of the final model: is it as often right as it is confident?"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import percent, percent_interval
from downslope.report.style import INDIGO, INK, TEAL, WIDTH, HouseFigure, legend_above
from downslope.statistics import Reliability


@dataclass(frozen=True)
class Calibration(Display):
    """Accuracy against confidence by bin."""

    reliability: Reliability
    name = "refit-calibration"
    title = "Can its confidence be trusted?"
    source = Source(
        "refit/predictions.npz: predictions, confidences, truth",
        "15 bins of equal width; expected calibration error as in Guo et al. (2017), its 95 % "
        "interval from an inverted test with 1,000 bootstrap draws of the test examples",
    )

    def frame(self) -> Frame:
        rows = [
            (b.low, b.high, b.examples, b.confidence, b.accuracy, *b.interval)
            for b in self.reliability.bins
        ]
        columns = ("from", "to", "predictions", "confidence", "accuracy", "low", "high")
        return Frame(columns, rows)

    def draw(self, frame: Frame) -> Figure:
        figure = HouseFigure(figsize=(WIDTH, 3.9), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
        columns = ("from", "to", "confidence", "accuracy", "low", "high")
        left, right, sure, accuracy, low, high = (100 * frame.numbers(name) for name in columns)
        upper.plot([0, 100], [0, 100], color=TEAL, dashes=(5, 3), lw=1.1, label="calibrated")
        upper.vlines(sure, low, high, color=INDIGO, lw=1.4, alpha=0.6, label="95 % interval")
        upper.plot(sure, accuracy, "o-", color=INDIGO, ms=5.5, lw=1.3, label="this model")
        upper.set_ylabel("accuracy (%)")
        upper.set_ylim(-2, 102)
        legend_above(upper, 2)
        count = frame.numbers("predictions")
        share = count / count.sum()
        width = right - left
        lower.bar(left, 100 * share, width, align="edge", color=INDIGO, alpha=0.35, ec=INDIGO)
        lower.axvline(float(share @ sure), color=INK, lw=1.5, label="mean confidence")
        lower.axvline(float(share @ accuracy), color=TEAL, lw=1.5, dashes=(4, 2), label="accuracy")
        lower.set_xlabel("confidence (%)")
        lower.set_ylabel("share (%)")
        lower.set_xlim(min(95.0, float(left[0])), 100.5)
        lower.legend(loc="upper left")
        return figure

    def texts(self) -> Texts:
        reliability = self.reliability
        bins, error = len(reliability.bins), percent(reliability.error)
        return Texts(
            f"Expected calibration error, the average gap between confidence and accuracy: "
            f"{error} (95 % interval {percent_interval(reliability.interval)}). "
            f"Mean confidence {percent(reliability.confidence)}, accuracy "
            f"{percent(reliability.accuracy)}. Below: histogram of confidences over all seeds.",
            f"Accuracy against confidence in {bins} bins; expected calibration error {error}.",
        )
