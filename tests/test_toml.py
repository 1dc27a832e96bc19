"""Recipes as TOML: whatever Python holds comes back, in its order."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from downslope.toml import write_toml

PLAIN = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
)
LISTS = st.lists(PLAIN | st.lists(PLAIN, max_size=4), max_size=30)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda key: key.strip(".") != "")
SPACES = st.dictionaries(KEYS, LISTS | st.dictionaries(KEYS, PLAIN, min_size=1, max_size=4))


@given(st.dictionaries(KEYS, PLAIN | LISTS), SPACES)
def test_a_recipe_comes_back_as_it_was(plain: dict[str, Any], space: dict[str, Any]) -> None:
    recipe = {**plain, "search": {"space": space}}
    read = tomllib.loads(write_toml(recipe))
    assert read == recipe
    assert list(read["search"]["space"]) == list(space)


def test_a_list_is_one_line_where_a_line_holds_it() -> None:
    text = write_toml({"shapes": [[64], [256, 64, 256]], "long": ["word" * 5] * 9})
    assert "shapes = [[64], [256, 64, 256]]\n" in text
    assert max(map(len, text.splitlines())) < 100
