"""Reconstruction: dense autoencoders beside the best linear ones, and what their codes hold."""

from downslope.reconstruction.autoencoder import Autoencoder, code_layer
from downslope.reconstruction.codes import (
    Activity,
    activity_of,
    farthest_points,
    interpolate,
    map_codes,
    unit_pictures,
)
from downslope.reconstruction.compare import (
    AutoencoderComparison,
    AutoencoderEpoch,
    AutoencoderResult,
    Rival,
    autoencode,
)
from downslope.reconstruction.corruption import Corruption, CorruptionKind
from downslope.reconstruction.errors import (
    errors_by_class,
    mean_squared_error,
    ranked_examples,
    shown_examples,
    squared_errors,
)
from downslope.reconstruction.fitting import fit_autoencoder
from downslope.reconstruction.io import (
    open_autoencoder,
    read_codes,
    read_examples,
    write_array,
    write_sheet,
)
from downslope.reconstruction.linear import LinearCodes
from downslope.reconstruction.probe import ProbeResult, probe
from downslope.reconstruction.training import train_autoencoders

__all__ = [
    "Activity",
    "Autoencoder",
    "AutoencoderComparison",
    "AutoencoderEpoch",
    "AutoencoderResult",
    "Corruption",
    "CorruptionKind",
    "LinearCodes",
    "ProbeResult",
    "Rival",
    "activity_of",
    "autoencode",
    "code_layer",
    "errors_by_class",
    "farthest_points",
    "fit_autoencoder",
    "interpolate",
    "map_codes",
    "mean_squared_error",
    "open_autoencoder",
    "probe",
    "ranked_examples",
    "read_codes",
    "read_examples",
    "shown_examples",
    "squared_errors",
    "train_autoencoders",
    "unit_pictures",
    "write_array",
    "write_sheet",
]
