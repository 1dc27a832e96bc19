"""What the checking process and the one that runs checked code say to each other."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of what checked code may use.

    Args:
        seconds: of each function, by the clock.
        reading: of the code outside of functions.
        memory: bytes beyond those of Python and torch themselves.
        output: bytes of what it prints, and of each file that it writes.
    """

    seconds: float = 20.0
    reading: float = 3.0
    memory: int = 2 * 1024**3
    output: int = 8 * 1024**2


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A solution to run: its source, which functions to observe, and within what limits.

    With `definitions_only`, code outside of functions, classes, imports and constants is left out.
    """

    source: str
    probes: list[str]
    limits: Limits = Limits()
    definitions_only: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An exception of checked code: its type, what it says, and the last line of that code."""

    kind: str
    text: str
    line: int | None = None

    @property
    def memory(self) -> bool:
        """Tell whether there was not enough memory; torch has its own way to say it."""
        return self.kind == "MemoryError" or "can't allocate memory" in self.text

    @property
    def contract(self) -> bool:
        """Tell whether a function could not be called as asked, or returned something else."""
        return self.kind == "ContractError" and self.line is None

    @property
    def limit(self) -> bool:
        """Tell whether a limit ended it."""
        return self.memory or self.kind == "TimeLimitError"


class Record(msgspec.Struct, kw_only=True):
    """What came out of one process.

    Args:
        values: observations by name, as far as they came.
        error: the exception that ended it.
        end: how the system ended it: "time", "output", "killed", "crashed" or "exited".
        failures: of code outside of functions.
        skipped: whether code outside of functions was left out because it took too long.
        started: whether it tried to start processes.
        files: names of files that it wrote.
    """

    values: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    error: Failure | None = None
    end: str | None = None
    failures: list[Failure] = msgspec.field(default_factory=list[Failure])
    skipped: bool = False
    started: bool = False
    files: list[str] = msgspec.field(default_factory=list[str])


def encode(value: Any) -> Any:
    """Write an observation so that msgpack and JSON can hold it."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, np.float64)
        return {"shape": list(value.shape), "data": array.tobytes()}
    return value.item() if isinstance(value, np.generic) else value


def decode(value: Any) -> Any:
    """Read an observation back.

    >>> decode({"shape": [2], "data": np.array([1.0, 2.0]).tobytes().hex()})
    array([1., 2.])
    """
    if not isinstance(value, dict):
        return value
    flat = np.frombuffer(bytes.fromhex(value["data"]), np.float64)
    return flat.reshape(value["shape"])
