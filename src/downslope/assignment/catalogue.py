"""The catalogue of mistakes: each a small change of the reference, and what a student is told."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import resources

import msgspec

from downslope.assignment.submission import FUNCTIONS
from downslope.toml import parse_toml


class Mistake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of one function of the reference.

    Args:
        name: short, for reports.
        function: of the reference.
        right: text of it.
        wrong: what stands there instead.
        told: what a student is told.
        why: the line of theory or documentation that explains it.
        see: where that stands.
        accepted: whether it is right as well, and not a mistake.
        number: in the catalogue, from 1; 0 for what is accepted.
    """

    name: str
    function: str
    right: str
    wrong: str
    told: str
    why: str = ""
    see: str = ""
    accepted: bool = False
    number: int = 0

    @property
    def place(self) -> str:
        """Say where the explanation stands: an address, or a page of the documentation."""
        return self.see if "://" in self.see else f"{self.see} of downslope's documentation"

    def applied(self, source: str) -> str | None:
        """Put the mistake into a source of the reference; None where its place is not there."""
        start, end = span_of(source, self.function)
        text = source[start:end]
        if text.count(self.right) != 1:
            return None
        return source[:start] + text.replace(self.right, self.wrong) + source[end:]


def reference_source() -> str:
    """Return the text of the reference solution."""
    return (resources.files("downslope.assignment") / "reference.py").read_text("utf-8")


def span_of(source: str, name: str) -> tuple[int, int]:
    """Return where the text of a function or class begins and ends in a source."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            start = sum(map(len, lines[: node.lineno - 1]))
            return start, start + sum(map(len, lines[node.lineno - 1 : node.end_lineno]))
    raise KeyError(name)


@cache
def code_of(name: str) -> str:
    """Return the text of one function or class of the reference.

    >>> code_of("evaluate").splitlines()[0]
    'def evaluate(model: nn.Module, loader: DataLoader[Batch]) -> float:'
    """
    source = reference_source()
    start, end = span_of(source, name)
    return source[start:end]


@cache
def catalogue() -> tuple[Mistake, ...]:
    """Read the mistakes, in the order of the assignment, and what is accepted.

    >>> catalogue()[0].number
    1
    """
    path = resources.files("downslope.assignment") / "mistakes.toml"
    tables = parse_toml(path.read_text("utf-8"))["mistake"]
    entries = [msgspec.convert(table, Mistake) for table in tables]
    number = 0
    numbered: list[Mistake] = []
    for name in FUNCTIONS:
        for entry in entries:
            if entry.function == name:
                number += not entry.accepted
                numbered.append(
                    msgspec.structs.replace(entry, number=0 if entry.accepted else number)
                )
    return tuple(numbered)


def printed(code: str) -> str:
    """Leave out what stands in code for the type checker alone.

    >>> printed("return total / count  # type: ignore[arg-type]")
    'return total / count'
    """
    return re.sub(r"  # type: ignore\S*", "", code)


def changed_lines(mistake: Mistake) -> tuple[str, str]:
    """Return the lines of the reference that a mistake changes: as they are wrong, and right.

    Where a line is only left out or added, the line before it shows where.
    """
    right = code_of(mistake.function)
    wrong = mistake.applied(right) or right
    before, after = printed(right).splitlines(), printed(wrong).splitlines()
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    most = min(len(before), len(after)) - start
    while end < most and before[-1 - end] == after[-1 - end]:
        end += 1
    parts: list[str] = []
    for lines in (after, before):
        chosen = lines[start : len(lines) - end]
        if not all(len(x[start : len(x) - end]) for x in (before, after)):
            chosen = lines[max(0, start - 1) : len(lines) - end]
        indent = min((len(x) - len(x.lstrip()) for x in chosen if x.strip()), default=0)
        parts.append("\n".join(line[indent:] for line in chosen))
    return parts[0], parts[1]
