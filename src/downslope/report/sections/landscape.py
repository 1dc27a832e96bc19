"""The landscape section: its figures with captions, and its table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from downslope.landscape import LandscapeResult
from downslope.report.figures import landscape as land
from downslope.report.figures import landscape_doubts as doubts
from downslope.report.figures.drawn import to_csv
from downslope.report.picture import Picture, picture
from downslope.report.tables import Row, Table
from downslope.report.wording import figure as number
from downslope.report.wording import loss, percent


def landscape_pictures(
    found: LandscapeResult, surface: dict[str, NDArray[Any]]
) -> Iterator[Picture]:
    """Draw all figures of one landscape."""
    terrain = land.terrain(found, surface)
    low, high = found.loss_range
    span = f"losses from {number(low, 3)} to {number(high, 3)} nats"
    holes = " Holes are points whose loss is not finite." if found.not_finite else ""
    yield picture(
        "landscape-contour",
        land.draw_contour(terrain),
        f"Loss landscape from above with the path of the training; {span}.",
        f"The landscape from above, {span}, and the path projected onto it.{holes}",
        landscape_data(found, surface),
    )
    yield picture(
        "landscape-surface",
        land.draw_surface(terrain),
        f"Loss landscape in three dimensions with the path at its true loss; {span}.",
        "The landscape with the path at its true loss, the projected path, and stems between "
        f"them: what the plane does not show.{holes}",
        landscape_data(found, surface),
    )
    yield picture(
        "landscape-losses",
        land.draw_losses(terrain),
        f"Loss along the path, true from {number(terrain.true[0])} to {number(terrain.true[-1])}, "
        f"projected from {number(terrain.projected[0])} to {number(terrain.projected[-1])} nats.",
        "Loss along the path: of the snapshots themselves, and of their projections.",
    )
    if found.nulls:
        share = percent(sum(found.explained_variance), 1)
        walks = " and ".join(percent(null.mean, 1) for null in found.nulls)
        yield picture(
            "landscape-nulls",
            doubts.draw_nulls(found),
            f"Share of variance in the plane: {share}; random walks {walks}.",
            f"The plane's share of the path's variance beside {found.nulls[0].walks} random walks "
            "with the same step lengths, and with the same step autocorrelation too (points, "
            "mean; bars, 95 % of walks).",
        )
    furthest = max(p.residual for p in found.path)
    yield picture(
        "landscape-residuals",
        doubts.draw_residuals(found),
        f"Distance of each snapshot from the plane, at most {number(furthest, 3)}.",
        "How far each snapshot is from the plane it is drawn on, beside how far it has come "
        "within it.",
    )
    if "slice_loss" in surface:
        yield picture(
            "landscape-slice",
            doubts.draw_slice(found, surface),
            "Loss along the straight line from the first snapshot to the last.",
            "The loss along the straight line from the first snapshot to the last.",
        )
    if any(p.eigenvalues for p in found.curvature):
        yield picture(
            "landscape-curvature",
            doubts.draw_curvature(found),
            f"Curvature at {len(found.curvature)} snapshots.",
            "Curvature of the loss along the path: the Hessian's largest eigenvalues and trace, "
            "and the norm of the gradient."
            + (
                " Batch norm has its statistics of the end of training." if found.statistics else ""
            ),
        )
    if len(found.runs) > 1:
        yield joint_picture(found, surface)


def joint_picture(
    joint: LandscapeResult,
    surface: dict[str, NDArray[Any]],
    name: str = "landscape-joint",
    what: str = "The seeds",
) -> Picture:
    """Draw several runs in their joint plane."""
    return picture(
        name,
        doubts.draw_joint(joint, surface),
        f"{what}, {len(joint.runs)} runs in their joint plane.",
        f"{what} of {joint.module} in one plane. Beside each: the share of its own variance "
        "that the plane holds and its largest distance from it. Paths that seem to cross need "
        "not meet.",
        landscape_data(joint, surface),
    )


def landscape_data(found: LandscapeResult, surface: dict[str, NDArray[Any]]) -> str:
    """Write the surface, point by point, and the paths over it as CSV."""
    points = [
        (float(x), float(y), float(surface["loss"][i, j]))
        for i, y in enumerate(surface["y"])
        for j, x in enumerate(surface["x"])
    ]
    paths = [
        (run.label, p.step, p.x, p.y, p.true_loss, p.projected_loss, p.residual)
        for run in found.runs
        for p in run.path
    ]
    headings = ("run", "step", "x", "y", "true loss", "projected loss", "distance from the plane")
    return to_csv((("x", "y", "loss"), points), (headings, paths))


def path_table(landscape: LandscapeResult) -> Table:
    """List the snapshots of the path with both losses and their distance from the plane."""
    return Table(
        caption="Snapshots of the path: coordinates in the plane, losses in nats, and the "
        "distance from the plane in the units of the parameters",
        columns=[
            ("step", True),
            ("x", True),
            ("y", True),
            ("true loss", True),
            ("projected loss", True),
            ("residual", True),
        ],
        rows=[
            Row(
                [
                    f"{p.step:,}",
                    f"{p.x:.3f}".replace("-", "−"),
                    f"{p.y:.3f}".replace("-", "−"),
                    loss(p.true_loss),
                    loss(p.projected_loss),
                    f"{p.residual:.3f}",
                ]
            )
            for p in landscape.path
        ],
        tall=True,
    )
