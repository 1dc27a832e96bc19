"""What computes here: versions, processor, engine. Where they differ, bits may differ."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal, get_args

from downslope.engines import native
from downslope.errors import InputError

Engine = Literal["auto", "native", "pytorch"]


def cores() -> int:
    """Count the cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_engine(engine: Engine, device: str = "cpu") -> Engine:
    """Return "native" or "pytorch": what is asked for, or the best that is here.

    Raises:
        InputError: an engine that does not exist, is not installed or cannot use the device, or
            DOWNSLOPE_ISA names an instruction set that is not here.
    """
    if engine not in get_args(Engine):
        raise InputError(f"train: engine = {engine!r}; it must be one of {get_args(Engine)}")
    here = bool(native.instruction_sets())
    if engine == "native":
        if not here:
            raise InputError(f"train: engine = 'native': {native.MISSING}")
        if device != "cpu":
            raise InputError(f"train: engine = 'native' runs on the CPU, not on {device!r}")
    if engine == "auto":
        engine = "native" if here and device == "cpu" else "pytorch"
    if engine == "native":
        native.instruction_set()  # a name that is not here is refused before anything begins
    return engine


def versions() -> dict[str, str]:
    """Name the versions of Python and of the packages that compute."""
    packages = ("downslope", "torch", "numpy", "scipy", "scikit-learn", "sympy", "optuna")
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in packages}


def hardware() -> dict[str, str]:
    """Describe the processor."""
    model = platform.processor() or "unknown"
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "processor": model,
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": str(cores()),
    }


def engine_name() -> str:
    """Name the engine as far as it decides the last bits: AVX2 and AVX-512 give the same."""
    if choose_engine("auto") != "native":
        return "pytorch"
    return "native, baseline" if native.instruction_set() == "baseline" else "native"


def fingerprint(
    packages: Mapping[str, str] | None = None,
    trained_by: str | None = None,
    processor: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Gather what decides the bits, of this installation or of one that was written down."""
    return {
        **(packages or versions()),
        "engine": trained_by or engine_name(),
        "architecture": (processor or hardware()).get("architecture", "unknown"),
    }


def first_difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Name the first thing in which two installations may compute other bits; empty if none.

    >>> first_difference(
    ...     {"python": "3.12.1", "torch": "2.12"}, {"python": "3.12.9", "torch": "2.13"})
    'torch 2.12 there, 2.13 here'
    """
    for name in sorted({*there, *here}):
        old, new = there.get(name, "none"), here.get(name, "none")
        if name == "python":  # a patch release computes the same
            old, new = (".".join(v.split(".")[:2]) for v in (old, new))
        if old != new:
            return f"{name} {old} there, {new} here"
    return ""
