"""What a search may vary: a space of values for named settings."""

from __future__ import annotations

import math

import msgspec

from downslope.errors import InputError
from downslope.search.settings import Settings, Value


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give an interval to draw from: whole numbers if both ends are, uniform or log-uniform.

    Raises:
        InputError: an empty interval, a logarithm of a number that is not above 0, or whole
            numbers beyond 64 bits.
    """

    low: int | float
    high: int | float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"range: low = {self.low} must be below high = {self.high}")
        if self.log and self.low <= 0:
            raise InputError(f"range: low = {self.low} must be above 0 with log = true")
        if self.whole and max(abs(self.low), abs(self.high)) >= 2**62:
            raise InputError(f"range: {self.low} to {self.high} goes beyond 2**62")

    @property
    def whole(self) -> bool:
        """Tell whether the range holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the values that each varied setting may take, in the order in which they are drawn.

    Args:
        base: the settings of whatever is not varied.
        values: by setting, a list of choices or a `Range`.

    Raises:
        InputError: an unknown setting, an empty list, or a value that a member cannot have.
    """

    base: Settings
    values: dict[str, list[Value] | Range]

    def __post_init__(self) -> None:
        for name, values in self.values.items():
            ends = [values.low, values.high] if isinstance(values, Range) else values
            if not ends:
                raise InputError(f"space: {name} is an empty list; give at least one value")
            for value in ends:
                try:
                    # Sizes do not matter here: this only asks the specs for their limits.
                    self.base.replace({name: value}).member(1, 2, seed=0)
                except InputError as error:
                    raise InputError(f"space: {name} = {value!r}: {error}") from None
