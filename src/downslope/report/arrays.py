"""The arrays of a run that its figures need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from downslope.errors import InputError
from downslope.results import Results
from downslope.runs import Run


@dataclass(frozen=True, slots=True)
class Arrays:
    """What figures need beyond results.json; None where a file is missing or damaged."""

    surface: dict[str, NDArray[Any]] | None
    joint: dict[str, NDArray[Any]] | None
    trials: dict[str, NDArray[Any]] | None
    images: dict[str, NDArray[Any]] | None
    answers: dict[str, NDArray[Any]] | None


def arrays(run: Run, results: Results) -> Arrays:
    """Read the arrays of the stages that ran."""
    return Arrays(
        surface=None if results.landscape is None else _surface(run, "landscape/surface.npz"),
        joint=None if results.joint_landscape is None else _surface(run, "landscape/joint.npz"),
        trials=None if results.trials_landscape is None else _surface(run, "landscape/trials.npz"),
        images=None
        if results.autoencoder is None
        else _read(
            run,
            "autoencoder/images.npz",
            ("originals", "reconstructions", "pca_reconstructions", "labels"),
        ),
        answers=None
        if results.refit is None
        else _read(run, "refit/predictions.npz", ("predictions", "confidences", "truth")),
    )


def _surface(run: Run, name: str) -> dict[str, NDArray[Any]] | None:
    found = _read(run, name, ("x", "y", "loss"))
    if found is not None and found["loss"].shape != (len(found["y"]), len(found["x"])):
        return None
    return found


def _read(run: Run, name: str, keys: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    try:
        return run.read_arrays(name, keys)
    except InputError:  # the page says so in place of the figure
        return None
