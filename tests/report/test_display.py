"""Frames, drawings, equations and text: what all sections of a report are made of."""

import csv
import io
import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from matplotlib.figure import Figure

from downslope.report import html, typst
from downslope.report.blocks import Code, Column, Equation, Paragraph, Row, Section, Table, strong
from downslope.report.display import Display, Frame, Source, Texts, draw_all, inert
from downslope.report.equations import equation
from downslope.report.style import heat, inline, panel, svg
from downslope.report.theory import Moments, Trainability
from downslope.results import Results

CELLS = st.one_of(
    st.none(), st.integers(-(10**9), 10**9), st.text(st.characters(exclude_categories=("C",)))
)
HOSTILE = '"]); #panic("x") $ */ {{ x }} \\ *bold* <script>'


@dataclass(frozen=True)
class Squares(Display):
    """Squares of numbers."""

    numbers: tuple[float, ...]
    name = "test-squares"
    title = "How large are squares?"
    source = Source("results.json: numbers", "squared")

    def frame(self) -> Frame:
        return Frame(("number", "square"), [(x, x * x) for x in self.numbers])

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("number", "square")
        axes.plot(frame["number"], frame.numbers("square"))
        return figure

    def texts(self) -> Texts:
        return Texts("Squares.", 'A "parabola" <b>')


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_what_is_written_is_read_again_and_runs_nothing(rows: list[tuple[Any, Any]]) -> None:
    found = list(csv.reader(io.StringIO(Frame(("a", "b"), rows).csv())))
    assert found == [
        ["a", "b"],
        *[["" if x is None else str(inert(x)) for x in row] for row in rows],
    ]
    for cell in (cell for row in found for cell in row if cell[:1] in {"=", "+", "-", "@"}):
        float(cell)  # a number at most


def test_what_is_not_finite_stays_empty() -> None:
    rows = [(np.float32(0.5), np.int64(3)), (float("nan"), np.inf)]
    assert Frame(("a", "b"), rows).csv() == "a,b\n0.5,3\n,\n"


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    with matplotlib.rc_context():
        before = dict(matplotlib.rcParams)
        drawing = draw_all([Squares((1, 2, 3))])["test-squares"]
        assert dict(matplotlib.rcParams) == before
        Squares((1, 2)).plot()
        assert dict(matplotlib.rcParams) == before
    assert drawing.csv == "number,square\n1,1\n2,4\n3,9\n"
    assert "<dc:date>" not in drawing.svg
    assert drawing.svg == draw_all([Squares((1, 2, 3))])["test-squares"].svg


def test_inline_drawings_keep_to_themselves() -> None:
    display = Squares((1, 2, 3))
    element = inline(svg(display.plot()), "one", display.alt)
    assert 'aria-label="A &#34;parabola&#34; &lt;b&gt;"' in element
    assert 'id="figure' not in element
    other = inline(svg(display.plot()), "two", display.alt)
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (element, other)]
    assert ids[0] and not ids[0] & ids[1]
    assert {*re.findall(r'(?:href="|url\()#([^")]+)', element)} <= ids[0]
    assert "<!--" not in element and "<metadata" not in element and "#22303c" not in element


def test_cells_are_filled_by_their_strength_and_told_apart_in_dark_too() -> None:
    figure, axes = panel("", "")
    heat(axes, np.array([[0.0, 1.0], [0.4, np.nan]]), [["a", "b"], ["c", "×"]])
    strong, weak = [patch.get_alpha() for patch in axes.patches]
    assert 0 < weak < strong == 1.0
    element = inline(svg(figure), "heat", "")
    assert "var(--indigo)" in element and "#3a3f99" not in element


def test_equations_are_typeset_and_what_cannot_be_is_shown() -> None:
    drawing = equation(r"\mathrm{Var}\Bigl[\sum_{j=1}^{n} w_j\Bigr] = \tfrac{1}{2}")
    assert drawing is not None and ElementTree.fromstring(drawing).tag.endswith("svg")
    for broken in (r"\unheard{<x>}", r"\frac{a}", r"\left( x", "x_1_2", "$", "#{", ""):
        assert equation(broken) is None
    section = Section("one", "One", [Equation(r"\unheard{<x>}", "but", HOSTILE)])
    assert "&lt;x&gt;" in html.render_section(section, {})
    assert 'raw("\\\\unheard{<x>}")' in typst.render_section(section, {})


def test_every_equation_of_the_theory_is_typeset(results: Results) -> None:
    assert results.theory
    statements = [step.statement for step in results.theory.steps]
    statements += [s for one in results.theory.counterexamples for s in (one.claimed, one.found)]
    assert [statement for statement in statements if equation(statement) is None] == []


@given(st.text())
def test_a_string_of_typst_ends_where_it_should(text: str) -> None:
    inner = typst.quoted(text)[1:-1]
    # Take escapes away: what is left may hold no quotation mark or end of line.
    left = inner.replace("\\\\", "").replace('\\"', "")
    assert '"' not in left and "\n" not in left
    assert all(c.isprintable() for c in left)


@pytest.mark.parametrize(
    "block",
    [
        Paragraph(["a ", strong(HOSTILE)]),
        Code(HOSTILE, "toml"),
        Table(HOSTILE, [Column(HOSTILE)], [Row([HOSTILE])], Source(HOSTILE, HOSTILE)),
    ],
)
def test_text_is_never_markup(block: Any) -> None:
    section = Section("one", "One", [block])
    page = html.render_section(section, {})
    assert isinstance(page, Markup) and "<script>" not in page
    paper = typst.render_section(section, {})
    assert paper.count("#panic") == paper.count(typst.quoted(HOSTILE)) > 0


def test_moments_are_those_of_the_layers(results: Results) -> None:
    assert results.theory
    frame = Moments(results.theory).frame()
    forward = frame.where(direction="forward").groups("initialization")
    assert list(forward) == ["He", "Xavier", "LeCun", "orthogonal", "PyTorch default"]
    he = [layer for layer in results.theory.layers if layer.initialization == "he"]
    assert forward["He"]["mean"] == [layer.forward_mean for layer in he]
    backward = frame.where(direction="backward", initialization="He")
    assert backward["predicted"] == [layer.backward_predicted for layer in he]
    assert [axes.get_yscale() for axes in Moments(results.theory).plot().axes] == ["log", "log"]


def test_which_networks_train_is_a_cell_each(results: Results) -> None:
    assert results.theory and results.theory.trainability
    display = Trainability(results.theory.trainability)
    cells = display.frame().where(what="network")
    assert len(cells) == len(results.theory.trainability.map)
    texts = [text.get_text() for text in display.plot().axes[0].texts]
    accuracies = cells["validation accuracy"]
    shown = ["×" if accuracy is None else f"{100 * accuracy:.0f}" for accuracy in accuracies]
    assert sorted(texts) == sorted(shown)
