"""The one error that means: the user can mend this."""


class InputError(ValueError):
    """Report a mistake in what the user gave: one line, what was wrong, where, what is allowed.

    The command line prints the message alone and exits with status 2; from Python it is an
    ordinary `ValueError`.

    >>> raise InputError("recipe: 'refit.sedes' is not a key; did you mean 'refit.seeds'?")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: recipe: 'refit.sedes' is not a key; did you mean 'refit.seeds'?
    """
