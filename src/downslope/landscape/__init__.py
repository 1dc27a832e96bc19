"""Loss landscapes: trajectories, planes, surfaces and the path over them."""

from downslope.landscape.callbacks import lightning_callback, trainer_callback
from downslope.landscape.components import pca_plane, share_in_plane
from downslope.landscape.compute import Landscape, LandscapeResult, compute_landscape
from downslope.landscape.curvature import CurvaturePoint, curvature
from downslope.landscape.evaluation import Losses, LossOptions, evaluate
from downslope.landscape.external import landscape_from_files
from downslope.landscape.interpolation import Slice, interpolate
from downslope.landscape.paths import PathPoint, RunPath, trace_path
from downslope.landscape.planes import Plane, filter_normalized_plane, orthonormal
from downslope.landscape.random_walks import NullModel, null_models
from downslope.landscape.settings import BatchNorm, Grid
from downslope.landscape.snapshots import read_snapshots
from downslope.landscape.surfaces import Surface, evaluate_surface, fit_grid
from downslope.landscape.trajectory import Trajectory

__all__ = [
    "BatchNorm",
    "CurvaturePoint",
    "Grid",
    "Landscape",
    "LandscapeResult",
    "LossOptions",
    "Losses",
    "NullModel",
    "PathPoint",
    "Plane",
    "RunPath",
    "Slice",
    "Surface",
    "Trajectory",
    "compute_landscape",
    "curvature",
    "evaluate",
    "evaluate_surface",
    "filter_normalized_plane",
    "fit_grid",
    "interpolate",
    "landscape_from_files",
    "lightning_callback",
    "null_models",
    "orthonormal",
    "pca_plane",
    "read_snapshots",
    "share_in_plane",
    "trace_path",
    "trainer_callback",
]
