"""Loss landscapes: trajectories, planes, surfaces and the path over them."""

from downslope.landscape.components import pca_plane, share_in_plane
from downslope.landscape.curvature import CurvaturePoint, curvature, hessian_plane
from downslope.landscape.directions import filter_normalized_plane
from downslope.landscape.evaluation import Measure, Statistics, Values, evaluate
from downslope.landscape.foreign import draw_foreign, load_examples
from downslope.landscape.nulls import NullModel, null_models
from downslope.landscape.paths import PathPoint, RunPath, losses_at, trace_path
from downslope.landscape.planes import Plane, orthonormal, plane_through
from downslope.landscape.refinement import refine_surface
from downslope.landscape.settings import check_settings
from downslope.landscape.shortcuts import spec_of
from downslope.landscape.slices import Slice, interpolate
from downslope.landscape.snapshots import read_buffers, read_snapshots
from downslope.landscape.study import Landscape, LandscapeResult, compute_landscape
from downslope.landscape.surfaces import Surface, evaluate_surface, fit_grid
from downslope.landscape.trajectory import Trajectory

__all__ = [
    "CurvaturePoint",
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
    "check_settings",
    "compute_landscape",
    "curvature",
    "draw_foreign",
    "evaluate",
    "evaluate_surface",
    "filter_normalized_plane",
    "fit_grid",
    "hessian_plane",
    "interpolate",
    "load_examples",
    "losses_at",
    "null_models",
    "orthonormal",
    "pca_plane",
    "plane_through",
    "read_buffers",
    "read_snapshots",
    "refine_surface",
    "share_in_plane",
    "spec_of",
    "trace_path",
]
