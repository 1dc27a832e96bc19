"""The bounds of the theory's settings, for recipes, the command line and Python alike."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Depth = Annotated[int, Meta(ge=2, le=64)]
Width = Annotated[int, Meta(ge=32, le=2**16)]
"""In narrower networks whole layers may be dead."""

Repetitions = Annotated[int, Meta(ge=3, le=10**6)]
Networks = Annotated[int, Meta(ge=3, le=1000)]
Rows = Annotated[int, Meta(ge=2, le=10**6)]
