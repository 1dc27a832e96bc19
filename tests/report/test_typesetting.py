import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.report.typesetting import mathematics, quoted


@given(st.text())
def test_a_string_ends_where_it_should(text: str) -> None:
    inner = str(quoted(text))[1:-1]
    # Take escapes away: what is left may hold no quotation mark or end of line.
    left = inner.replace("\\\\", "").replace('\\"', "")
    assert '"' not in left and "\n" not in left
    assert all(c.isprintable() for c in left)


@given(st.text(alphabet=string.printable + "\\{}$#\"'`"))
def test_equations_let_no_code_through(statement: str) -> None:
    try:
        found = str(mathematics(statement))
    except ValueError:
        return
    assert not set(found) & set("#$`\\{};:@")
    assert found.count('"') % 2 == 0


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (r"\sum_{j=1}^{n} w_j", "sum_(j = 1)^(n) w_(j)"),
        (r"\tfrac{1}{2}\, n", "inline(frac(1 , 2)) thin n"),
        (
            r"f\!\left(\frac{z}{x}\right), \qquad x \neq 0",
            "f ( frac(z , x) ) comma wide x eq.not 0",
        ),
        (r"2/n", "2 slash n"),
    ],
)
def test_what_the_theory_writes_is_translated(statement: str, expected: str) -> None:
    assert mathematics(statement) == expected


@pytest.mark.parametrize(
    "statement", [r"\frac{1}", r"{x", "x}", r"\input{x}", "#x", r"\mathrm{a#}"]
)
def test_what_is_not_known_is_refused(statement: str) -> None:
    with pytest.raises(ValueError):
        mathematics(statement)
