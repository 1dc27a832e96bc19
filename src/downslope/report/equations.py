"""Equations drawn by matplotlib's mathtext, the same on a page and on paper."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from downslope.report.style import INK, svg

# Mathtext has one of each pair, and no negative space.
_KNOWN: Final = {
    r"\frac": r"\dfrac",
    r"\tfrac": r"\frac",
    r"\Longrightarrow": r"\Rightarrow",
    r"\!": "",
}
_FONT: Final = FontProperties(size=14, math_fontfamily="stix")


@cache
def equation(latex: str) -> str | None:
    r"""Draw an equation as SVG; None where it cannot be typeset.

    >>> "<svg" in (equation(r"\mathrm{Var}[w] = \frac{2}{n}") or ""), equation(r"\nosuch")
    (True, None)
    """
    text = re.sub(r"\\[Bb]igg?l(?![a-z])", r"\\left", latex)
    text = re.sub(r"\\[Bb]igg?r(?![a-z])", r"\\right", text)
    text = re.sub(r"\\sum(_(\{.*?\}|\w))?(\^(\{.*?\}|\w))?", r"\g<0>\\;", text)  # else too near
    for command, replacement in _KNOWN.items():
        text = text.replace(command, replacement)
    try:
        width, height, depth, *_ = MathTextParser("path").parse(f"${text}$", 72, _FONT)
    except ValueError:
        return None
    if not width or "$" in latex:
        return None
    figure = Figure(figsize=(width / 72, height / 72))
    figure.text(0, depth / height, f"${text}$", fontproperties=_FONT, color=INK)
    return _without_ids(svg(figure))


def _without_ids(drawing: str) -> str:
    """Draw each letter in its place, so that an equation may stand twice on a page."""
    letters = {m[1]: m[2] for m in re.finditer(r'<path id="([^"]+)" (d="[^"]+"[^>]*/>)', drawing)}
    body = re.sub(r"<defs>.*?</defs>", "", drawing, flags=re.DOTALL)
    used = re.compile(r'<use xlink:href="#([^"]+)"([^>]*)/>')
    body = used.sub(lambda m: f"<g{m[2]}><path {letters[m[1]]}</g>", body)
    return re.sub(r' id="[^"]*"', "", body)
