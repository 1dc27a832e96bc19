"""How a check is told: lines, JSON, Gradescope, a page, points."""

import json
from pathlib import Path

import pytest

from downslope.assignment import Check, Verdict, catalogue, read_rubric
from downslope.assignment.catalogue import changed_lines
from downslope.assignment.feedback import as_gradescope, as_json, lines_of
from downslope.assignment.page import as_page
from downslope.assignment.submission import FUNCTIONS, OPTIONAL
from downslope.errors import InputError


@pytest.fixture
def check() -> Check:
    mistake = next(m for m in catalogue() if m.name == "no zero_grad")
    verdicts = [
        Verdict(function="build_mlp", status="bits"),
        Verdict(function="evaluate", status="error", lines=["line 3: x: NameError: <b>x</b>"]),
        Verdict(function="train_epoch", status="mistake", lines=[mistake.told], mistakes=[mistake]),
    ]
    return Check(name="a.py", verdicts=verdicts, notes=["a note"])


def test_points_follow_the_rubric(check: Check, tmp_path: Path) -> None:
    rubric = read_rubric()
    assert rubric.most == 100
    assert set(rubric.points) == set(FUNCTIONS) - set(OPTIONAL)
    assert [rubric.score(v) for v in check.verdicts] == [10, 0, 7.5]
    path = tmp_path / "rubric.toml"
    path.write_text('[points]\ntrain_epoch = 8\n[mistakes]\n"no zero_grad" = 0.75\n')
    assert read_rubric(path).total(check) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("points = 3", "rubric.toml"),
        ("[points]\nevaluat = 3", "did you mean 'evaluate'"),
        ("[points]\nevaluate = -3", "must be 0 to a million"),
        ("[shares]\nmistake = 1.5", "must be 0 to 1"),
        ("[mistakes]\nnonsense = 1", "'nonsense', which there is not"),
        ("[", "rubric.toml"),
        ("title = '\xff'", "is not UTF-8; save it"),
    ],
)
def test_a_wrong_rubric_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rubric.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        read_rubric(path)
    assert said in str(error.value)


def test_every_form_says_the_same(check: Check) -> None:
    rubric = read_rubric()
    lines = dict(lines_of(check, rubric))
    assert lines["points"] == "17.5 of 100"
    table = json.loads(as_json(check, rubric))
    assert table["points"] == 17.5 and table["verdicts"][2]["mistakes"][0]["name"] == "no zero_grad"
    # The fields that Gradescope's specification names.
    results = json.loads(as_gradescope(check, rubric))
    assert results["score"] == 17.5
    assert [t["score"] for t in results["tests"]] == [10, 0, 7.5]
    assert {t["status"] for t in results["tests"]} <= {"passed", "failed"}
    page = as_page(check, rubric).decode()
    assert "17.5 of 100 points" in page and "&lt;b&gt;x&lt;/b&gt;" in page
    assert check.verdicts[2].lines[0] in page and "optimizer.zero_grad()" in page


@pytest.mark.parametrize("mistake", catalogue(), ids=lambda m: m.name)
def test_the_changed_lines_are_few_and_differ(mistake) -> None:
    wrong, right = changed_lines(mistake)
    assert wrong != right and wrong.strip() and right.strip()
    assert len(right.splitlines()) <= 14
