import csv
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from downslope.report.figures.drawn import drawn, inert, to_csv

CELLS = st.one_of(
    st.none(), st.integers(-(10**9), 10**9), st.text(st.characters(exclude_categories=("C",)))
)


def rows_of(figure: Figure) -> list[list[str]]:
    return list(csv.reader(io.StringIO(drawn(figure))))[1:]


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_what_is_written_is_read_again_and_runs_nothing(rows: list[tuple[Any, Any]]) -> None:
    text = to_csv((("a", "b"), rows))
    found = list(csv.reader(io.StringIO(text)))
    assert found == [
        ["a", "b"],
        *[["" if x is None else str(inert(x)) for x in row] for row in rows],
    ]
    for cell in (cell for row in found for cell in row if cell[:1] in {"=", "+", "-", "@"}):
        float(cell)  # a number at most


def test_lines_and_points_keep_their_places_and_names() -> None:
    figure = Figure()
    axes = figure.add_subplot(xlabel="epoch", ylabel="loss (nats)")
    axes.plot([1, 2], [0.5, np.nan], label="mean")
    axes.plot([1], [7], "o")
    axes.plot([], [], label="of the legend alone")
    axes.axhline(3, label="target")
    found = rows_of(figure)
    assert found[:3] == [
        ["loss (nats) against epoch", "mean", "1", "0.5", "", ""],
        ["loss (nats) against epoch", "mean", "2", "", "", ""],
        ["loss (nats) against epoch", "series 2", "1", "7", "", ""],
    ]
    assert [row[1:4] for row in found[3:]] == [["target", "", "3"]] * 2


def test_places_with_labels_are_named() -> None:
    figure = Figure()
    axes = figure.add_subplot(xlabel="share (%)")
    axes.barh([0, 1], [60, 40])
    axes.set_yticks([0, 1], ["rate", "<b>"])
    assert [row[2:5] for row in rows_of(figure)] == [["0", "rate", "60"], ["0", "<b>", "40"]]


def test_bands_have_both_ends() -> None:
    figure = Figure()
    figure.add_subplot().fill_between([1, 2, 3], [0, 1, 2], [4, 5, 6], label="range")
    found = [[float(x) for x in row[2:]] for row in rows_of(figure)]
    assert [r for r in found if r[1] != r[3]] == [[1, 0, 1, 4], [2, 1, 2, 5], [3, 2, 3, 6]]


def test_images_follow_row_by_row() -> None:
    figure = Figure()
    axes = figure.add_subplot(title="one")
    axes.imshow(np.array([[0.25, np.inf], [1, 2]]))
    text = drawn(figure)
    assert text == "panel,row,column 0,column 1\none,0,0.25,\none,1,1,2\n"


def test_a_figure_without_marks_has_its_headings() -> None:
    figure = Figure()
    figure.add_subplot()
    assert drawn(figure).strip() == "panel,series,x,y,x end,y end"


@pytest.mark.parametrize("text", ['a,"b"', "two\nlines"])
def test_text_with_separators_is_quoted(text: str) -> None:
    assert next(csv.reader(io.StringIO(to_csv(((text,), []))))) == [text]
