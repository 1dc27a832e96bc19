"""What a user's module returns: a tensor, or several of which one is chosen by its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch

from downslope.errors import InputError


def pick_output(outputs: Any, key: str | None) -> Any:
    """Take what a key names from a module's outputs: of a mapping, or by position of a tuple.

    Raises:
        InputError: there is no such output.

    >>> pick_output({"logits": 1, "hidden": 2}, "logits"), pick_output((3, 4), "1")
    (1, 4)
    """
    if key is None:
        return outputs
    named = _named(outputs)
    if key not in named:
        raise InputError(f"output = {key!r}; the module returns {_words(outputs, 'one, ')}")
    return named[key]


def describe_outputs(outputs: Any) -> str:
    """Say what a module returned where that is no tensor of real numbers, and what to do.

    >>> describe_outputs({"logits": torch.ones(2)})
    "a dict with 'logits'; choose one by its key, as in output='logits'"
    """
    words = _words(outputs)
    if isinstance(outputs, torch.Tensor):
        return f"{words}; it must be of real numbers"
    first = next(iter(_named(outputs)), "")
    return f"{words}; " + (
        f"choose one by its key, as in output={first!r}" if first else "it must return a tensor"
    )


def _words(outputs: Any, one: str = "") -> str:
    if isinstance(outputs, torch.Tensor):
        return f"{one}a tensor of {outputs.dtype}".replace("torch.", "")
    keys = ", ".join(map(repr, _named(outputs)))
    return f"a {type(outputs).__name__}" + (f" with {keys}" if keys else "")


def _named(outputs: Any) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return {str(k): v for k, v in cast(Mapping[Any, Any], outputs).items()}
    if isinstance(outputs, tuple | list):
        parts = list(cast("tuple[Any, ...]", outputs))
        names: tuple[str, ...] = getattr(cast(Any, outputs), "_fields", ())
        return dict(zip([*map(str, range(len(parts))), *names], parts + parts, strict=False))
    return {}
