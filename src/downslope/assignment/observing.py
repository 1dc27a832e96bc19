"""How a probe calls a function of a solution, and takes what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn


class ContractError(TypeError):
    """A function cannot be called as it is asked for, or returns something else."""


def call(function: Callable[..., Any], /, **asked: Any) -> Any:
    """Call a function by the names that were asked for, or in their order if it has others.

    Raises:
        ContractError: it takes other arguments.
    """
    try:
        signature = inspect.signature(function)
    except TypeError:
        raise ContractError(f"is {kind_of(function)} and cannot be called") from None
    except ValueError:
        return function(*asked.values())
    named = set(asked) <= set(signature.parameters)
    arguments, options = ((), asked) if named else (tuple(asked.values()), {})
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        names = ", ".join(asked) or "no arguments"
        raise ContractError(f"cannot be called with {names}: {error}") from None
    return function(*arguments, **options)


def seed_of(function: Callable[..., Any]) -> str | None:
    """Return the name of the argument of a search that takes its seed; None where it has none."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return "seed"
    return next((name for name in names if "seed" in name or name == "random_state"), None)


def module_of(value: Any) -> nn.Module:
    """Return what must be a network.

    Raises:
        ContractError: it is something else.
    """
    if not isinstance(value, nn.Module):
        raise ContractError(f"returns {kind_of(value)}, should return a network (nn.Module)")
    return value


def parts_of(value: Any, *words: str) -> Sequence[Any]:
    """Return what must be several values, named by words.

    Raises:
        ContractError: it is something else, or has fewer.
    """
    if not isinstance(value, list | tuple) or len(value) < len(words):
        raise ContractError(f"returns {kind_of(value)}, should return {' and '.join(words)}")
    return value


def as_numbers(value: Any) -> Any:
    """Return what was returned as numbers, or the name of its type where it is none."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    with suppress(Exception):
        array = np.asarray(value)
        if array.dtype.kind in "fiub":
            return array.astype(np.float64).copy()
    return kind_of(value)


def kind_of(value: Any) -> str:
    """Say what kind of value was returned."""
    if isinstance(value, torch.Tensor):
        return "a tensor"
    if isinstance(value, np.ndarray):
        return "a NumPy array"
    if isinstance(value, bool | int | float | np.generic):
        return "a number"
    if value is None:
        return "nothing (None)"
    return f"a value of type {type(value).__name__}"
