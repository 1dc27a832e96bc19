"""What a recipe may say: a TOML file that describes a whole run."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from downslope.errors import InputError
from downslope.networks import Initialization, Member, NetworkSpec, TrainingSpec
from downslope.search import Range, Sampler, Settings, Space
from downslope.search.spaces import Value


class DataRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which data: a set's name or a path, the label column of a CSV, split and centering."""

    name: str = "fashion-mnist"
    label: str | None = None
    validation: int | float = 0.2
    split_seed: int | None = None
    center: float = 0.5


class TheoryRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how the initialization theory is measured."""

    depth: int = 20
    width: int = 256
    repetitions: int = 30
    examples: int = 256


class SearchRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how many trials, how they are drawn, from which space, around which settings."""

    trials: int = 10
    sampler: Sampler = "random"
    settings: dict[str, Value] = {}
    space: dict[str, list[Value] | Range] = {}

    def resolved(self) -> Space:
        """Return the space.

        Raises:
            InputError: see `Space`.
        """
        return Space(base=Settings().replace(self.settings), values=self.space)


class RefitRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how a winner is trained again.

    Args:
        seeds: a list of seeds, or how many to count up from the recipe's.
        epochs: in place of the winner's own.
        settings: other settings in place of the winner's own.
        choice: all settings of the member to train, whatever the search finds.
        monitor_test: open the test set for its accuracy after each epoch.
    """

    seeds: list[int] | int = 3
    epochs: int | None = None
    settings: dict[str, Value] = {}
    choice: dict[str, Value] | None = None
    monitor_test: bool = False

    def seeds_from(self, seed: int) -> list[int]:
        """List the seeds, counting from the recipe's seed."""
        return [seed + i for i in range(self.seeds)] if isinstance(self.seeds, int) else self.seeds

    def resolved(self, winner: Settings) -> Settings:
        """Return the settings to train: the winner's, or the recipe's choice, with changes."""
        chosen = winner if self.choice is None else Settings().replace(self.choice)
        changes = dict(self.settings)
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        return chosen.replace(changes)


class VariantsRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which variants are searched and how the best is trained again."""

    trials: int = 10
    sampler: Sampler = "random"
    settings: dict[str, Value] = {}
    space: dict[str, list[Value] | Range] = {}
    refit: RefitRecipe = RefitRecipe()

    def resolved(self) -> Space:
        """Return the space.

        Raises:
            InputError: see `Space`.
        """
        return Space(base=Settings().replace(self.settings), values=self.space)


class LandscapeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which grid is drawn over which examples, and how many snapshots of the refit an epoch.

    Args:
        grid: columns and rows.
        margin: share of the path's extent added on each side.
        examples: training examples behind each loss.
        snapshots_per_epoch: of the refit's first seed.
        start: let the path begin with the initial parameters.
    """

    grid: tuple[int, int] = (25, 25)
    margin: float = 0.2
    examples: int = 2500
    snapshots_per_epoch: int = 4
    start: bool = True


class AutoencoderRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which autoencoder: its hidden widths, its start and its training."""

    hidden: tuple[int, ...] = (128, 64, 128)
    initialization: Initialization = "pytorch"
    training: TrainingSpec = TrainingSpec(
        loss="mean_squared_error",
        optimizer="adam",
        learning_rate=4e-3,
        schedule="one_cycle",
        batch_size=128,
        epochs=20,
    )

    def member(self, features: int, seed: int) -> Member:
        """Make the autoencoder for data with some features."""
        widths = (features, *self.hidden, features)
        network = NetworkSpec(widths=widths, output="sigmoid", initialization=self.initialization)
        return Member(network=network, training=self.training, seed=seed)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe a whole run; every part has defaults.

    Args:
        title: of the report.
        seed: all random streams of the run derive from it.
    """

    title: str = "A downslope run"
    seed: int = 541
    data: DataRecipe = DataRecipe()
    theory: TheoryRecipe = TheoryRecipe()
    search: SearchRecipe = SearchRecipe()
    refit: RefitRecipe = RefitRecipe()
    variants: VariantsRecipe = VariantsRecipe()
    landscape: LandscapeRecipe = LandscapeRecipe()
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()


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
        if not path.is_file():
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
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name_or_path}: not valid TOML: {error}") from None
    for change in changes:
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
        raise InputError(f"{source}: {_readable(str(error))}") from None
    for part in (recipe.search, recipe.variants):
        name = "search" if part is recipe.search else "variants"
        _within(f"{source}: {name}", part.trials >= 1, f"trials = {part.trials}; 1 or more")
        try:
            part.resolved()
        except InputError as error:
            raise InputError(f"{source}: {name}: {error}") from None
    for name, refit in (("refit", recipe.refit), ("variants.refit", recipe.variants.refit)):
        seeds = refit.seeds_from(recipe.seed)
        where = f"{source}: {name}"
        _within(where, len(seeds) > 0, f"seeds = {refit.seeds}; at least one")
        _within(where, len(set(seeds)) == len(seeds), f"seeds = {refit.seeds}; each only once")
        _within(where, min(seeds) >= 0, f"seeds = {refit.seeds}; 0 or above")
        try:
            refit.resolved(Settings()).member(1, 2, seed=0)
        except InputError as error:
            raise InputError(f"{source}: {name}: {error}") from None
    drawn = recipe.landscape
    where = f"{source}: landscape"
    _within(where, min(drawn.grid) >= 2, f"grid = {list(drawn.grid)}; 2 or more each way")
    _within(where, 0 <= drawn.margin < 100, f"margin = {drawn.margin}; 0 or above")
    _within(where, drawn.examples >= 1, f"examples = {drawn.examples}; 1 or more")
    per_epoch = drawn.snapshots_per_epoch
    _within(where, per_epoch >= 1, f"snapshots_per_epoch = {per_epoch}; 1 or more")
    _within(f"{source}: recipe", 0 <= recipe.seed < 2**62, f"seed = {recipe.seed}; 0 or above")
    try:
        recipe.autoencoder.member(4, seed=0)
    except InputError as error:
        raise InputError(f"{source}: autoencoder: {error}") from None
    loss = recipe.autoencoder.training.loss
    _within(
        f"{source}: autoencoder.training",
        loss == "mean_squared_error",
        f"loss = {loss!r}; 'mean_squared_error'",
    )
    return recipe


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
    except tomllib.TOMLDecodeError:
        value = text  # a word without quotes is a string
    for name in names[:-1]:
        below = table.setdefault(name, {})
        if not isinstance(below, dict):
            raise InputError(f"--set {change!r}: {name!r} is a value and has no keys below it")
        table = below
    table[names[-1]] = value


def _readable(message: str) -> str:
    """Turn msgspec's message into one that names the key and what is meant."""
    found = re.fullmatch(r"(.*?)(?: - at `\$\.?(.*)`)?", message, re.DOTALL)
    assert found is not None
    text, path = found[1], found[2] or ""
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    if unknown is None:
        return f"{path}: {text}" if path else text
    key = f"{path}.{unknown[1]}" if path else unknown[1]
    close = difflib.get_close_matches(key, _keys(Recipe, ""), 1)
    hint = f"did you mean {close[0]!r}?" if close else "see the recipes' documentation"
    return f"{key!r} is not a key; {hint}"


def _keys(struct: type[msgspec.Struct], prefix: str) -> list[str]:
    keys: list[str] = []
    for field in msgspec.structs.fields(struct):
        keys.append(prefix + field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            keys += _keys(field.type, f"{prefix}{field.name}.")
    return keys
