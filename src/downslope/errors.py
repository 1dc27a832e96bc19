"""The one error that means: the user can mend this."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec


class InputError(ValueError):
    """Report a mistake in what the user gave: one line, what was wrong, where, what is allowed.

    The command line prints the message alone and exits with status 2; from Python it is an
    ordinary `ValueError`.

    >>> raise InputError("recipe: 'refit.sedes' is not a key; did you mean 'refit.seeds'?")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: recipe: 'refit.sedes' is not a key; did you mean 'refit.seeds'?
    """


def explained(error: Exception, kind: Any) -> str:
    """Return msgspec's message, with the words that are allowed where one is not.

    Args:
        error: from converting a value to a struct.
        kind: the struct.

    >>> from typing import Literal
    >>> Colour = msgspec.defstruct("Colour", [("name", Literal["red", "blue"])])
    >>> try:
    ...     msgspec.convert({"name": "rad"}, Colour)
    ... except msgspec.ValidationError as error:
    ...     print(explained(error, Colour))
    'rad' is not allowed; one of red, blue - at `$.name`
    """
    message = str(error)
    found = re.fullmatch(r"Invalid enum value ('.*')( - at `\$\.(.*)`)?", message, re.DOTALL)
    if found is None:
        return message
    for name in (found[3] or "").split("."):
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        if name not in fields:  # within a list or a table: msgspec says where, not which
            return message
        kind = fields[name]
    return f"{found[1]} is not allowed; one of {', '.join(get_args(kind))}{found[2]}"
