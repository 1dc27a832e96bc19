"""Loading a recipe: from a name or a file, with changes, to a checked `Recipe`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, cast

from downslope.checked import read
from downslope.errors import InputError
from downslope.recipe import Recipe
from downslope.toml import parse_toml


def shipped() -> list[str]:
    """List the names of the shipped recipes.

    >>> shipped()
    ['fashion-mnist', 'hw3', 'quick']
    """
    folder = resources.files("downslope.recipes")
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))


def load_recipe(name_or_path: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Load a recipe by its shipped name or its path, with changes by dotted key.

    Raises:
        InputError: no such recipe, broken TOML, an unknown key or a value that is not allowed;
            the message names the key.

    >>> load_recipe("quick", {"search.trials": 3}).search.trials
    3
    >>> load_recipe("quick", {"search.trails": 3})
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: quick: 'search.trails' is not a key; did you mean 'search.trials'?
    """
    changes = changes or {}
    if name_or_path in shipped():
        text = (resources.files("downslope.recipes") / f"{name_or_path}.toml").read_text("utf-8")
    else:
        path = Path(name_or_path)
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises on an overlong name
            raise InputError(
                f"{name_or_path}: no recipe of that name and no such file; shipped recipes: "
                + ", ".join(shipped())
            )
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None
    try:
        table = parse_toml(text)
    except InputError as error:
        raise InputError(f"{name_or_path}: {error}") from None
    for key, value in changes.items():
        if name_or_path in shipped():
            _take_out_default(table, key, changes)
        _change(table, key, value)
    return parse_recipe(table, name_or_path)


def parse_recipe(table: Mapping[str, Any], source: str) -> Recipe:
    """Check a table and make the recipe of it; `source` names it in errors.

    Raises:
        InputError: an unknown key or a value that is not allowed; the message names the key.
    """
    recipe = read(Recipe, table, source)
    for name, part in (("search", recipe.search), ("variants", recipe.variants)):
        try:
            part.check_proposals(recipe.seed)
        except InputError as error:
            raise InputError(f"{source}: {name}: {error}") from None
    return recipe


def _change(table: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for name in above:
        below = table.setdefault(name, {})
        if not isinstance(below, dict):
            raise InputError(f"{key}: {name!r} is a value and has no keys below it")
        table = cast("dict[str, Any]", below)
    table[last] = value


def _take_out_default(table: dict[str, Any], key: str, changes: Mapping[str, Any]) -> None:
    """Let what a user fixes or varies win over a shipped recipe's space or fixed value."""
    part, kind, name, *_ = [*key.split("."), "", "", ""]
    if part not in ("search", "variants") or kind not in ("settings", "space") or not name:
        return
    other = "space" if kind == "settings" else "settings"
    if f"{part}.{other}.{name}" not in changes:  # else both are the user's: refused below
        table.get(part, {}).get(other, {}).pop(name, None)
