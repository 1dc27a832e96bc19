"""The arrays of a run that its figures need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from downslope.errors import InputError
from downslope.results import Results
from downslope.runs import Run

Stored = dict[str, NDArray[Any]]

_SURFACE = ("x", "y", "loss")
_PICTURES = ("originals", "reconstructions", "pca_reconstructions", "labels")


@dataclass(frozen=True, slots=True)
class Arrays:
    """What figures need beyond results.json; None where a file is missing or damaged."""

    surface: Stored | None
    joint: Stored | None
    trials: Stored | None
    images: Stored | None
    predictions: Stored | None


def arrays(run: Run, results: Results) -> Arrays:
    """Read the arrays of the stages that ran."""

    def read(stage: str, name: str, *keys: str) -> Stored | None:
        try:
            stored = run.read_arrays(name, keys) if getattr(results, stage) else None
        except InputError:  # the page says so in place of the figure
            return None
        if stored is not None and keys == _SURFACE:
            x, y, losses = (stored[key] for key in keys)
            return stored if losses.shape == (len(y), len(x)) else None
        return stored

    return Arrays(
        surface=read("landscape", "landscape/surface.npz", *_SURFACE),
        joint=read("joint_landscape", "landscape/joint.npz", *_SURFACE),
        trials=read("trials_landscape", "landscape/trials.npz", *_SURFACE),
        images=read("autoencoder", "autoencoder/images.npz", *_PICTURES),
        predictions=read("refit", "refit/predictions.npz", "predictions", "confidences", "truth"),
    )
