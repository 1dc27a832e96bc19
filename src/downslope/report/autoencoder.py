"""The autoencoder section: what it makes of test examples, beside principal components."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from downslope.reconstruction import AutoencoderResult
from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Column, Details, Figures, Paragraph, Row, Table, strong
from downslope.report.display import Display, Frame, Source
from downslope.report.formats import loss, number, percent, plural
from downslope.report.images import (
    above,
    arrange,
    beside,
    picture_frame,
    pictures_of,
    put,
    sheet,
    shown,
)
from downslope.report.style import (
    INDIGO,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    SERIES,
    TEAL,
    WIDTH,
    legend_above,
    log_ticks,
    panel,
    plain,
)
from downslope.results import Results

PAIRS = 2
"""The first examples of the arrays are the labelled pairs, the rest is the grid."""
MOST_RANKED = 6
_ERRORS = Source(
    "results.json: autoencoder",
    "mean squared error per value, over the test set; principal components fitted to the same "
    "training examples",
)
_IMAGES = Source("autoencoder/images.npz", "test examples decoded from their codes")
_CLASSES = (*SERIES, "#4f8fd0", "#7d5a3c", "#5c9a3a", "#d77fa1", MUTED)
"""Ten, told apart by the marker as well."""


@dataclass(frozen=True)
class TrainingError(Display):
    """The training error by epoch beside the test errors."""

    result: AutoencoderResult
    name = "autoencoder-training"
    title = "Does it reconstruct better than PCA?"
    source = _ERRORS

    def frame(self) -> Frame:
        result = self.result
        rows: list[tuple[str, int | None, float | None]] = [
            ("training", epoch.epoch, epoch.train_loss) for epoch in result.epochs
        ]
        rows.append(("test", result.epochs[-1].epoch, result.test_mse))
        rows.append(("PCA, test", None, result.pca_test_mse))
        return Frame(("error", "epoch", "mean squared error"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("epoch", "mean squared error")
        training, test, pca = (
            part.numbers("mean squared error") for part in frame.groups("error").values()
        )
        epochs = frame.where(error="training")["epoch"]
        axes.plot(epochs, training, "o-", color=INDIGO, markersize=3.5, label="training")
        axes.plot(
            epochs[-1], test[0], "D", color=INDIGO, mec=PAPER, ms=9, label=f"test, {test[0]:.5f}"
        )
        if np.isfinite(pca[0]):
            axes.axhline(pca[0], color=TEAL, dashes=(5, 3), label=f"PCA, test, {pca[0]:.5f}")
        positive = training[training > 0]
        if positive.size and positive.max() > 5 * positive.min():
            axes.set_yscale("log")
            log_ticks(axes.yaxis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="upper right")
        return figure

    @property
    def caption(self) -> str:
        return (
            f"Mean squared error: in training (seed {self.result.member.seed}), on the test "
            f"examples ({_seeds(self.result)}), and there of as many principal components."
        )

    @property
    def alt(self) -> str:
        errors = (number(self.result.test_mse), number(self.result.pca_test_mse))
        return "Reconstruction error by epoch; test error {}, PCA {}.".format(*errors)


def _seeds(result: AutoencoderResult) -> str:
    completed = sum(error is not None for error in result.test_mses)
    return f"mean of {completed} seeds" if completed > 1 else "one seed"


@dataclass(frozen=True)
class _Pictures(Display):
    """Test examples and what was made of them.

    Args:
        arrays: of autoencoder/images.npz.
        shape: of one example.
        names: of the classes; empty for unlabelled examples.
    """

    arrays: dict[str, NDArray[Any]]
    shape: Sequence[int]
    names: Sequence[str]
    source = _IMAGES

    def class_of(self, label: int) -> str:
        """Name a class."""
        return self.names[label] if label < len(self.names) else "unlabelled"

    def rows(self, part: slice, kinds: dict[str, str]) -> Frame:
        """Tabulate some of the examples, of each the arrays of several kinds."""
        labels = self.arrays["labels"][part]
        pictures = {k: arrange(self.arrays[a][part], self.shape) for k, a in kinds.items()}
        return picture_frame(("example", "class", "kind"), (
            ((i, self.class_of(int(label)), kind), pictures[kind][i])
            for i, label in enumerate(labels)
            for kind in kinds
        ))  # fmt: skip


class Pairs(_Pictures):
    """The labelled pairs: originals above their reconstructions, with class names."""

    name = "autoencoder-pairs"
    title = "What do two reconstructions look like?"
    caption = "The first two test examples above their reconstructions."

    def frame(self) -> Frame:
        kinds = {"original": "originals", "reconstruction": "reconstructions"}
        return self.rows(slice(PAIRS), kinds)

    def draw(self, frame: Frame) -> Figure:
        pictures = pictures_of(frame)
        figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
        cells = figure.subplots(2, max(1, len(pictures) // 2), squeeze=False)
        for i, (said, image) in enumerate(pictures):
            axes: Any = cells[i % 2, i // 2]
            values, options = shown(image)
            aspect = "equal" if image.shape[0] > 1 else "auto"
            axes.imshow(values, interpolation="nearest", aspect=aspect, **options)
            axes.set_axis_off()
            name = f"{plain(str(said['class']), 14)}: {said['kind']}"
            axes.set_title(name, parse_math=False, fontsize=9.6)
        return figure

    @property
    def alt(self) -> str:
        names = [self.class_of(int(label)) for label in self.arrays["labels"][:PAIRS]]
        return f"The first test examples above their reconstructions: {', '.join(names)}."


class Grid(_Pictures):
    """Class by class: originals, and what the autoencoder and PCA made of them."""

    name = "autoencoder-grid"
    title = "What is kept and what is lost in each class?"

    def frame(self) -> Frame:
        kinds = {"original": "originals"}
        if "noisy" in self.arrays:
            kinds |= {"with noise": "noisy", "denoised": "denoised"}
        kinds |= {"autoencoder": "reconstructions", "PCA": "pca_reconstructions"}
        return self.rows(slice(PAIRS, None), kinds)

    def draw(self, frame: Frame) -> Figure:
        pictures = pictures_of(frame)
        kinds = list(dict.fromkeys(str(said["kind"]) for said, _ in pictures))
        groups: dict[str, list[Any]] = {}
        for said, _ in pictures[:: len(kinds)]:
            groups.setdefault(str(said["class"]), []).append(said["example"])
        if len(groups) == 1:  # of a single class, examples are spread over ten columns
            (examples,) = groups.values()
            groups = {str(i + 1): examples[i::10] for i in range(min(10, len(examples)))}
        images = {(said["example"], str(said["kind"])): image for said, image in pictures}
        rows = len(kinds) * max(map(len, groups.values()))
        height, width = pictures[0][1].shape[:2]
        proportion = max(0.35, min(1.5, height / width))
        tall = 0.7 + rows * proportion * 0.72 * WIDTH / len(groups)
        figure = Figure(figsize=(WIDTH, tall))
        axes = sheet(figure, (0.18, 0.01, 0.9, 1 - 0.66 / tall), len(groups), rows * proportion)
        for column, (name, examples) in enumerate(groups.items()):
            for place, example in enumerate(examples):
                for band, kind in enumerate(kinds):
                    y = (place * len(kinds) + band) * proportion
                    put(axes, images[example, kind], (column, y), "", height=proportion)
            above(axes, (column + 0.3, -0.1), plain(name, 11), fontsize=9.6, rotation=45, ha="left")
        colours = {"original": INK, "autoencoder": INDIGO, "denoised": INDIGO, "PCA": TEAL}
        for row in range(rows):
            kind = kinds[row % len(kinds)]
            place = (0, (row + 0.5) * proportion)
            beside(axes, place, kind, fontsize=9.6, color=colours.get(kind, MUTED))
        return figure

    @property
    def caption(self) -> str:
        of = " of each class" if self.names else ""
        noise = "; with noise, and with the noise taken away" if "noisy" in self.arrays else ""
        return f"The first test examples{of}: original{noise}; autoencoder; PCA."

    @property
    def alt(self) -> str:
        return "Originals above what the autoencoder and PCA made of them, class by class."


class Ranked(_Pictures):
    """The best, median and worst reconstructions under their originals, each with its error."""

    name = "autoencoder-ranked"
    title = "Which examples does it reconstruct best, and which worst?"
    caption = (
        "The best, the median and the worst reconstructions of the test set, each under its "
        "original with its mean squared error."
    )
    alt = "The best, the median and the worst reconstructions of the test set, with errors."

    def frame(self) -> Frame:
        kinds = ("ranked", "ranked_reconstructions")
        originals, decoded = (arrange(self.arrays[kind], self.shape) for kind in kinds)
        errors = self.arrays["ranked_errors"]
        return picture_frame(("rank", "error", "kind"), (
            ((rank, float(errors[band, i]), kind), images[band, i])
            for band, rank in enumerate(("best", "median", "worst"))
            for i in range(min(MOST_RANKED, originals.shape[1]))
            for kind, images in (("original", originals), ("decoded", decoded))
        ))  # fmt: skip

    def draw(self, frame: Frame) -> Figure:
        pictures = pictures_of(frame)
        count = len(pictures) // 6
        tall = 0.3 + 7.2 * 0.86 * WIDTH / max(count, 1)
        figure = Figure(figsize=(WIDTH, tall))
        axes = sheet(figure, (0.14, 0.01, 0.99, 1 - 0.26 / tall), count, 7.2)
        for i, (said, image) in enumerate(pictures):
            band, column, row = i // (2 * count), i // 2 % count, i % 2
            y = 2.5 * band + row
            put(axes, image, (column, y), "")
            if row == 0:
                above(axes, (column + 0.5, y), f"{said['error']:.4f}", fontsize=9.6)
            if column == 0:
                text, colour = (said["rank"], INK) if row == 0 else ("decoded", INDIGO)
                beside(axes, (0, y + 0.5), str(text), fontsize=9.6, color=colour)
        return figure


class CodeMap(_Pictures):
    """A map of codes by class, with some examples in their places."""

    name = "autoencoder-map"
    title = "Do codes of one class lie together?"
    source = Source("autoencoder/images.npz: map", "codes of test examples laid out by t-SNE")

    def frame(self) -> Frame:
        points, labels = self.arrays["map"], self.arrays["map_labels"]
        pictured = self.arrays["map_pictured"].tolist()
        said = [
            (self.class_of(int(label)), float(x), float(y))
            for label, (x, y) in zip(labels, points, strict=True)
        ]
        images = arrange(self.arrays["map_images"], self.shape)
        pairs = zip((said[i] for i in pictured), images, strict=True)
        frame = picture_frame(("class", "x", "y"), pairs)
        empty = (None,) * (len(frame.columns) - 4)
        rest = [(None, *one, *empty) for i, one in enumerate(said) if i not in set(pictured)]
        return Frame(frame.columns, [*frame.rows, *rest])

    def draw(self, frame: Frame) -> Figure:
        figure = Figure(figsize=(WIDTH, 4.9), layout="constrained")
        axes = figure.add_subplot()
        names = sorted({str(name) for name in frame["class"]})
        colours = {name: _CLASSES[i % len(_CLASSES)] for i, name in enumerate(names)}
        # Of a pictured point there is a row for each row of its pixels.
        points = Frame(("class", "x", "y"), dict.fromkeys(row[1:4] for row in frame.rows))
        for i, (name, colour) in enumerate(colours.items()):
            of_class = points.where(**{"class": name})
            axes.plot(
                of_class["x"], of_class["y"], MARKERS[i % len(MARKERS)], linestyle="none", ms=3.2,
                color=colour, alpha=0.75, markeredgewidth=0, label=plain(name),
            )  # fmt: skip
        pictured = Frame(frame.columns, [row for row in frame.rows if row[0] is not None])
        for said, image in pictures_of(pictured):
            values, options = shown(image)
            small = OffsetImage(values, zoom=13 / max(image.shape[:2]), cmap=options.get("cmap"))
            if options:
                small.image.set_clim(options["vmin"], options["vmax"])
            edge = {"edgecolor": colours[str(said["class"])], "linewidth": 1.0}
            place: Any = (said["x"], said["y"])
            axes.add_artist(AnnotationBbox(small, place, pad=0.06, bboxprops=edge))
        axes.set_aspect("equal")
        axes.set_axis_off()
        legend = figure.legend(loc="outside lower center", ncols=3, markerscale=1.8)
        for text in legend.get_texts():
            text.set_parse_math(False)
        return figure

    @property
    def caption(self) -> str:
        return (
            f"The codes of {plural(len(self.arrays['map']), 'test example')} laid out by t-SNE, "
            "which keeps neighbours together; distances between far groups mean nothing. Neither "
            "training nor layout used the classes."
        )

    @property
    def alt(self) -> str:
        return f"Map of {len(self.arrays['map'])} codes by class, with images in their places."


@dataclass(frozen=True)
class CodeSizes(Display):
    """The test error against the code size, of autoencoders and of PCA."""

    result: AutoencoderResult
    name = "autoencoder-sizes"
    title = "How large must the code be?"
    source = Source("results.json: autoencoder.rivals", "one training each, on the test set")

    def frame(self) -> Frame:
        result = self.result
        rows = [
            (rival.code_size, "other code size", rival.test_mse, rival.pca_test_mse)
            for rival in result.rivals
            if rival.kind == "code size"
        ]
        rows.append((result.code_size, "this autoencoder", result.test_mse, result.pca_test_mse))
        return Frame(("code size", "network", "autoencoder", "PCA"), sorted(rows))

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("code size", "test error")
        sizes = frame["code size"]
        axes.plot(sizes, frame.numbers("PCA"), "s--", color=TEAL, markersize=5, label="PCA")
        errors = frame.numbers("autoencoder")
        axes.plot(sizes, errors, "o-", color=INDIGO, markersize=5.5, label="autoencoder")
        this = frame.where(network="this autoencoder")
        axes.plot(
            this["code size"], this.numbers("autoencoder"), "o", color=PAPER, mec=INDIGO, mew=1.8,
            markersize=9, label="this run",
        )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        log_ticks(axes.yaxis)
        legend_above(axes)
        return figure

    @property
    def caption(self) -> str:
        return (
            f"Test error against code size: this run's autoencoder (ringed; {_seeds(self.result)}) "
            "with other codes, one training each, and PCA with as many components, which no "
            "linear code can beat on the examples it was fitted to."
        )

    @property
    def alt(self) -> str:
        sizes = self.frame()["code size"]
        return f"Test error against code sizes from {sizes[0]} to {sizes[-1]}, with PCA."


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    result, data, images = results.autoencoder, results.data, arrays.images
    assert result is not None
    yield Paragraph(list(_summary(result, "pixel" if len(data.shape) == 2 else "value")))
    yield from (Paragraph(line, "warning") for line in result.stopped)
    displays: list[Display] = [TrainingError(result)]
    if images is None:
        text = "autoencoder/images.npz is missing or damaged: the pictures are left out."
        yield Paragraph(text, "warning")
    elif result.test_mse is not None and len(images["labels"]):
        about: Any = (images, data.shape, data.class_names)
        displays.append(Pairs(*about))
        if len(images["labels"]) > PAIRS:
            displays.append(Grid(*about))
        if "ranked" in images and images["ranked"].shape[1]:
            displays.append(Ranked(*about))
        if "map" in images and np.ptp(images["map"]) > 0:
            displays.append(CodeMap(*about))
    if any(rival.kind == "code size" for rival in result.rivals):
        displays.append(CodeSizes(result))
    yield Figures(displays)
    if use := _use(result):
        yield Paragraph(use, "small")
    if result.rivals:
        yield Details("Other code sizes and shapes", [rival_table(result)])
    if any(error is not None for error in result.class_mses):
        yield Details("Test error of each class", [class_table(result, data.class_names)])


def _summary(result: AutoencoderResult, value: str) -> Iterator[Any]:
    yield f"{result.member.network.label}, {result.parameters:,} parameters, a code of "
    yield f"{result.code_size}. "
    if result.test_mse is None:
        yield f"The training {result.outcome}; there is no test error."
    else:
        yield "Final training error "
        yield strong(final_training(result))
        yield "; test error "
        yield strong(number(result.test_mse))
        if result.pca_test_mse:
            features = result.member.network.widths[0]
            components = plural(min(result.code_size, features), "component")
            gap = (result.test_mse - result.pca_test_mse) / result.pca_test_mse
            side = "below" if gap < 0 else "above"
            yield f", {percent(abs(gap), 1)} {side} the {number(result.pca_test_mse)} of PCA with "
            yield components
        yield "."
    yield f" Errors are mean squared, per {value} in [0, 1]."
    if len(result.seeds) > 1:
        errors = (result.first_losses, result.last_losses, result.test_mses)
        first, last, test = map(spread, errors)
        yield f" Over {len(result.seeds)} seeds: training error of the first epoch {first}, of the "
        yield f"last {last}, test error {test}."
    if result.probes:
        kinds = {"code": "codes", "components": "principal components", "inputs": "inputs"}
        read = [
            f"{percent(probe.accuracy)} from {probe.size} {kinds[probe.features]}"
            for probe in result.probes
        ]
        yield f" A linear classifier (ridge) finds the class with an accuracy of {', '.join(read)}."


def final_training(result: AutoencoderResult) -> str:
    """Write the training error of the last epoch, the mean over seeds as the test error is."""
    known = [value for value in result.last_losses if value is not None]
    return loss(statistics.fmean(known) if known else result.epochs[-1].train_loss)


def spread(values: Sequence[float | None]) -> str:
    """Write the mean and the standard deviation of those values that there are.

    >>> spread([None]), spread([0.5, None]), spread([0.0081, 0.0083])
    ('–', '0.50000', '0.00820 ± 0.00014')
    """
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{statistics.fmean(known):.5f}"
    return text if len(known) == 1 else f"{text} ± {statistics.stdev(known):.5f}"


def _use(result: AutoencoderResult) -> str:
    """Say how many code units are used, and of which seed pictures are; empty for an old run."""
    if result.dead is None:
        return ""
    text = (
        f"Of the {result.code_size} code units {result.dead} are zero for every test example; an "
        f"example uses {percent(result.active, 0)} of them on average. Pictures, and errors by "
        "class and example, are of the first seed that completed."
    )
    if result.sparsity:
        text += f" The mean absolute code was added to the error with weight {result.sparsity:g}."
    if result.noisy_test_mse is not None:
        noise = result.noise
        text += (
            f" With the training's noise ({noise.kind.replace('_', ' ')}, {noise.amount:g}) on the "
            "test inputs the error against the clean ones is "
            f"{number(result.noisy_test_mse)}, that of PCA {number(result.pca_noisy_test_mse)}."
        )
    return text


def rival_table(result: AutoencoderResult) -> Table:
    """List the autoencoders that were trained beside this run's, with PCA's errors."""

    def cells(one: Any, network: str, outcome: str) -> list[str]:
        error, pca = one.test_mse, one.pca_test_mse
        gain = "–" if error is None or not pca else f"{100 * (error / pca - 1):+.1f} %"
        shown = outcome if error is None else number(error)
        counts = [network, f"{one.parameters:,}", str(one.code_size)]
        return [*counts, shown, number(pca), gain.replace("-", "−")]

    rows = [Row(cells(result, result.member.network.label, "–"), "best")]
    rows += [Row(cells(rival, rival.network, rival.outcome)) for rival in result.rivals]
    headings = ("parameters", "code size", "test error", "PCA", "against PCA")
    return Table(
        f"Autoencoders of the same training, this run's first (its error: {_seeds(result)})",
        [Column("network", False), *map(Column, headings)],
        rows,
        CodeSizes.source,
    )


def class_table(result: AutoencoderResult, names: Sequence[str]) -> Table:
    """List the test error of each class, the hardest first."""
    pairs = zip(result.class_mses, result.pca_class_mses, strict=True)
    known = [(own, pca, i) for i, (own, pca) in enumerate(pairs) if own is not None]
    return Table(
        "Test error by class of the first seed that completed, the hardest first",
        [Column("class", False), Column("autoencoder"), Column("PCA")],
        [
            Row([names[i] if i < len(names) else str(i), number(own), number(pca)])
            for own, pca, i in sorted(known, key=lambda one: -one[0])
        ],
        _ERRORS,
    )
