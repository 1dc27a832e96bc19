"""Equations as MathML, from LaTeX: text that can be selected, read out and drawn at any size."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

from latex2mathml import exceptions
from latex2mathml.converter import convert
from markupsafe import Markup

_REFUSALS: Final = tuple(
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)
_NEEDED: Final = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3}
_ARROWS: Final = {"\u27f9", "\u27f8", "\u27fa"}


def equation(statement: str) -> Markup:
    """Typeset an equation; what cannot be typeset is shown as LaTeX.

    Args:
        statement: in LaTeX, without dollar signs.

    >>> print(equation("a < b"))
    <math display="block"...><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>
    """
    try:
        root = ElementTree.fromstring(convert(_known(statement), display="block"))
        for element in root.iter():
            _mend(element)
    except (*_REFUSALS, ValueError):
        return Markup('<code class="equation">{}</code>').format(statement)
    root.set("alttext", statement)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # escaped by the serializer


def _known(statement: str) -> str:
    """Write commands that the converter lacks with those it has.

    >>> print(_known(r"\\Bigl[ \\mathrm{E}[x]\\! \\Bigr]"))
    \\left[ \\text{E}[x] \\right]
    """
    text = re.sub(r"\\[Bb]igg?l(?![a-z])", r"\\left", statement)
    text = re.sub(r"\\[Bb]igg?r(?![a-z])", r"\\right", text)
    text = re.sub(r"\\(?:mathrm|operatorname)\{(\w+)\}", r"\\text{\1}", text)
    return text.replace(r"\!", "")  # a negative space that browsers do not know


def _mend(element: ElementTree.Element) -> None:
    """Turn what the converter writes into what browsers draw well.

    Raises:
        ValueError: the converter passed on a command that it does not know, or lost a part.
    """
    element.tag = element.tag.rpartition("}")[2]
    text = element.text or ""
    if text.startswith("\\") or len(element) < _NEEDED.get(element.tag, 0):
        raise ValueError(f"cannot be typeset: {text or element.tag}")
    if element.tag == "mtext" and text.strip().isalpha():  # a name of several letters, upright
        element.tag, element.text = "mi", text.strip()
        if len(element.text) == 1:
            element.set("mathvariant", "normal")
    elif element.tag == "mi" and text in _ARROWS:
        element.tag = "mo"
    elif element.tag in ("msub", "msubsup") and element[0].text == "\u2211":
        element.tag = "munder" if element.tag == "msub" else "munderover"
