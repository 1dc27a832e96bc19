"""Trajectories from files: a folder of state dicts or of Lightning-like checkpoints."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from downslope.errors import InputError, one_line
from downslope.landscape.ordering import KEYS, order_by_step
from downslope.landscape.trajectory import Trajectory
from downslope.progress import Progress, Steps

ENDINGS = (".pt", ".pth", ".ckpt", ".safetensors")


def read_snapshots(
    folder: Path, module: nn.Module, directory: Path | None = None
) -> Steps[Trajectory]:
    """Read a folder of saved states as a trajectory, one file at a time.

    Files end with .pt, .pth, .ckpt or .safetensors and hold a state dict, or a checkpoint with
    one under "state_dict" or "model_state_dict". They are put in order by `order_by_step`.
    Nothing but tensors and plain values is ever unpickled (`weights_only`).

    Args:
        folder: with at least one such file.
        module: whose parameters they are; it is only read.
        directory: where the trajectory is kept, or None for memory; see `Trajectory`.

    Raises:
        InputError: no files, one that cannot be read, holds other parameters or values that are
            not finite, or an order that is not clear.
    """
    files = _files(folder)
    counts: list[tuple[Path, dict[str, Any]]] = []
    for path in files:
        counts.append((path, _counts(path)))
        yield Progress("reading snapshots", len(counts) / 2, len(files))
    order = order_by_step(folder, counts)
    trajectory = Trajectory(directory)
    for done, (step, path) in enumerate(order, 1):
        if step not in trajectory.steps:  # a trajectory on disk is gone on with
            saved = _read(path)
            loss = saved.get("loss", math.nan)
            loss = float(loss) if isinstance(loss, int | float) else math.nan
            trajectory.add(_vector(path, _state(path, saved), module), step=step, loss=loss)
        yield Progress("reading snapshots", (len(files) + done) / 2, len(files))
    return trajectory


def read_buffers(folder: Path, module: nn.Module) -> None:
    """Load the whole state of a folder's last snapshot into a module, buffers too.

    Raises:
        InputError: see `read_snapshots`.
    """
    _, last = order_by_step(folder, [(path, _counts(path)) for path in _files(folder)])[-1]
    try:
        module.load_state_dict(_state(last, _read(last)))
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{last}: {one_line(error)}") from None


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of snapshots")
    files = [path for path in sorted(folder.iterdir()) if path.suffix in ENDINGS]
    if not files:
        raise InputError(f"{folder}: holds no snapshot; files end with {', '.join(ENDINGS)}")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        # Mapped, so that looking for the step does not read the weights.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: what is wrong is refused
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except UnpicklingError:
        raise InputError(
            f"{path}: holds more than tensors and plain values, which would run code when read; "
            "save the state dict alone: torch.save(module.state_dict(), path)"
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
    if not isinstance(saved, Mapping):
        raise InputError(f"{path}: holds a {type(saved).__name__}; it must be a state dict")
    return dict(cast(Mapping[str, Any], saved))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _counts(path: Path) -> dict[str, Any]:
    """Read how far training had come, without keeping the weights."""
    state = _read(path)
    return {key: state[key] for key in KEYS if key in state}


def _state(path: Path, saved: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    for key in ("state_dict", "model_state_dict"):
        if isinstance(saved.get(key), Mapping):
            saved = saved[key]
            break
    state = {str(k): v for k, v in saved.items() if isinstance(v, torch.Tensor)}
    if not state:
        raise InputError(f"{path}: holds no tensors by name; it must be a state dict")
    return state


def _vector(path: Path, state: dict[str, torch.Tensor], module: nn.Module) -> NDArray[np.float32]:
    parts: list[torch.Tensor] = []
    for name, parameter in module.named_parameters():
        if name not in state:
            near = f"; it has {', '.join(list(state)[:3])}, ..." if state else ""
            raise InputError(f"{path}: no parameter {name!r}{near}")
        if state[name].shape != parameter.shape:
            raise InputError(
                f"{path}: {name!r} has shape {tuple(state[name].shape)}, the module's has "
                f"{tuple(parameter.shape)}"
            )
        values = state[name].to(torch.float32)
        if not torch.isfinite(values).all():
            at = [int(i) for i in torch.nonzero(~torch.isfinite(values))[0]]
            raise InputError(
                f"{path}: {name!r} is {values[tuple(at)].item()} at {at}; the network had diverged "
                "by then: move this file and those after it out of the folder"
            )
        parts.append(values.reshape(-1))
    return torch.cat(parts).numpy()
