"""The one error that means: the user can mend this."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 1500
"""Characters of a message; what is more is cut out of its middle."""


class InputError(ValueError):
    """A mistake in what the user gave: one line, what was wrong, where, what is allowed.

    The command line prints the message alone and exits with status 2; from Python it is an
    ordinary `ValueError`.

    >>> raise InputError("recipe: 'refit.sedes' is not a key; did you mean 'refit.seeds'?")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: recipe: 'refit.sedes' is not a key; did you mean 'refit.seeds'?

    A message is cut to `LONGEST` characters: the values in it come from files and may be long.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message, LONGEST))


def shortened(text: str, length: int) -> str:
    """Cut a text in the middle, so that how it begins and what it ends with are left.

    >>> shortened("a path that is far too long: give another", 22)
    'a path that i… another'
    """
    if len(text) <= length:
        return text
    end = (length - 1) * 2 // 5
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


def one_line(error: BaseException, length: int = 200) -> str:
    """Return the text of an exception on one line of at most `length` characters.

    >>> one_line(ValueError("line one\\n  line two"))
    'line one line two'
    >>> one_line(MemoryError())
    'MemoryError'
    """
    return shortened(" ".join(str(error).split()), length) or type(error).__name__


def nearest(word: str, words: Iterable[str], otherwise: str = "", *, cutoff: float = 0.6) -> str:
    """End a message with the nearest of some words, as what may have been meant.

    Args:
        word: that is none of them.
        words: that would be right.
        otherwise: what to say where none is near.
        cutoff: of `difflib.get_close_matches`.

    >>> nearest("sedes", ["seeds", "epochs"])
    "; did you mean 'seeds'?"
    """
    close = difflib.get_close_matches(word, list(words), 1, cutoff)
    hint = f"did you mean {close[0]!r}?" if close else otherwise
    return hint and f"; {hint}"
