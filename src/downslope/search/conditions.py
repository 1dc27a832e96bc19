"""Conditions on settings, written as in Python: "units * hidden_layers <= 200"."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

from downslope.errors import InputError
from downslope.search.settings import Settings, check_name

_OPERATIONS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda *sides: operator.contains(*reversed(sides)),
    ast.NotIn: lambda *sides: not operator.contains(*reversed(sides)),
}
_ALLOWED = "settings, numbers, words, lists, + - * /, comparisons, in, and, or, not"


class Condition:
    """Hold a condition on settings; nothing but settings and constants can be named in it.

    Raises:
        InputError: it is no such expression, or names what is no setting.

    >>> Condition("optimizer == 'sgd' and units * hidden_layers <= 100").holds(Settings())
    False
    >>> Condition("unit > 3")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: 'unit > 3': 'unit' is no setting; did you mean 'units'?
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InputError(f"{text!r}: not a condition; write one with {_ALLOWED}") from None
        self.names = {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)}
        for name in sorted(self.names):
            try:
                check_name(name)
            except InputError as error:
                raise InputError(f"{text!r}: {error}") from None
        self.holds(Settings())  # refuses what cannot be evaluated

    def holds(self, settings: Settings) -> bool:
        """Tell whether the settings meet the condition.

        Raises:
            InputError: it adds or compares what cannot be, such as a number and a word.
        """
        try:
            return bool(self._value(self._tree, settings))
        except ZeroDivisionError:
            return False
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InputError(f"{self.text!r}: {error}") from None

    def _value(self, node: ast.AST, settings: Settings) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | bool):
            return node.value
        if isinstance(node, ast.Name):
            return getattr(settings, node.id)
        if isinstance(node, ast.List | ast.Tuple):
            return [self._value(item, settings) for item in node.elts]
        if isinstance(node, ast.BoolOp):
            found = [bool(self._value(value, settings)) for value in node.values]
            return all(found) if isinstance(node.op, ast.And) else any(found)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATIONS:
            return _OPERATIONS[type(node.op)](self._value(node.operand, settings))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            left, right = (self._value(side, settings) for side in (node.left, node.right))
            if not all(isinstance(side, int | float) for side in (left, right)):
                raise TypeError("only numbers can be added or multiplied")
            return _OPERATIONS[type(node.op)](left, right)
        if isinstance(node, ast.Compare) and all(type(o) in _OPERATIONS for o in node.ops):
            sides = [self._value(side, settings) for side in (node.left, *node.comparators)]
            return all(_OPERATIONS[type(o)](sides[i], sides[i + 1]) for i, o in enumerate(node.ops))
        raise InputError(f"{self.text!r}: not a condition; write one with {_ALLOWED}")
