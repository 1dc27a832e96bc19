"""Commands for those who do the assignment and for those who grade it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from downslope.cli.options import QuietOption, ThreadsOption, names_of, number
from downslope.errors import InputError
from downslope.files import check_writable, inside, write_whole
from downslope.terminal import say, show

RubricOption = Annotated[
    Path | None, typer.Option("--rubric", metavar="FILE.toml", help="Points by function.")
]
SecondsOption = Annotated[float, number(float, "Time that each function may take.", "SECONDS")]


def check(
    solution: Annotated[
        Path, typer.Argument(metavar="SOLUTION", help="Your code, a .py or .ipynb file.")
    ],
    rubric: RubricOption = None,
    formats: Annotated[
        str | None,
        typer.Option("--format", metavar="NAMES", help="Also write: json,gradescope,html."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where they are written.")
    ] = Path("check"),
    seconds: SecondsOption = 20.0,
    quiet: QuietOption = False,
) -> None:
    """Check your code for the assignment, and name the mistakes in it.

    Your functions run on small data in processes of their own, with limits on time, memory and
    output, and are compared with a reference and with known mistakes. Exit status 1: something is
    not right.
    """
    from downslope.assignment import Checker, Limits, read_rubric, read_submission
    from downslope.bars import watch

    written = {"json": "check.json", "gradescope": "results.json", "html": "check.html"}
    wanted = [] if formats is None else names_of(formats, tuple(written), "--format")
    if not 0 < seconds <= 3600:
        raise InputError(f"--seconds {seconds:g}: must be above 0 and at most 3600")
    points = read_rubric(rubric)
    submission = read_submission(solution)
    with Checker(Limits(seconds=seconds)) as checker:
        checked = watch(checker.steps(submission), quiet)
    from downslope.assignment.feedback import as_gradescope, as_json, lines_of

    if not quiet:
        show((Text(what, "bold"), line) for what, line in lines_of(checked, points))
    writers = {"json": as_json, "gradescope": as_gradescope}
    if "html" in wanted:
        from downslope.assignment.page import as_page

        writers["html"] = as_page
    if wanted:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    for name in wanted:
        path = out / written[name]
        write_whole(path, writers[name](checked, points))
        say(path if quiet else f"written: {path}")
    if not all(verdict.right for verdict in checked.verdicts) or submission.problems:
        sys.exit(1)


def handin(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    author: Annotated[
        list[str], typer.Option("--author", metavar="NAME", help="Once for each author.")
    ],
    course: Annotated[
        str, typer.Option("--course", metavar="TEXT", help="What stands in the head.")
    ] = "",
    formats: Annotated[
        str, typer.Option("--format", metavar="NAMES", help="Some of pdf,html,ipynb.")
    ] = "pdf,html,ipynb",
    paper: Annotated[Literal["a4", "letter"], typer.Option(help="Size of the PDF's pages.")] = "a4",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="By default DIR/handin.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write the document to hand in: a run and its code, in the assignment's own order."""
    from downslope.assignment.handin import FORMATS, write_handin
    from downslope.runs import Run

    run = Run(directory)
    if run.exists:  # otherwise its reader says what is missing
        run.check()
    wanted = names_of(formats, FORMATS, "--format")
    for path in write_handin(
        run, out or inside(directory, "handin"), author, course, wanted, paper
    ):
        say(path if quiet else f"hand-in: {path}")


def new_assignment(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Made by this command.")],
    title: Annotated[str, typer.Option(metavar="TEXT", help="Of the assignment.")] = "Homework",
    key: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Decides the variants; by default the folder's name."),
    ] = None,
    students: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Names, one a line: a variant for each.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Make a course's folder: template, tests for students, rubric, a variant for each student."""
    from downslope.assignment.course import Assignment, new_assignment

    names: list[str] = []
    if students is not None:
        try:
            lines = students.read_text("utf-8-sig").splitlines()
        except OSError as error:
            raise InputError(f"{students}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InputError(f"{students}: is not UTF-8; save it as UTF-8") from None
        names = [line.strip() for line in lines if line.strip()]
    made = Assignment(title=title, key=key or folder.resolve().name)
    new_assignment(folder, made, names)
    say(folder if quiet else f"assignment: {folder}, with {len(names)} variants")


def grade_assignment(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A course's folder, or one of submissions.")
    ],
    rubric: RubricOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.csv", help="By default FOLDER/grades.csv.")
    ] = None,
    seconds: SecondsOption = 20.0,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Check a class of submissions side by side and write their points; repeated, it goes on."""
    from downslope.assignment import Limits, read_rubric
    from downslope.assignment.classroom import grade
    from downslope.bars import watch

    own = folder / "rubric.toml"
    points = read_rubric(rubric or (own if own.is_file() else None))
    table = out or inside(folder, "grades.csv")
    check_writable(table)
    limits = Limits(seconds=seconds)
    watch(grade(folder, points, table, limits=limits, threads=threads), quiet)
    say(table if quiet else f"grades: {table}")
