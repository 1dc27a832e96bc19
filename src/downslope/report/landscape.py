"""The landscape section: the surface under the path of training, and how far to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report.arrays import Arrays
from downslope.report.blocks import (
    Block,
    Column,
    Details,
    Figures,
    Interactive,
    Paragraph,
    Row,
    Table,
    strong,
)
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import loss, number, percent, plural
from downslope.report.interactive import Scene
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    TEAL,
    WIDTH,
    HouseFigure,
    count_along,
    fit_scale,
    legend_above,
    panel,
    row_panel,
)
from downslope.report.terrain import Contour, Surface, span, unit
from downslope.results import Results

NULLS = {
    "independent": "random walk,\nindependent",
    "autocorrelated": "random walk,\nautocorrelated",
}


@dataclass(frozen=True)
class Losses(Display):
    """True and projected loss along the path, and its distance from the plane."""

    result: LandscapeResult
    name = "landscape-losses"
    title = "How faithful is the plane?"
    source = Source(
        "results.json: landscape.runs", "loss on training examples; distances between parameters"
    )

    def frame(self) -> Frame:
        path = self.result.path
        within = [math.dist((p.x, p.y), (path[0].x, path[0].y)) for p in path]
        columns = ("step", self.result.loss, "projected loss", "from the plane", "from the start")
        rows = [
            (p.step, p.true_loss, p.projected_loss, p.residual, moved)
            for p, moved in zip(path, within, strict=True)
        ]
        return Frame(columns, rows)

    def draw(self, frame: Frame) -> Figure:
        figure = HouseFigure(figsize=(WIDTH, 4.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1.4, 1])
        steps, name = frame["step"], frame.columns[1]
        true, projected = frame.numbers(name), frame.numbers("projected loss")
        upper.plot(steps, true, color=INDIGO, marker=".", markersize=4, label="true")
        upper.plot(steps, projected, color=TEAL, dashes=(4, 2), label="projected onto the plane")
        upper.set_ylabel(name)
        fit_scale(upper, np.concatenate([true, projected]), 4)
        legend_above(upper, 2)
        away = frame.numbers("from the plane")
        lower.plot(steps, away, color=INDIGO, marker=".", markersize=4, label="from the plane")
        moved = frame.numbers("from the start")
        lower.plot(steps, moved, color=MUTED, dashes=(4, 2), label="from the start, within it")
        lower.set_ylim(bottom=0)
        lower.set_ylabel("distance")
        lower.set_xlabel("step (minibatches)")
        lower.legend(loc="best")
        count_along(lower.xaxis, 5)
        return figure

    def texts(self) -> Texts:
        first, last = self.result.path[0], self.result.path[-1]
        return Texts(
            "Along the path: loss of the snapshots and of their projections; below, their distance "
            "from the plane and how far they have come within it, in units of the parameters.",
            f"True loss from {loss(first.true_loss)} to {loss(last.true_loss)}, projected from "
            f"{loss(first.projected_loss)} to {loss(last.projected_loss)}{unit(self.result)}.",
        )


@dataclass(frozen=True)
class Nulls(Display):
    """The plane's share of variance beside those of random walks."""

    result: LandscapeResult
    name = "landscape-nulls"
    title = "Is the path flatter than a random walk?"
    source = Source(
        "results.json: landscape.nulls", "random walks with the step lengths of this training"
    )

    def frame(self) -> Frame:
        share = sum(self.result.explained_variance)
        rows = [("this training", share, None, None)]
        rows += [(NULLS[null.name], null.mean, *null.interval) for null in self.result.nulls]
        return Frame(("path", "share of variance", "low", "high"), rows)

    def draw(self, frame: Frame) -> Figure:
        label = "path's variance in the plane (%)"
        figure, axes = row_panel(label, frame["path"], height=2.6)
        share, low, high = (100 * frame.numbers(n) for n in ("share of variance", "low", "high"))
        axes.hlines(range(len(frame)), low, high, color=TEAL, linewidth=5, alpha=0.35)
        for row, value in enumerate(share):
            colour, marker = (TEAL, "o") if row else (INDIGO, "D")
            axes.plot(value, row, marker, color=colour, markersize=7)
            axes.text(value, row - 0.2, f"{value:.1f}", ha="center", va="bottom", fontsize=9.6)
        axes.set_xlim(0, 106)
        return figure

    def texts(self) -> Texts:
        independent, correlated = (percent(null.mean, 1) for null in self.result.nulls)
        share = percent(sum(self.result.explained_variance), 1)
        return Texts(
            "Share of the path's variance that its plane holds. "
            f"{self.result.nulls[0].walks} random walks with the same step lengths reach "
            f"{independent}, and {correlated} if their steps also have the same autocorrelation "
            "(points, mean; bars, 95 % of walks). A high share alone does not mean that training "
            "moves in a plane (Antognini and Sohl-Dickstein 2018).",
            f"Share of variance in the plane: {share}; random walks {independent} and "
            f"{correlated}.",
        )


@dataclass(frozen=True)
class Slice(Display):
    """Loss along the straight line from the first snapshot to the last."""

    result: LandscapeResult
    arrays: dict[str, NDArray[Any]]
    name = "landscape-slice"
    title = "Is there a barrier between start and end?"
    source = Source("landscape/surface.npz: slice_loss", "loss on training examples")

    def frame(self) -> Frame:
        names = ("slice_positions", "slice_loss", "slice_error")
        columns = [np.asarray(self.arrays[name], float).tolist() for name in names]
        return Frame(("position", self.result.loss, "standard error"), zip(*columns, strict=True))

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("position: 0 at the start, 1 at the end", frame.columns[1])
        at, values = frame.numbers("position"), frame.numbers(frame.columns[1])
        values = np.where(np.isfinite(values), values, np.nan)
        error = 1.96 * np.nan_to_num(frame.numbers("standard error"))
        axes.fill_between(at, values - error, values + error, color=INDIGO, alpha=0.25, linewidth=0)
        axes.plot(at, values, color=INDIGO)
        for end in (0, 1):
            axes.axvline(end, color=MUTED, linewidth=0.8, dashes=(2, 2))
        fit_scale(axes, values, 12)
        return figure

    def texts(self) -> Texts:
        values = self.frame().numbers(self.result.loss)
        values = values[np.isfinite(values)]
        ends = f"{number(min(values, default=None))} to {number(max(values, default=None))}"
        return Texts(
            "Loss along the straight line through the first and the last snapshot; band: its 95 % "
            "interval over the sampling of examples.",
            f"Loss along a straight line, {ends}{unit(self.result)}.",
        )


@dataclass(frozen=True)
class Curvature(Display):
    """The Hessian's eigenvalues and trace, and the gradient's norm, along the path."""

    result: LandscapeResult
    name = "landscape-curvature"
    title = "How sharp is the loss along the path?"
    source = Source(
        "results.json: landscape.curvature",
        "Lanczos iterations on Hessian-vector products; trace by Hutchinson's estimate",
    )

    def frame(self) -> Frame:
        columns = ("step", "trace", "trace, 95 %", "largest", "second", "gradient norm")
        return Frame(
            columns,
            (
                (
                    p.step, p.trace, None if p.trace_error is None else 1.96 * p.trace_error,
                    *[*p.eigenvalues, None][:2], p.gradient_norm,
                )
                for p in self.result.curvature
                if p.trace is not None and p.eigenvalues
            ),
        )  # fmt: skip

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("step (minibatches)", "curvature, gradient norm", height=3.4)
        steps, trace = frame["step"], frame.numbers("trace")
        reach = np.nan_to_num(frame.numbers("trace, 95 %"))
        axes.errorbar(
            steps, trace, yerr=reach, color=INDIGO, marker="s", ms=4, capsize=2, label="trace"
        )
        for name, label, colour, look, dashes in (
            ("largest", "largest eigenvalue", MUTED, "o", (1, 0)),
            ("second", "second eigenvalue", MUTED, "^", (4, 2)),
            ("gradient norm", "gradient norm", INK, "D", (1, 1.5)),
        ):
            values = frame.numbers(name)
            axes.plot(steps, values, look, ls="-", color=colour, ms=4, dashes=dashes, label=label)
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        count_along(axes.xaxis, 5)
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        normalized = self.result.batch_norm
        largest = self.frame()["largest"]
        return Texts(
            "Trace of the Hessian with its 95 % interval, its two largest eigenvalues, and the "
            "norm of the gradient."
            + (" Batch norm has its statistics of the end of training." if normalized else ""),
            f"Largest eigenvalue from {number(largest[0], 3)} to {number(largest[-1], 3)}.",
        )


def scenes(results: Results, arrays: Arrays) -> list[Scene]:
    """List the landscapes of a run that a reader can turn and walk through."""
    landscapes = (
        ("Final model, {0.module}", results.landscape, arrays.surface),
        ("Final model, {1} seeds in one plane", results.joint_landscape, arrays.joint),
        (
            "Search, the {1} best trials of {0.module} in one plane",
            results.trials_landscape,
            arrays.trials,
        ),
    )
    return [
        Scene(title.format(result, len(result.runs)), result, surface)
        for title, result, surface in landscapes
        if result is not None and surface is not None
    ]


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    result = results.landscape
    assert result is not None
    yield from landscape_blocks(result, arrays.surface, scenes(results, arrays))
    if not result.validation_examples:
        yield Paragraph(
            "There is no validation surface of the final model: it was trained on the validation "
            "examples too.",
            "small",
        )


def landscape_blocks(
    result: LandscapeResult, surface: dict[str, NDArray[Any]] | None, scenes: Sequence[Scene]
) -> Iterator[Block]:
    """Yield a landscape: the surface to turn, and what to hold against it."""
    yield from _summary(result)
    displays: list[Display] = [Losses(result)]
    if result.nulls:
        displays.append(Nulls(result))
    if surface is None:
        text = "landscape/surface.npz is missing or damaged: the surface is left out."
        yield Paragraph(text, "warning")
    else:
        yield Interactive(
            scenes,
            [Surface(result, surface), Contour(result, surface)],
            f"Loss on training examples, on the surface {span(result)}. Solid: the path at its "
            "true loss; dashed: its projection onto the plane, with stems between.",
        )
        if "slice_loss" in surface:
            displays.append(Slice(result, surface))
    yield Figures(displays)
    if any(p.eigenvalues and p.trace is not None for p in result.curvature):
        yield Details("Curvature along the path", [Figures([Curvature(result)])])
    several = [scene for scene in scenes if len(scene.result.runs) > 1]
    if several:
        yield Details("Runs in a shared plane", [run_table(several)])
    yield Details("How the surface was computed", [Paragraph(_method(result))])


def _summary(result: LandscapeResult) -> Iterator[Block]:
    first, second = result.explained_variance
    last = result.path[-1]
    text = f"The training path of {result.module}, {plural(len(result.path), 'snapshot')}, "
    shares = strong(f"{percent(first, 1)} + {percent(second, 1)}")
    plane = ["in the plane of two principal directions, which hold ", shares, " of its variance. "]
    if math.isnan(first):
        plane = ["projected onto a given plane. "]
    furthest = max(p.residual for p in result.path)
    rest = (
        f" and that of its projection {loss(last.projected_loss)}, at a distance of "
        f"{number(last.residual, 3)} from the plane (at most {number(furthest, 3)} along the path)."
    )
    yield Paragraph(
        [text, *plane, "At the end the true loss is ", strong(loss(last.true_loss)), rest]
    )


def _method(result: LandscapeResult) -> str:
    """Say at how many points the loss was computed, on what, and with which errors."""
    columns, rows = result.grid
    low, high = result.sampling_error
    text = [
        f"The loss on {result.examples:,} training examples was computed at {columns} × {rows} "
        "points of the plane."
    ]
    if 0 < result.computed < columns * rows:
        text.append(
            f"Of these {result.computed:,} were computed, where the surface bends, and the others "
            "interpolated; where that was checked it was off by at most "
            f"{number(result.interpolation_error, 2)}{unit(result)}."
        )
    if result.not_finite:
        text.append(f"At {plural(result.not_finite, 'grid point')} the loss is not finite.")
    if low is not None and high is not None:
        text.append(
            "From the number of examples alone, the lowest loss has a standard error of "
            f"{number(low, 2)} and the highest one of {number(high, 2)}{unit(result)}."
        )
    if result.batch_norm:
        how = "kept as they were at the end of training"
        if result.batch_norm == "recomputed":
            how = "recomputed from the same examples at every point"
        text.append(f"Batch norm's running statistics are {how}.")
    return " ".join(text)


def run_table(scenes: Sequence[Scene]) -> Table:
    """List how well joint planes hold their runs."""
    headings = ("variance in the plane", "largest distance from it", "true loss at the end")
    return Table(
        "How much of each run a shared plane shows; paths that appear to cross need not meet",
        [Column("plane", False), Column("run", False), *map(Column, headings)],
        [
            Row([
                *(scene.title, run.label, percent(run.share, 1)),
                *(number(max(p.residual for p in run.path), 3), loss(run.path[-1].true_loss)),
            ])
            for scene in scenes
            for run in scene.result.runs
        ],
        Source(
            "results.json: joint_landscape, trials_landscape",
            "snapshots of refit/seeds.npz, and of the best trials trained again",
        ),
    )  # fmt: skip
