"""Everything about a member that a search may vary, under one flat list of names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from downslope.checked import Checked, refused, rules_of
from downslope.data import NumberMethod
from downslope.errors import InputError, nearest
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.networks.specs import Width

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
    bases=(Checked,),
    frozen=True,
    kw_only=True,
)


class Settings(Checked if TYPE_CHECKING else _Fields, frozen=True, kw_only=True):
    """Everything about a member that a search may vary, with its default.

    Besides the fields below it has those of `NetworkSpec` (but for the widths) and of
    `TrainingSpec`, with their bounds, defaults and meanings.

    Args:
        hidden_layers: how many.
        units: in each of them.
        encoding: of a table's numbers, as in `data.encoding`, which None leaves it at.

    >>> Settings(hidden_layers=3, units=40).member(784, 10, seed=541).network.label
    '784-40-40-40-10'
    """

    hidden_layers: Annotated[int, Meta(ge=0, le=MOST_LAYERS)] = 3
    units: Width = 40
    encoding: NumberMethod | None = None

    if TYPE_CHECKING:  # the fields that come from the specs

        def __init__(self, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    def member(self, inputs: int, outputs: int, seed: int) -> Member:
        """Make the member of these settings for data with some inputs and outputs.

        Raises:
            InputError: settings that do not go together; the message names one.
        """
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
            InputError: a name that is no setting, or a value that it may not have.

        >>> Settings().replace({"lerning_rate": 0.1})
        Traceback (most recent call last):
        ...
        downslope.errors.InputError: 'lerning_rate' is no setting; did you mean 'learning_rate'?
        """
        for name, value in changes.items():
            check_name(name)
            allowed = rules_of(Settings)[name]
            if not allowed.test(value):
                raise InputError(refused(name, value, allowed.one))
        converted = {name: msgspec.convert(v, _kinds()[name]) for name, v in changes.items()}
        return msgspec.structs.replace(self, **converted)


@cache
def _kinds() -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(Settings)}


def check_name(name: str) -> None:
    """Refuse what is not the name of a setting.

    Raises:
        InputError: the message has the name that was probably meant.
    """
    names = Settings.__struct_fields__
    if name not in names:
        hint = nearest(name, names, f"settings: {', '.join(names)}")
        raise InputError(f"{name!r} is no setting{hint}")
