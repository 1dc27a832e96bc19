"""A trained model: loaded from a run, it predicts new rows and is exported for other programs."""

from downslope.models.export import export_model
from downslope.models.model import (
    FOLDER,
    Model,
    ModelCard,
    Predictions,
    conformal_quantile,
    float64_outputs,
    load_model,
    row_digests,
    weights_file,
)

__all__ = [
    "FOLDER",
    "Model",
    "ModelCard",
    "Predictions",
    "conformal_quantile",
    "export_model",
    "float64_outputs",
    "load_model",
    "row_digests",
    "weights_file",
]
