"""What the searching estimators vary, as a space of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec
import numpy as np

from downslope.errors import InputError
from downslope.estimators.plain import MLPRegressor
from downslope.search import Range, Settings, Space

DEFAULT_SETTINGS: dict[str, Any] = {"optimizer": "adam", "schedule": "cosine", "epochs": 100}
DEFAULT_SPACE: dict[str, Any] = {
    "hidden_layers": [1, 2, 3],
    "units": Range(low=8, high=128, log=True),
    "learning_rate": Range(low=1e-3, high=3e-2, log=True),
    "weight_decay": [0.0, 1e-5, 1e-4, 1e-3, 1e-2],
    "batch_size": [16, 32, 64],
    "dropout": [0.0, 0.1, 0.3],
}


def make_space(
    space: Any,
    settings: Any,
    loss: Literal["cross_entropy", "mean_squared_error"],
    name: str,
    encodings: Sequence[str] | None = None,
) -> Space:
    """Make the space of an estimator, of settings whose loss is that of the task.

    Args:
        space: what is varied, by setting; None for the default space.
        settings: what is fixed, by setting.
        loss: of the task.
        name: of the estimator, for errors.
        encodings: of numbers, among which the search chooses; None where it does not.

    Raises:
        InputError: a setting is not allowed, or cannot act.
    """
    for parameter, value in (("space", space), ("settings", settings)):
        if value is not None and not isinstance(value, Mapping):
            raise InputError(
                f"{name}: {parameter} = {value!r}; it must be a dict by setting, or None"
            )
    if "loss" in (space or {}):
        raise InputError(f"{name}: space: loss is that of the task, {loss}; leave it out")
    fixed = _plain(settings or {})
    try:
        base = Settings().replace({**DEFAULT_SETTINGS, **fixed, "loss": loss})
        if space is None:  # what is fixed is not varied
            values = {n: v for n, v in DEFAULT_SPACE.items() if n not in fixed}
        else:
            values = {name: _values(name, value) for name, value in space.items()}
        if both := [name for name in values if name in fixed]:
            raise InputError(
                f"settings: {both[0]} = {fixed[both[0]]!r} has no effect, because space varies "
                "it; leave one of the two out"
            )
        whole = Space(base=base, values=values)
        allowed = {*parameters_of(base), "hidden_layers", "units"}
        for setting in {**fixed, **values}:
            if setting not in allowed:
                raise InputError(f"{setting} has no effect on the estimators; leave it out")
        if encodings is not None:
            whole = Space(base=base, values={**values, "encoding": list(encodings)})
        whole.check_combinations()
        return whole
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def parameters_of(settings: Settings) -> dict[str, Any]:
    """Name the parameters of a plain estimator that are these settings."""
    allowed = set(MLPRegressor().get_params(deep=False))
    own = {k: v for k, v in msgspec.structs.asdict(settings).items() if k in allowed}
    return {"hidden_layer_sizes": (settings.units,) * settings.hidden_layers, **own}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return NumPy's numbers as Python's, which msgspec asks for."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}


def _values(name: str, values: Any) -> list[Any] | Range:
    if isinstance(values, Range):
        return values
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        raise InputError(
            f"space: {name} = {values!r}; it must be a list of choices or a downslope.search.Range"
        )
    return [v.item() if isinstance(v, np.generic) else v for v in cast(Sequence[Any], values)]
