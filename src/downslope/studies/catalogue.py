"""The studies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from downslope.checked import read
from downslope.errors import InputError, nearest
from downslope.studies.barriers import Barriers
from downslope.studies.edge_of_stability import EdgeOfStability
from downslope.studies.study import Study
from downslope.studies.trainability import Trainability

STUDIES: Final[Mapping[str, type[Study]]] = {
    kind.name: kind for kind in (Trainability, Barriers, EdgeOfStability)
}


def study_named(name: str, settings: Mapping[str, Any] | None = None) -> Study:
    """Return a study with some of its settings changed.

    Raises:
        InputError: no such study, an unknown setting or a value that is not allowed.

    >>> study_named("trainability", {"seeds": 30}).seeds
    30
    >>> study_named("trainabilty")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: study: 'trainabilty' is not known; did you mean 'trainability'?
    """
    if name not in STUDIES:
        hint = nearest(name, STUDIES, f"it is one of {', '.join(STUDIES)}")
        raise InputError(f"study: {name!r} is not known{hint}")
    return read(STUDIES[name], dict(settings or {}), name)
