"""A user's own function, named as FILE.py:function; such as one that makes a network."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from downslope.errors import InputError
from downslope.networks.guard import guarded


def load_function(reference: str) -> Callable[..., Any]:
    """Load a user's function from a file, which is run once, as Python runs a script.

    Args:
        reference: "FILE.py:function".

    Raises:
        InputError: the reference is not of that form, there is no such file or function, or the
            file fails or exits when it is run.
    """
    name, colon, function = reference.rpartition(":")
    if not colon or not name or not function.isidentifier():
        raise InputError(f"{reference!r}: write FILE.py:function")
    if not os.path.isfile(name):  # noqa: PTH113 - Path.is_file raises on an overlong name
        raise InputError(f"{reference!r}: there is no file {name}")
    path = Path(name).resolve()
    with guarded(f"{reference!r}: {name}"):
        source = _run(path, path.stat().st_mtime_ns)
    loaded: Callable[..., Any] | None = getattr(source, function, None)
    if loaded is None or not callable(loaded):
        raise InputError(f"{reference!r}: {name} has no function {function!r}")

    @functools.wraps(loaded)
    def call(*arguments: Any) -> Any:
        with _neighbours(path.parent):  # it may import them only when it is called
            return loaded(*arguments)

    return call


@functools.lru_cache
def _run(path: Path, _: int) -> ModuleType:
    """Run a file once as it is now: two functions of it must know the same classes."""
    spec = importlib.util.spec_from_file_location(f"downslope_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is not a Python file")
    source = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = source  # as an import would: dataclasses look their module up there
    with _neighbours(path.parent):
        spec.loader.exec_module(source)
    return source


@contextmanager
def _neighbours(folder: Path) -> Generator[None]:
    """Let the files of a folder be imported, as a script there can."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:  # a user's file may change the path itself
            sys.path.remove(str(folder))


def make_module(factory: Callable[[], object], seed: int) -> nn.Module:
    """Make a user's network as after `torch.manual_seed(seed)`.

    The factory draws from torch's global generator, which is given back as it was.

    Args:
        factory: takes no arguments; for example by `load_function`.
        seed: of its draws.

    Raises:
        InputError: the factory fails, exits or returns something else than an `nn.Module`.

    >>> first, same = (make_module(lambda: nn.Linear(3, 2), seed=1) for _ in range(2))
    >>> torch.equal(first.weight, same.weight)
    True
    """
    name = getattr(factory, "__name__", type(factory).__name__)
    with torch.random.fork_rng(devices=[]), guarded(f"the factory {name}()"):
        torch.manual_seed(seed % 2**63)
        module = factory()
    if not isinstance(module, nn.Module):
        raise InputError(f"the factory {name}() returns {type(module).__name__}, not an nn.Module")
    return module
