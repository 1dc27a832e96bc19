"""A user's own network, named as FILE.py:function."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

from downslope.errors import InputError, one_line


def load_factory(reference: str) -> Callable[[], object]:
    """Load the function that makes a user's network. The file is run, as Python runs a script.

    Args:
        reference: "FILE.py:function"; the function takes no arguments and should return an
            `nn.Module`, which its caller checks.

    Raises:
        InputError: the reference is not of that form, there is no such file or function, or the
            file fails when it is run.
    """
    name, colon, function = reference.rpartition(":")
    if not colon or not name or not function.isidentifier():
        raise InputError(f"--module {reference!r}: write FILE.py:function")
    if not os.path.isfile(name):  # noqa: PTH113 - Path.is_file raises on an overlong name
        raise InputError(f"--module {reference!r}: there is no file {name}")
    path = Path(name).resolve()
    spec = importlib.util.spec_from_file_location(f"downslope_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"--module {reference!r}: {name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as an import would: dataclasses look their module up there
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"--module {reference!r}: {name} fails with {type(error).__name__}: {one_line(error)}"
        ) from error
    finally:
        sys.path.remove(str(path.parent))
    made: Callable[[], object] | None = getattr(module, function, None)
    if made is None or not callable(made):
        raise InputError(f"--module {reference!r}: {name} has no function {function!r}")
    return made
