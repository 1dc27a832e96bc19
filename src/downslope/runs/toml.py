"""A recipe as TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import tomli_w


def recipe_toml(table: Mapping[str, Any], name: str = "") -> str:
    """Write a recipe as TOML with the keys of each space in their order, which decides the draws.

    Tables come after plain values in TOML, so the ranges of a space are written in one line each.

    >>> print(recipe_toml({"space": {"units": {"low": 1, "high": 9}, "epochs": [5]}}))
    [space]
    units = { low = 1, high = 9 }
    epochs = [5]
    """
    inline = name.rpartition(".")[2] == "space"
    text = f"\n[{name}]\n" if name else ""
    for key, value in table.items():
        if not isinstance(value, dict) or inline:
            text += _line(key, value)
    if not inline:
        below = [(key, value) for key, value in table.items() if isinstance(value, dict)]
        text += "".join(recipe_toml(v, f"{name}.{key}" if name else key) for key, v in below)
    return text


def _line(key: str, value: Any) -> str:
    """Write a key and its value in one line, if a line can hold it."""
    line = _pair(key, value) + "\n"
    return line if len(line) <= 100 or isinstance(value, dict) else tomli_w.dumps({key: value})


def _pair(key: str, value: Any) -> str:
    return tomli_w.dumps({key: 0}).removesuffix("0\n") + _inline(value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return "{ " + ", ".join(_pair(k, v) for k, v in pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, cast("list[Any]", value))) + "]"
    return tomli_w.dumps({"": value}).removeprefix('"" = ').removesuffix("\n")


def without_none(value: Any) -> Any:
    """Drop keys without a value: TOML has no word for none.

    >>> without_none({"a": None, "b": {"c": None, "d": 1}})
    {'b': {'d': 1}}
    """
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [without_none(v) for v in value]
    return value
