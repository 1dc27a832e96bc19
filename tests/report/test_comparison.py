import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipes.joint import joint_landscape, why_not_joint
from downslope.report.comparison import (
    difference_table,
    differences,
    read_sides,
    score_table,
    setting_table,
    write_comparison,
)
from downslope.results import Results
from downslope.runs import Run
from downslope.statistics import compare

HOSTILE = "<script>alert('x')</script>$_{^\\frac"


@pytest.fixture
def other(run: Run) -> Callable[[Callable[[Results], None]], Run]:
    """Change the copy of the run, to compare with the run itself."""

    def build(change: Callable[[Results], None]) -> Run:
        results = run.read_results()
        change(results)
        run.commit(results, [])
        return run

    return build


def no_change(results: Results) -> None:
    pass


def test_equal_runs_differ_in_nothing(finished: Run, run: Run) -> None:
    sides = read_sides([finished, run])
    assert setting_table(sides).rows == []
    one = differences(sides)["B"]
    assert one.difference == 0 and one.verdict == "undecided"
    assert one.paired is not None and one.paired.p_value == 1
    assert one.interval is not None and one.interval[0] < 0 < one.interval[1]


def test_differences_are_those_of_the_predictions(finished: Run, other) -> None:
    kept = finished.read_arrays("refit/predictions.npz")
    changed = other(no_change)
    worse = {**kept, "predictions": np.full_like(kept["predictions"], 99)}
    changed.write_arrays("refit/predictions.npz", worse)
    right = kept["predictions"] == kept["truth"]
    sides = read_sides([finished, changed])
    assert differences(sides) == {"B": compare(right, np.zeros_like(right))}
    assert "hold together" not in difference_table(sides).caption
    # Three runs make two comparisons, whose intervals hold together.
    three = {**sides, "C": sides["B"]}
    assert differences(three)["C"] == compare(right, np.zeros_like(right), comparisons=2)
    assert "the 2 intervals are widened" in difference_table(three).caption


def test_settings_that_differ_are_listed(finished: Run, other) -> None:
    def change(results: Results) -> None:
        search = msgspec.structs.replace(results.recipe.search, trials=77)
        results.recipe = msgspec.structs.replace(results.recipe, search=search)

    (row,) = setting_table(read_sides([finished, other(change)])).rows
    assert row.cells == ["recipe.search.trials", "3", "77"]


def test_the_page_shows_both_runs_in_one_plane(finished: Run, run: Run, tmp_path: Path) -> None:
    joint = drain(joint_landscape({"A": finished, "B": run}))
    assert [path.label for path in joint.result.runs] == ["A", "B"]
    # The same path twice: it lies twice in the same place.
    assert joint.result.runs[0].path == joint.result.runs[1].path
    sides = read_sides([finished, run])
    for name in ("first", "second"):
        write_comparison(tmp_path / f"{name}.html", sides, joint)
    page = (tmp_path / "first.html").read_text("utf-8")
    assert page == (tmp_path / "second.html").read_text("utf-8")
    assert page.count('role="img"') == 5, "three figures, and the plane from two sides"
    assert page.count("<script") == 5, "the theme, figures' data, the plane, plotly, ours"
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_path_in_the_plane_has_its_own_loss(finished: Run, run: Run) -> None:
    """The oracle: the landscape stage computed the loss of the same last snapshot."""
    joint = drain(joint_landscape({"A": finished, "B": run})).result
    alone = finished.read_results().landscape
    assert alone is not None
    assert joint.path[-1].true_loss == pytest.approx(alone.path[-1].true_loss, rel=1e-6)


def test_runs_without_stages_and_hostile_names(finished: Run, other, tmp_path: Path) -> None:
    def change(results: Results) -> None:
        data = msgspec.structs.replace(results.recipe.data, label=HOSTILE)
        results.recipe = msgspec.structs.replace(results.recipe, title=HOSTILE, data=data)
        results.search = results.refit = results.variants = results.autoencoder = None
        results.data = msgspec.structs.replace(results.data, sha256="0" * 64)

    sides = read_sides([finished, other(change)])
    reason = why_not_joint({name: side.results for name, side in sides.items()})
    assert reason == "not every run has a final model"
    assert differences(sides) == {}
    scores = {row.cells[0]: row.cells[1:] for row in score_table(sides).rows}
    assert scores["test accuracy"][1].startswith("none") and " %" in scores["test accuracy"][0]
    write_comparison(tmp_path / "page.html", sides, None, reason)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<script") == 3 and "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "cannot be compared" in page and reason in page


def test_other_networks_share_no_plane(finished: Run, other) -> None:
    def change(results: Results) -> None:
        assert results.refit
        member = results.refit.member
        network = msgspec.structs.replace(member.network, activation="tanh")
        member = msgspec.structs.replace(member, network=network)
        results.refit = msgspec.structs.replace(results.refit, member=member)

    with pytest.raises(InputError, match=r"their networks differ: .* of other settings"):
        drain(joint_landscape({"A": finished, "B": other(change)}))


def test_what_cannot_be_compared_is_said(finished: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give 2 to 26"):
        read_sides([finished])
    with pytest.raises(InputError, match="given twice"):
        read_sides([finished, Run(finished.path / ".." / finished.path.name)])
    with pytest.raises(InputError, match="holds no run"):
        read_sides([finished, Run(tmp_path)])
