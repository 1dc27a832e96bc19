"""Where autoencoders err: by code size, shape, class, pixel and example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from downslope.reconstruction import AutoencoderResult
from downslope.report.images import above, beside, put, sheet
from downslope.report.style import (
    INDIGO,
    INK,
    MUTED,
    OCHRE,
    PAPER,
    TEAL,
    legend_above,
    log_ticks,
    panel,
    plain,
    slope_colours,
    styled,
)

ERROR = "test error (mean squared, per value)"


@styled
def draw_code_sizes(result: AutoencoderResult) -> Figure:
    """Draw the test error against the code size, of autoencoders and of PCA."""
    figure, axes = panel("code size", ERROR)
    points = [
        (r.code_size, r.test_mse, r.pca_test_mse) for r in result.rivals if r.kind == "code size"
    ]
    if result.pca_test_mse is not None:
        points = sorted([*points, (result.code_size, result.test_mse, result.pca_test_mse)])
    sizes = [size for size, _, _ in points]
    axes.plot(
        sizes, [pca for _, _, pca in points], "s", color=OCHRE, dashes=(5, 3), linestyle="-",
        markersize=5, label="PCA",
    )  # fmt: skip
    known = [(size, error) for size, error, _ in points if error is not None]
    axes.plot(
        [size for size, _ in known], [error for _, error in known], "o-", color=INDIGO,
        markersize=5.5, label="autoencoder",
    )  # fmt: skip
    if result.test_mse is not None:
        axes.plot(
            result.code_size, result.test_mse, "o", color=PAPER, markeredgecolor=INDIGO,
            markeredgewidth=1.8, markersize=9, zorder=4, label="the one in question",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    log_ticks(axes.yaxis)
    legend_above(axes)
    return figure


@styled
def draw_shapes(result: AutoencoderResult) -> Figure:
    """Draw the test error against the parameters of networks with other hidden widths."""
    figure, axes = panel("parameters (thousands)", ERROR)
    drawn = [
        (r.parameters, r.test_mse, r.network, r.code_size, TEAL, "s")
        for r in result.rivals
        if r.kind == "shape"
    ]
    own = result.member.network.label
    drawn.append((result.parameters, result.test_mse, own, result.code_size, INDIGO, "o"))
    for parameters, error, label, size, colour, marker in drawn:
        if error is None:
            continue
        axes.plot(parameters / 1000, error, marker, color=colour, markersize=7, zorder=3)
        inner = "-".join(label.split("-")[1:-1])
        text = inner if size == result.code_size else f"{inner} (code {size})"
        axes.annotate(
            text, (parameters / 1000, error), (0, 8), textcoords="offset points", ha="center",
            fontsize=8, fontweight="bold" if marker == "o" else "normal",
        )  # fmt: skip
    axes.axhline(
        result.pca_test_mse or 0, color=OCHRE, dashes=(5, 3), label=f"PCA, code {result.code_size}"
    )
    axes.margins(x=0.2, y=0.18)
    axes.legend(loc="best")
    return figure


@styled
def draw_classes(result: AutoencoderResult, names: Sequence[str]) -> Figure:
    """Draw the test error of each class, of the autoencoder and of PCA, hardest first."""
    rows = [
        (own, pca, names[c] if c < len(names) else str(c))
        for c, (own, pca) in enumerate(zip(result.class_mses, result.pca_class_mses, strict=True))
        if own is not None and pca is not None
    ]
    rows.sort(key=lambda row: -row[0])
    figure, axes = panel(ERROR, "", height=max(1.6, 0.9 + 0.26 * len(rows)))
    places = range(len(rows))
    axes.hlines(
        places, [own for own, _, _ in rows], [pca for _, pca, _ in rows], color=MUTED, linewidth=1
    )
    axes.plot([pca for _, pca, _ in rows], places, "s", color=OCHRE, markersize=6, label="PCA")
    axes.plot(
        [own for own, _, _ in rows], places, "o", color=INDIGO, markersize=7, label="autoencoder"
    )
    axes.set_yticks(places, [plain(name) for _, _, name in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.legend(loc="lower right")
    return figure


@styled
def draw_features(errors: NDArray[np.float64]) -> Figure:
    """Draw the test error of each pixel, of the autoencoder and of PCA, in one colour scale.

    Args:
        errors: the autoencoder's and PCA's, shape (2, height, width); in colour with a last axis of
            channels, of which the mean is drawn.
    """
    if errors.ndim == 4:
        errors = errors.mean(axis=3)
    figure = Figure(figsize=(5.0, 2.9), layout="constrained")
    cells = figure.subplots(1, 2)
    image: Any = None
    for axes, error, name in zip(cells, errors, ("autoencoder", "PCA"), strict=True):
        image = axes.imshow(
            error, cmap=slope_colours(), vmin=0, vmax=errors.max() or 1, interpolation="nearest"
        )  # fmt: skip
        axes.set_title(name, fontsize=9.5)
        axes.set_axis_off()
    bar = figure.colorbar(image, ax=list(cells), shrink=0.85, pad=0.02)
    bar.set_label("mean squared error", fontsize=8.5)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(labelsize=8)
    return figure


@styled
def draw_ranked(
    originals: NDArray[np.float64],
    reconstructions: NDArray[np.float64],
    errors: NDArray[np.float64],
) -> Figure:
    """Draw the best, middle and worst reconstructions under their originals, each with its error.

    Args:
        originals: from `arrange`, shape (3, count, height, width, ...).
        reconstructions: the same.
        errors: shape (3, count).
    """
    count = originals.shape[1]
    tall = 0.3 + 6.7 * 5.4 / max(count, 1)
    figure = Figure(figsize=(6.2, tall))
    axes = sheet(figure, (0.12, 0.01, 0.99, 1 - 0.22 / tall), count, 6.7)
    for band, name in enumerate(("best", "median", "worst")):
        upper = 2.35 * band
        pairs = ((name, originals, INK, "bold"), ("decoded", reconstructions, INDIGO, "normal"))
        for row, (text, images, colour, weight) in enumerate(pairs):
            for column in range(count):
                kind = "original" if row == 0 else "decoded"
                label = f"{name} {column + 1}, {kind}"
                put(axes, images[band, column], (column, upper + row), label)
            beside(
                axes, (0, upper + row + 0.5), text, fontsize=8, color=colour, fontweight=weight
            )  # fmt: skip
        for column in range(count):
            above(axes, (column + 0.5, upper), f"{errors[band, column]:.4f}", fontsize=7)
    return figure
