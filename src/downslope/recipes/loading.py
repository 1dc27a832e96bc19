"""Loading a recipe: from a name or a file, with changes, to a checked `Recipe`."""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from downslope.errors import InputError, explained
from downslope.landscape import check_settings
from downslope.networks import MOST_SEED
from downslope.recipes.schema import (
    AutoencoderRecipe,
    ChoiceRecipe,
    DataRecipe,
    Recipe,
    SearchRecipe,
)
from downslope.reconstruction import code_layer
from downslope.search import Range, Settings
from downslope.search.settings import Value
from downslope.theory import run_theory

MOST_TRIALS = 10_000
TRIED = 200  # trials proposed to see whether they can be trained
_SEEDS = "from 0 to 2**62 - 1"
# tomllib lets through what int() says of thousands of digits, and what nesting does to the stack.
_NOT_TOML = (ValueError, RecursionError)


def shipped() -> list[str]:
    """List the names of the shipped recipes.

    >>> shipped()
    ['fashion-mnist', 'hw3', 'quick']
    """
    folder = resources.files("downslope.recipes")
    return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml"))


def load_recipe(name_or_path: str, changes: Sequence[str] = ()) -> Recipe:
    """Load a recipe by its shipped name or its path, with changes like "search.trials=3".

    Raises:
        InputError: no such recipe, broken TOML, an unknown key or a value that is not allowed;
            the message names the key.

    >>> load_recipe("quick", ["search.trials=3"]).search.trials
    3
    >>> load_recipe("quick", ["search.trails=3"])
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: quick: 'search.trails' is not a key; did you mean 'search.trials'?
    """
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
        table = tomllib.loads(text)
    except _NOT_TOML as error:
        raise InputError(f"{name_or_path}: not valid TOML: {error}") from None
    for change in changes:
        if name_or_path in shipped():
            _take_out_default(table, change, changes)
        _change(table, change)
    return parse_recipe(table, name_or_path)


def parse_recipe(table: dict[str, Any], source: str) -> Recipe:
    """Check a table and make the recipe of it; `source` names it in errors.

    Raises:
        InputError: an unknown key or a value that is not allowed; the message names the key.
    """
    try:
        recipe = msgspec.convert(table, Recipe)
    except msgspec.ValidationError as error:
        raise InputError(f"{source}: {_readable(explained(error, Recipe), table)}") from None
    _within(f"{source}: recipe", 0 <= recipe.seed < MOST_SEED, f"seed = {recipe.seed}; {_SEEDS}")
    _check_data(recipe.data, f"{source}: data")
    measured = msgspec.structs.asdict(recipe.theory)
    del measured["trainability"]
    try:
        run_theory(np.ones((1, 1), np.float32), **measured, seed=recipe.seed)  # refuses when called
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    for name, part in (("search", recipe.search), ("variants", recipe.variants)):
        where = f"{source}: {name}"
        count = f"trials = {part.trials}; from 1 to {MOST_TRIALS}"
        _within(where, 1 <= part.trials <= MOST_TRIALS, count)
        try:
            # Two settings may each be allowed and not go together.
            part.whole_space.check_combinations()
            for settings in part.proposals(recipe.seed, most=TRIED):
                settings.member(1, 2, seed=0)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        _check_effects(where, part)
        _check_choice(part.choice, f"{where}.choice")
        _check_loss(where, part.settings, part.space)
    for name, refit in (("refit", recipe.refit), ("variants.refit", recipe.variants.refit)):
        where = f"{source}: {name}"
        count = refit.seeds if isinstance(refit.seeds, int) else len(refit.seeds)
        _within(where, count <= MOST_TRIALS, f"seeds = {refit.seeds}; at most {MOST_TRIALS}")
        seeds = refit.seeds_from(recipe.seed)
        _within(where, len(seeds) > 0, f"seeds = {refit.seeds}; at least one")
        _within(where, len(set(seeds)) == len(seeds), f"seeds = {refit.seeds}; each only once")
        _within(where, all(0 <= s < MOST_SEED for s in seeds), f"seeds = {refit.seeds}; {_SEEDS}")
        try:
            refit.resolved(Settings()).member(1, 2, seed=0)
        except InputError as error:
            raise InputError(f"{source}: {name}: {error}") from None
        _check_loss(where, refit.settings, refit.choice or {})
        if refit.epochs is not None and "epochs" in {**refit.settings, **(refit.choice or {})}:
            inner = "settings" if "epochs" in refit.settings else "choice"
            raise InputError(
                f"{where}: {inner}.epochs has no effect, because epochs = {refit.epochs} wins; "
                "leave one of the two out"
            )
        for setting in refit.settings if refit.choice else ():
            if setting in (refit.choice or {}):
                raise InputError(
                    f"{where}: choice.{setting} has no effect, because settings.{setting} = "
                    f"{refit.settings[setting]!r} wins; leave one of the two out"
                )
    drawn = recipe.landscape
    where = f"{source}: landscape"
    check_settings(
        where,
        grid=drawn.grid,
        margin=drawn.margin,
        tolerance=drawn.tolerance,
        examples=drawn.examples,
        components=drawn.components,
        curvature=drawn.curvature,
    )
    per_epoch = drawn.snapshots_per_epoch
    _within(where, per_epoch >= 1, f"snapshots_per_epoch = {per_epoch}; 1 or more")
    _within(where, 0 <= drawn.trials <= 50, f"trials = {drawn.trials}; 0 to 50")
    try:
        widest = max(recipe.autoencoder.hidden, default=1)
        _within(f"{source}: autoencoder", widest <= 65_536, f"hidden = {widest}; 65536 or less")
        code_layer(recipe.autoencoder.member(4, seed=0).network)
    except InputError as error:
        raise InputError(f"{source}: autoencoder: {error}") from None
    _check_rivals(recipe.autoencoder, recipe.seed, f"{source}: autoencoder")
    return recipe


def _check_loss(where: str, *tables: Mapping[str, Any]) -> None:
    """Refuse a loss for numbers: a recipe's searches are over classes."""
    for table in tables:
        given = table.get("loss", "cross_entropy")
        for loss in cast("list[Any]", given) if isinstance(given, list) else [given]:
            _within(
                where, loss == "cross_entropy", f"loss = {loss!r}; 'cross_entropy', for classes"
            )


def _check_choice(choice: ChoiceRecipe, where: str) -> None:
    _within(where, 1 <= choice.top <= 100, f"top = {choice.top}; from 1 to 100")
    _within(where, 1 <= choice.seeds <= 100, f"seeds = {choice.seeds}; from 1 to 100")
    _within(where, 0 <= choice.second < 1, f"second = {choice.second}; at least 0 and below 1")
    count = f"folds = {choice.folds}; 0, or from 2 to 100"
    _within(where, choice.folds == 0 or 2 <= choice.folds <= 100, count)
    both = f"folds = {choice.folds}; 0 where second = {choice.second}"
    _within(where, choice.folds == 0 or choice.second == 0, both)
    if choice.seeds != ChoiceRecipe().seeds and (choice.folds or choice.top == 1):
        wins = f"folds = {choice.folds}" if choice.folds else "top = 1"
        raise InputError(
            f"{where}: seeds = {choice.seeds} has no effect, because {wins} trains none of them; "
            "leave seeds out"
        )
    alone = choice.top > 1 or (choice.second == 0 and choice.folds == 0)
    _within(where, alone, f"top = {choice.top}; 2 or more with second or folds")


def _check_rivals(recipe: AutoencoderRecipe, first: int, where: str) -> None:
    count = recipe.seeds if isinstance(recipe.seeds, int) else len(recipe.seeds)
    _within(where, count <= MOST_TRIALS, f"seeds = {recipe.seeds}; at most {MOST_TRIALS}")
    seeds = recipe.seeds_from(first)
    _within(where, len(seeds) > 0, f"seeds = {recipe.seeds}; at least one")
    _within(where, len(set(seeds)) == len(seeds), f"seeds = {recipe.seeds}; each only once")
    _within(where, all(0 <= s < MOST_SEED for s in seeds), f"seeds = {recipe.seeds}; {_SEEDS}")
    for size in recipe.code_sizes:
        _within(where, 1 <= size <= 65_536, f"code_sizes: {size}; from 1 to 65536")
    for shape in recipe.shapes:
        good = len(shape) > 0 and all(1 <= width <= 65_536 for width in shape)
        _within(where, good, f"shapes: {list(shape)}; one width or more, each from 1 to 65536")
    noise, training = recipe.noise, recipe.training
    if noise.kind != type(noise)().kind and noise.amount == 0:
        raise InputError(f"{where}: noise.kind = {noise.kind!r} has no effect with amount = 0")
    if training.decay_on != type(training)().decay_on and training.weight_decay == 0:
        raise InputError(
            f"{where}: training.decay_on = {training.decay_on!r} has no effect with "
            "weight_decay = 0"
        )
    penalty = recipe.sparsity
    _within(where, 0 <= penalty < math.inf, f"sparsity = {penalty}; 0 or above, finite")


def _check_data(data: DataRecipe, where: str) -> None:
    for name in ("validation", "center"):
        value = getattr(data, name)
        _within(where, math.isfinite(value), f"{name} = {value}; a finite number")
    seed = data.split_seed
    _within(where, seed is None or 0 <= seed < MOST_SEED, f"split_seed = {seed}; {_SEEDS}")


def _within(where: str, condition: bool, message: str) -> None:
    if not condition:
        value, allowed = message.rsplit("; ", 1)
        raise InputError(f"{where}: {value} is not allowed; it must be {allowed}")


def _change(table: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise InputError(f"--set {change!r}: write key=value, for example search.trials=20")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except _NOT_TOML:
        value = text  # a word without quotes is a string
    for name in names[:-1]:
        below = table.setdefault(name, {})
        if not isinstance(below, dict):
            raise InputError(f"--set {change!r}: {name!r} is a value and has no keys below it")
        table = below
    table[names[-1]] = value


def _take_out_default(table: dict[str, Any], change: str, changes: Sequence[str]) -> None:
    """Let what a user fixes or varies win over a shipped recipe's space or fixed value."""
    part, _, rest = change.partition("=")[0].strip().partition(".")
    kind, _, name = rest.partition(".")
    name = name.partition(".")[0]
    if part not in ("search", "variants") or kind not in ("settings", "space") or not name:
        return
    other = "space" if kind == "settings" else "settings"
    if any(c.partition("=")[0].strip() == f"{part}.{other}.{name}" for c in changes):
        return  # both are the user's: refused below
    table.get(part, {}).get(other, {}).pop(name, None)


def _check_effects(where: str, part: SearchRecipe) -> None:
    """Refuse what a search's keys say without effect, and name what wins."""
    for name in part.settings:
        if name in part.space and name not in part.conditions:
            raise InputError(
                f"{where}: settings.{name} = {part.settings[name]!r} has no effect, because "
                f"space.{name} varies it; leave one of the two out"
            )

    def possible(name: str) -> list[Any]:
        values = part.space.get(name, [])
        ends = [values.low, values.high] if isinstance(values, Range) else list(values)
        fixed = part.settings.get(name, getattr(Settings(), name))
        return ends if ends and name not in part.conditions else [*ends, fixed]

    named = {*part.settings, *part.space}
    needs = [("hidden_layers", n) for n in ("units", "activation", "normalization", "dropout")]
    for other, name in [*needs, ("weight_decay", "decay_on")]:
        ordinary = getattr(Settings(), name)
        acts = any(possible(other)) or set(possible(name)) == {ordinary}
        if name in named and not acts:
            raise InputError(
                f"{where}: {name} has no effect where {other} is always 0; leave {name} out or "
                f"give another {other}"
            )
    halving = part.halving
    if halving.cohort and halving.method == "none" and part.sampler != "tpe":
        raise InputError(
            f"{where}.halving: cohort = {halving.cohort} has no effect with method = 'none' and "
            f"sampler = {part.sampler!r}; leave it out, or set method = 'halving'"
        )


def _readable(message: str, table: dict[str, Any]) -> str:
    """Turn msgspec's message into one that names the key and what is meant."""
    found = re.fullmatch(r"(.*?)(?: - at `\$\.?(.*)`)?", message, re.DOTALL)
    assert found is not None
    text, path = found[1], found[2] or ""
    if "[...]" in path:
        path = _named(path, table)
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL)
    if unknown is None:
        return f"{path}: {text}" if path else text
    key = f"{path}.{unknown[1]}" if path else unknown[1]
    close = difflib.get_close_matches(key, _keys(Recipe, ""), 1)
    hint = f"did you mean {close[0]!r}?" if close else "see the recipes' documentation"
    return f"{key!r} is not a key; {hint}"


def _named(path: str, table: dict[str, Any]) -> str:
    """Put the key in place of the "[...]" with which msgspec points into settings or a space."""
    above, _, rest = path.partition("[...]")
    for name in above.split("."):
        table = table[name]
    kind: Any = list[Value] | Range if above.endswith("space") else Value
    if above.endswith("conditions"):
        kind = str
    for name, value in table.items():
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return f"{above}.{name}{rest}"
    return path


def _keys(struct: type[msgspec.Struct], prefix: str) -> list[str]:
    keys: list[str] = []
    for field in msgspec.structs.fields(struct):
        keys.append(prefix + field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            keys += _keys(field.type, f"{prefix}{field.name}.")
    return keys
