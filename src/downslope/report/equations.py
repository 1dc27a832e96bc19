"""Equations as pictures: LaTeX drawn by matplotlib, put into the page with its source as text."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from downslope.report.figures.style import INK, inline, styled, svg

POINTS_PER_EM: Final = 10.0


def equation(statement: str, name: str) -> Markup:
    """Typeset an equation as inline SVG; what cannot be typeset is shown as LaTeX.

    Args:
        statement: in LaTeX, without dollar signs.
        name: unique on the page.
    """
    try:
        drawing = svg(_draw(_known(statement)))
    except ValueError:  # matplotlib's parser: a command that it does not know
        return Markup('<code class="equation">{}</code>').format(statement)
    element = inline(drawing, name, statement)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', element)
    assert size is not None
    width = float(size[1]) / POINTS_PER_EM
    return Markup('<span class="equation">{}</span>').format(
        element.replace("<svg", Markup('<svg style="width:{:.2f}em"').format(width), 1)
        if isinstance(element, Markup)
        else escape(element)
    )


def _known(statement: str) -> str:
    """Write commands that matplotlib lacks with those it has; sizes of brackets follow content.

    >>> print(_known(r"\\Bigl[ \\tfrac{1}{2} \\Bigr]"))
    \\left[ \\frac{1}{2} \\right]
    """
    text = re.sub(r"\\[Bb]igg?l(?![a-z])", r"\\left", statement)
    text = re.sub(r"\\[Bb]igg?r(?![a-z])", r"\\right", text)
    return re.sub(r"\\[td]frac(?![a-z])", r"\\frac", text)


@styled
def _draw(statement: str) -> Figure:
    figure = Figure(figsize=(0.1, 0.1))
    text = figure.text(0, 0, f"${statement}$", fontsize=POINTS_PER_EM, color=INK)
    text.set_math_fontfamily("stix")
    box = text.get_window_extent(figure.canvas.get_renderer())  # pyright: ignore
    width, height = box.width / figure.dpi, box.height / figure.dpi
    pad = 0.03
    figure.set_size_inches(width + 2 * pad, height + 2 * pad)
    text.set_position((pad / (width + 2 * pad), (pad - box.y0 / figure.dpi) / (height + 2 * pad)))
    return figure
