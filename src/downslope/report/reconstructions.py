"""Pictures of test examples beside what an autoencoder and PCA made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import plural
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
    SERIES,
    TEAL,
    WIDTH,
    HouseFigure,
    plain,
)

PAIRS = 2
"""The first examples of the arrays are the labelled pairs, the rest is the grid."""
MOST_RANKED = 6
_IMAGES = Source("autoencoder/images.npz", "test examples decoded from their codes")
_CLASSES = (*SERIES, "#4f8fd0", "#7d5a3c", "#5c9a3a", "#d77fa1", MUTED)
"""Ten, told apart by the marker as well."""


@dataclass(frozen=True)
class _Pictures(Display):
    """Test examples of one shape and what was made of them; no class names if unlabelled."""

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

    def frame(self) -> Frame:
        kinds = {"original": "originals", "reconstruction": "reconstructions"}
        return self.rows(slice(PAIRS), kinds)

    def draw(self, frame: Frame) -> Figure:
        pictures = pictures_of(frame)
        figure = HouseFigure(figsize=(WIDTH, WIDTH), layout="constrained")
        cells = figure.subplots(2, max(1, len(pictures) // 2), squeeze=False)
        for i, (about, image) in enumerate(pictures):
            axes: Any = cells[i % 2, i // 2]
            values, options = shown(image)
            aspect = "equal" if image.shape[0] > 1 else "auto"
            axes.imshow(values, interpolation="nearest", aspect=aspect, **options)
            axes.set_axis_off()
            name = f"{plain(str(about['class']), 14)}: {about['kind']}"
            axes.set_title(name, parse_math=False, fontsize=9.6)
        return figure

    def texts(self) -> Texts:
        names = [self.class_of(int(label)) for label in self.arrays["labels"][:PAIRS]]
        return Texts(
            "The first two test examples above their reconstructions.",
            f"The first test examples above their reconstructions: {', '.join(names)}.",
        )


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
        kinds = list(dict.fromkeys(str(about["kind"]) for about, _ in pictures))
        groups: dict[str, list[Any]] = {}
        for about, _ in pictures[:: len(kinds)]:
            groups.setdefault(str(about["class"]), []).append(about["example"])
        if len(groups) == 1:  # of a single class, examples are spread over ten columns
            (examples,) = groups.values()
            groups = {str(i + 1): examples[i::10] for i in range(min(10, len(examples)))}
        images = {(about["example"], str(about["kind"])): image for about, image in pictures}
        rows = len(kinds) * max(map(len, groups.values()))
        height, width = pictures[0][1].shape[:2]
        proportion = max(0.35, min(1.5, height / width))
        tall = 0.7 + rows * proportion * 0.69 * WIDTH / len(groups)
        figure = HouseFigure(figsize=(WIDTH, tall))
        axes = sheet(figure, (0.21, 0.01, 0.9, 1 - 0.66 / tall), len(groups), rows * proportion)
        for column, (name, examples) in enumerate(groups.items()):
            for place, example in enumerate(examples):
                for band, kind in enumerate(kinds):
                    y = (place * len(kinds) + band) * proportion
                    put(axes, images[example, kind], (column, y), proportion)
            above(axes, (column + 0.3, -0.1), plain(name, 11), rotation=45, ha="left")
        colours = {"original": INK, "autoencoder": INDIGO, "denoised": INDIGO, "PCA": TEAL}
        for row in range(rows):
            kind = kinds[row % len(kinds)]
            place = (0, (row + 0.5) * proportion)
            beside(axes, place, kind, color=colours.get(kind, MUTED))
        return figure

    def texts(self) -> Texts:
        of = " of each class" if self.names else ""
        noise = "; with noise, and with the noise taken away" if "noisy" in self.arrays else ""
        return Texts(
            f"The first test examples{of}: original{noise}; autoencoder; PCA.",
            "Originals above what the autoencoder and PCA made of them, class by class.",
        )


class Ranked(_Pictures):
    """The best, median and worst reconstructions under their originals, each with its error."""

    name = "autoencoder-ranked"
    title = "Which examples does it reconstruct best, and which worst?"

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
        figure = HouseFigure(figsize=(WIDTH, tall))
        axes = sheet(figure, (0.14, 0.01, 0.99, 1 - 0.26 / tall), count, 7.2)
        for i, (about, image) in enumerate(pictures):
            band, column, row = i // (2 * count), i // 2 % count, i % 2
            y = 2.5 * band + row
            put(axes, image, (column, y))
            if row == 0:
                above(axes, (column + 0.5, y), f"{about['error']:.4f}")
            if column == 0:
                text, colour = (about["rank"], INK) if row == 0 else ("decoded", INDIGO)
                beside(axes, (0, y + 0.5), str(text), color=colour)
        return figure

    def texts(self) -> Texts:
        alt = "The best, the median and the worst reconstructions of the test set."
        caption = f"{alt[:-1]}, each under its original with its mean squared error."
        return Texts(caption, alt)


class CodeMap(_Pictures):
    """A map of codes by class, with some examples in their places."""

    name = "autoencoder-map"
    title = "Do codes of one class lie together?"
    source = Source("autoencoder/images.npz: map", "codes of test examples laid out by t-SNE")

    def frame(self) -> Frame:
        points, labels = self.arrays["map"], self.arrays["map_labels"]
        pictured = self.arrays["map_pictured"].tolist()
        about = [
            (self.class_of(int(label)), float(x), float(y))
            for label, (x, y) in zip(labels, points, strict=True)
        ]
        images = arrange(self.arrays["map_images"], self.shape)
        pairs = zip((about[i] for i in pictured), images, strict=True)
        frame = picture_frame(("class", "x", "y"), pairs)
        empty = (None,) * (len(frame.columns) - 4)
        rest = [(None, *one, *empty) for i, one in enumerate(about) if i not in set(pictured)]
        return Frame(frame.columns, [*frame.rows, *rest])

    def draw(self, frame: Frame) -> Figure:
        figure = HouseFigure(figsize=(WIDTH, 4.9), layout="constrained")
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
        for about, image in pictures_of(pictured):
            values, options = shown(image)
            small = OffsetImage(values, zoom=13 / max(image.shape[:2]), cmap=options.get("cmap"))
            if options:
                small.image.set_clim(options["vmin"], options["vmax"])
            edge = {"edgecolor": colours[str(about["class"])], "linewidth": 1.0}
            place: Any = (about["x"], about["y"])
            axes.add_artist(AnnotationBbox(small, place, pad=0.06, bboxprops=edge))
        axes.set_aspect("equal")
        axes.set_axis_off()
        legend = figure.legend(loc="outside lower center", ncols=3, markerscale=1.8)
        for text in legend.get_texts():
            text.set_parse_math(False)
        return figure

    def texts(self) -> Texts:
        return Texts(
            f"The codes of {plural(len(self.arrays['map']), 'test example')} laid out by t-SNE, "
            "which keeps neighbours together; distances between far groups mean nothing. Neither "
            "training nor layout used the classes.",
            f"Map of {len(self.arrays['map'])} codes by class, with images in their places.",
        )
