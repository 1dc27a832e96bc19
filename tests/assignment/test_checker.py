"""The check names mistakes in the code of others, and raises no false alarm."""

import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from downslope.assignment.catalogue import catalogue, code_of, reference_source
from downslope.assignment.checker import Checker, small_data
from downslope.assignment.oracle import Oracle
from downslope.assignment.records import Limits, Record, Request
from downslope.assignment.submission import FUNCTIONS, OPTIONAL, read_submission
from downslope.assignment.verdicts import Check
from downslope.errors import InputError
from downslope.files import CACHE

MISTAKES = runpy.run_path(str(Path(__file__).with_name("seeds.py")))["MISTAKES"]
VARIATIONS = runpy.run_path(str(Path(__file__).with_name("variations.py")))
CORRECT, SEVERAL = VARIATIONS["CORRECT"], VARIATIONS["SEVERAL"]
SOLUTIONS = Path(__file__).parent / "solutions"
LIMITS = Limits(seconds=120.0)  # a busy machine takes as long as it takes
# `make mistakes` checks all of them, which takes minutes; otherwise every third is checked.
EVERY = 1 if os.environ.get("DOWNSLOPE_MISTAKES") == "full" else 3


def checked(checker: Checker, folder: Path, source: str) -> Check:
    path = folder / "solution.py"
    path.write_text(source, "utf-8")
    return checker.check(read_submission(path))


def changed(solution: str, changes: list[tuple[str, str]]) -> str:
    source = (SOLUTIONS / solution).read_text("utf-8")
    for right, wrong in changes:
        assert right in source, right
        source = source.replace(right, wrong)
    return source


def test_the_reference_is_right_to_the_bit(checker: Checker, tmp_path: Path) -> None:
    check = checked(checker, tmp_path, reference_source())
    assert [v.function for v in check.verdicts] == list(FUNCTIONS)
    assert {v.status for v in check.verdicts} == {"bits"}, check
    assert check.notes == []


@pytest.mark.slow
@pytest.mark.parametrize(("solution", "changes"), CORRECT[::EVERY])
def test_correct_solutions_give_no_alarm(
    checker: Checker, tmp_path: Path, solution: str, changes: list[tuple[str, str]]
) -> None:
    check = checked(checker, tmp_path, changed(solution, changes))
    assert [v for v in check.verdicts if not v.right] == []
    assert {v.function for v in check.verdicts} == set(FUNCTIONS) - set(OPTIONAL)
    assert check.notes == []


def batches() -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Put mistakes of one solution together that are in different functions: one check for all.

    The search and what it calls are kept apart: where nothing is trained, for example, nobody can
    see on which rows.
    """
    searched = {name for name in FUNCTIONS if name in code_of("hyperparam_tuning")}
    searched.discard("hyperparam_tuning")
    function_of = {mistake.name: mistake.function for mistake in catalogue()}
    found: list[tuple[str, dict[str, tuple[str, str, str]]]] = []
    for name, solution, right, wrong in MISTAKES:
        function = function_of[name]
        free = [
            batch
            for own, batch in found
            if own == solution
            and function not in batch
            and not (function == "hyperparam_tuning" and searched & set(batch))
            and not (function in searched and "hyperparam_tuning" in batch)
        ]
        if not free:
            free = [{}]
            found.append((solution, free[0]))
        free[0][function] = (name, right, wrong)
    return [(solution, list(batch.values())) for solution, batch in found]


@pytest.mark.slow
@pytest.mark.parametrize(("solution", "mistakes"), batches()[::EVERY])
def test_a_mistake_in_anothers_code_is_named(
    checker: Checker, tmp_path: Path, solution: str, mistakes: list[tuple[str, str, str]]
) -> None:
    source = changed(solution, [(right, wrong) for _, right, wrong in mistakes])
    check = checked(checker, tmp_path, source)
    # By name: the search trains, so a mistake in what trains is one of the search too.
    named = {m.name for v in check.verdicts for m in v.mistakes}
    made = [m for m in catalogue() if m.name in {name for name, *_ in mistakes}]
    assert named == {m.name for m in made}, [v for v in check.verdicts if not v.right]
    for mistake in made:
        verdict = next(v for v in check.verdicts if v.function == mistake.function)
        assert mistake.told in verdict.lines


@pytest.mark.slow
@pytest.mark.parametrize(("names", "solution", "changes"), SEVERAL[::EVERY])
def test_several_mistakes_are_named_or_more_is_said_to_follow(
    checker: Checker,
    tmp_path: Path,
    names: set[str],
    solution: str,
    changes: list[tuple[str, str]],
) -> None:
    check = checked(checker, tmp_path, changed(solution, changes))
    named = {m.name for v in check.verdicts for m in v.mistakes}
    said = " ".join(line for v in check.verdicts for line in v.lines)
    assert named == names or (named < names and named and "may be more" in said), check


def test_the_data_are_scikit_learns_digits() -> None:
    digits = load_digits()
    data = small_data()
    assert [len(data[f"{name}_labels"]) for name in ("train", "test")] == [120, 60]
    images = np.concatenate([data["train_images"], data["test_images"]])
    eight = np.round(digits.images * (255 / 16)).astype(np.uint8)
    known = {image.tobytes(): label for image, label in zip(eight, digits.target, strict=True)}
    labels = [known[np.ascontiguousarray(i[2:26:3, 2:26:3]).tobytes()] for i in images]
    assert labels == [*data["train_labels"], *data["test_labels"]]
    assert len(np.unique(images.sum(axis=(1, 2)))) == 180


def test_what_the_reference_does_is_observed_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(request: Request) -> dict[str, Record]:
        asked.append(request.probes)
        values = {"value": np.array([1 / 3, np.nan]), "kind": "a number"}
        return {name: Record(values=dict(values), end=end) for name in request.probes}

    end = None
    monkeypatch.setenv(CACHE, str(tmp_path))
    mistake = next(m for m in catalogue() if m.function == "evaluate")
    first, again, other = Oracle(), Oracle(), Oracle()
    for oracle in (first, again):
        for mistakes in ([], [mistake], [mistake, mistake]):
            oracle.observe("evaluate", mistakes, run, b"key")
        oracle.keep(b"key")
    assert asked == [list(FUNCTIONS), ["evaluate"]]
    kept = again.observe("evaluate", [mistake], run, b"key")
    assert kept and kept.values["kind"] == "a number"
    np.testing.assert_array_equal(kept.values["value"], [1 / 3, np.nan])
    # Under another key it is observed again; what a limit ended is not kept.
    end = "time"
    with pytest.raises(InputError, match="too busy"):
        other.observe("evaluate", [], run, b"another key")
    other.observe("evaluate", [mistake], run, b"another key")
    other.keep(b"another key")
    Oracle().observe("evaluate", [mistake], run, b"another key")
    assert asked[2:] == [list(FUNCTIONS), ["evaluate"], ["evaluate"]]


def test_forty_mistakes_are_seeded() -> None:
    assert len({name for name, *_ in MISTAKES}) >= 40


def test_every_mistake_of_the_catalogue_applies_and_is_explained() -> None:
    source = reference_source()
    for mistake in catalogue():
        applied = mistake.applied(source)
        assert applied is not None and applied != source, mistake.name
        compile(applied, "<mutated>", "exec")
        assert mistake.accepted or (mistake.told and mistake.why and mistake.see), mistake.name
    assert sum(not m.accepted for m in catalogue()) >= 40
    assert len({m.name for m in catalogue()}) == len(catalogue())


@pytest.mark.slow
def test_mistakes_differ_from_the_reference_and_from_each_other(checker: Checker) -> None:
    """A mistake that is observed like another one, or like no mistake, could be named wrongly."""
    from downslope.assignment.comparison import departures, same

    for function in FUNCTIONS:
        right = checker._reference(function)
        assert right and right.error is None and right.end is None, function
        seen = []
        for mistake in (m for m in catalogue() if m.function == function and not m.accepted):
            record = checker._reference(function, [mistake])
            assert record is not None and record.end is None, mistake.name
            assert record.error or departures(right.values, record.values)[0], mistake.name
            for name, other in seen:
                alike = same(other.values, record.values) and (
                    (other.error and other.error.kind) == (record.error and record.error.kind)
                )
                assert not alike, (mistake.name, name)
            seen.append((mistake.name, record))
