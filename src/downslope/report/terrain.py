"""The loss surface under paths of training: in three dimensions, and from above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection
from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report.display import Cell, Display, Frame, Source, Texts
from downslope.report.formats import number
from downslope.report.style import (
    MUTED,
    RUN_COLOURS,
    WIDTH,
    HouseFigure,
    panel,
    plain,
    slope_colours,
)

PROJECTED, STEM, EDGE = "#5058d0", "#3b4650", "#fdfdfd"
"""Over a surface, lines keep their colour in both themes, as the surface does."""

_WIDE, _VERY_WIDE = 4.0, 12.0
"""Losses whose highest is _WIDE times the lowest are coloured, and _VERY_WIDE times raised, by
their logarithm."""


def axis_labels(result: LandscapeResult) -> tuple[str, str]:
    """Name the directions of a plane."""
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


class _Terrain:
    """The surface and the paths of a frame, whose columns are named after axes and loss."""

    def __init__(self, frame: Frame) -> None:
        *_, first, second, self.loss_name, projected, _ = frame.columns
        self.labels = first, second
        points = frame.where(what="surface")
        self.x, self.y = np.unique(points.numbers(first)), np.unique(points.numbers(second))
        loss = points.numbers(self.loss_name).reshape(len(self.y), len(self.x))
        self.loss = np.where(np.isfinite(loss), loss, np.nan)
        self.paths = {
            str(run): (
                path["step"],
                *(path.numbers(name) for name in (first, second, self.loss_name, projected)),
            )
            for run, path in frame.where(what="path").groups("run").items()
        }
        losses = [one for _, _, _, *both in self.paths.values() for one in both]
        every = np.concatenate([self.loss.ravel(), *losses])
        finite = every[np.isfinite(every)]
        self.low, self.high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        self.wide = self.low > 0 and self.high > _WIDE * self.low
        self.logarithmic = self.low > 0 and self.high > _VERY_WIDE * self.low

    @cached_property
    def norm(self) -> Normalize:
        """Place losses between the colours."""
        high = self.high if self.high > self.low else self.low + 1e-9
        return (LogNorm if self.wide else Normalize)(self.low, high)


@dataclass(frozen=True)
class _OfTerrain(Display):
    """A drawing of a surface and the paths over it, from the arrays x, y and loss."""

    result: LandscapeResult
    arrays: dict[str, NDArray[Any]]
    source = Source(
        "results.json: landscape; landscape/surface.npz",
        "loss on training examples, at points of the plane, at the snapshots of "
        "refit/trajectory.npz and at their projections",
    )

    def frame(self) -> Frame:
        columns = (
            *("what", "run", "step", *axis_labels(self.result), self.result.loss),
            *("projected loss", "distance from the plane"),
        )
        rows: list[tuple[Cell, ...]] = [
            ("surface", None, None, float(x), float(y), float(loss), None, None)
            for y, losses in zip(self.arrays["y"], self.arrays["loss"], strict=True)
            for x, loss in zip(self.arrays["x"], losses, strict=True)
        ]
        rows += [
            ("path", run.label, p.step, p.x, p.y, p.true_loss, p.projected_loss, p.residual)
            for run in self.result.runs
            for p in run.path
        ]
        return Frame(columns, rows)

    def about(self, caption: str) -> Texts:
        """Complete a caption by what is not drawn."""
        holes = " Holes: the loss is not finite." if self.result.not_finite else ""
        return Texts(f"{caption}{holes}", f"{self.title} Losses from {span(self.result)}.")


def span(result: LandscapeResult) -> str:
    """Write the range of a surface's losses."""
    low, high = (number(loss, 3) for loss in result.loss_range)
    return f"{low} to {high}{unit(result)}"


def unit(result: LandscapeResult) -> str:
    """Return what follows a loss."""
    return " nats" if result.loss.endswith("(nats)") else ""


class Contour(_OfTerrain):
    """The surface from above with the paths on it."""

    name = "landscape-contour"
    title = "Which way did training take?"

    def draw(self, frame: Frame) -> Figure:
        terrain = _Terrain(frame)
        figure, axes = panel(*terrain.labels, height=4.0)
        low, high = float(terrain.norm.vmin or 0), float(terrain.norm.vmax or 1)
        levels = (np.geomspace if terrain.wide else np.linspace)(low, high, 25)
        axes.set_facecolor("#00000018")
        surface = (terrain.x, terrain.y, np.ma.masked_invalid(terrain.loss))
        filled = axes.contourf(*surface, levels=levels, norm=terrain.norm, cmap=slope_colours())
        lines: dict[str, Any] = {"colors": "#ffffff", "linewidths": 0.4, "alpha": 0.5}
        axes.contour(*surface, levels=levels[::2], **lines)
        several = len(terrain.paths) > 1
        for i, (run, (steps, x, y, _, _)) in enumerate(terrain.paths.items()):
            colour = RUN_COLOURS[i % len(RUN_COLOURS)]
            axes.plot(x, y, color=colour, linewidth=1.7, path_effects=_casing(3.6))
            axes.plot(x, y, ".", color=colour, markersize=3)
            ends = (
                (0, "o", 9, f"start, step {steps[0]:,}"),
                (-1, "*", 15, f"end, step {steps[-1]:,}"),
            )
            for end, marker, size, label in ends[several:]:
                axes.plot(
                    x[end], y[end], marker, color=colour, markeredgecolor=EDGE, markersize=size,
                    markeredgewidth=1.2, label=plain(run, 24) if several else label,
                )  # fmt: skip
        if 0.6 < np.ptp(terrain.x) / max(np.ptp(terrain.y), 1e-12) < 2.2:
            axes.set_aspect("equal")
        axes.grid(visible=False)
        bar = figure.colorbar(filled, ax=axes, fraction=0.06, pad=0.02, label=terrain.loss_name)
        _loss_ticks(bar.ax.yaxis, terrain)
        bar.ax.grid(visible=False)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        style: dict[str, Any] = {"borderaxespad": 0.2, "handletextpad": 0.3}
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, **style)
        return figure

    def texts(self) -> Texts:
        paths = "path" if len(self.result.runs) == 1 else "paths"
        return self.about(f"The surface from above, with the {paths} projected onto it.")


def _casing(width: float) -> list[Any]:
    return [Stroke(linewidth=width, foreground=EDGE), Normal()]


def _loss_ticks(axis: Axis, terrain: _Terrain) -> None:
    logarithmic = LogLocator(subs=(1, 1.5, 2, 3, 5, 7), numticks=20)
    axis.set_major_locator(logarithmic if terrain.wide else MaxNLocator(7))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


class Surface(_OfTerrain):
    """The surface in three dimensions with the paths at their true loss."""

    name = "landscape-surface"
    title = "What does the loss look like along the path of training?"

    def draw(self, frame: Frame) -> Figure:
        terrain = _Terrain(frame)
        height = np.log10 if terrain.logarithmic else np.asarray
        figure = HouseFigure(figsize=(WIDTH, 4.0))
        axes: Any = figure.add_axes((0, 0, 0.9, 1), projection="3d", computed_zorder=False)
        if np.isfinite(terrain.loss).any():
            axes.add_collection3d(_cells(terrain, height(terrain.loss)))
        for i, (run, (_, x, y, true, projected)) in enumerate(terrain.paths.items()):
            colour = RUN_COLOURS[i % len(RUN_COLOURS)]
            label = "path at its true loss" if len(terrain.paths) == 1 else plain(run, 24)
            up, down = height(true), height(projected)
            if len(terrain.paths) == 1:
                both = np.isfinite(up) & np.isfinite(down)
                ends = [np.stack([x, y, z], axis=1)[both] for z in (up, down)]
                stems = list(np.stack(ends, axis=1))
                if stems:
                    axes.add_collection3d(Line3DCollection(stems, colors=STEM, lw=0.6, zorder=3))
                axes.plot(
                    x, y, down, color=PROJECTED, lw=1.3, dashes=(3, 1.5), zorder=4,
                    path_effects=_casing(2.7), label="projected path",
                )  # fmt: skip
            path: dict[str, Any] = {"lw": 1.8, "path_effects": _casing(3.2), "label": label}
            axes.plot(x, y, up, color=colour, zorder=5, **path)
            for end, marker, size in ((-1, "*", 13), (0, "o", 7)):
                place = ([x[end]], [y[end]], [up[end]])
                axes.plot(*place, marker, color=colour, mec=EDGE, ms=size, zorder=6)
        _set_space(axes, terrain)
        axes.legend(loc="upper left", bbox_to_anchor=(0.02, 1.0))
        return figure

    def texts(self) -> Texts:
        if len(self.result.runs) > 1:
            return self.about("The paths at their true losses over their joint plane.")
        return self.about(
            "The loss in the plane. Solid: the path at its true loss; dashed: its projection onto "
            "the plane; stems: the difference, which the plane does not show."
        )


def _cells(terrain: _Terrain, height: NDArray[np.float64]) -> Poly3DCollection:
    """Make a face for each cell of the grid whose corners are all finite."""
    points = np.stack([*np.meshgrid(terrain.x, terrain.y), height, terrain.loss], axis=-1)
    around = [points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]]
    corners = np.stack(around, axis=2).reshape(-1, 4, 4)
    corners = corners[np.isfinite(corners[:, :, 3]).all(axis=1)]
    colours = slope_colours()(terrain.norm(corners[:, :, 3].mean(axis=1)))
    style: dict[str, Any] = {"edgecolors": "#ffffff55", "linewidths": 0.25, "alpha": 0.9}
    return Poly3DCollection(list(corners[:, :, :3]), facecolors=colours, zorder=1, **style)


def _set_space(axes: Any, terrain: _Terrain) -> None:
    """Label the three axes of a surface."""
    low, high = terrain.low, terrain.high
    axes.set_xlim(terrain.x[0], terrain.x[-1])
    axes.set_ylim(terrain.y[0], terrain.y[-1])
    short = [x.replace(" principal", "").replace(" of variance", "") for x in terrain.labels]
    axes.set_xlabel(short[0], labelpad=-2, fontsize=9.6)
    axes.set_ylabel(short[1], labelpad=2, fontsize=9.6)
    loss = terrain.loss_name.replace("cross-entropy ", "")
    axes.set_zlabel(f"{loss}, log scale" if terrain.logarithmic else loss, labelpad=1, fontsize=9.6)
    axes.tick_params(labelsize=9.6, pad=-2)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(4))
        axis.set_pane_color((0, 0, 0, 0))
        axis.line.set_color(MUTED)
        axis._axinfo["grid"].update(color="#8a95a055", linewidth=0.5)  # there is no public way
    if terrain.logarithmic:
        subs = (1, 2, 5) if high < 200 * low else (1, 3) if high < 5000 * low else (1,)
        ticks = [t for t in LogLocator(subs=subs).tick_values(low, high) if low <= t <= high]
        axes.set_zticks(np.log10(ticks), [f"{t:g}" for t in ticks])
        low, high = np.log10([low, high])
    axes.set_zlim(low, high if high > low else low + (abs(low) or 1.0))
    axes.view_init(elev=32, azim=-58)
    axes.set_box_aspect((1.25, 1.1, 0.75), zoom=0.93)
