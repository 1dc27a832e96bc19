"""Loss landscapes: trajectories, planes, surfaces and the path over them."""

from downslope.landscape.components import pca_plane, share_in_plane
from downslope.landscape.curvature import CurvaturePoint, curvature, hessian_plane
from downslope.landscape.evaluation import Measure, Statistics, Values, evaluate
from downslope.landscape.foreign import draw_foreign
from downslope.landscape.nulls import NullModel, null_models
from downslope.landscape.paths import PathPoint, RunPath, trace_path
from downslope.landscape.planes import (
    Plane,
    filter_normalized_plane,
    orthonormal,
    plane_through,
)
from downslope.landscape.settings import Grid
from downslope.landscape.shortcuts import spec_of
from downslope.landscape.slices import Slice, interpolate
from downslope.landscape.snapshots import read_buffers, read_snapshots
from downslope.landscape.study import Landscape, LandscapeResult, compute_landscape
from downslope.landscape.surfaces import Surface, evaluate_surface, fit_grid
from downslope.landscape.trajectory import Trajectory

__all__ = [
    "CurvaturePoint",
    "Grid",
    "Landscape",
    "LandscapeResult",
    "Measure",
    "NullModel",
    "PathPoint",
    "Plane",
    "RunPath",
    "Slice",
    "Statistics",
    "Surface",
    "Trajectory",
    "Values",
    "compute_landscape",
    "curvature",
    "draw_foreign",
    "evaluate",
    "evaluate_surface",
    "filter_normalized_plane",
    "fit_grid",
    "hessian_plane",
    "interpolate",
    "null_models",
    "orthonormal",
    "pca_plane",
    "plane_through",
    "read_buffers",
    "read_snapshots",
    "share_in_plane",
    "spec_of",
    "trace_path",
]
