"""Text, sentences and equations as typst source; nothing that comes from data is ever markup."""

from __future__ import annotations

import html
import re

from markupsafe import Markup

from downslope.report.equations_old import mathematics as mathematics
from downslope.report.wording import prose


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
