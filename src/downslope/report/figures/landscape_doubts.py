"""What to hold against a landscape: null models, distances, a straight cut, seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report.style import (
    INDIGO,
    MARKERS,
    MUTED,
    OCHRE,
    ROSE,
    RUN_COLOURS,
    TEAL,
    log_ticks,
    panel,
    slope_colours,
    styled,
)

NAMES = {
    "independent": "random walk,\nindependent steps",
    "autocorrelated": "random walk,\nautocorrelated steps",
}


@styled
def draw_nulls(result: LandscapeResult) -> Figure:
    """Draw the plane's share of variance beside those of random walks."""
    figure, axes = panel("share of the path's variance in the plane (%)", "", height=2.2)
    share = 100 * sum(result.explained_variance)
    rows = ["this training", *(NAMES[null.name] for null in result.nulls)]
    axes.plot([share], [0], "D", color=ROSE, markersize=7)
    axes.text(share, -0.28, f"{share:.1f}", ha="center", va="bottom", fontsize=8.5)
    for row, null in enumerate(result.nulls, 1):
        low, high = (100 * end for end in null.interval)
        axes.plot([low, high], [row, row], color=INDIGO, linewidth=5, alpha=0.35)
        axes.plot([100 * null.mean], [row], "o", color=INDIGO, markersize=6)
        axes.text(100 * null.mean, row - 0.28, f"{100 * null.mean:.1f}", ha="center", fontsize=8.5)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.8)
    axes.set_xlim(0, 104)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    return figure


@styled
def draw_residuals(result: LandscapeResult) -> Figure:
    """Draw each snapshot's distance from the plane, with how far it has come within it."""
    figure, axes = panel("step (minibatches)", "distance (units of the parameters)", height=2.6)
    steps = [p.step for p in result.path]
    away = np.array([p.residual for p in result.path])
    at = np.array([(p.x, p.y) for p in result.path])
    axes.fill_between(steps, away, color=OCHRE, alpha=0.3, linewidth=0)
    axes.plot(steps, away, color=OCHRE, marker=".", markersize=4, label="from the plane")
    axes.plot(
        steps, np.linalg.norm(at - at[0], axis=1), color=MUTED, dashes=(4, 2), linewidth=1.3,
        label="from the start, within the plane",
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(loc="best")
    return figure


@styled
def draw_slice(result: LandscapeResult, arrays: dict[str, NDArray[Any]]) -> Figure:
    """Draw the loss along the straight line from the path's start to its end."""
    figure, axes = panel("share of the straight way from start to end", result.loss, height=2.9)
    at = np.asarray(arrays["slice_positions"], np.float64)
    loss = np.asarray(arrays["slice_loss"], np.float64)
    error = np.nan_to_num(1.96 * np.asarray(arrays["slice_error"], np.float64))
    loss = np.where(np.isfinite(loss), loss, np.nan)
    axes.fill_between(at, loss - error, loss + error, color=TEAL, alpha=0.25, linewidth=0)
    axes.plot(at, loss, color=TEAL, label="loss (band: 95 % for the sampling of examples)")
    for end in (0, 1):
        axes.axvline(end, color=MUTED, linewidth=0.8, dashes=(2, 2))
    finite = loss[np.isfinite(loss)]
    if finite.size and finite.min() > 0 and finite.max() > 12 * finite.min():
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    axes.legend(loc="best")
    return figure


@styled
def draw_curvature(result: LandscapeResult) -> Figure:
    """Draw the Hessian's top eigenvalues, its trace and the gradient's norm along the path."""
    figure, axes = panel("step (minibatches)", "curvature, gradient norm", height=2.9)
    points = [p for p in result.curvature if p.trace is not None and p.eigenvalues]
    steps = [p.step for p in points]
    axes.errorbar(
        steps, [p.trace or np.nan for p in points],
        yerr=[1.96 * (p.trace_error or 0) for p in points],
        color=INDIGO, marker="s", markersize=4, capsize=2, label="trace of the Hessian (95 %)",
    )  # fmt: skip
    for rank, (marker, dash) in enumerate((("o", (1, 0)), ("^", (4, 2)))):
        values = [p.eigenvalues[rank] if len(p.eigenvalues) > rank else np.nan for p in points]
        name = f"{('largest', 'second')[rank]} eigenvalue"
        axes.plot(steps, values, color=ROSE, marker=marker, markersize=4, dashes=dash, label=name)
    axes.plot(
        steps, [p.gradient_norm or np.nan for p in points], color=OCHRE, marker="D",
        markersize=4, dashes=(1, 1.5), label="gradient norm",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(top=axes.get_ylim()[1] * 6)
    axes.legend(loc="upper right", ncols=2)
    return figure


@styled
def draw_joint(result: LandscapeResult, arrays: dict[str, NDArray[Any]]) -> Figure:
    """Draw several runs over the surface of their joint plane, from above."""
    first, second = (100 * share for share in result.explained_variance)
    figure, axes = panel(
        f"first principal direction ({first:.1f} % of variance)",
        f"second principal direction ({second:.1f} %)",
        height=4.2,
    )
    loss = np.array(arrays["loss"], np.float64)
    loss[~np.isfinite(loss)] = np.nan
    low, high = float(np.nanmin(loss)), float(np.nanmax(loss))
    wide = low > 0 and high > 4 * low
    high = high if high > low else low + 1e-9
    norm = LogNorm(low, high) if wide else Normalize(low, high)
    levels = (np.geomspace if wide else np.linspace)(low, high, 25)
    axes.set_facecolor("#00000018")
    filled = axes.contourf(
        arrays["x"], arrays["y"], np.ma.masked_invalid(loss), levels=levels, norm=norm,
        cmap=slope_colours(),
    )  # fmt: skip
    for i, run in enumerate(result.runs):
        at = np.array([(p.x, p.y) for p in run.path])
        colour, marker = RUN_COLOURS[i % len(RUN_COLOURS)], MARKERS[i % len(MARKERS)]
        furthest = max(p.residual for p in run.path)
        axes.plot(
            *at.T, color=colour, marker=marker, markevery=[-1], markersize=7,
            linewidth=1.5, markeredgecolor="#1b2230",
            path_effects=[Stroke(linewidth=2.6, foreground="#1b2230"), Normal()],
            label=f"{run.label}: {100 * run.share:.0f} %, up to {furthest:.2g} away",
        )  # fmt: skip
        axes.plot(*at[0], ".", color=colour, markersize=8, markeredgecolor="#1b2230")
    axes.grid(False)
    bar = figure.colorbar(filled, ax=axes, fraction=0.06, pad=0.02)
    bar.set_label(result.loss)
    if wide:
        log_ticks(bar.ax.yaxis)
    bar.ax.grid(False)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.1, 1), ncols=2, borderaxespad=0.2, fontsize=7.5,
        columnspacing=1.0, handlelength=1.6,
    )  # fmt: skip
    return figure
