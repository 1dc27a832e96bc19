"""The paths of a search's trials, compactly: what changed since the last snapshot, in float16.

A snapshot is the last one and a difference. The difference is taken from what a reader will have
put together so far, so errors do not add up: each number is off by at most 2^-11 of its own last
change, or 2^-25 of the largest change among all numbers.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.engines import Snapshot
from downslope.errors import InputError
from downslope.networks import Member
from downslope.search.trials import TrialStore


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot as it is kept: float16 differences times `scale`, or, without one, float32."""

    step: int
    loss: float
    scale: float
    content: bytes


def pack(snapshots: Sequence[Snapshot], last: NDArray[np.float32] | None) -> bytes:
    """Return an epoch's snapshots as bytes.

    Args:
        snapshots: oldest first.
        last: the parameters before them as `unpack` returns them; None where there are none.
    """
    stored: list[_Stored] = []
    for one in snapshots:
        stored.append(_packed(one, last))
        last = _unpacked(stored[-1], last)
    return msgspec.msgpack.encode(stored)


def unpack(packed: Iterable[bytes], last: NDArray[np.float32] | None = None) -> list[Snapshot]:
    """Return the snapshots of successive epochs.

    Args:
        packed: of each epoch.
        last: the parameters before them; None where they begin a path.

    Raises:
        msgspec.DecodeError, ValueError, TypeError: these are none.

    >>> path = [Snapshot(step=i, loss=1.0, parameters=np.float32([i, 2 - i])) for i in (1, 2, 3)]
    >>> [one.parameters.tolist() for one in unpack([pack(path[:2], None)])]
    [[1.0, 1.0], [2.0, 0.0]]
    """
    snapshots: list[Snapshot] = []
    for content in packed:
        for one in msgspec.msgpack.decode(content, type=list[_Stored]):
            last = _unpacked(one, last)
            snapshots.append(Snapshot(step=one.step, loss=one.loss, parameters=last))
    return snapshots


def _packed(one: Snapshot, last: NDArray[np.float32] | None) -> _Stored:
    whole = _Stored(one.step, one.loss, 0.0, one.parameters.astype("<f4").tobytes())
    if last is None:
        return whole
    with np.errstate(all="ignore"):
        change = one.parameters - last
        scale = float(np.abs(change).max(initial=0.0)) or 1.0
        content = (change / np.float32(scale)).astype("<f2")
    # Of a training that diverges, numbers and what lies between them may have no size.
    return _Stored(one.step, one.loss, scale, content.tobytes()) if scale < 1e38 else whole


def _unpacked(one: _Stored, last: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if not one.scale:
        return np.frombuffer(one.content, "<f4").astype(np.float32)
    if last is None:
        raise ValueError("the first snapshot is a difference")
    change = np.frombuffer(one.content, "<f2").astype(np.float32) * np.float32(one.scale)
    return np.add(last, change, dtype=np.float32)


def snapshot_bytes(members: Sequence[Member], trials: int, snapshots_per_epoch: int) -> float:
    """Return how much the snapshots of a search take, about.

    Args:
        members: the trials that are known; their mean stands for the others.
        trials: how many there will be.
        snapshots_per_epoch: of each.

    >>> from downslope.networks import NetworkSpec, TrainingSpec
    >>> training = TrainingSpec(epochs=10)
    >>> member = Member(network=NetworkSpec(widths=(784, 40, 10)), training=training, seed=541)
    >>> snapshot_bytes([member], 60, 4) / 1e6  # megabytes
    160.3224
    """
    each = [
        m.network.parameters * (4 + 2 * snapshots_per_epoch * m.training.epochs) for m in members
    ]
    return sum(each) * trials / max(1, len(each))


def check_room(size: float, store: Path) -> str:
    """Say how much snapshots take, before anything is trained.

    Raises:
        InputError: the disk of the store has less room.
    """
    free = shutil.disk_usage(store.parent).free
    free += store.stat().st_size if store.is_file() else 0  # what was kept before
    if size > free:
        raise InputError(
            f"search: snapshots of all trials take about {_megabytes(size)}, and {store.parent} "
            f"has room for {_megabytes(free)}; set snapshots_per_epoch lower, or to 0"
        )
    return f"keeps about {_megabytes(size)} of snapshots"


def trial_snapshots(store: Path, trial: int) -> list[Snapshot]:
    """Read the path of a trial from the store of its search, for `Trajectory.of`.

    Args:
        store: SQLite file of the trials.
        trial: its id; whatever its outcome, as far as it came.

    Raises:
        InputError: there is no such store or trial, it kept no snapshots, or they are damaged.
    """
    if not store.is_file():
        raise InputError(f"{store}: no such file; give the store of a search")
    with TrialStore(store) as opened:
        ended = next((one for one in opened.trials() if one.id == trial), None)
        if ended is None:
            raise InputError(f"{store}: holds no trial {trial} that has ended")
        contents = opened.kept(trial, len(ended.curve))
    if not contents:
        raise InputError(
            f"{store}: no snapshots of trial {trial} were kept; search with snapshots_per_epoch"
        )
    try:
        return unpack(contents)
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise InputError(f"{store}: the snapshots of trial {trial} are damaged ({error})") from None


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"
