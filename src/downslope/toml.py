"""TOML, read and written: one reader and one writer for recipes and what changes them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import tomli_w

from downslope.errors import InputError


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        InputError: it is not valid.
    """
    try:
        return tomllib.loads(text)
    # tomllib lets through what int() says of long numbers, and what nesting does to the stack.
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid TOML: {error}") from None


def write_toml(value: msgspec.Struct | Mapping[str, Any]) -> str:
    """Write a recipe as TOML with the keys of each space in their order, which decides the draws.

    Keys without a value are left out: TOML has no word for none. Tables come after plain values,
    so the ranges of a space are written in one line each.

    >>> print(write_toml({"space": {"units": {"low": 1, "high": 9}, "epochs": [5]}, "label": None}))
    [space]
    units = { low = 1, high = 9 }
    epochs = [5]
    """
    return _table(msgspec.to_builtins(value), "")


def _table(table: Mapping[str, Any], name: str) -> str:
    inline = name.rpartition(".")[2] == "space"
    text = f"\n[{name}]\n" if name else ""
    for key, value in table.items():
        if value is not None and (inline or not isinstance(value, dict)):
            text += _line(key, value)
    for key, value in table.items():
        if isinstance(value, dict) and not inline:
            text += _table(cast("dict[str, Any]", value), f"{name}.{key}" if name else key)
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
        return "{ " + ", ".join(_pair(k, v) for k, v in pairs if v is not None) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, cast("list[Any]", value))) + "]"
    return tomli_w.dumps({"": value}).removeprefix('"" = ').removesuffix("\n")
