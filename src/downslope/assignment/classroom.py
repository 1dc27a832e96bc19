"""A class of submissions, checked side by side, and their table."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import msgspec

from downslope.assignment.catalogue import reference_source
from downslope.assignment.checker import Checker
from downslope.assignment.course import Assignment, read_assignment, variant_of
from downslope.assignment.grading import Rubric
from downslope.assignment.oracle import Oracle
from downslope.assignment.records import Limits
from downslope.assignment.submission import FUNCTIONS, read_submission
from downslope.assignment.verdicts import Check
from downslope.errors import InputError
from downslope.files import write_whole
from downslope.progress import Progress, Steps
from downslope.report.display import inert


class Graded(msgspec.Struct, frozen=True, kw_only=True):
    """A check as it is kept, with what it depends on."""

    digest: str
    seed_used: bool | None
    check: Check


def grade(
    folder: Path,
    rubric: Rubric,
    out: Path,
    *,
    limits: Limits | None = None,
    threads: int | None = None,
) -> Steps[Path]:
    """Check every submission of a folder and write their points into a CSV.

    A check is kept beside the CSV as soon as it is done; repeated, the same call goes on, and
    checks again only what has changed. Points are computed anew from what is kept.

    Args:
        folder: of a course, or of submissions: .py and .ipynb files, one for each student, named
            after the student, or in a folder of that name.
        rubric: points by function.
        out: the CSV.
        limits: of each submission.
        threads: submissions checked at the same time; by default one per core.

    Raises:
        InputError: there are no submissions, or two of one student; a file cannot be written.
    """
    limits = limits or Limits()
    assignment = read_assignment(folder)
    submissions = _submissions(folder if assignment is None else folder / "submissions")
    kept = out.with_suffix(".checks")
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{kept}: cannot be written ({error.strerror})") from None
    salt = hashlib.sha256((reference_source() + repr(limits)).encode()).hexdigest()
    graded: dict[str, Graded] = {}
    waiting: dict[str, tuple[Path, str]] = {}
    for student, path in submissions.items():
        try:
            digest = hashlib.sha256(salt.encode() + path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); mend it or take it away"
            ) from None
        found = _read(kept / f"{student}.json")
        if found is not None and found.digest == digest:
            graded[student] = found
        else:
            waiting[student] = path, digest
    for student, done in _checked(waiting, assignment, limits, threads):
        write_whole(kept / f"{student}.json", msgspec.json.encode(done))
        graded[student] = done
        write_whole(out, _table(graded, rubric))
        yield Progress("checking submissions", len(graded), len(submissions))
    write_whole(out, _table(graded, rubric))
    return out


def _submissions(folder: Path) -> dict[str, Path]:
    """Find the file of each student."""
    try:
        paths = sorted([*folder.iterdir()])
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    found: dict[str, Path] = {}
    for path in paths:
        files = sorted(path.iterdir()) if path.is_dir() and path.suffix != ".checks" else [path]
        for file in files:
            if file.suffix not in {".py", ".ipynb"} or file.name.startswith("."):
                continue
            student = path.name if path.is_dir() else file.stem
            if student in found:
                raise InputError(f"{folder}: {student} has two submissions; leave one of them")
            found[student] = file
    if not found:
        raise InputError(
            f"{folder}: holds no submissions; put STUDENT.py, STUDENT.ipynb or STUDENT/ANY.py there"
        )
    return found


def _read(path: Path) -> Graded | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Graded)
    except (OSError, msgspec.DecodeError):
        return None


def _checked(
    waiting: dict[str, tuple[Path, str]],
    assignment: Assignment | None,
    limits: Limits,
    threads: int | None,
) -> Iterator[tuple[str, Graded]]:
    """Check submissions, a server of its own for each thread."""
    count = min(threads or os.cpu_count() or 1, len(waiting))
    if not count:
        return
    with ExitStack() as stack:
        free: SimpleQueue[Checker] = SimpleQueue()
        oracle = Oracle()
        for _ in range(count):
            free.put(stack.enter_context(Checker(limits, oracle)))
        pool = stack.enter_context(ThreadPoolExecutor(count))

        def one(student: str, path: Path, digest: str) -> tuple[str, Graded]:
            checker = free.get()
            try:
                submission = read_submission(path)
                used = None
                if assignment is not None:
                    seed = variant_of(assignment.key, student).seed
                    numbers = re.findall(r"\d+", submission.source.replace("_", ""))
                    used = str(seed) in numbers
                check = checker.check(submission)
                return student, Graded(digest=digest, seed_used=used, check=check)
            finally:
                free.put(checker)

        pending: set[Future[tuple[str, Graded]]] = {
            pool.submit(one, student, *rest) for student, rest in waiting.items()
        }
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _table(graded: dict[str, Graded], rubric: Rubric) -> bytes:
    """Write a row for each student: points, points of each function, mistakes, seed."""
    functions = [name for name in FUNCTIONS if name in rubric.points]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["student", "file", "points", "of", *functions, "mistakes", "notes", "own seed"]
    )
    for student, one in sorted(graded.items()):
        scores = {v.function: rubric.score(v) for v in one.check.verdicts}
        named = [m.name for v in one.check.verdicts for m in v.mistakes]
        cells: Sequence[str] = [
            student,
            one.check.name,
            f"{rubric.total(one.check):g}",
            f"{rubric.most:g}",
            *(f"{scores.get(name, 0.0):g}" for name in functions),
            "; ".join(dict.fromkeys(named)),
            "; ".join(one.check.notes),
            "" if one.seed_used is None else "yes" if one.seed_used else "no",
        ]
        writer.writerow([inert(cell) for cell in cells])
    return stream.getvalue().encode()
