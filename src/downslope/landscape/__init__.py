"""Loss landscapes: trajectories, planes, surfaces and the path over them."""

from downslope.landscape.planes import Plane, pca_plane
from downslope.landscape.study import Landscape, LandscapeResult, compute_landscape
from downslope.landscape.surfaces import (
    PathPoint,
    Surface,
    evaluate_surface,
    fit_grid,
    losses_at,
    trace_path,
)
from downslope.landscape.trajectory import Trajectory

__all__ = [
    "Landscape",
    "LandscapeResult",
    "PathPoint",
    "Plane",
    "Surface",
    "Trajectory",
    "compute_landscape",
    "evaluate_surface",
    "fit_grid",
    "losses_at",
    "pca_plane",
    "trace_path",
]
