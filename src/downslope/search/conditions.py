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
    """A condition on settings; nothing but settings and constants can be named in it.

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
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InputError(f"{text!r}: not a condition; write one with {_ALLOWED}") from None
        self.names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for name in sorted(self.names):
            try:
                check_name(name)
            except InputError as error:
                raise InputError(f"{text!r}: {error}") from None
        try:
            self._value = self._compiled(tree)
        except RecursionError as error:
            raise InputError(f"{text!r}: {error}") from None
        self.holds(Settings())  # refuses what cannot be evaluated

    def holds(self, settings: Settings) -> bool:
        """Tell whether the settings meet the condition.

        Raises:
            InputError: it adds or compares what cannot be, such as a number and a word.
        """
        try:
            return bool(self._value(settings))
        except ZeroDivisionError:
            return False
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InputError(f"{self.text!r}: {error}") from None

    def _compiled(self, node: ast.AST) -> Callable[[Settings], Any]:
        """Turn a node into a function, so that proposals do not walk the tree again and again."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str | bool):
            constant = node.value
            return lambda settings: constant
        if isinstance(node, ast.Name):
            return operator.attrgetter(node.id)
        if isinstance(node, ast.List | ast.Tuple):
            items = [self._compiled(item) for item in node.elts]
            if all(isinstance(item, ast.Constant) for item in node.elts):
                values = frozenset(item(Settings()) for item in items)  # quick, however many
                return lambda settings: values
            return lambda settings: [item(settings) for item in items]
        if isinstance(node, ast.BoolOp):
            parts = [self._compiled(value) for value in node.values]
            join = all if isinstance(node.op, ast.And) else any
            # All parts, so that one that cannot be evaluated is refused at once.
            return lambda settings: join([bool(part(settings)) for part in parts])
        if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATIONS:
            change, operand = _OPERATIONS[type(node.op)], self._compiled(node.operand)
            return lambda settings: change(operand(settings))
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            calculate = _OPERATIONS[type(node.op)]
            left, right = self._compiled(node.left), self._compiled(node.right)
            return lambda settings: calculate(_number(left(settings)), _number(right(settings)))
        if isinstance(node, ast.Compare) and all(type(o) in _OPERATIONS for o in node.ops):
            sides = [self._compiled(side) for side in (node.left, *node.comparators)]
            compare = [_OPERATIONS[type(o)] for o in node.ops]

            def compared(settings: Settings) -> bool:
                values = [side(settings) for side in sides]
                return all(o(values[i], values[i + 1]) for i, o in enumerate(compare))

            return compared
        raise InputError(f"{self.text!r}: not a condition; write one with {_ALLOWED}")


def _number(value: Any) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError("only numbers can be added or multiplied")
    return value
