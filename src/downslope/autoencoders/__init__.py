"""Dense autoencoders beside the best linear ones, and what their codes hold."""

from downslope.autoencoders.autoencoder import Autoencoder, code_layer, squared_errors
from downslope.autoencoders.codes import (
    farthest_points,
    interpolate,
    map_codes,
    ranked_examples,
    shown_examples,
    unit_pictures,
)
from downslope.autoencoders.compare import (
    Ablation,
    AutoencoderComparison,
    AutoencoderEpoch,
    AutoencoderResult,
    autoencode,
)
from downslope.autoencoders.corruption import Corruption, CorruptionKind
from downslope.autoencoders.io import (
    open_autoencoder,
    read_array,
    read_examples,
    write_array,
    write_sheet,
)
from downslope.autoencoders.linear import LinearCodes, ProbeResult, probe
from downslope.autoencoders.training import fit_autoencoder, train_autoencoders

__all__ = [
    "Ablation",
    "Autoencoder",
    "AutoencoderComparison",
    "AutoencoderEpoch",
    "AutoencoderResult",
    "Corruption",
    "CorruptionKind",
    "LinearCodes",
    "ProbeResult",
    "autoencode",
    "code_layer",
    "farthest_points",
    "fit_autoencoder",
    "interpolate",
    "map_codes",
    "open_autoencoder",
    "probe",
    "ranked_examples",
    "read_array",
    "read_examples",
    "shown_examples",
    "squared_errors",
    "train_autoencoders",
    "unit_pictures",
    "write_array",
    "write_sheet",
]
