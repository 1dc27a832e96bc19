"""A static figure as a page and a folder need it: drawing, alternative text, caption."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from downslope.report.figures.style import inline, svg


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold one static figure.

    Args:
        name: of its file, without ending.
        drawing: SVG.
        alternative: what it shows, for those who cannot see it.
        caption: what to see in it.
    """

    name: str
    drawing: str
    alternative: str
    caption: str

    @property
    def element(self) -> Markup:
        """Return the figure as an element of a page."""
        return inline(self.drawing, self.name, self.alternative)


def picture(name: str, figure: Figure, alternative: str, caption: str) -> Picture:
    """Make a picture of a drawn figure.

    Args:
        name: of its file, without ending.
        figure: drawn in the house style.
        alternative: what it shows, for those who cannot see it.
        caption: what to see in it.
    """
    return Picture(name, svg(figure), alternative, caption)
