"""A static figure as a page and a folder need it: drawing, data, alternative text, caption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from downslope.report.figures.drawn import drawn
from downslope.report.packing import packed
from downslope.report.style import inline, svg


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold one static figure.

    Args:
        name: of its file, without ending.
        drawing: SVG.
        alternative: what it shows, for those who cannot see it.
        caption: what to see in it.
        data: what it shows, as CSV.
    """

    name: str
    drawing: str
    alternative: str
    caption: str
    data: str = ""

    @property
    def element(self) -> Markup:
        """Return the figure as an element of a page."""
        return inline(self.drawing, self.name, self.alternative)


def packed_data(pictures: Mapping[str, Picture]) -> Markup:
    """Compress what all figures of a page show, by name, for its buttons to save."""
    return packed(json.dumps({name: picture.data for name, picture in pictures.items()}))


def picture(
    name: str, figure: Figure, alternative: str, caption: str, data: str | None = None
) -> Picture:
    """Make a picture of a drawn figure.

    Args:
        name: of its file, without ending.
        figure: drawn in the house style.
        alternative: what it shows, for those who cannot see it.
        caption: what to see in it.
        data: what it shows, as CSV; by default read from the figure's marks.
    """
    return Picture(name, svg(figure), alternative, caption, drawn(figure) if data is None else data)
