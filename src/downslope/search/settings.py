"""Everything about a member that a search may vary, under one flat list of names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from downslope.errors import InputError, explained
from downslope.networks import Member, NetworkSpec, TrainingSpec

Value = str | int | float | bool
MOST_LAYERS = 1000  # more is a slip, and would fill the memory before any spec could refuse it

# The fields of both specs with their types and defaults; widths come from layers and units.
_Fields: Any = msgspec.defstruct(
    "_Fields",
    [
        (field.name, field.type, field.default)
        for spec in (NetworkSpec, TrainingSpec)
        for field in msgspec.structs.fields(spec)
        if field.name != "widths"
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)


class Settings(
    msgspec.Struct if TYPE_CHECKING else _Fields,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
):
    """Name everything about a member that a search may vary, with its default.

    Besides the two fields below it has those of `NetworkSpec` (but for the widths) and of
    `TrainingSpec`, with their types, defaults and meanings.

    Args:
        hidden_layers: how many.
        units: in each of them.

    >>> Settings(hidden_layers=3, units=40).member(784, 10, seed=541).network.label
    '784-40-40-40-10'
    """

    hidden_layers: int = 3
    units: int = 40

    if TYPE_CHECKING:  # the fields that come from the specs

        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

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
            check_name(name)
        try:
            return msgspec.convert({**msgspec.structs.asdict(self), **changes}, Settings)
        except msgspec.ValidationError as error:
            raise InputError(explained(error, Settings)) from None


def check_name(name: str) -> None:
    """Refuse what is not the name of a setting.

    Raises:
        InputError: the message has the name that was probably meant.
    """
    names = Settings.__struct_fields__
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]!r}?" if close else "settings: " + ", ".join(names)
        raise InputError(f"{name!r} is no setting; {hint}")
