"""Equations from LaTeX: as MathML for a page, and in typst's mathematics for a PDF."""

from __future__ import annotations

import re
from collections.abc import Iterator
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


_GREEK: Final = ("alpha", "beta", "gamma", "chi", "epsilon", "lambda", "mu", "phi", "pi", "sigma")
_SYMBOLS: Final = {
    **{name: name for name in (*_GREEK, "log", "ln", "exp", "sum", "tanh", "max", "min")},
    "int": "integral",
    "infty": "infinity",
    "to": "arrow.r",
    "Longrightarrow": "arrow.r.double.long",
    "neq": "eq.not",
    "leq": "lt.eq",
    "geq": "gt.eq",
    "cdot": "dot.c",
    "mid": "bar.v",
    "qquad": "wide",
    "quad": "quad",
    ",": "thin",
    ";": "med",
    "!": "",
    # Brackets grow by themselves.
    **{f"{size}{side}": "" for size in ("big", "Big", "bigg", "Bigg") for side in "lr"},
    "left": "",
    "right": "",
}
_CHARACTERS: Final = {
    **{c: c for c in "=+<>()[]"},
    "-": "minus",
    "/": "slash",
    "|": "bar.v",
    ",": "comma",
    "~": "space",
}
_TOKEN: Final = re.compile(r"\\([A-Za-z]+|[,;!])|(\d+(?:\.\d+)?)|([A-Za-z])|(\S)|\s+")


def mathematics(statement: str) -> str:
    """Translate the LaTeX that the theory's equations use into typst's mathematics.

    Only what is known is let through, so that a statement cannot bring code.

    Raises:
        ValueError: a command or character that is not known.

    >>> print(mathematics(r"\\mathrm{Var}[w] = \\frac{2}{n}"))
    op("Var") [ w ] = frac(2 , n)
    """
    tokens = list(_tokens(statement))
    words, end = _sequence(tokens, 0)
    if end != len(tokens):
        raise ValueError("a brace too many")
    return words


def _tokens(statement: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(statement):
        command, number, letter, other = found.groups()
        for kind, text in (("\\", command), ("0", number), ("a", letter), ("c", other)):
            if text is not None:
                yield kind, text


def _sequence(tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
    words: list[str] = []
    while at < len(tokens) and tokens[at] != ("c", "}"):
        word, at = _one(tokens, at)
        if tokens[at - 1 : at] and words and word[:2] in ("_(", "^("):
            words[-1] += word
        elif word:
            words.append(word)
    return " ".join(words), at


def _one(tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
    """Translate the token or group at a place; return it with the place after it."""
    if at >= len(tokens):
        raise ValueError("something is missing at the end")
    kind, text = tokens[at]
    if kind in "0a":
        return text, at + 1
    if kind == "c":
        if text == "{":
            inner, end = _sequence(tokens, at + 1)
            if tokens[end : end + 1] != [("c", "}")]:
                raise ValueError("a brace is not closed")
            return inner, end + 1
        if text in "_^":
            inner, end = _one(tokens, at + 1)
            return f"{text}({inner})", end
        if text not in _CHARACTERS:
            raise ValueError(f"{text!r} is not known")
        return _CHARACTERS[text], at + 1
    if text in ("mathrm", "operatorname"):
        name, end = _one(tokens, at + 1)
        letters = name.replace(" ", "")
        if not letters.isalpha():
            raise ValueError(f"{name!r} is no name")
        return f'op("{letters}")', end
    if text in ("frac", "tfrac", "dfrac"):
        above, end = _one(tokens, at + 1)
        below, end = _one(tokens, end)
        style = "inline" if text == "tfrac" else ""
        fraction = f"frac({above} , {below})"
        return (f"{style}({fraction})" if style else fraction), end
    if text == "sqrt":
        inner, end = _one(tokens, at + 1)
        return f"sqrt({inner})", end
    if text not in _SYMBOLS:
        raise ValueError(f"\\{text} is not known")
    return _SYMBOLS[text], at + 1
