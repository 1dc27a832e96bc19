"""How checked code is run within its process: statement by statement, timed, and watched."""

from __future__ import annotations as annotations

import ast
import builtins
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
from torch.utils.data import DataLoader

from downslope.assignment.records import Failure, Record, Request
from downslope.errors import one_line

NAME = "<solution>"
_DEFINITIONS = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class TimeLimitError(BaseException):
    """Ends code that has run for too long, where it is."""


class Guard:
    """Follows what checked code does in this process.

    Args:
        source: of the solution.
        ours: a folder that the check itself writes into.
    """

    def __init__(self, source: str, ours: Path) -> None:
        self.ours = str(ours)
        self.started = False
        self.files: list[str] = []
        self.active = False
        self.lines = source.splitlines()

    def begin(self) -> None:
        """Refuse other processes, note files, and find the course's data under any path."""
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGALRM, _stop)
        plain_load, plain_init = np.load, DataLoader.__init__

        def load(file: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(file, str | Path) and not Path(file).exists():
                here = Path(Path(file).name)
                file = here if here.exists() else file
            return plain_load(file, *arguments, **options)

        def init(self: Any, *arguments: Any, **options: Any) -> None:
            for name in ("num_workers", "persistent_workers", "prefetch_factor"):
                options.pop(name, None)  # its workers would be processes
            plain_init(self, *arguments, **options)

        np.load, DataLoader.__init__ = load, init  # type: ignore[assignment]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in {"os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system",
                     "subprocess.Popen"}:  # fmt: skip
            self.started = True
            raise PermissionError("no other processes are started in a check")
        if event == "open" and isinstance(arguments[0], str) and len(arguments) > 2:
            path = str(Path(arguments[0]).absolute())
            if int(arguments[2] or 0) & _WRITES and not path.startswith((self.ours, "/dev/")):
                self.files.append(Path(arguments[0]).name)

    def marks(self) -> dict[str, Any]:
        """Return what was noted."""
        return {"started": self.started, "files": sorted(set(self.files))[:5]}

    def run(self, work: Callable[[], None], seconds: float) -> Failure | None:
        """Run code for at most some seconds and return how it failed, if it did."""
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)  # again, where it is caught
        self.active = True
        try:
            work()
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.active = False
            return self._failure(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.active = False
        return None

    def _failure(self, error: BaseException) -> Failure:
        """Say what was raised, at which line of the solution."""
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == NAME
        ]
        text = one_line(error, 300) if str(error).strip() else ""
        return Failure(kind=type(error).__name__, text=text, line=lines[-1] if lines else None)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise TimeLimitError


def run_definitions(request: Request, guard: Guard) -> tuple[dict[str, Any], Record]:
    """Run a solution statement by statement; one that fails or takes long does not end the rest.

    When the time is over, definitions and short assignments still run.
    """
    record = Record()
    module = ModuleType("solution")
    sys.modules["solution"] = module  # dataclasses look there
    names = module.__dict__
    names["__builtins__"] = builtins
    names["exit"] = names["quit"] = sys.exit
    names["display"] = names["get_ipython"] = MagicMock()  # what a notebook has
    left = late = request.limits.reading
    tree, flags = ast.parse(request.source), 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            flags |= annotations.compiler_flag
        defines = isinstance(statement, _DEFINITIONS) or _constant(statement)
        if not defines and (request.definitions_only or left <= 0):
            record.skipped |= left <= 0
            if isinstance(statement, ast.Assign) and late > 0 and not request.definitions_only:
                # Functions below may need it; what it needs itself may have been skipped.
                code = compile(ast.Module([statement], []), NAME, "exec", flags, True)
                late -= _timed(guard, lambda code=code: exec(code, names), min(0.2, late))[1]
            continue
        code = compile(ast.Module([statement], []), NAME, "exec", flags, True)
        failure, used = _timed(
            guard, lambda code=code: exec(code, names), 10.0 if defines else left
        )
        if not defines:
            left -= used
        if failure is not None and failure.kind == "TimeLimitError":
            record.skipped = True
            left = 0 if not defines else left
        if failure is not None:
            where = failure.line or statement.lineno
            record.failures.append(Failure(kind=failure.kind, text=failure.text, line=where))
    for key, value in guard.marks().items():
        setattr(record, key, value)
    return names, record


def _timed(guard: Guard, work: Callable[[], None], seconds: float) -> tuple[Failure | None, float]:
    start = time.monotonic()
    failure = guard.run(work, seconds)
    return failure, time.monotonic() - start


def _constant(statement: ast.stmt) -> bool:
    """Tell whether a statement gives names to plain values."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return False
    return not any(isinstance(node, ast.Call) for node in ast.walk(statement.value))
