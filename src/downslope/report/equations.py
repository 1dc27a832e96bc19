"""Equations as pictures: LaTeX drawn by matplotlib, put into the page with its source as text."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from downslope.report.figures.style import inline, styled, svg

POINTS_PER_EM: Final = 10.0
MARGIN: Final = 1.5
"""In points around an equation, for strokes that reach over its box."""


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
    sized = Markup('<svg style="width:{:.2f}em"').format(width)
    return Markup('<span class="equation">{}</span>').format(element.replace("<svg", sized, 1))


def _known(statement: str) -> str:
    """Write commands that matplotlib lacks with those it has; space is mended.

    >>> print(_known(r"\\Bigl[ \\tfrac{1}{2} \\Bigr]"))
    \\left[ \\frac{1}{2} \\right]
    """
    text = re.sub(r"\\[Bb]igg?l(?![a-z])", r"\\left", statement)
    text = re.sub(r"\\[Bb]igg?r(?![a-z])", r"\\right", text)
    text = text.replace(r"\operatorname{atan}", r"\arctan\,")
    text = text.replace(r"\!", "")  # drawn much wider than TeX does
    text = re.sub(r"(\\(?:sum|int)(?:[_^](?:\{[^}]*\}|\w))+)", r"\1\\,", text)
    text = re.sub(r"\\frac(?![a-z])", r"\\dfrac", text)
    return re.sub(r"\\tfrac(?![a-z])", r"\\frac", text)


@styled
def _draw(statement: str) -> Figure:
    letters = FontProperties(family="DejaVu Sans", size=POINTS_PER_EM, math_fontfamily="stix")
    parsed = MathTextParser("path").parse(f"${statement}$", dpi=72, prop=letters)
    width, height = parsed[0] + 2 * MARGIN, parsed[1] + 2 * MARGIN
    figure = Figure(figsize=(width / 72, height / 72))
    baseline = (parsed[2] + MARGIN) / height
    figure.text(MARGIN / width, baseline, f"${statement}$", fontproperties=letters, va="baseline")
    return figure
