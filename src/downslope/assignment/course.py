"""A course's folder: what students fill in, tests for them, a rubric, and a variant for each."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from unicodedata import normalize

import msgspec
import numpy as np

from downslope.assignment.catalogue import code_of, reference_source
from downslope.assignment.grading import default_rubric
from downslope.assignment.submission import FUNCTIONS
from downslope.errors import InputError
from downslope.files import write_whole
from downslope.toml import parse_toml, write_toml

DESCRIPTION = "assignment.toml"
LARGEST_CLASS = 10_000


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a course's folder is about.

    Args:
        title: for people.
        key: goes into each student's variant; another one gives all students other variants.
    """

    title: str = "Homework"
    key: str = "homework"


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What one student works with.

    Args:
        student: whose.
        seed: of the split, the search and the training.
        rows: how many of the training examples, drawn by `rows_seed`.
        rows_seed: of that draw: `np.random.default_rng(rows_seed).permutation(60000)[:rows]`.
        space: of the search.
    """

    student: str
    seed: int
    rows: int
    rows_seed: int
    space: dict[str, list[float]]


def variant_of(key: str, student: str) -> Variant:
    """Return a student's variant, from a hash of assignment and student alone.

    >>> variant_of("hw3", "ada") == variant_of("hw3", "ada") != variant_of("hw4", "ada")
    True
    """
    # Systems differ in how they write a letter with an accent in a file's name.
    digest = hashlib.sha256(normalize("NFC", f"{key}\n{student}").encode()).digest()
    draw = np.random.default_rng(list(digest))
    choices: dict[str, list[float]] = {
        "hidden_layers": [1, 2, 3, 4, 5],
        "units": [16, 24, 32, 48, 64, 96],
        "learning_rate": [0.3, 0.1, 0.05, 0.02, 0.01, 0.005],
        "batch_size": [16, 32, 48, 64, 96, 128],
        "weight_decay": [0.0, 0.00001, 0.0001, 0.001],
    }
    space = {
        name: sorted(draw.choice(values, 3, replace=False).tolist())
        for name, values in choices.items()
    }
    return Variant(
        student=student,
        seed=int.from_bytes(digest[:4]) % 1_000_000,
        rows=50_000 + 500 * int(draw.integers(0, 21)),
        rows_seed=int.from_bytes(digest[4:8]) % 1_000_000,
        space=space,
    )


def template() -> str:
    """Return the file to fill in: every function that is asked for, without its body.

    >>> "raise NotImplementedError" in template()
    True
    """
    source = reference_source()
    imports = [
        ast.unparse(node)
        for node in ast.parse(source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    parts = ['"""Fill in each function; keep its name and its arguments."""', "\n".join(imports)]
    parts.append("Batch = tuple[torch.Tensor, ...]\nArray = NDArray[Any]")
    return "\n\n".join([*parts, *("\n" + _emptied(code_of(name)) for name in FUNCTIONS)]) + "\n"


def _emptied(code: str) -> str:
    """Leave the signatures and docstrings of a function or class."""
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    for each in [node] if isinstance(node, ast.FunctionDef) else _methods(node):
        words = [ast.Expr(ast.Constant(text))] if (text := ast.get_docstring(each)) else []
        each.body = [*words, *ast.parse("raise NotImplementedError").body]
    return ast.unparse(node)


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [below for below in node.body if isinstance(below, ast.FunctionDef)]


def new_assignment(
    folder: Path, assignment: Assignment, students: Sequence[str] = ()
) -> list[Path]:
    """Write a course's folder and return its files; files that are there are left alone.

    Args:
        folder: made here.
        assignment: what it is about.
        students: their names; a variant for each.

    Raises:
        InputError: a name is no name of a file, or two are the same; the folder holds an
            assignment, or cannot be written.
    """
    if (folder / DESCRIPTION).exists():
        raise InputError(f"{folder}: holds an assignment already; choose another folder")
    if len(students) > LARGEST_CLASS:
        raise InputError(
            f"students: {len(students):,} names; at most {LARGEST_CLASS:,} are allowed"
        )
    students = [normalize("NFC", student) for student in students]
    for student in students:
        if not re.fullmatch(r"[\w][\w. @+-]{0,80}", student):
            raise InputError(
                f"students: {student[:80]!r} cannot name a file; it may have letters, digits and "
                "._@+- between"
            )
    if doubled := [name for name in students if students.count(name) > 1]:
        raise InputError(f"students: {doubled[0]!r} is there twice; names must differ")
    given = resources.files("downslope.assignment") / "template"
    readme = (given / "README.md").read_text("utf-8").format(title=assignment.title)
    contents = {
        "homework.py": template(),
        "test_homework.py": (given / "test_homework.py.txt").read_text("utf-8"),
        "rubric.toml": default_rubric(),
        "README.md": readme,
        **{
            f"variants/{student}.toml": write_toml(_table(variant_of(assignment.key, student)))
            for student in students
        },
        DESCRIPTION: write_toml(msgspec.to_builtins(assignment)),
    }
    try:
        for name in (".", "submissions", *(["variants"] if students else [])):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    for name, text in contents.items():
        if not (folder / name).exists():
            write_whole(folder / name, text.encode())
    return [folder / name for name in contents]


def _table(variant: Variant) -> dict[str, Any]:
    return msgspec.to_builtins(variant)


def read_assignment(folder: Path) -> Assignment | None:
    """Read what a course's folder is about; None where it says nothing.

    Raises:
        InputError: its description cannot be read.
    """
    path = folder / DESCRIPTION
    try:
        return msgspec.convert(parse_toml(path.read_text("utf-8")), Assignment)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, msgspec.ValidationError, InputError) as error:
        raise InputError(f"{path}: {error}") from None
