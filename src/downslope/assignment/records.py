"""What the checking process and the one that runs checked code say to each other."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


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


def pack(value: Any) -> bytes:
    """Write records, or a table of them, as msgpack; arrays in float32 where that loses nothing."""
    return msgspec.msgpack.encode(value, enc_hook=_pack_array)


def unpack(content: bytes, kind: type[T]) -> T:
    """Read what `pack` wrote.

    >>> unpack(pack(Record(values={"loss": np.array([1.0, 0.1])})), Record).values["loss"]
    array([1. , 0.1])

    Raises:
        ValueError: it is something else, or damaged.
    """
    return msgspec.msgpack.decode(content, type=kind, ext_hook=_unpack_array)


class _Array(msgspec.Struct, array_like=True):
    shape: list[int]
    kind: Literal["<f4", "<f8"]
    data: bytes


def _pack_array(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value)} is no observation")
    array = np.ascontiguousarray(value, "<f8")
    with np.errstate(over="ignore"):
        single = array.astype("<f4")
    lossless = np.array_equal(array, single, equal_nan=True)
    data = (single if lossless else array).tobytes()
    packed = _Array(list(value.shape), "<f4" if lossless else "<f8", data)
    return msgspec.msgpack.Ext(1, msgspec.msgpack.encode(packed))


def _unpack_array(_code: int, content: memoryview) -> NDArray[np.float64]:
    packed = msgspec.msgpack.decode(content, type=_Array)
    return np.frombuffer(packed.data, packed.kind).astype(np.float64).reshape(packed.shape)
