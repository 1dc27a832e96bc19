"""A student's file as the check needs it: its source, where each line stands, what it defines."""

from __future__ import annotations

import ast
import difflib
import io
import json
import re
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from downslope.errors import InputError

FUNCTIONS = {
    "build_mlp": "2",
    "extract_model_params": "2",
    "load_params_into_model": "2",
    "train_epoch": "2",
    "evaluate": "2",
    "compute_loss": "2",
    "hyperparam_tuning": "2",
    "build_enhanced_mlp": "2",
    "pca_plane": "3",
    "loss_surface": "3",
    "path_losses": "3",
    "prepare_data": "4",
    "Autoencoder": "4",
    "train_autoencoder": "4",
}
"""What the assignment asks for by name, and in which problem."""
OPTIONAL = ("pca_plane", "loss_surface", "path_losses")
"""The assignment leaves these names to the student; they are checked where they are there."""
LARGEST = 5_000_000


@dataclass(slots=True)
class Submission:
    """A solution that was read.

    Args:
        name: of its file.
        source: Python, whatever it was read from; empty where it cannot be read.
        places: for each line of the source, its cell and line where it comes from a notebook.
        found: of the functions that are asked for.
        near: names that are defined and may be meant, by the name that is asked for.
        problems: what keeps it, or cells of it, from being run.
    """

    name: str
    source: str = ""
    places: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    found: list[str] = field(default_factory=list[str])
    near: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[str] = field(default_factory=list[str])

    def place(self, line: int) -> str:
        """Say where a line of the source stands in the student's file.

        >>> Submission("a.py", "x = 1").place(1)
        'line 1'
        """
        if 0 < line <= len(self.places):
            cell, within = self.places[line - 1]
            return f"cell {cell}, line {within}"
        return f"line {line}"

    def text(self, line: int) -> str:
        """Return a line of the source."""
        lines = self.source.splitlines()
        return lines[line - 1].strip()[:120] if 0 < line <= len(lines) else ""


def read_submission(path: Path) -> Submission:
    """Read a Python file or a notebook; what is wrong in it is kept as a problem.

    Raises:
        InputError: the file is not there, cannot be read, or is neither .py nor .ipynb.
    """
    if path.suffix not in {".py", ".ipynb"}:
        raise InputError(f"{path}: must be a Python file (.py) or a notebook (.ipynb)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    submission = Submission(path.name)
    if len(content) > LARGEST:
        submission.problems.append(
            f"is {len(content):,} bytes long, at most {LARGEST:,} are read; clear the outputs"
        )
        return submission
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        submission.problems.append(f"line {line}: is not UTF-8; save the file as UTF-8")
        return submission
    if path.suffix == ".ipynb":
        _read_cells(submission, text)
    else:
        submission.source = text.replace("\r\n", "\n").replace("\r", "\n")
        if reason := _broken(submission.source):
            submission.problems.append(reason)
            submission.source = ""
    if not submission.problems and not submission.source.strip():
        submission.problems.append("is empty")
    _find(submission)
    return submission


def _broken(source: str) -> str:
    """Say why source is not Python, if it is not."""
    try:
        compile(source, "<solution>", "exec", ast.PyCF_ONLY_AST)
    except SyntaxError as error:
        place = "" if error.lineno is None else f"line {error.lineno}: "
        text = f": {error.text.strip()[:80]}" if error.text else ""
        return f"{place}SyntaxError: {error.msg}{text}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"is no Python: {str(error)[:100] or 'nested too deeply'}"
    return ""


def _read_cells(submission: Submission, text: str) -> None:
    """Put the code cells of a notebook one after the other; one that is no Python is left out."""
    try:
        cells: list[Any] = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        submission.problems.append("is no notebook of format 4; save it again with Jupyter")
        return
    lines: list[str] = []
    for number, source in enumerate(sources, 1):
        plain = source.splitlines() if not _broken(source) else _without_magics(source)
        if reason := _broken("\n".join(plain)):
            submission.problems.append(f"cell {number}, {reason}; the cell is left out")
            continue
        lines += plain
        submission.places += [(number, within) for within in range(1, len(plain) + 1)]
    submission.source = "\n".join(lines) + "\n"


def _without_magics(source: str) -> list[str]:
    r"""Put `pass` in the place of what is for Jupyter and not for Python.

    >>> _without_magics("%matplotlib inline\nif x:\n    !ls\nlen?")
    ['pass', 'if x:', '    pass', 'pass']
    """
    lines = source.splitlines()
    if source.startswith("%%") and not source.startswith(("%%time", "%%capture")):
        return ["pass"] * len(lines)  # of another language
    plain: list[str] = []
    goes_on, opened = False, ""
    for line in lines:
        magic = re.match(r"(\s*)([%!?].*|[\w.]+\?+\s*)$", line)
        if goes_on:
            plain.append("")
        elif magic and not _is_open(opened):
            plain.append(f"{magic[1]}pass")
        else:
            plain.append(line)
            opened += line + "\n"
            continue
        goes_on = line.endswith("\\")
    return plain


def _is_open(source: str) -> bool:
    """Tell whether source ends within brackets or a text of several lines."""
    try:
        list(tokenize.generate_tokens(io.StringIO(source).readline))
    except tokenize.TokenError:
        return True
    except SyntaxError:  # an indentation
        return False
    return False


def _find(submission: Submission) -> None:
    """Note which functions are defined, and near names of those that are not."""
    defined: dict[str, int] = {}
    for node in ast.walk(ast.parse(submission.source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.setdefault(node.name, node.lineno)
    top = {name for node in ast.parse(submission.source).body for name in _names(node)}
    submission.found = [name for name in FUNCTIONS if name in top]
    plain = {_plain(name): name for name in defined if name not in FUNCTIONS}
    for name in FUNCTIONS:
        close = difflib.get_close_matches(_plain(name), plain, 1, 0.75)
        if name not in submission.found and close:
            place = submission.place(defined[plain[close[0]]])
            submission.near[name] = f"{plain[close[0]]} ({place})"


def _names(node: ast.stmt) -> list[str]:
    """List the names that a statement at the top gives to functions, classes or values."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.If | ast.Try):
        return [name for below in node.body for name in _names(below)]
    return []


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
