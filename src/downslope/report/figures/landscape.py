"""The loss landscape under the path of the final training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report.style import (
    INDIGO,
    MUTED,
    ROSE,
    log_ticks,
    panel,
    slope_colours,
    styled,
)

TRUE, PROJECTED, STEM, EDGE = "#c9305a", "#5058d0", "#3b4650", "#fdfdfd"
"""Over a surface, lines keep their colour in both themes, as the surface does."""

WIDE, VERY_WIDE = 4.0, 12.0
"""Losses whose highest is WIDE times the lowest are coloured, and VERY_WIDE times raised, by their
logarithm."""


@dataclass(frozen=True, slots=True)
class Terrain:
    """Hold a surface with the path over it.

    Args:
        x: coordinates along the first direction, shape (columns,).
        y: coordinates along the second, shape (rows,).
        loss: shape (rows, columns), NaN where not finite.
        steps: of the path's snapshots, shape (snapshots,).
        path: coordinates of the snapshots, shape (snapshots, 2).
        true: losses of the snapshots themselves, NaN where not finite.
        projected: losses of their projections onto the plane.
        residual: distances of the snapshots from the plane.
        labels: of the two axes.
        loss_name: with its unit.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    loss: NDArray[np.float64]
    steps: NDArray[np.int64]
    path: NDArray[np.float64]
    true: NDArray[np.float64]
    projected: NDArray[np.float64]
    residual: NDArray[np.float64]
    labels: tuple[str, str]
    loss_name: str = "cross-entropy loss (nats)"

    @property
    def range(self) -> tuple[float, float]:
        """Return the lowest and highest finite loss of the surface and the path together."""
        every = np.concatenate([self.loss.ravel(), self.true, self.projected])
        finite = every[np.isfinite(every)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)

    @property
    def logarithmic(self) -> bool:
        """Tell whether losses differ so much that a logarithmic scale shows more."""
        low, high = self.range
        return low > 0 and high > VERY_WIDE * low

    @property
    def height_label(self) -> str:
        """Label the vertical axis of a drawing in three dimensions."""
        if not self.logarithmic:
            return self.loss_name
        inside = self.loss_name.endswith(")")
        return f"{self.loss_name[:-1]}, log scale)" if inside else f"{self.loss_name} (log scale)"

    @property
    def wide(self) -> bool:
        """Tell whether colours should follow the logarithm, so that the valley shows its shape."""
        low, high = self.range
        return low > 0 and high > WIDE * low


def terrain(result: LandscapeResult, arrays: dict[str, NDArray[Any]]) -> Terrain:
    """Join a landscape's result with the arrays of `landscape/surface.npz`."""
    loss = np.array(arrays["loss"], np.float64)
    loss[~np.isfinite(loss)] = np.nan
    return Terrain(
        x=np.asarray(arrays["x"], np.float64),
        y=np.asarray(arrays["y"], np.float64),
        loss=loss,
        steps=np.array([p.step for p in result.path], np.int64),
        path=np.array([(p.x, p.y) for p in result.path]).reshape(-1, 2),
        true=np.array([math.nan if p.true_loss is None else p.true_loss for p in result.path]),
        projected=np.array(
            [math.nan if p.projected_loss is None else p.projected_loss for p in result.path]
        ),
        residual=np.array([p.residual for p in result.path]),
        labels=_labels(result),
        loss_name=result.loss,
    )


def _labels(result: LandscapeResult) -> tuple[str, str]:
    first, second = result.explained_variance
    if math.isnan(first):  # a plane of the caller's, that no components gave
        return "first direction of the plane", "second direction of the plane"
    one, two = (_ordinal(component) for component in result.components)
    return (
        f"{one} principal direction ({100 * first:.1f} % of variance)",
        f"{two} principal direction ({100 * second:.1f} %)",
    )


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _norm(terrain: Terrain) -> Normalize:
    low, high = terrain.range
    high = high if high > low else low + 1e-9
    return LogNorm(low, high) if terrain.wide else Normalize(low, high)


@styled
def draw_contour(terrain: Terrain) -> Figure:
    """Draw the surface from above with the path; points that are not finite are holes."""
    figure, axes = panel(*terrain.labels, height=4.0)
    norm = _norm(terrain)
    low, high = float(norm.vmin or 0), float(norm.vmax or 1)
    space = np.geomspace if terrain.wide else np.linspace
    levels = space(low, high, 25)
    axes.set_facecolor("#00000018")
    masked = np.ma.masked_invalid(terrain.loss)
    filled = axes.contourf(
        terrain.x, terrain.y, masked, levels=levels, norm=norm, cmap=slope_colours()
    )
    axes.contour(
        terrain.x,
        terrain.y,
        masked,
        levels=levels[::2],
        colors="#ffffff",
        linewidths=0.4,
        alpha=0.5,
    )
    casing = [Stroke(linewidth=3.6, foreground=EDGE), Normal()]
    axes.plot(*terrain.path.T, color=TRUE, linewidth=1.7, path_effects=casing)
    axes.plot(*terrain.path.T, ".", color=TRUE, markersize=3)
    for index, marker, name in ((0, "o", "start"), (-1, "*", "end")):
        axes.plot(
            *terrain.path[index],
            marker,
            color=TRUE,
            markeredgecolor=EDGE,
            markeredgewidth=1.2,
            markersize=9 if marker == "o" else 15,
            linestyle="none",
            label=f"{name}, step {terrain.steps[index]:,}",
        )
    wide = float(np.ptp(terrain.x)) / max(float(np.ptp(terrain.y)), 1e-12)
    if 0.6 < wide < 2.2:
        axes.set_aspect("equal")
    axes.grid(False)
    bar = figure.colorbar(filled, ax=axes, fraction=0.06, pad=0.02)
    bar.set_label(terrain.loss_name)
    locator = LogLocator(subs=(1, 1.5, 2, 3, 5, 7), numticks=20) if terrain.wide else MaxNLocator(7)
    bar.ax.yaxis.set_major_locator(locator)
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.grid(False)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handletextpad=0.3
    )
    return figure


@styled
def draw_surface(terrain: Terrain) -> Figure:
    """Draw the surface in three dimensions with the path at its true loss, and as projected."""
    height = np.log10 if terrain.logarithmic else np.asarray
    figure = Figure(figsize=(5.0, 4.3))
    axes: Any = figure.add_axes((0.0, 0.0, 0.93, 0.98), projection="3d", computed_zorder=False)
    norm, colours = _norm(terrain), slope_colours()
    corners = np.stack([*np.meshgrid(terrain.x, terrain.y), height(terrain.loss)], axis=-1)
    cells = np.stack(
        [corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2
    ).reshape(-1, 4, 3)
    losses = np.stack(
        [terrain.loss[:-1, :-1], terrain.loss[:-1, 1:], terrain.loss[1:, 1:], terrain.loss[1:, :-1]]
    ).reshape(4, -1)
    whole = np.isfinite(losses).all(axis=0)
    axes.add_collection3d(
        Poly3DCollection(
            list(cells[whole]),
            facecolors=colours(norm(losses.mean(axis=0)[whole])),
            edgecolors="#ffffff55",
            linewidths=0.25,
            alpha=0.9,
            zorder=1,
        )
    )
    x, y = terrain.path.T
    true, projected = height(terrain.true), height(terrain.projected)
    both = np.isfinite(true) & np.isfinite(projected)
    stems = np.stack([np.stack([x, y, true], axis=1), np.stack([x, y, projected], axis=1)], axis=1)[
        both
    ]
    axes.add_collection3d(Line3DCollection(list(stems), colors=STEM, linewidths=0.6, zorder=3))
    for losses, colour, width, dashes, order, name in (
        (projected, PROJECTED, 1.3, (3, 1.5), 4, "projected path"),
        (true, TRUE, 1.8, (1, 0), 5, "path at its true loss"),
    ):
        casing = [Stroke(linewidth=width + 1.4, foreground=EDGE, alpha=0.8), Normal()]
        style: dict[str, Any] = {"color": colour, "linewidth": width, "dashes": dashes}
        axes.plot(x, y, losses, path_effects=casing, zorder=order, label=name, **style)
    ends: dict[str, Any] = {"color": TRUE, "markeredgecolor": EDGE, "zorder": 6}
    axes.plot(x[-1:], y[-1:], true[-1:], "*", markersize=13, **ends)
    axes.plot(x[:1], y[:1], true[:1], "o", markersize=7, **ends)
    low, high = terrain.range
    axes.set_xlim(terrain.x[0], terrain.x[-1])
    axes.set_ylim(terrain.y[0], terrain.y[-1])
    axes.set_zlim(float(height(low)), float(height(high)))
    axes.set_xlabel(terrain.labels[0].replace(" principal", ""), labelpad=0, fontsize=8)
    axes.set_ylabel(terrain.labels[1].replace(" principal", ""), labelpad=4, fontsize=8)
    axes.set_zlabel(terrain.height_label, labelpad=1, fontsize=8)
    axes.tick_params(labelsize=7.5, pad=-1)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_pane_color((0, 0, 0, 0))
        axis.line.set_color(MUTED)
        axis._axinfo["grid"].update(color="#8a95a055", linewidth=0.5)  # there is no public way
    if terrain.logarithmic:
        ticks = [t for t in LogLocator(subs=(1, 2, 5)).tick_values(low, high) if low <= t <= high]
        axes.set_zticks(np.log10(ticks), [f"{t:g}" for t in ticks])
    axes.view_init(elev=32, azim=-58)
    axes.set_box_aspect((1.25, 1.1, 0.75), zoom=0.98)
    axes.legend(loc="upper left", fontsize=8.5, bbox_to_anchor=(0.02, 1.0))
    return figure


@styled
def draw_losses(terrain: Terrain) -> Figure:
    """Draw the true and the projected loss along the path."""
    figure, axes = panel("step (minibatches)", terrain.loss_name, height=3.3)
    axes.plot(
        terrain.steps, terrain.projected, color=INDIGO, dashes=(4, 2), linewidth=1.4,
        label="projected onto the plane",
    )  # fmt: skip
    axes.plot(
        terrain.steps, terrain.true, color=ROSE, linewidth=1.6, marker=".", markersize=4,
        label="true",
    )  # fmt: skip
    if terrain.wide:
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(loc="upper right")
    return figure
