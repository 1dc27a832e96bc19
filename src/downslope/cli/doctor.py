"""The command that describes this installation."""

from __future__ import annotations

from rich.table import Table

from downslope.terminal import show


def doctor() -> None:
    """Show versions, hardware, engine and data of this installation."""
    from downslope.data import list_datasets
    from downslope.engines import describe_engine
    from downslope.installation import hardware, versions

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in [*versions().items(), *hardware().items(), *describe_engine().items()]:
        table.add_row(name, value)
    for listing in list_datasets():
        table.add_row(f"data {listing.name}", str(listing.found or "not here; fetched when needed"))
    show(table)
