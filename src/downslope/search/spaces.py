"""What a search may vary: named settings of a member, and a space of their values."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from downslope.errors import InputError
from downslope.networks import (
    Activation,
    DecayOn,
    Initialization,
    Loss,
    Member,
    NetworkSpec,
    Normalization,
    Optimizer,
    Output,
    Schedule,
    TrainingSpec,
)

Value = str | int | float | bool
MOST_LAYERS = 1000  # more is a slip, and would fill the memory before any spec could refuse it


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name everything about a member that a search may vary, with its default.

    The fields mean what they mean in `NetworkSpec` and `TrainingSpec`; the hidden part of the
    network is `hidden_layers` layers of `units` each.

    >>> Settings(hidden_layers=3, units=40).member(784, 10, seed=541).network.label
    '784-40-40-40-10'
    """

    hidden_layers: int = 3
    units: int = 40
    activation: Activation = "relu"
    normalization: Normalization = "none"
    dropout: float = 0.0
    output: Output = "logits"
    initialization: Initialization = "pytorch"
    loss: Loss = "cross_entropy"
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.01
    schedule: Schedule = "constant"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_on: DecayOn = "weights"
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    batch_size: int = 32
    epochs: int = 20
    evaluation_draw: bool = False

    def member(self, inputs: int, outputs: int, seed: int) -> Member:
        """Make the member of these settings for data with some inputs and outputs.

        Raises:
            InputError: a setting is outside of what is allowed; the message names it.
        """
        if not 0 <= self.hidden_layers <= MOST_LAYERS:
            raise InputError(
                f"hidden_layers = {self.hidden_layers} is not allowed; it must be from 0 to "
                f"{MOST_LAYERS}"
            )
        own = msgspec.structs.asdict(self)
        network = {k: own[k] for k in NetworkSpec.__struct_fields__ if k in own}
        training = {k: own[k] for k in TrainingSpec.__struct_fields__}
        widths = (inputs, *[self.units] * self.hidden_layers, outputs)
        return Member(
            network=NetworkSpec(widths=widths, **network),
            training=TrainingSpec(**training),
            seed=seed,
        )

    def replace(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with some changed, checked for name and type.

        Raises:
            InputError: a name that is no setting, or a value of the wrong type.

        >>> Settings().replace({"lerning_rate": 0.1})
        Traceback (most recent call last):
        ...
        downslope.errors.InputError: 'lerning_rate' is no setting; did you mean 'learning_rate'?
        """
        for name in changes:
            if name not in self.__struct_fields__:
                close = difflib.get_close_matches(name, self.__struct_fields__, 1)
                hint = (
                    f"did you mean {close[0]!r}?"
                    if close
                    else "settings: " + ", ".join(self.__struct_fields__)
                )
                raise InputError(f"{name!r} is no setting; {hint}")
        try:
            return msgspec.convert({**msgspec.structs.asdict(self), **changes}, Settings)
        except msgspec.ValidationError as error:
            raise InputError(str(error)) from None


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
