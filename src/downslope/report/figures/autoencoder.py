"""The autoencoder: its training, and what it makes of test examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from downslope.reconstruction import AutoencoderResult
from downslope.report.images import above, arrange, beside, put, sheet, shown
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    OCHRE,
    TEAL,
    log_ticks,
    panel,
    plain,
    styled,
)

PAIRS = 2
"""The first examples of the arrays are the labelled pairs, the rest is the grid."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Hold shown examples, each of the data's shape; a row of a table is a strip one unit high.

    Args:
        originals: from `arrange`, shape (shown, height, width, ...), in [0, 1].
        reconstructions: by the autoencoder.
        linear: by principal components.
        names: of the examples' classes.
    """

    originals: NDArray[np.float64]
    reconstructions: NDArray[np.float64]
    linear: NDArray[np.float64]
    names: list[str]


def pictures(
    arrays: dict[str, NDArray[Any]], shape: Sequence[int], names: Sequence[str]
) -> Pictures:
    """Give the arrays of `autoencoder/images.npz` the shape of one example."""
    return Pictures(
        originals=arrange(arrays["originals"], shape),
        reconstructions=arrange(arrays["reconstructions"], shape),
        linear=arrange(arrays["pca_reconstructions"], shape),
        names=[names[int(label)] for label in arrays["labels"]],
    )


@styled
def draw_training(result: AutoencoderResult) -> Figure:
    """Draw the training error by epoch beside the test errors."""
    figure, axes = panel("epoch", "mean squared error per pixel")
    epochs = [e.epoch for e in result.epochs]
    losses = [math.nan if e.train_loss is None else e.train_loss for e in result.epochs]
    axes.plot(epochs, losses, color=INDIGO, marker="o", markersize=3.5, label="training")
    if result.test_mse is not None:
        axes.plot(
            epochs[-1], result.test_mse, "D", color=TEAL, markersize=7, zorder=4,
            label=f"test, {result.test_mse:.5f}",
        )  # fmt: skip
    if result.pca_test_mse is not None:
        axes.axhline(
            result.pca_test_mse, color=OCHRE, dashes=(5, 3),
            label=f"PCA of the same code size, test, {result.pca_test_mse:.5f}",
        )  # fmt: skip
    finite = [x for x in losses if x > 0]
    if finite and max(finite) > 5 * min(finite):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="upper right")
    return figure


@styled
def draw_pairs(pictures: Pictures) -> Figure:
    """Draw the labelled pairs: originals above their reconstructions, with class names."""
    count = min(PAIRS, len(pictures.originals))
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    cells = figure.subplots(2, max(count, 1), squeeze=False)
    for column in range(count):
        name = plain(pictures.names[column], 24)
        for row, images, kind in (
            (0, pictures.originals, "original"),
            (1, pictures.reconstructions, "reconstruction"),
        ):
            axes = cells[row, column]
            _show(axes, images[column])
            axes.set_title(f"{name}: {kind}", parse_math=False, fontsize=9.5)
    return figure


@styled
def draw_denoising(
    originals: NDArray[np.float64], noisy: NDArray[np.float64], denoised: NDArray[np.float64]
) -> Figure:
    """Draw examples, the same with noise, and with the noise taken away, in three rows."""
    columns = min(10, len(originals))
    figure = Figure(figsize=(7.0, 2.3))
    axes = sheet(figure, (0.11, 0.02, 0.99, 0.98), columns, 3)
    rows = (
        ("original", originals, INK),
        ("with noise", noisy, MUTED),
        ("denoised", denoised, INDIGO),
    )
    for row, (name, images, colour) in enumerate(rows):
        for column in range(columns):
            # The first two stand among their classes too; the grid behind them is by class.
            image = images[-1 - column * (len(images) // columns)]
            put(axes, image, (column, row), f"{name} {column + 1}")
        beside(axes, (0, row + 0.5), name, fontsize=8, color=colour)
    return figure


@styled
def draw_grid(pictures: Pictures) -> Figure:
    """Draw, class by class, originals, the autoencoder's and PCA's reconstructions in bands.

    Where there is a single class, its examples are spread over ten columns.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(pictures.names[PAIRS:], PAIRS):
        groups.setdefault(name, []).append(index)
    if len(groups) == 1:
        (own,) = groups.values()
        groups = {str(i + 1): own[i::10] for i in range(min(10, len(own)))}
    columns = len(groups)
    deep = max(map(len, groups.values()), default=0)
    bands = (
        ("original", pictures.originals, INK),
        ("autoencoder", pictures.reconstructions, INDIGO),
        ("PCA", pictures.linear, MUTED),
    )
    rows = len(bands) * deep
    height, width = pictures.originals.shape[1:3]
    proportion = max(0.35, min(1.5, height / width))
    tall = 0.75 + rows * proportion * 5.2 / max(columns, 1)
    figure = Figure(figsize=(6.2, tall))
    axes = sheet(figure, (0.13, 0.01, 0.95, 1 - 0.7 / tall), columns, rows * proportion)
    for column, (name, own) in enumerate(groups.items()):
        for example, index in enumerate(own):
            for band, (kind, images, _) in enumerate(bands):
                # A whole triple per example: original, then what each made of it.
                put(
                    axes, images[index], (column, (example * len(bands) + band) * proportion),
                    f"{kind} {example + 1} of {plain(name)}", height=proportion,
                )  # fmt: skip
        above(axes, (column + 0.3, -0.1), plain(name, 12), fontsize=7.5, rotation=40, ha="left")
    for row in range(rows):
        name, _, colour = bands[row % len(bands)]
        beside(axes, (0, (row + 0.5) * proportion), name, fontsize=7, color=colour)
    return figure


def _show(axes: Any, image: NDArray[np.float64]) -> None:
    values, options = shown(image)
    aspect = "equal" if image.shape[0] > 1 else "auto"
    axes.imshow(values, interpolation="nearest", aspect=aspect, **options)
    axes.set_axis_off()
