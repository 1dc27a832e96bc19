"""The bounds of the theory's settings, for recipes, the command line and Python alike."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from downslope.checked import NONE_TWICE
from downslope.networks import Initialization

Depth = Annotated[int, Meta(ge=2, le=64)]
Width = Annotated[int, Meta(ge=32, le=2**16)]
"""In narrower networks whole layers may be dead."""

Initializations = Annotated[tuple[Initialization, ...], Meta(min_length=1), NONE_TWICE]
INITIALIZATIONS: Initializations = ("he", "xavier", "lecun", "orthogonal", "pytorch")
"""In the order in which they are shown; each has its own place in the random streams."""

Repetitions = Annotated[int, Meta(ge=3, le=10**6)]
Networks = Annotated[int, Meta(ge=3, le=1000)]
Rows = Annotated[int, Meta(ge=2, le=10**6)]
