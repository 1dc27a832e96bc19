"""How objects show themselves: a line in a console, a table in a notebook, rows of a data frame.

An object says what is worth seeing (`facts`); how that looks is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from downslope.errors import InputError, nearest, shortened
from downslope.terminal import harmless

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FEW = 4
"""Items up to which a sequence of numbers or words is written out."""

CELL, LINE = 120, 400
"""Characters of one fact, and of all on a line."""

ROWS = 10
"""Rows of a table that a notebook shows."""


class Shown:
    """An object that shows itself: short in a console, as a table in a notebook.

    A subclass may say which facts are worth seeing; without that, they are its fields.

    >>> import dataclasses
    >>> @dataclasses.dataclass(frozen=True, repr=False)
    ... class Curve(Shown):
    ...     name: str
    ...     rate: float
    ...     losses: list[float]
    >>> Curve("first", 1 / 3, [0.5] * 100)
    <Curve name first, rate 0.3333, losses 100 items>
    """

    __slots__ = ()

    def facts(self) -> Mapping[str, object]:
        """Return what is worth seeing, by name; what is None or empty is left out."""
        return {name.replace("_", " "): value for name, value in _fields(self).items()}

    def row(self) -> dict[str, Any]:
        """Return the object's row of a data frame, by column; see `to_frame`."""
        return _row(self)

    def listed(self) -> Sequence[object]:
        """Return what is listed below the facts, where the object holds a table."""
        return ()

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {text}" for name, text in _written(self))
        return f"<{shortened(f'{type(self).__name__} {facts}', LINE)}>"

    def _repr_html_(self) -> str:
        listed = self.listed()
        table = ""
        if listed:
            rows = [row_of(item) for item in listed[:ROWS]]
            columns = list(dict.fromkeys(n for row in rows for n in row))
            columns = [n for n in columns if any(row.get(n) not in (None, "") for row in rows)]
            head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
            body = "".join(
                f"<tr>{''.join(f'<td>{escape(_brief(row.get(n)))}</td>' for n in columns)}</tr>"
                for row in rows
            )
            rest = len(listed) - len(rows)
            more = f"<p>and {rest:,} more: to_frame() has all of them</p>" if rest > 0 else ""
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
        facts = "".join(
            f'<tr><th style="text-align: left">{escape(name)}</th>'
            f'<td style="text-align: left">{escape(text)}</td></tr>'
            for name, text in _written(self)
        )
        name = escape(type(self).__name__)
        return f"<div><strong>{name}</strong><table>{facts}</table>{table}</div>"


def to_frame(items: Iterable[object]) -> pd.DataFrame:
    """Return a data frame with a row for each item, for example of records, trials or scores.

    Numbers, words and truth values become columns, intervals two of them. Structures within,
    arrays and longer sequences are left out.

    >>> from downslope.statistics import class_scores
    >>> frame = to_frame(class_scores([[3, 1], [2, 4]]))
    >>> frame[["examples", "precision", "recall_interval_low"]].round(3).values.tolist()
    [[4.0, 0.6, 0.301], [6.0, 0.8, 0.3]]
    """
    import pandas as pd

    return pd.DataFrame([row_of(item) for item in items])


def row_of(item: object) -> dict[str, Any]:
    """Return the row of an item in a data frame, by column."""
    return item.row() if isinstance(item, Shown) else _row(item)


def _row(item: object) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in _fields(item).items():
        if value is None or isinstance(value, str | bool | int | float):
            row.setdefault(name, value)
        elif isinstance(value, tuple) and len(cast("tuple[Any, ...]", value)) == 2:
            low, high = cast("tuple[Any, Any]", value)
            if isinstance(low, int | float) and isinstance(high, int | float):
                row |= {f"{name}_low": low, f"{name}_high": high}
    return row


class Drawable(Protocol):
    """A figure of the report (`downslope.report.Display`)."""

    name: str
    title: str

    @property
    def caption(self) -> str:
        """Say how to read the figure."""
        ...

    def plot(self) -> Figure:
        """Draw it."""
        ...


class Drawn(Shown):
    """An object that the report has figures of: they can be drawn from it."""

    __slots__ = ()

    def figures(self) -> dict[str, Drawable]:
        """Return the report's figures of this object by name, each with data, drawing, caption."""
        return _notebook("figures")(self)

    def plot(self, figure: str = "") -> Figure:
        """Draw one of the report's figures; a notebook shows it.

        Args:
            figure: its name among `figures()`; by default the first.

        Raises:
            InputError: there is none of that name.
        """
        drawable = self.figures()
        if not drawable:
            raise InputError(f"plot: there is nothing to draw of {self!r} yet")
        name = figure or next(iter(drawable))
        if name not in drawable:
            raise InputError(
                f"plot: {name!r} is no figure of this {type(self).__name__}; it has "
                f"{', '.join(drawable)}{nearest(name, drawable)}"
            )
        return drawable[name].plot()


class Page(Protocol):
    """A page that a notebook shows inline; it asks for nothing from anywhere."""

    html: str

    def _repr_html_(self) -> str: ...


def page_of(shown: object, kind: str) -> Page:
    """Return the report's page of an object: "report" of a run, "interactive" of a landscape."""
    return _notebook(kind)(shown)


def _notebook(function: str) -> Any:
    """Find what draws an object: the one place that reaches to the right in the flow of imports.

    Figures are the report's, which knows every study's results, and no study knows the report. An
    object that can be drawn finds it by name when it is asked, as pandas does its plotting backend.
    """
    return getattr(import_module("downslope.report.notebook"), function)


def _fields(item: object) -> dict[str, object]:
    if isinstance(item, msgspec.Struct):
        return {name: getattr(item, name) for name in item.__struct_fields__}
    if is_dataclass(item):
        return {f.name: getattr(item, f.name) for f in fields(item) if f.repr}
    raise InputError(f"to_frame: {type(item).__name__} has no fields to make a row of")


def _written(shown: Shown) -> list[tuple[str, str]]:
    facts = {name: _brief(value) for name, value in shown.facts().items()}
    return [(name, text) for name, text in facts.items() if text]


def _brief(value: object) -> str:
    """Write a value in a few words; empty where there is none.

    >>> _brief(0.123456), _brief((784, 40, 10)), _brief([0.5] * 100), _brief(True), _brief(None)
    ('0.1235', '784, 40, 10', '100 items', 'yes', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    if isinstance(value, Shown):
        return next((text for _, text in _written(value)), type(value).__name__)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        array = cast(Any, value)
        return f"{array.dtype} of shape {tuple(array.shape)}"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        items = list(cast("Iterable[object]", value))
        plain = not isinstance(value, Mapping)
        if plain and len(items) <= FEW and all(isinstance(x, str | int | float) for x in items):
            return shortened(", ".join(map(_brief, items)), CELL)
        return f"{len(items):,} item{'s' * (len(items) != 1)}" if items else ""
    if isinstance(value, msgspec.Struct):
        return type(value).__name__
    return shortened(harmless(str(value)), CELL)
