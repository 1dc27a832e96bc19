"""The command that describes this installation."""

from __future__ import annotations

from downslope.terminal import show


def doctor() -> None:
    """Show versions, hardware, engine and data of this installation."""
    from downslope.data import list_datasets
    from downslope.engines import describe_engine, hardware, versions

    data = {
        f"data {d.name}": str(d.found or "not here; fetched when needed") for d in list_datasets()
    }
    show((versions() | hardware() | describe_engine() | data).items())
