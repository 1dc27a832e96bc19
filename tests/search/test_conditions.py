import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.errors import InputError
from downslope.search import Settings
from downslope.search.conditions import Condition

CALM = Settings(units=40, hidden_layers=3, dropout=0.2, optimizer="sgd")


@given(
    st.sampled_from(["units", "hidden_layers", "dropout", "epochs"]),
    st.sampled_from(["+", "-", "*", "/"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(1, 100),
    st.booleans(),
)
def test_conditions_are_pythons(
    name: str, sign: str, comparison: str, number: int, negated: bool
) -> None:
    text = f"{'not ' if negated else ''}{name} {sign} {number} {comparison} units"
    names = {n: getattr(CALM, n) for n in Settings.__struct_fields__}
    assert Condition(text).holds(CALM) == eval(text, {}, names)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("optimizer == 'sgd'", True),
        ("optimizer in ['adam', 'adamw']", False),
        ("optimizer not in ('adam', 'adamw')", True),
        ("1 <= hidden_layers <= 3 and dropout > 0", True),
        ("units / (hidden_layers - 3) > 1", False),  # no division, no proposal
        ("-units < 0 or nesterov", True),
        ("not nesterov", True),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert Condition(text).holds(CALM) == holds


class Counting(int):
    """Counts how often it is compared with a constant."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counting.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


@pytest.mark.parametrize("count", [10, 5000])
def test_membership_takes_no_longer_among_thousands_of_values(count: int) -> None:
    condition = Condition(f"units in {list(range(1000, 1000 + count))}")
    Counting.compared = 0
    for units, inside in ((1000 + count - 1, True), (999, False)):
        assert condition.holds(msgspec.structs.replace(CALM, units=Counting(units))) == inside
    assert Counting.compared <= 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "units >",
        "units = 3",
        "__import__('os').system('true')",
        "units.real > 3",
        "[u for u in (1, 2)]",
        "(lambda: 1)()",
        "9 ** 9 ** 9 ** 9 > 1",
        "units if nesterov else 3",
        "optimizer * 1000000000 == 'a'",
        "units < 'a'",
        "units in 3",
        "f'{units}'",
        "1 << 3",
        "unit > 3",
        "(" * 500 + "1" + ")" * 500,
        "- " * 5000 + "1",
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Condition(text)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_an_input_error(text: str) -> None:
    try:
        Condition(text).holds(CALM)
    except InputError as error:
        assert "\n" not in str(error)
