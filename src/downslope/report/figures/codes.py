"""What codes hold: a map of them, walks between examples, what single units draw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

from downslope.reconstruction import ProbeResult
from downslope.report.images import above, put, sheet, shown
from downslope.report.style import (
    INDIGO,
    INK,
    MARKERS,
    MUTED,
    OCHRE,
    PLUM,
    ROSE,
    TEAL,
    panel,
    plain,
    styled,
)

CLASS_COLOURS = (
    INDIGO, ROSE, TEAL, OCHRE, PLUM, "#4f8fd0", "#7d5a3c", "#5c9a3a", "#d77fa1", MUTED,
)  # fmt: skip
"""Ten, told apart by the marker as well."""

PROBED = {"code": "codes", "components": "principal components", "inputs": "inputs themselves"}


@styled
def draw_map(
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    pictured: NDArray[np.int64],
    images: NDArray[np.float64],
    names: Sequence[str],
) -> Figure:
    """Draw a map of codes coloured by class, with some examples in their places.

    Args:
        points: shape (examples, 2).
        labels: shape (examples,).
        pictured: which examples are shown as images.
        images: of them, from `arrange`, shape (pictured, height, width, ...).
        names: of the classes.
    """
    figure = Figure(figsize=(7.0, 6.2), layout="constrained")
    axes = figure.add_subplot()
    for number, label in enumerate(np.unique(labels)):
        own = points[labels == label]
        name = names[int(label)] if int(label) < len(names) else str(label)
        axes.plot(
            own[:, 0], own[:, 1], MARKERS[number % len(MARKERS)], linestyle="none", markersize=3.6,
            color=CLASS_COLOURS[number % len(CLASS_COLOURS)], alpha=0.75, markeredgewidth=0,
            label=plain(name),
        )  # fmt: skip
    zoom = 16 / max(images.shape[1:3], default=1)
    for index, image in zip(pictured, images, strict=True):
        colour = CLASS_COLOURS[
            int(np.flatnonzero(np.unique(labels) == labels[index])[0]) % len(CLASS_COLOURS)
        ]
        box = AnnotationBbox(
            _small(image, zoom),
            (float(points[index, 0]), float(points[index, 1])), pad=0.06,
            bboxprops={"edgecolor": colour, "linewidth": 1.0},
        )  # fmt: skip
        axes.add_artist(box)
    axes.set_aspect("equal")
    axes.margins(0.06)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    legend = figure.legend(loc="outside lower center", ncols=5, markerscale=1.8, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _small(image: NDArray[np.float64], zoom: float) -> OffsetImage:
    values, options = shown(image)
    small = OffsetImage(values, zoom=zoom, cmap=options.get("cmap"), interpolation="nearest")
    if options:
        small.image.set_clim(options["vmin"], options["vmax"])
    return small


@styled
def draw_walks(walks: NDArray[np.float64], ends: NDArray[np.float64]) -> Figure:
    """Draw walks between codes, with the examples they join on both sides.

    Args:
        walks: from `arrange`, shape (walks, steps, height, width, ...).
        ends: shape (walks, 2, height, width, ...).
    """
    count, steps = walks.shape[:2]
    tall = 0.5 + 0.62 * count
    figure = Figure(figsize=(7.0, tall))
    # A quarter of a cell sets the two ends apart.
    axes = sheet(figure, (0.01, 0.02, 0.99, 1 - 0.42 / tall), steps + 2.5, count)
    for row in range(count):
        put(axes, ends[row, 0], (0, row), f"walk {row + 1}, original at its start")
        put(axes, ends[row, 1], (steps + 1.5, row), f"walk {row + 1}, original at its end")
        for step in range(steps):
            label = f"walk {row + 1}, step {step + 1}"
            put(axes, walks[row, step], (step + 1.25, row), label)
    for place in (0.5, steps + 2):
        above(axes, (place, -0.05), "original", fontsize=8)
    for step in range(steps):
        share = f"{step / (steps - 1):.3g}"
        above(axes, (step + 1.75, -0.05), share, fontsize=8, color=MUTED)
    return figure


@styled
def draw_units(units: NDArray[np.float64]) -> Figure:
    """Draw what each code unit adds to the picture of the mean code, or takes from it.

    Args:
        units: from `arrange`, shape (code size, height, width, ...), in [-1, 1]; in colour,
            mid-grey is no change.
    """
    count = len(units)
    columns = min(16, max(1, math.ceil(math.sqrt(2 * count))))
    rows = math.ceil(count / columns)
    tall = 0.25 + 7.6 / columns * rows
    figure = Figure(figsize=(7.0, tall))
    # Above each picture there is room for its number.
    axes = sheet(figure, (0.01, 0.02, 0.87, 1 - 0.02 / tall), columns, 1.25 * rows)
    reach = float(np.abs(units).max()) or 1.0
    signed = LinearSegmentedColormap.from_list("signed", [ROSE, "#f4f1ea", INDIGO])
    image = None
    for index, unit in enumerate(units):
        x, y = index % columns, 1.25 * (index // columns) + 0.25
        idle = np.abs(unit).max() < 1e-4  # not a grey level of 10,000
        name = f"{index + 1}" + (" idle" if idle else "")
        image = put(
            axes, unit, (x, y), f"unit {name}", low=-reach, high=reach, shades=signed
        )  # fmt: skip
        above(axes, (x + 0.5, y), name, fontsize=6, color=MUTED if idle else INK)
    if image is not None and units.ndim == 3:
        bar = figure.colorbar(image, cax=figure.add_axes((0.89, 0.1, 0.016, 0.8)))
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.ax.tick_params(labelsize=7)
        bar.set_label("change of grey level", fontsize=8)
    return figure


@styled
def draw_probes(probes: Sequence[ProbeResult]) -> Figure:
    """Draw the accuracy of a linear classifier on codes, components and inputs."""
    figure, axes = panel("test accuracy of a linear classifier (%)", "", height=1.9)
    for place, one in enumerate(probes):
        colour, marker = {"code": (INDIGO, "o"), "components": (OCHRE, "s")}.get(
            one.features, (TEAL, "^")
        )
        axes.plot(100 * one.accuracy, place, marker, color=colour, markersize=8)
        axes.annotate(
            f"{100 * one.accuracy:.2f}", (100 * one.accuracy, place), (0, 8),
            textcoords="offset points", ha="center", fontsize=8.5, fontweight="bold",
        )  # fmt: skip
    names = [f"{one.size} {PROBED.get(one.features, one.features)}" for one in probes]
    axes.set_yticks(range(len(probes)), names)
    axes.set_ylim(len(probes) - 0.5, -0.8)
    axes.margins(x=0.15)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    return figure
