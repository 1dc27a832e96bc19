"""What an annotation allows: the same for a table, for Python and in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from downslope.checked import NONE_TWICE, Checked, Must, check, checked, keys_of, read, rule
from downslope.errors import InputError

Faces = Annotated[int, Meta(ge=4, le=20)]
Share = Annotated[float, Meta(ge=0, lt=1)]


class Colour(Checked, frozen=True, kw_only=True):
    name: Literal["red", "blue"] = "red"
    depth: Annotated[float, Must(lambda value: value != 0.5, "anything but a half")] = 1.0


class Die(Checked, frozen=True, kw_only=True):
    faces: Faces = 6
    loaded: Share | None = None
    rolls: Annotated[tuple[Faces, ...], Meta(min_length=1), NONE_TWICE] = (4, 5)
    colour: Colour = Colour()
    notes: dict[str, list[str] | Colour] = msgspec.field(default_factory=dict)

    def faults(self):
        if self.loaded and self.faces == 4:
            yield "loaded: not with four faces"


@pytest.mark.parametrize(
    ("kind", "one"),
    [
        (int, "a whole number"),
        (Faces, "a whole number from 4 to 20"),
        (Annotated[int, Meta(ge=0, lt=2**62)], "a whole number from 0 to 2**62 - 1"),
        (Annotated[int, Meta(ge=1, le=2**63 - 1)], "a whole number from 1 to 2**63 - 1"),
        (Annotated[int, Meta(ge=1)], "a whole number from 1"),
        (Share, "a number from 0 to below 1"),
        (Annotated[float, Meta(gt=0, lt=10**6)], "a number above 0 to below 1,000,000"),
        (Annotated[float, Meta(ge=1e-37, le=1e38)], "a number from 1e-37 to 1e38"),
        (Annotated[float, Meta(le=3, description="as pi")], "a number to 3, as pi"),
        (Share | None, "a number from 0 to below 1 or left out"),
        (bool, "true or false"),
        (str | float | bool, "text, a number, true or false"),
        (Literal["a", "b"] | None, "one of a, b, or left out"),
        (list[str], "a list of texts"),
        (tuple[int, int], "2 whole numbers"),
        (list[list[Faces]], "a list of lists of whole numbers from 4 to 20"),
        (
            Annotated[list[Literal["a", "b"]], Meta(min_length=1), NONE_TWICE],
            "a list of words out of a, b, at least 1, none twice",
        ),
        (dict[str, int], "a table of whole numbers"),
        (Colour, "a table of name, depth"),
    ],
)
def test_what_is_allowed_in_words(kind: Any, one: str) -> None:
    assert rule(kind).one == one


def test_a_type_that_no_recipe_may_have_is_refused() -> None:
    with pytest.raises(TypeError, match="no rule for"):
        rule(complex)


ANY = st.integers() | st.floats() | st.text() | st.booleans() | st.none() | st.lists(st.integers())


@given(ANY)
def test_python_and_tables_are_checked_alike(value: object) -> None:
    messages = []
    for make in (lambda: Die(faces=value), lambda: read(Die, {"faces": value}, "Die")):  # type: ignore[arg-type]
        try:
            assert make().faces == value
            messages.append("")
        except InputError as error:
            messages.append(str(error))
    assert messages[0] == messages[1]
    right = isinstance(value, int) and not isinstance(value, bool) and 4 <= value <= 20
    assert (messages[0] == "") == right


@given(st.floats())
def test_a_share_is_msgspecs_share_and_never_nan(value: float) -> None:
    assert rule(Share).test(value) == (0 <= value < 1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"face": 4}, "die: 'face' is not a key; did you mean 'faces'?"),
        ({"colour": {"nam": "red"}}, "die: 'colour.nam' is not a key; did you mean 'colour.name'?"),
        ({"colour": 3}, "die: colour = 3 is not allowed; it must be a table"),
        (
            {"colour": {"name": "green"}},
            "die: colour: name = 'green' is not allowed",
        ),
        ({"colour": {"depth": 0.5}}, "die: colour: depth = 0.5 is not allowed; .* anything but a"),
        ({"rolls": [4, 4]}, r"die: rolls = \[4, 4\] is not allowed; .* none twice"),
        ({"rolls": []}, r"die: rolls = \[\] is not allowed; .* at least 1, none"),
        ({"rolls": [4, 3]}, r"die: rolls = \[4, 3\] is not allowed"),
        ({"notes": {"x": 3}}, "die: notes: x = 3 is not allowed; it must be a list of texts, or a"),
        (
            {"notes": {"x": {"nam": 1}}},
            "die: 'notes.x.nam' is not a key; did you mean",
        ),
        ({"notes": [1]}, r"die: notes = \[1\] is not allowed; it must be a table"),
        ({"faces": 4, "loaded": 0.5}, "die: loaded: not with four faces"),
        ([1], r"die: table = \[1\] is not allowed; it must be a table"),
    ],
)
def test_a_message_names_place_value_and_what_is_allowed(table: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        read(Die, table, "die")


def test_a_table_becomes_the_structure_that_python_makes() -> None:
    table = {"loaded": 0, "rolls": [6, 4], "notes": {"a": ["x"], "b": {"name": "blue"}}}
    die = Die(loaded=0.0, rolls=(6, 4), notes={"a": ["x"], "b": Colour(name="blue")})
    assert read(Die, table, "die") == die
    assert isinstance(die.loaded, float)
    assert msgspec.convert(msgspec.to_builtins(die), Die) == die


def test_structures_from_json_are_checked_too() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"faces": 3}', type=Die)
    with pytest.raises(msgspec.ValidationError, match="anything but a half"):
        msgspec.json.decode(b'{"colour": {"depth": 0.5}}', type=Die)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(InputError) as caught:
        check("die", "faces", "9" * 5000, Faces)
    assert len(str(caught.value)) < 300


def test_arguments_are_checked_at_the_call_also_those_of_generators() -> None:
    @checked("dice")
    def throw(faces: Faces, *, times: Annotated[int, Meta(ge=1)] = 1, where: str = "dice"):
        yield from range(faces * times)

    assert len(list(throw(4, times=2))) == 8
    assert len(list(throw(np.int64(4)))) == 4  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dice: faces = 3 is not allowed"):
        throw(3)
    with pytest.raises(InputError, match=r"cup: times = 0 is not allowed; .* from 1"):
        throw(4, times=0, where="cup")


def test_all_keys_have_their_dotted_names() -> None:
    names = [name for name, _ in keys_of(Die)]
    assert names == ["faces", "loaded", "rolls", "colour", "colour.name", "colour.depth", "notes"]
