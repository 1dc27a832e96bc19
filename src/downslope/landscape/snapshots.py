"""Trajectories from a folder of saved states."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.errors import InputError
from downslope.landscape.checkpoints import Layout, SavedState, find_states
from downslope.landscape.ordering import order_by_step
from downslope.landscape.trajectory import Trajectory
from downslope.progress import Progress, Steps


def read_snapshots(
    folder: Path,
    module: nn.Module,
    directory: Path | None = None,
    *,
    skip_not_finite: bool = False,
) -> Steps[Trajectory]:
    """Read a folder of saved states as a trajectory, and the last whole state into the module.

    A state is a file (`ENDINGS`) or a folder such as `checkpoint-500`, its weights in one file or
    in several with an index. It may be a plain state dict or lie within a trainer's checkpoint;
    see `Layout.extract` for keys and prefixes. States are put in order by `order_by_step`; one such
    as `last.ckpt` that repeats another is left out. Nothing but tensors and plain values is ever
    unpickled (`weights_only`). What was read otherwise than it is named is told by a `UserWarning`.

    Args:
        folder: with at least one state.
        module: whose parameters they are; it gets those of the last state, and its buffers.
        directory: where the trajectory is kept, or None for memory; see `Trajectory`.
        skip_not_finite: leave states out that hold a parameter that is not finite.

    Raises:
        InputError: no states, one that cannot be read, holds other parameters or values that are
            not finite, or an order that is not clear.
    """
    states = find_states(folder)
    counted: list[tuple[SavedState, dict[str, int]]] = []
    for state in states:
        counted.append((state, state.counts()))
        yield Progress("reading snapshots", len(counted) / 2, len(states))
    layout, notes = Layout(module), dict[str, None]()
    counted = _without_copies(counted, layout, notes)
    weights = {state.path: state for state, _ in counted}
    order = order_by_step(folder, [(state.path, counts) for state, counts in counted])
    trajectory, last = Trajectory(directory), dict[str, torch.Tensor]()
    read: set[int] = set()
    for done, (step, path) in enumerate(order, 1):
        saved = weights[path].read()
        state, note = layout.extract(path, saved)
        notes.update(dict.fromkeys([f"{folder}: {note}"] if note else []))
        if place := _not_finite(state, layout):
            if not skip_not_finite:
                raise InputError(
                    f"{path}: {place}; the network had diverged by then: move this and those after "
                    "it out of the folder, or have them left out (skip_not_finite)"
                )
            notes[f"{path}: {place}; left out"] = None
        else:
            vector = _vector(state, layout)
            if step not in trajectory.steps:  # one on disk is gone on with
                trajectory.add(vector, step=step, loss=_loss(saved))
            elif not np.array_equal(trajectory.vectors[trajectory.steps.index(step)], vector):
                raise InputError(
                    f"{path}: is another state of step {step} than the one in {directory}; remove "
                    f"{directory}"
                )
            read.add(step)
            last = state
        yield Progress("reading snapshots", (len(states) + done) / 2, len(states))
    if not last:
        raise InputError(f"{folder}: no snapshot is finite")
    if gone := sorted({*trajectory.steps} - read):
        raise InputError(
            f"{folder}: has no state of step {gone[0]}, which {directory} holds; remove {directory}"
        )
    module.load_state_dict(last, strict=False)  # `extract` is as strict, but for tied weights
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return trajectory


def _without_copies(
    counted: list[tuple[SavedState, dict[str, int]]], layout: Layout, notes: dict[str, None]
) -> list[tuple[SavedState, dict[str, int]]]:
    """Leave out states without a number in their name that repeat a numbered one.

    Those with the same counts are compared first, so that few are read.
    """

    def vector(state: SavedState) -> NDArray[np.float32]:
        return _vector(layout.extract(state.path, state.read())[0], layout)

    numbered = [pair for pair in counted if any(c.isdecimal() for c in pair[0].path.name)]
    kept = list(numbered)
    for state, counts in counted if numbered else []:
        if (state, counts) in numbered:
            continue
        own = vector(state)
        likely = [s for s, _ in sorted(numbered, key=lambda pair: pair[1] != counts)]
        if twin := next((s for s in likely if np.array_equal(vector(s), own)), None):
            notes[f"{state.path}: the same as {twin.path.name}; left out"] = None
        else:
            kept.append((state, counts))
    return [pair for pair in counted if pair in kept] if numbered else counted


def _vector(state: Mapping[str, torch.Tensor], layout: Layout) -> NDArray[np.float32]:
    parts = [state[name].to(torch.float32).reshape(-1) for name in layout.parameters]
    return torch.cat(parts).numpy()


def _not_finite(state: Mapping[str, torch.Tensor], layout: Layout) -> str:
    """Say which parameter is not finite, and where; empty where all are."""
    for name in layout.parameters:
        finite = torch.isfinite(state[name])
        if not finite.all():
            at = [int(i) for i in torch.nonzero(~finite)[0]]
            return f"{name!r} is {state[name][tuple(at)].item()} at {at}"
    return ""


def _loss(saved: Mapping[str, Any]) -> float:
    loss = saved.get("loss")
    return float(loss) if isinstance(loss, int | float) else math.nan
