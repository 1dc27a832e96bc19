"""What a search may vary: a space of values for named settings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

import msgspec

from downslope.checked import Checked
from downslope.errors import InputError
from downslope.search.conditions import Condition
from downslope.search.settings import Settings, Value

MOST_COMBINATIONS = 10_000
_TIED = frozenset(
    [
        "loss",
        "output",
        "label_smoothing",
        "optimizer",
        "momentum",
        "nesterov",
        "normalization",
        "batch_size",
    ]
)
"""Settings that are allowed or not depending on each other."""


class Range(Checked, frozen=True, kw_only=True):
    """An interval to draw from: whole numbers if both ends are, uniform or log-uniform.

    Raises:
        InputError: an empty interval, a logarithm of a number that is not above 0, or whole
            numbers beyond 64 bits.
    """

    low: int | float
    high: int | float
    log: bool = False

    def faults(self) -> Iterator[str]:
        """Yield why nothing could be drawn."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            yield f"low = {self.low} must be below high = {self.high}"
        elif self.log and self.low <= 0:
            yield f"low = {self.low} must be above 0 with log = true"
        elif self.whole and max(abs(self.low), abs(self.high)) >= 2**62:
            yield f"{self.low} to {self.high} goes beyond 2**62"

    @property
    def whole(self) -> bool:
        """Tell whether the range holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Values = list[Value] | Range
"""What a setting may be: a list to choose from, or a range."""


class Space(Checked, frozen=True, kw_only=True):
    """The values that each varied setting may take, in the order in which they are drawn.

    Args:
        base: the settings of whatever is not varied.
        values: by setting, a list of choices or a `Range`.
        conditions: by varied setting, when it is varied at all; elsewhere it is as in `base`.
            It may depend on settings that are not varied or are drawn before it.
        constraints: conditions that every proposal meets.

    Raises:
        InputError: an unknown setting, an empty list, a value that a member cannot have, or a
            condition that cannot be evaluated; the message names the key.

    >>> space = Space(
    ...     base=Settings(),
    ...     values={"optimizer": ["sgd", "adam"], "momentum": Range(low=0.5, high=0.99)},
    ...     conditions={"momentum": "optimizer == 'sgd'"},
    ... )
    >>> space.settings({"optimizer": "adam", "momentum": 0.9}).momentum
    0.0
    """

    base: Settings
    values: dict[str, Values]
    conditions: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    constraints: list[str] = msgspec.field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, values in self.values.items():
            ends = [values.low, values.high] if isinstance(values, Range) else values
            if not ends:
                raise InputError(f"space: {name} is an empty list; give at least one value")
            for value in ends:
                try:
                    changed = self.base.replace({name: value})
                except InputError as error:
                    raise InputError(f"space: {error}") from None
                # Sizes do not matter here: this only asks the specs what goes together. What a
                # condition or a constraint ties to other settings is seen in the proposals.
                if name in self.conditions or self.constraints:
                    continue
                try:
                    changed.member(1, 2, seed=0)
                except InputError as error:
                    shared = str(error) == self._base_error()
                    where = "settings" if shared else f"space: {name} = {value!r}"
                    raise InputError(f"{where}: {error}") from None
        names = list(self.values)
        for name, text in self.conditions.items():
            if name not in self.values:
                raise InputError(f"conditions: {name} is not varied; add it to the space")
            try:
                later = _condition(text).names & {*names[names.index(name) :]}
            except InputError as error:
                raise InputError(f"conditions: {name}: {error}") from None
            if later:
                raise InputError(
                    f"conditions: {name} depends on {min(later)}, which is drawn after it; put "
                    f"{name} last in the space"
                )
        for text in self.constraints:
            try:
                _condition(text)
            except InputError as error:
                raise InputError(f"constraints: {error}") from None

    def _base_error(self) -> str:
        """Say what is wrong with the base by itself; empty where nothing is."""
        try:
            self.base.member(1, 2, seed=0)
        except InputError as error:
            return str(error)
        return ""

    def check_combinations(self) -> None:
        """Make a member of every combination of the varied settings that may not go together.

        Which these are is known from the specs: a momentum belongs to one optimizer, batch norm
        needs more than one row. Where constraints tie them to other settings, only proposals show.

        Raises:
            InputError: a combination that no member can have, which a search would meet some day.
        """
        varied = {
            name: [values.low, values.high] if isinstance(values, Range) else values
            for name, values in self.values.items()
            if name in _TIED
        }
        if self.constraints or math.prod(map(len, varied.values())) > MOST_COMBINATIONS:
            return
        for combination in product(*varied.values()):
            self.settings(dict(zip(varied, combination, strict=True))).member(1, 2, seed=0)

    def possible(self, name: str) -> list[Any]:
        """List what a setting may be in a proposal, that of the base last where it may."""
        base = getattr(self.base, name)
        values = self.values.get(name)
        assert not isinstance(values, Range)
        if values is None:
            return [base]
        certain = name not in self.conditions
        return list(dict.fromkeys(values if certain else [*values, base]))

    def varies(self, name: str, so_far: Settings) -> bool:
        """Tell whether a setting is varied beside what was drawn before it."""
        return name not in self.conditions or _condition(self.conditions[name]).holds(so_far)

    def settings(self, drawn: Mapping[str, Value]) -> Settings:
        """Return the settings of a draw, with what is not varied there as in the base."""
        settings = self.base
        for name, value in drawn.items():
            if self.varies(name, settings):
                settings = settings.replace({name: value})
        return settings

    def allows(self, settings: Settings) -> bool:
        """Tell whether the settings meet all constraints."""
        return all(_condition(text).holds(settings) for text in self.constraints)


@cache
def _condition(text: str) -> Condition:
    return Condition(text)
