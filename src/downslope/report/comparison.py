"""Runs side by side on one page: what each reached, settings that differ, curves, one plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

import msgspec
import numpy as np
from matplotlib.figure import Figure

from downslope.errors import InputError
from downslope.files import write_whole
from downslope.landscape import Landscape
from downslope.report.blocks import (
    Block,
    Column,
    Document,
    Facts,
    Figures,
    Interactive,
    Paragraph,
    Row,
    Section,
    Table,
    code,
)
from downslope.report.display import Display, Frame, Source, Texts, draw_all
from downslope.report.formats import percent, points, points_interval
from downslope.report.headline import summary, title
from downslope.report.html import render_page
from downslope.report.interactive import Scene
from downslope.report.scores import Scores
from downslope.report.style import MARKERS, RUN_COLOURS, count_along, fit_scale, legend_above, panel
from downslope.results import Results
from downslope.runs import Manifest, Run
from downslope.search import RefitResult, SearchResult
from downslope.statistics import Comparison, compare

MOST: Final = len(ascii_uppercase)
_DASHES: Final[Any] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 3)))


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs that are compared; `hits` by seed and test example, if kept."""

    run: Run
    results: Results
    manifest: Manifest | None
    hits: np.ndarray[Any, np.dtype[np.bool_]] | None


Sides = Mapping[str, Side]


def read_sides(runs: list[Run]) -> dict[str, Side]:
    """Read the runs to compare and name them A, B, ... in their order.

    Raises:
        InputError: fewer than two or too many, one twice, or one that is damaged or no run.
    """
    if not 2 <= len(runs) <= MOST:
        raise InputError(f"report: {len(runs)} runs cannot be compared; give 2 to {MOST}")
    places = [run.path.resolve() for run in runs]
    for place in places:
        if places.count(place) > 1:
            raise InputError(f"report: {place} is given twice; each run once")
    return {
        name: Side(run, run.read_results(), run.read_manifest(), _hits(run))
        for name, run in zip(ascii_uppercase, runs, strict=False)
    }


def _hits(run: Run) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    try:
        arrays = run.read_arrays("refit/predictions.npz", ("predictions", "truth"))
    except InputError:  # no final model, or an older run
        return None
    return arrays["predictions"] == arrays["truth"]


def write_comparison(path: Path, sides: Sides, joint: Landscape | None, apart: str = "") -> None:
    """Write the page that puts runs side by side.

    Args:
        path: of the page.
        sides: from `read_sides`.
        joint: their landscape in one plane, if there is one.
        apart: why there is none.

    Raises:
        InputError: the page cannot be written.
    """
    sections = [
        Section("runs", "Runs", list(_runs(sides))),
        Section("scores", "Scores", list(_scores(sides))),
        Section("settings", "Settings that differ", [_differing(sides)]),
        Section("curves", "Curves", [_curves(sides)]),
        Section("landscape", "One plane", list(_plane(joint, apart))),
    ]
    document = Document(
        f"{len(sides)} runs side by side", "", [], sections,
        f"Made by downslope from the files of {len(sides)} runs; nothing was trained to make this "
        "page.",
    )  # fmt: skip
    page = render_page(document, draw_all(document.displays()))
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def _runs(sides: Sides) -> Iterator[Block]:
    yield Facts([
        (f"Run {name}", [f"{title(x.results)} ({x.results.data.name}), in ", code(str(x.run.path))])
        for name, x in sides.items()
    ])  # fmt: skip
    if len({side.results.data.sha256 for side in sides.values()}) > 1:
        yield Paragraph(
            "The runs have different data: scores on different test sets cannot be compared.",
            "warning",
        )


def _scores(sides: Sides) -> Iterator[Block]:
    refits = {f"run {name}": refit for name, refit in _refits(sides).items()}
    if any(refit.test_accuracy is not None for refit in refits.values()):
        yield Figures([RunScores(refits)])
    yield score_table(sides)
    differences = difference_table(sides)
    if differences.rows:
        yield differences
    yield Paragraph(
        "Each run made its own choices on its own validation data. To choose a run by these test "
        "figures would be to tune on the test set.",
        "small",
    )


def _curves(sides: Sides) -> Block:
    refits, displays = _refits(sides), list[Display]()
    if refits:
        displays.append(RunLosses(refits))
    searches = {name: side.results.search for name, side in sides.items()}
    if tried := {name: search for name, search in searches.items() if search and search.trials}:
        displays.append(RunSearches(tried))
    if not displays:
        return Paragraph("No run has a search or a final training.", "small")
    return Figures(displays)


def _plane(joint: Landscape | None, apart: str) -> Iterator[Block]:
    if joint is None:
        yield Paragraph(f"No plane is drawn: {apart}.", "small")
        return
    first, second = (percent(share, 1) for share in joint.result.explained_variance)
    yield Paragraph(
        "The training paths of the final models' first seeds in the plane of their joint "
        f"principal components, over the loss on {joint.result.examples:,} of the first run's "
        f"training examples. The plane holds {first} + {second} of their variance. Hidden units "
        "can change places without changing a network: paths that end far from each other need "
        "not be different functions."
    )
    scene = Scene("The runs in one plane", joint.result, joint.arrays())
    caption = "Solid: each path at its true loss; dashed: its projection onto the plane."
    yield Interactive([scene], [], caption)


def _refits(sides: Sides) -> dict[str, RefitResult]:
    refits = {name: side.results.refit for name, side in sides.items()}
    return {name: refit for name, refit in refits.items() if refit is not None}


def _run_style(run: str) -> tuple[str, str, Any]:
    """Return the colour, marker and dash of a run, whichever other runs are drawn."""
    place = ascii_uppercase.index(run[-1])
    styles = (RUN_COLOURS, MARKERS, _DASHES)
    colour, marker, dash = (style[place % len(style)] for style in styles)
    return colour, marker, dash


@dataclass(frozen=True)
class RunScores(Scores):
    """Test accuracies of the runs."""

    name = "comparison-scores"
    title = "Which run is more accurate?"
    source = Source("results.json of each run: refit.test_accuracy", "by seed; 95 % intervals")

    def mark(self, name: str) -> tuple[str, str]:
        return _run_style(name)[:2]


def _line_panel(frame: Frame, across: str, value: str, label: str, **line: Any) -> Figure:
    """Draw a line of each run, within its range where the frame has one."""
    figure, axes = panel(across, label)
    unit = 100 if label.endswith("(%)") else 1
    for name, rows in frame.groups("run").items():
        colour, _, dash = _run_style(name)
        if "low" in frame.columns:
            low, high = rows.numbers("low"), rows.numbers("high")
            axes.fill_between(rows[across], low, high, color=colour, alpha=0.18, linewidth=0)
        values = unit * rows.numbers(value)
        axes.plot(rows[across], values, color=colour, linestyle=dash, label=name, **line)
    count_along(axes.xaxis)
    legend_above(axes, 4)
    return figure


@dataclass(frozen=True)
class RunLosses(Display):
    """Training loss of each final model, the mean over seeds within their range."""

    refits: Mapping[str, RefitResult]
    name = "comparison-losses"
    title = "How fast did each final model train?"
    source = Source("results.json of each run: refit.epochs", "mean over each epoch's minibatches")

    def frame(self) -> Frame:
        rows: list[tuple[str, int, float | None, float | None, float | None]] = []
        for name, refit in self.refits.items():
            for epoch in refit.epochs:
                losses = [x for x in epoch.train_loss_per_seed if x is not None]
                low, high = (min(losses), max(losses)) if losses else (None, None)
                rows.append((f"run {name}", epoch.epoch, epoch.train_loss, low, high))
        return Frame(("run", "epoch", "mean", "low", "high"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure = _line_panel(frame, "epoch", "mean", "training loss (nats)")
        fit_scale(figure.axes[0], frame.numbers("mean"))
        return figure

    def texts(self) -> Texts:
        return Texts(
            "Training loss by epoch: mean over seeds, within the range of the seeds.",
            f"Training loss by epoch of {len(self.refits)} final models.",
        )


@dataclass(frozen=True)
class RunSearches(Display):
    """The best validation accuracy so far of each search, trial by trial."""

    searches: Mapping[str, SearchResult]
    name = "comparison-searches"
    title = "How soon did each search find a good network?"
    source = Source("results.json of each run: search.trials", "the best of the trials so far")

    def frame(self) -> Frame:
        rows: list[tuple[str, int, float | None]] = []
        for name, search in self.searches.items():
            best: float | None = None
            for trial in sorted(search.trials, key=lambda trial: trial.id):
                accuracy = trial.validation_accuracy
                best = max((x for x in (best, accuracy) if x is not None), default=None)
                rows.append((f"run {name}", trial.id, best))
        return Frame(("run", "trial", "best validation accuracy"), rows)

    def draw(self, frame: Frame) -> Figure:
        name = frame.columns[2]
        return _line_panel(frame, "trial", name, f"{name} (%)", drawstyle="steps-post")

    def texts(self) -> Texts:
        return Texts(
            "The best validation accuracy of each search up to each trial.",
            f"Best validation accuracy so far of {len(self.searches)} searches.",
        )


def score_table(sides: Sides) -> Table:
    """List what each run reached, in the words of its closing table."""
    columns = {name: dict(summary(side.results)) for name, side in sides.items()}
    labels = dict.fromkeys(label for texts in columns.values() for label in texts)
    return Table(
        "What each run reached",
        [Column("measure", False), *(Column(f"run {name}", False) for name in sides)],
        [Row([label, *(texts.get(label, "–") for texts in columns.values())]) for label in labels],
        Source("results.json of each run", "as in the report of each run"),
    )


def differences(sides: Sides) -> dict[str, Comparison]:
    """Compare the test accuracy of each run with that of the first, on the same test examples.

    A run whose predictions were not kept, or that has other data, is left out. The intervals of
    all hold together with 95 % (Bonferroni).
    """
    base, *others = sides
    first = sides[base]
    if first.hits is None or not first.hits.size:
        return {}
    hits = {
        name: sides[name].hits
        for name in others
        if sides[name].results.data.sha256 == first.results.data.sha256
    }
    comparable = {name: array for name, array in hits.items() if array is not None and array.size}
    return {
        name: compare(first.hits, array, comparisons=len(comparable))
        for name, array in comparable.items()
    }


def difference_table(sides: Sides) -> Table:
    """List the differences in test accuracy from the first run, with intervals and verdict."""
    compared = differences(sides)
    rows: list[Row] = []
    for name, comparison in compared.items():
        interval, paired = comparison.interval, comparison.paired
        alone = " (examples alone)" if comparison.covers == "examples" else ""
        cells = [
            name,
            points(comparison.difference),
            "–" if interval is None else f"{points_interval(interval)}{alone}",
            "–" if paired is None else f"{paired.p_value:.3g}",
            comparison.verdict,
        ]
        rows.append(Row(cells, "best" if comparison.verdict == "better" else ""))
    caption = (
        f"Test accuracy against run {next(iter(sides))}, in points; a verdict needs an interval "
        "over seeds and test examples that excludes zero"
    )
    if len(compared) > 1:
        caption += f"; the {len(compared)} intervals are widened so that all hold together with "
        caption += "95 % (Bonferroni)"
    numbers = ("difference", "95 % interval over seeds and test examples", "McNemar p, first seeds")
    columns = [Column("run", False), *map(Column, numbers), Column("verdict", False)]
    source = Source("refit/predictions.npz of both runs", "of each seed and test example")
    return Table(caption, columns, rows, source)


def _differing(sides: Sides) -> Block:
    table = setting_table(sides)
    if table.rows:
        return table
    return Paragraph("Recipe, data, final network and installation are the same.", "small")


def setting_table(sides: Sides) -> Table:
    """List the settings of recipe, data, chosen network and installation that differ."""
    flat = {name: _flat(_settings(side)) for name, side in sides.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows: list[Row] = []
    for key in keys:
        values = [flat[name].get(key, "–") for name in sides]
        if len(set(values)) > 1:
            rows.append(Row([key, *values]))
    return Table(
        "Recipe, data, final network and installation",
        [Column("setting", False), *(Column(f"run {name}", False) for name in sides)],
        rows,
        Source("results.json and manifest.json of each run", "read from both"),
    )


def _settings(side: Side) -> dict[str, Any]:
    results, manifest = side.results, side.manifest
    recipe = msgspec.to_builtins(results.recipe)
    del recipe["title"]
    member = {} if results.refit is None else msgspec.to_builtins(results.refit.member)
    where: dict[str, Any] = {}
    if manifest is not None:
        where = {**manifest.versions, "engine": manifest.engine, **manifest.hardware}
    data = results.data
    examples = {"sha256": data.sha256, "examples": data.training + data.validation}
    return {"recipe": recipe, "data": examples, "final model": member, "made with": where}


def _flat(values: dict[str, Any], start: str = "") -> dict[str, str]:
    """Flatten nested settings to dotted names and readable values.

    >>> _flat({"a": {"b": [1, 2], "c": None, "d": [(16,), (80, 16)]}})
    {'a.b': '1, 2', 'a.c': '–', 'a.d': '16, 80-16'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{start}.{key}" if start else str(key)
        if isinstance(value, dict) and value:
            flat |= _flat(value, name)
        elif isinstance(value, list | tuple):
            flat[name] = ", ".join(map(_listed, value))
        else:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            flat[name] = "–" if value is None else text
    return flat


def _listed(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
