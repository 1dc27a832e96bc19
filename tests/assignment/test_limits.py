"""Code that misbehaves costs one clear line, and nothing of it is left running."""

import json
import os
import time
from pathlib import Path

import pytest

from downslope.assignment import Check, Checker, Limits, read_submission
from downslope.assignment.checker import Checker as Impl
from downslope.errors import InputError

LIMITS = Limits(seconds=2.0, reading=1.0, memory=512 * 1024**2)

# What `evaluate` does, and what is said of it.
BODIES = {
    "while True: pass": ("limit", "did not end within 2 s"),
    "while True:\n        try: time.sleep(1)\n        except BaseException: pass": (
        "limit",
        "did not end within 2 s",
    ),
    "a = []\n    while True: a.append(bytearray(10**7))": ("limit", "needs more than"),
    "return torch.zeros(10**12)": ("limit", "needs more than"),
    "sys.exit(0)": ("error", "ends the program"),
    "os._exit(0)": ("limit", "ended the process"),
    "os.kill(os.getpid(), 9)": ("limit", "was killed"),
    "while True: print('x' * 10**6)": ("limit", "printed or wrote more than"),
    "os.fork()": ("error", "no other processes are started"),
    "import subprocess; subprocess.run(['sleep', '99'])": ("error", "no other processes"),
    "return input('accuracy? ')": ("error", "waits for input"),
    "open('notes.txt', 'w').write('x'); return 1 / 0": ("error", "wrote files"),
    "return None.x": ("error", "line 8: return None.x: AttributeError: 'NoneType'"),
    "raise ValueError('two\\nlines')": ("error", "ValueError: two lines"),
    "return evaluate(model, loader)": ("error", "RecursionError"),
    "import ctypes; ctypes.string_at(0)": ("limit", "crashed the interpreter"),
}
HEAD = """import os, sys, time, torch

def extract_model_params(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def evaluate(model, loader):
    """


def checked(checker: Checker, folder: Path, source: str | bytes, name: str = "s.py") -> Check:
    path = folder / name
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return checker.check(read_submission(path))


def below(process: int) -> list[int]:
    text = [p.read_text() for p in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(child) for line in text for child in line.split()]


def nothing_is_left(checker: Impl) -> bool:
    assert checker._server is not None
    return below(checker._server.pid) == []


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
def test_a_function_that_misbehaves_is_one_line_and_the_check_goes_on(
    checker: Checker, tmp_path: Path, body: str
) -> None:
    check = checked(checker, tmp_path, HEAD + body + "\n")
    found = {v.function: v for v in check.verdicts}
    status, text = BODIES[body]
    assert found["evaluate"].status == status, found["evaluate"]
    assert any(text in line for line in found["evaluate"].lines), found["evaluate"]
    assert all("\n" not in line for line in found["evaluate"].lines)
    assert found["extract_model_params"].status == "bits"
    assert nothing_is_left(checker)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("raise ValueError('at import')", "line 2: raise ValueError('at import'): ValueError"),
        ("while True: pass", "took too long"),
        ("import no_such_package", "ModuleNotFoundError"),
        ("sys.exit('bye')", "ends the program"),
        ("os._exit(3)", "code outside of functions ended the process"),
        ("for _ in range(99): print('x' * 10**6)", "functions printed too much"),
        ("x = input()", "waits for input"),
        ("os.system('sleep 99 &')", "no other processes"),
        ("while True:\n    try: time.sleep(1)\n    except BaseException: pass", "ran for too long"),
        ("open('out.csv', 'w').write('a,b')", "wrote files, which were thrown away: out.csv"),
    ],
)
def test_code_outside_of_functions_does_not_keep_them_from_being_checked(
    checker: Checker, tmp_path: Path, code: str, text: str
) -> None:
    source = HEAD.replace("\n\ndef extract", f"\n{code}\n\ndef extract") + "return 0.0\n"
    check = checked(checker, tmp_path, source)
    found = {v.function: v for v in check.verdicts}
    assert found["extract_model_params"].status == "bits", check
    assert any(text in note for note in check.notes), check.notes
    assert nothing_is_left(checker)


@pytest.mark.slow
def test_threads_and_processes_that_get_through_are_ended(checker: Checker, tmp_path: Path) -> None:
    # ctypes goes past what Python can see.
    source = HEAD + (
        "import ctypes\n    if ctypes.CDLL(None).fork() == 0:\n        os.setsid()\n"
        "        time.sleep(600)\n    return 0.0\n"
    )
    before = time.monotonic()
    checked(checker, tmp_path, source)
    assert time.monotonic() - before < 300
    assert nothing_is_left(checker)


@pytest.mark.slow
def test_a_solution_that_kills_what_runs_it_does_not_end_the_check(
    checker: Checker, tmp_path: Path
) -> None:
    source = HEAD.replace("\n\ndef extract", "\nos.kill(os.getppid(), 9)\n\ndef extract")
    check = checked(checker, tmp_path, source + "return 0.0\n")
    assert any("ended the process that runs solutions" in note for note in check.notes)
    check = checked(checker, tmp_path, HEAD + "return 0.0\n")
    assert {v.status for v in check.verdicts if v.function == "extract_model_params"} == {"bits"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"x = '\xff\xfe'\n", "line 1: is not UTF-8"),
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"def f(:\n", "line 1: SyntaxError"),
        (b"x = '\x00'\n", "null"),
        (b"(" * 5000, "too many nested parentheses"),
    ],
)
def test_files_that_are_no_solution_have_one_line(
    checker: Checker, tmp_path: Path, content: bytes, text: str
) -> None:
    check = checked(checker, tmp_path, content)
    assert any(text in note for note in check.notes), check.notes
    assert {v.status for v in check.verdicts} == {"missing"}


def notebook(*cells: str) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": c} for c in cells]})


def test_a_notebook_is_read_cell_by_cell(checker: Checker, tmp_path: Path) -> None:
    content = notebook(
        "%matplotlib inline\n!pip list\nimport torch",
        "def broken(:",
        "def evaluate(model, loader):\n    return 1 / 0",
        "def Evaluate_Model(): pass\n\ndef extractModelParams(model): pass",
    )
    check = checked(checker, tmp_path, content, "s.ipynb")
    found = {v.function: v for v in check.verdicts}
    assert "cell 3, line 2: return 1 / 0: ZeroDivisionError" in found["evaluate"].lines[0]
    assert any("cell 2" in note for note in check.notes)
    assert "extractModelParams (cell 4, line 3)" in found["extract_model_params"].lines[0]


def test_what_is_neither_python_nor_a_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a Python file"):
        read_submission(tmp_path / "solution.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_submission(tmp_path / "missing.py")


def test_nothing_of_the_solution_is_imported_here(checker: Checker, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    source = HEAD + f"open({str(marker)!r}, 'w').write(str(os.getpid())); return 0.0\n"
    checked(checker, tmp_path, source)
    assert int(marker.read_text()) != os.getpid()
