"""A course's folder and a graded class."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from downslope.assignment import Limits, read_rubric
from downslope.assignment.catalogue import reference_source
from downslope.assignment.classroom import grade
from downslope.assignment.course import Assignment, new_assignment, read_assignment, variant_of
from downslope.assignment.submission import FUNCTIONS, read_submission
from downslope.errors import InputError
from downslope.progress import drain
from downslope.toml import parse_toml

HOMEWORK = Assignment(title="Homework 3", key="hw3-2027")


def test_a_course_has_what_students_fill_in(tmp_path: Path) -> None:
    folder = tmp_path / "course"
    new_assignment(folder, HOMEWORK, ["ada", "emmy"])
    assert read_assignment(folder) == HOMEWORK
    template = read_submission(folder / "homework.py")
    assert template.found == list(FUNCTIONS) and not template.problems
    assert "zero_grad" not in template.source and "argmax" not in template.source
    variant = parse_toml((folder / "variants" / "ada.toml").read_text("utf-8"))
    assert variant["seed"] == variant_of("hw3-2027", "ada").seed
    assert read_rubric(folder / "rubric.toml") == read_rubric()
    with pytest.raises(InputError, match="holds an assignment already"):
        new_assignment(folder, HOMEWORK)


def test_variants_differ_by_student_and_assignment() -> None:
    variants = [variant_of("a", f"student {i}") for i in range(300)]
    assert len({v.seed for v in variants}) > 295
    assert len({str(v.space) for v in variants}) > 200
    assert variant_of("b", "student 1").seed != variants[1].seed
    assert all(50_000 <= v.rows <= 60_000 for v in variants)


@pytest.mark.parametrize("names", [["../x"], ["a", "a"], [""], ["x" * 99], ["a/b"]])
def test_names_that_are_no_files_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(InputError, match="students"):
        new_assignment(tmp_path / "course", HOMEWORK, names)


@pytest.mark.slow
def test_the_tests_of_a_course_pass_with_the_reference_and_fail_with_the_template(
    tmp_path: Path,
) -> None:
    new_assignment(tmp_path, HOMEWORK)

    def tested() -> int:
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_homework.py"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True).returncode

    assert tested() == 1
    (tmp_path / "homework.py").write_text(reference_source(), "utf-8")
    assert tested() == 0


@pytest.mark.slow
def test_a_class_is_graded_and_goes_on_where_it_was(tmp_path: Path) -> None:
    new_assignment(tmp_path, HOMEWORK, ["ada", "emmy", "kurt"])
    submissions, out = tmp_path / "submissions", tmp_path / "grades.csv"
    right = reference_source()
    own = right.replace("seed: int = 541", f"seed: int = {variant_of('hw3-2027', 'ada').seed}")
    (submissions / "ada.py").write_text(own, "utf-8")
    (submissions / "emmy").mkdir()
    forgot = right.replace("        optimizer.zero_grad()\n        outputs", "        outputs", 1)
    (submissions / "emmy" / "hw.py").write_text(forgot, "utf-8")
    (submissions / "kurt.py").write_bytes(b"\xff")
    steps = grade(tmp_path, read_rubric(), out, limits=Limits(seconds=60), threads=1)
    next(steps)
    steps.close()  # as an interrupt does
    assert len(list((tmp_path / "grades.checks").iterdir())) == 1
    assert drain(grade(tmp_path, read_rubric(), out, limits=Limits(seconds=60))) == out
    rows = {row["student"]: row for row in csv.DictReader(out.read_text().splitlines())}
    assert [rows[name]["points"] for name in ("ada", "emmy", "kurt")] == ["100", "92.5", "0"]
    assert "no zero_grad" in rows["emmy"]["mistakes"]
    assert "not UTF-8" in rows["kurt"]["notes"]
    assert [rows[name]["own seed"] for name in ("ada", "emmy")] == ["yes", "no"]
    before = out.read_bytes()
    assert list(grade(tmp_path, read_rubric(), out, limits=Limits(seconds=60))) == []
    assert out.read_bytes() == before


def test_a_folder_without_submissions_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no submissions"):
        drain(grade(tmp_path, read_rubric(), tmp_path / "g.csv"))
    (tmp_path / "a.py").touch()
    (tmp_path / "a.ipynb").touch()
    with pytest.raises(InputError, match="a has two submissions"):
        drain(grade(tmp_path, read_rubric(), tmp_path / "g.csv"))
    (tmp_path / "a.ipynb").unlink()
    (tmp_path / "b.py").symlink_to(tmp_path / "nothing.py")
    with pytest.raises(InputError, match=r"b\.py: cannot be read"):
        drain(grade(tmp_path, read_rubric(), tmp_path / "g.csv"))
