from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import downslope
from downslope.errors import LONGEST, InputError, one_line, shortened


@given(st.text(st.characters(exclude_characters="…")), st.integers(1, 300))
def test_a_text_is_cut_in_its_middle_and_only_when_it_is_too_long(text: str, length: int) -> None:
    cut = shortened(text, length)
    assert len(cut) == min(len(text), length)
    if cut != text:
        start, _, end = cut.partition("…")
        assert text.startswith(start)
        assert text.endswith(end)


@given(st.text())
def test_an_exception_is_one_line_and_never_empty(text: str) -> None:
    line = one_line(ValueError(text), 80)
    assert 0 < len(line) <= 80
    assert line.splitlines() == [line]


def test_an_exception_without_text_is_named() -> None:
    assert one_line(MemoryError()) == "MemoryError"
    assert one_line(KeyboardInterrupt(" \n ")) == "KeyboardInterrupt"


def test_a_long_value_leaves_the_start_and_the_advice_of_a_message() -> None:
    error = InputError(f"data: {'9' * 5000} is no label; give labels from 0")
    assert len(str(error)) == LONGEST
    assert str(error).startswith("data: 999")
    assert str(error).endswith("is no label; give labels from 0")


@pytest.mark.parametrize("copy", ['" ".join(str(error', "' '.join(str(error"])
def test_an_exception_is_made_one_line_in_one_place(copy: str) -> None:
    places = [
        p.name for p in Path(downslope.__file__).parent.rglob("*.py") if copy in p.read_text()
    ]
    assert places in ([], ["errors.py"])
