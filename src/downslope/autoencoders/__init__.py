"""Dense autoencoders beside the best linear ones, and what their codes hold."""

from downslope.autoencoders.autoencoder import Autoencoder, code_layer
from downslope.autoencoders.codes import (
    Activity,
    activity_of,
    farthest_points,
    interpolate,
    map_codes,
    unit_pictures,
)
from downslope.autoencoders.compare import (
    AutoencoderComparison,
    AutoencoderEpoch,
    AutoencoderResult,
    Rival,
    autoencode,
)
from downslope.autoencoders.corruption import Corruption, CorruptionKind
from downslope.autoencoders.errors import (
    errors_by_class,
    mean_squared_error,
    ranked_examples,
    shown_examples,
    squared_errors,
)
from downslope.autoencoders.fitting import fit_autoencoder
from downslope.autoencoders.io import (
    open_autoencoder,
    read_codes,
    read_examples,
    write_array,
    write_sheet,
)
from downslope.autoencoders.linear import LinearCodes
from downslope.autoencoders.probe import ProbeResult, probe
from downslope.autoencoders.training import train_autoencoders

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
