"""How a probe calls a function of a solution, and takes what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch


def call(function: Callable[..., Any], /, **asked: Any) -> Any:
    """Call a function by the names that were asked for, or in their order if it has others."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(*asked.values())
    if set(asked) <= set(parameters):
        return function(**asked)
    return function(*asked.values())


def as_numbers(value: Any) -> Any:
    """Return what was returned as numbers, or the name of its type where it is none."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    with suppress(Exception):
        array = np.asarray(value)
        if array.dtype.kind in "fiub":
            return array.astype(np.float64).copy()
    return f"a value of type {type(value).__name__}"


def kind_of(value: Any) -> str:
    """Say what kind of value was returned."""
    if isinstance(value, torch.Tensor):
        return "a tensor"
    if isinstance(value, np.ndarray):
        return "a NumPy array"
    if isinstance(value, bool | int | float | np.generic):
        return "a number"
    return type(value).__name__
