"""Bounds at the fields: what an annotation allows is checked, said and documented from it alone."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from downslope.errors import InputError, nearest, shortened

S = TypeVar("S", bound=msgspec.Struct)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Must:
    """A rule in an annotation that no `msgspec.Meta` can state, and the words for it."""

    test: Callable[[Any], bool]
    words: str


Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=1024)]
"""What is done at the same time; each may have a copy of what it works on."""

Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
"""A seed that a user gives: trials and refits count up from it, within 64 bits."""

NONE_TWICE = Must(lambda values: len(set(values)) == len(values), "none twice")


@dataclass(frozen=True, slots=True)
class Rule:
    """What an annotation allows: a test, and the words for one value and for several."""

    test: Callable[[Any], bool]
    one: str
    many: str


def rule(kind: Any) -> Rule:
    """Return what a type or an annotation allows.

    Raises:
        TypeError: it is none that a recipe, a spec or a bounded argument may have.

    >>> rule(Annotated[int, msgspec.Meta(ge=1, le=200)] | None).one
    'a whole number from 1 to 200 or left out'
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _narrowed(rule(arguments[0]), arguments[1:])
    if origin is Literal:
        named = ", ".join(map(str, arguments))
        return Rule(
            lambda value: isinstance(value, str) and value in arguments,
            f"one of {named}",
            f"words out of {named}",
        )
    if origin in (Union, UnionType):
        rules = [rule(each) for each in arguments if each is not int or float not in arguments]
        return Rule(
            lambda value: any(each.test(value) for each in rules),
            _either(each.one for each in rules),
            _either(each.many for each in rules),
        )
    if origin in (list, tuple):
        return _sequence(arguments, fixed=origin is tuple and arguments[-1] is not ...)
    if origin is dict:
        below = rule(arguments[1])
        return Rule(
            lambda value: isinstance(value, dict) and all(map(below.test, value.values())),
            f"a table of {below.many}",
            f"tables of {below.many}",
        )
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        words = f" of {', '.join(kind.__struct_fields__)}"
        return Rule(lambda value: isinstance(value, kind), f"a table{words}", f"tables{words}")
    if kind not in _PLAIN:
        raise TypeError(f"no rule for {kind!r}")
    return _PLAIN[kind]


_PLAIN: dict[Any, Rule] = {
    bool: Rule(lambda value: isinstance(value, bool), "true or false", "true or false"),
    int: Rule(
        lambda value: isinstance(value, int) and not isinstance(value, bool),
        "a whole number",
        "whole numbers",
    ),
    float: Rule(
        lambda value: isinstance(value, int | float) and not isinstance(value, bool),
        "a number",
        "numbers",
    ),
    str: Rule(lambda value: isinstance(value, str), "text", "texts"),
    NoneType: Rule(lambda value: value is None, "left out", "left out"),
}


def _either(words: Iterable[str]) -> str:
    *some, last = words
    nested = any(", " in each or " or " in each for each in (*some, last))
    if last == "true or false":
        return f"{', '.join(some)}, {last}"
    return f"{', '.join(some)}{',' * nested} or {last}"


def _sequence(arguments: Sequence[Any], *, fixed: bool) -> Rule:
    each = rule(arguments[0])
    count = len(arguments)

    def test(value: Any) -> bool:
        # Python callers may give either; a TOML file has lists only.
        right = isinstance(value, list | tuple) and (not fixed or len(cast("Any", value)) == count)
        return right and all(map(each.test, cast("Any", value)))

    words = f"{count} {each.many}" if fixed else f"a list of {each.many}"
    return Rule(test, words, words.replace("a list", "lists", 1))


def _narrowed(base: Rule, extras: Sequence[object]) -> Rule:
    """Add bounds to a rule."""
    tests: list[Callable[[Any], bool]] = [base.test]
    one, many = base.one, base.many
    for extra in extras:
        words = ""
        if isinstance(extra, Must):
            tests.append(extra.test)
            words = f", {extra.words}"
        elif isinstance(extra, msgspec.Meta):
            tests.append(_within(extra))
            words = _interval(extra, whole=one.startswith("a whole number"))
            if extra.description:
                words += f", {extra.description}"
        one, many = one + words, many + words
    return Rule(lambda value: all(test(value) for test in tests), one, many)


_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], Callable[[Any], Any]], ...] = (
    ("ge", operator.ge, lambda value: value),
    ("gt", operator.gt, lambda value: value),
    ("le", operator.le, lambda value: value),
    ("lt", operator.lt, lambda value: value),
    ("min_length", operator.ge, len),
    ("max_length", operator.le, len),
)


def _within(meta: msgspec.Meta) -> Callable[[Any], bool]:
    bounds = [(meets, of, getattr(meta, name)) for name, meets, of in _BOUNDS]
    bounds = [(meets, of, bound) for meets, of, bound in bounds if bound is not None]
    # No nan is within: it compares with nothing.
    return lambda value: all(meets(of(value), bound) for meets, of, bound in bounds)


def _interval(meta: msgspec.Meta, *, whole: bool) -> str:
    """Say the bounds in words.

    >>> _interval(msgspec.Meta(ge=0, lt=2**62), whole=True)
    ' from 0 to 2**62 - 1'
    >>> _interval(msgspec.Meta(ge=0, lt=1), whole=False)
    ' from 0 to below 1'
    """
    words = ""
    for bound, before in ((meta.ge, " from"), (meta.gt, " above"), (meta.le, " to")):
        words += "" if bound is None else f"{before} {_number(bound)}"
    if meta.lt is not None:
        words += f" to {_number(meta.lt - 1)}" if whole else f" to below {_number(meta.lt)}"
    for bound, before in ((meta.min_length, "at least"), (meta.max_length, "at most")):
        words += f", {before} {bound}" if bound else ""
    return words


def _number(value: float) -> str:
    if value != int(value) or (isinstance(value, float) and abs(value) >= 10**9):
        return f"{value:.6g}".replace("e+", "e")
    whole = int(value)
    for power, rest in ((whole.bit_length() - 1, 0), (whole.bit_length(), 1)):
        if whole > 10**9 and whole == 2**power - rest:
            return f"2**{power}{' - 1' * rest}"
    return f"{whole:,}" if abs(whole) >= 10**6 else str(whole)


def refused(name: str, value: object, allowed: str) -> str:
    """Say that a value is not allowed, and what is.

    >>> refused("trials", 0, "a whole number from 1 to 9")
    'trials = 0 is not allowed; it must be a whole number from 1 to 9'
    """
    return f"{name} = {shortened(repr(value), 200)} is not allowed; it must be {allowed}"


def check(where: str, name: str, value: object, kind: Any) -> None:
    """Refuse a value that an annotation does not allow.

    Raises:
        InputError: naming it, the value and what is allowed.
    """
    allowed = rule(kind)
    if not allowed.test(value):
        raise InputError(f"{where}: {refused(name, value, allowed.one)}")


class Checked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A structure whose values are within the bounds of its annotations, however it was made.

    Raises:
        InputError: a field is outside of what is allowed; the message names it.

    >>> class Sides(Checked, frozen=True, kw_only=True):
    ...     faces: Annotated[int, msgspec.Meta(ge=4, le=20)] = 6
    >>> Sides(faces=3)
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: Sides: faces = 3 is not allowed; it must be a whole number from ...
    """

    def __post_init__(self) -> None:
        """Check every field, then what ties them to each other."""
        where = type(self).__name__
        for name, allowed in rules_of(type(self)).items():
            if not allowed.test(value := getattr(self, name)):
                raise InputError(f"{where}: {refused(name, value, allowed.one)}")
        for fault in self.faults():
            raise InputError(f"{where}: {fault}")

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with values that are each allowed alone."""
        yield from ()


@cache
def rules_of(kind: type[msgspec.Struct]) -> dict[str, Rule]:
    """Return what each field of a structure allows."""
    return {field.name: rule(field.type) for field in msgspec.structs.fields(kind)}


def checked(where: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Check the arguments of a function against the bounds in its annotations, at the call.

    Args:
        where: the beginning of the messages, unless an argument `where` of the function is.

    >>> @checked("dice")
    ... def throw(faces: Annotated[int, msgspec.Meta(ge=4, le=20)] = 6) -> None: ...
    >>> throw(faces=2)
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: dice: faces = 2 is not allowed; it must be a whole number from ...
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        kinds = {name: kind for name, kind in hints.items() if "Annotated" in repr(kind)}

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            values = signature.bind(*args, **kwargs).arguments
            for name in filter(kinds.__contains__, values):
                value = values[name]
                if getattr(value, "shape", None) == ():  # a number of NumPy's
                    value = value.item()
                check(values.get("where", where), name, value, kinds[name])
            return function(*args, **kwargs)

        return call

    return decorate


def keys_of(kind: type[msgspec.Struct], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted names of all fields, those of the structures in them too, with their field.

    >>> class Die(Checked, frozen=True, kw_only=True):
    ...     faces: int = 6
    >>> [name for name, field in keys_of(Die, "die.")]
    ['die.faces']
    """
    for field in msgspec.structs.fields(kind):
        yield above + field.name, field
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys_of(field.type, f"{above}{field.name}.")


def read(kind: type[S], table: object, where: str) -> S:
    """Make a structure of a table, as a TOML file or a caller's dict has it.

    Args:
        kind: the structure.
        table: its fields, those that have defaults may be missing.
        where: the beginning of the messages.

    Raises:
        InputError: an unknown key, with the one that was probably meant, or a value that is not
            allowed.
    """
    return _Reader(where, [name for name, _ in keys_of(kind)]).structure(kind, table, "", "")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one table; knows all its keys, for what was probably meant."""

    where: str
    keys: list[str]

    def structure(self, kind: type[S], table: object, above: str, name: str) -> S:
        path = f"{above}.{name}".strip(".")
        if isinstance(table, kind):
            return table
        if not isinstance(table, Mapping):
            raise InputError(f"{self.place(above)}: {refused(name or 'table', table, 'a table')}")
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        values: dict[str, Any] = {}
        for key, value in cast("Mapping[object, object]", table).items():
            if not (isinstance(key, str) and key in fields):
                unknown = f"{path}.{key}".lstrip(".")
                names = [*self.keys, *(f"{path}.{field}".lstrip(".") for field in fields)]
                hint = nearest(unknown, names, "see the recipes' documentation")
                raise InputError(f"{self.where}: {unknown!r} is not a key{hint}")
            values[key] = self.value(fields[key], value, path, key)
        try:
            return kind(**values)
        except TypeError as error:  # a field without a default is missing
            raise InputError(f"{self.place(path)}: {error}") from None
        except InputError as error:
            text = str(error).removeprefix(f"{kind.__name__}: ")
            raise InputError(f"{self.place(path)}: {text}") from None

    def value(self, kind: Any, value: object, above: str, name: str) -> Any:
        for part in _parts(kind):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                if part is kind or isinstance(value, Mapping):
                    return self.structure(part, value, above, name)
            elif get_origin(part) is dict and isinstance(value, Mapping):
                below = get_args(part)[1]
                path = f"{above}.{name}".lstrip(".")
                return {
                    str(key): self.value(below, each, path, str(key))
                    for key, each in cast("Mapping[object, object]", value).items()
                }
        check(self.place(above), name, value, kind)
        return msgspec.convert(value, kind)

    def place(self, path: str) -> str:
        return f"{self.where}: {path}" if path else self.where


def _parts(kind: Any) -> Iterator[Any]:
    """Yield the alternatives of an annotation, without their bounds."""
    if get_origin(kind) is Annotated:
        yield from _parts(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _parts(part)
    else:
        yield kind
