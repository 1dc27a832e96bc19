"""Text, sentences and equations as typst source; nothing that comes from data is ever markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final

from markupsafe import Markup

from downslope.report.wording import prose

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


def quoted(text: str) -> Markup:
    """Write text as a string of typst's code.

    >>> print(quoted('#eval("x") \\\\ $'))
    "#eval(\\"x\\") \\\\ $"
    """
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    safe = "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in safe)
    return Markup(f'"{safe}"')  # typst's markup, not HTML's


def shown(value: object) -> Markup:
    """Write a value in typst's markup as the text that it is.

    >>> print(shown("*bold* #pagebreak()"))
    #"*bold* #pagebreak()";
    """
    return Markup(f"#{quoted(str(value))};")


def sentence(text: str) -> Markup:
    """Set simple mathematics within a sentence as one would by hand; see `wording.prose`.

    >>> print(sentence("E[x^2] of z_{l-1}"))
    #"E[x²] of z";#sub[#"l−1";];
    """
    return cell(prose(text))


def cell(value: str) -> Markup:
    """Set a table's cell: plain text, or what `wording.prose` made of a sentence."""
    if not isinstance(value, Markup):
        return shown(value)
    parts = re.split(r"<(sub|sup)>(.*?)</\1>", str(value))
    found: list[str] = []
    for i in range(0, len(parts), 3):
        if parts[i]:
            found.append(shown(html.unescape(parts[i])))
        if i + 2 < len(parts):
            name = {"sub": "sub", "sup": "super"}[parts[i + 1]]
            found.append(f"#{name}[{shown(html.unescape(parts[i + 2]))}];")
    return Markup("".join(found))


def mathematics(statement: str) -> Markup:
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
    return Markup(words)


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
