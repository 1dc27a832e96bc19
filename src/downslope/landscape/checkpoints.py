"""One saved state of a network, in whatever layout training libraries leave it."""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from downslope.errors import InputError, one_line
from downslope.landscape.ordering import KEYS, whole_number

ENDINGS = (".pt", ".pth", ".ckpt", ".bin", ".tar", ".safetensors")
INDEX = ".index.json"
"""The end of the name of a file that says which weights lie in which of several files."""
KNOWN_KEYS = ("state_dict", "model_state_dict", "model")
"""Where a checkpoint keeps the network's state beside others."""
KNOWN_PREFIXES = ("module.", "model.", "module.model.", "model.module.")
"""What wrappers put before the names of parameters."""

_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_COMPANIONS = re.compile(r"(?:optimizer|scheduler|scaler|rng_state\w*|training_args)\.\w+")
"""Files that the Hugging Face Trainer leaves beside the weights."""
_COUNTER = "num_batches_tracked"
"""A buffer of batch norm that old checkpoints lack."""
_PREFERRED = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class SavedState:
    """Where one state lies.

    Args:
        path: names it: a file, or the folder of a checkpoint.
        weights: the file itself; of several, their index.
    """

    path: Path
    weights: Path

    def counts(self) -> dict[str, int]:
        """Read how far training had come, without keeping the weights.

        Raises:
            InputError: a file cannot be read.
        """
        beside = self.weights.parent / "trainer_state.json"
        if self.path.is_dir() and beside.is_file():
            saved = _read_json(beside)
        elif self.weights.name.endswith(INDEX):
            saved = {}
        elif self.weights.suffix == ".safetensors":
            with _readable(self.weights), safe_open(self.weights, "pt") as file:
                written: Mapping[str, str] = file.metadata() or {}
            saved = {key: int(text) for key, text in written.items() if text.isdecimal()}
        else:
            saved = _load(self.weights)
        counts = {key: whole_number(saved.get(key)) for key in KEYS}
        return {key: count for key, count in counts.items() if count is not None}

    def read(self) -> dict[str, Any]:
        """Read the whole checkpoint; weights are mapped into memory where the format allows.

        Raises:
            InputError: it cannot be read, or holds more than tensors and plain values.
        """
        if not self.weights.name.endswith(INDEX):
            return _load(self.weights)
        places: Any = _read_json(self.weights).get("weight_map")
        if not isinstance(places, dict) or not all(
            isinstance(name, str) and Path(name).name == name
            for name in cast(dict[Any, Any], places).values()
        ):
            raise InputError(f'{self.weights}: its "weight_map" must name files beside it')
        parts = sorted(set(cast(dict[str, str], places).values()))
        return {k: v for name in parts for k, v in _load(self.weights.parent / name).items()}


def find_states(folder: Path) -> list[SavedState]:
    """List the states in a folder: its files, and its folders that hold one.

    Raises:
        InputError: it is no folder, holds none, or a folder in it holds several.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of snapshots")
    states = [SavedState(path, path) for path in _weights(folder)]
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        weights = _weights(inner)
        names = [path.name.removesuffix(INDEX) for path in weights]
        chosen = next((weights[names.index(name)] for name in _PREFERRED if name in names), None)
        if chosen is None and len(weights) > 1:
            raise InputError(
                f"{inner}: holds {', '.join(names[:3])}{', ...' * (len(names) > 3)}; a folder of "
                f"one checkpoint holds one state, such as {_PREFERRED[0]}"
            )
        states += [SavedState(inner, path) for path in (chosen or weights[0],) if weights]
    if not states:
        raise InputError(
            f"{folder}: holds no snapshot; files end with {', '.join(ENDINGS)}, or lie in folders "
            "such as checkpoint-500"
        )
    return states


def _weights(folder: Path) -> list[Path]:
    """List the files of a folder that hold weights, those of several parts by their index."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    indices = [path for path in files if path.name.endswith(INDEX)]
    # Their parts are named so: model-00001-of-00003.safetensors
    part = re.compile(r".*-\d{5}-of-\d{5}\.\w+") if indices else re.compile(r"(?!)")
    return indices + [
        path
        for path in files
        if path.suffix in ENDINGS
        and not _COMPANIONS.fullmatch(path.name)
        and not part.fullmatch(path.name)
    ]


class Layout:
    """The names and shapes of a module's state, to be found in checkpoints.

    Args:
        module: it is only read.
    """

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [name for name, _ in module.named_parameters()]
        shared: dict[int, list[str]] = {}
        self.shapes: dict[str, torch.Size] = {}
        for name, value in module.state_dict(keep_vars=True).items():
            if isinstance(value, torch.Tensor):  # else extra state of the module's own
                shared.setdefault(id(value), []).append(name)
                self.shapes[name] = value.shape
        self.groups = list(shared.values())

    def extract(self, path: Path, saved: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], str]:
        """Take the module's state out of a checkpoint, by the module's own names.

        It lies at the top, or under a key: one of `KNOWN_KEYS`, else the only one that fits. Its
        names are the module's, without what `torch.compile` and the like put within, behind one
        of `KNOWN_PREFIXES`, else behind the only prefix where the rest fits one to one. Of tied
        weights one is enough.

        Returns:
            The state, and what was done to find it, in words; empty where nothing was.

        Raises:
            InputError: nothing fits, or several do.
        """
        places = {
            key: _tensors(cast(Mapping[str, Any], value))
            for key, value in saved.items()
            if isinstance(value, Mapping)
        }
        known = [key for key in KNOWN_KEYS if key in places]
        states = {key: places[key] for key in known} | {"": _tensors(saved)} | places
        states = {key: tensors for key, tensors in states.items() if tensors}
        if not states:
            raise InputError(f"{path}: holds no tensors by name; it must be a state dict")
        fitting = {
            key: state for key, tensors in states.items() if (state := self._fit(path, tensors))
        }
        if not fitting:
            raise self._misfit(path, next(iter(states.values())))
        chosen, *others = fitting
        if others and chosen not in {*KNOWN_KEYS, ""}:
            raise InputError(
                f"{path}: {chosen!r} and {others[0]!r} in it both fit the module; save the one "
                "that is meant as a state dict"
            )
        names = fitting[chosen]
        notes = [f"{key!r} fits too and is not read" for key in others]
        if chosen not in {*KNOWN_KEYS, ""}:
            notes.append(f"the state is taken from {chosen!r}")
        for new, old in names.items():
            if old not in self.shapes:
                notes.append(f"{old!r} is read as {new!r}, and others likewise")
                break
        return {new: states[chosen][old] for new, old in names.items()}, "; ".join(notes)

    def _fit(self, path: Path, tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
        """Find which tensor is which of the module; nothing where they do not fit one to one."""
        plain = {_WRAPPERS.sub("", name): name for name in tensors}
        if len(plain) < len(tensors) or not self.groups:
            return {}
        anchors = [_WRAPPERS.sub("", name) for name in self.groups[0]]
        prefixes = {
            name.removesuffix(anchor)
            for anchor in anchors
            for name in plain
            if name == anchor or name.endswith(f".{anchor}")
        }
        fitting = {
            prefix: names for prefix in prefixes if (names := self._behind(prefix, plain, tensors))
        }
        chosen = next((p for p in ("", *KNOWN_PREFIXES) if p in fitting), None)
        if chosen is None and len(fitting) > 1:
            first, second, *_ = sorted(fitting)
            raise InputError(
                f"{path}: the module's parameters stand behind {first!r} and behind {second!r}; "
                "save the one that is meant as a state dict"
            )
        return fitting[next(iter(fitting)) if chosen is None else chosen] if fitting else {}

    def _behind(
        self, prefix: str, plain: Mapping[str, str], tensors: Mapping[str, torch.Tensor]
    ) -> dict[str, str]:
        """Return what stands behind a prefix, if it is the module's whole state and no more."""
        rest = {
            name.removeprefix(prefix): n for name, n in plain.items() if name.startswith(prefix)
        }
        names: dict[str, str] = {}
        for group in self.groups:
            present = [n for n in group if _WRAPPERS.sub("", n) in rest]
            if not present:
                if group[0].endswith(_COUNTER):
                    continue
                return {}
            for name in group:
                own = name if name in present else present[0]
                names[name] = rest[_WRAPPERS.sub("", own)]
        fits = all(tensors[old].shape == self.shapes[new] for new, old in names.items())
        return names if fits and len(set(names.values())) == len(rest) else {}

    def _misfit(self, path: Path, tensors: Mapping[str, torch.Tensor]) -> InputError:
        """Say what is the first thing wrong with a state."""
        for name in self.parameters:
            if name not in tensors:
                return InputError(
                    f"{path}: no parameter {name!r}; it has {', '.join(list(tensors)[:3])}, ..."
                )
        for name, shape in self.shapes.items():
            if name not in tensors and not name.endswith(_COUNTER):
                return InputError(f"{path}: no buffer {name!r}, which the module has")
            if name in tensors and tensors[name].shape != shape:
                return InputError(
                    f"{path}: {name!r} has shape {tuple(tensors[name].shape)}, the module's has "
                    f"{tuple(shape)}"
                )
        extra = next(name for name in tensors if name not in self.shapes)
        return InputError(f"{path}: has {extra!r}, which the module does not have")


def _tensors(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}


def _read_json(path: Path) -> dict[str, Any]:
    with _readable(path):
        content: Any = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}; it must be an object")
    return cast(dict[str, Any], content)


def _load(path: Path) -> dict[str, Any]:
    with _readable(path), warnings.catch_warnings(), torch.serialization.safe_globals(_PLAIN):
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        warnings.simplefilter("ignore")  # about pickle protocols: what is wrong is refused
        # Mapped, so that looking for the step does not read the weights.
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    if not isinstance(saved, Mapping):
        raise InputError(f"{path}: holds a {type(saved).__name__}; it must be a state dict")
    return dict(cast(Mapping[str, Any], saved))


_UNREADABLE = (
    *(OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError),
    SafetensorError,
)
"""What reading a file that is no checkpoint may raise: its bytes are taken for instructions."""


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Say in one line why a file cannot be read."""
    try:
        yield
    except UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+) was not", str(error))
        if named is None:
            raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
        raise InputError(
            f"{path}: holds more than tensors and plain values ({named[1]}), "
            "which would run code when read; save the state dict alone: "
            "torch.save(module.state_dict(), path)"
        ) from None
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


class _NumberKind:
    """In place of a `numpy.dtype` in a checkpoint: its name alone is kept."""

    def __init__(self, name: str, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None: ...


def _number(kind: _NumberKind, data: bytes) -> float | int | bool:
    """Read a number as NumPy saves one, such as the best accuracy so far."""
    if not re.fullmatch(r"[fiub][1248]", kind.name):
        raise UnpicklingError(f"a NumPy scalar of type {kind.name!r}")
    return np.frombuffer(data, np.dtype(kind.name))[0].item()


# What trainers keep beside the weights, and is no more than plain values.
_PLAIN: list[Any] = [
    argparse.Namespace,
    (_NumberKind, "numpy.dtype"),
    *((_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((pathlib.PurePosixPath, f"{home}.PosixPath") for home in ("pathlib", "pathlib._local")),
]
