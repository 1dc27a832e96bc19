"""The memory that a training needs, estimated before it begins."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from downslope.errors import InputError
from downslope.networks import Member

if sys.platform == "win32":
    resource = None
else:
    import resource

_FLOAT = 4
_COPIES = 4  # of the parameters: the core's, those of the module, flat ones, its state
_BUFFERS = 3  # of a minibatch by layer: activations, their derivatives, gradients


def memory_of(member: Member, rows: int, snapshots_per_epoch: int = 0) -> dict[str, int]:
    """Estimate the bytes that a training takes beside its examples, by what decides them.

    Args:
        member: what is trained.
        rows: training examples.
        snapshots_per_epoch: kept over all epochs.

    >>> from downslope.networks import NetworkSpec, TrainingSpec
    >>> network = NetworkSpec(widths=(784, 40, 10))
    >>> member = Member(network=network, training=TrainingSpec(epochs=5), seed=541)
    >>> memory_of(member, 60_000, 4)
    {'widths': 508960, 'batch_size': 320256, 'snapshots_per_epoch': 2544800}
    """
    network, training = member.network, member.training
    vector = _FLOAT * network.parameters
    moments = 2 if training.optimizer != "sgd" else int(training.momentum > 0)
    batch = min(training.batch_size, rows)
    return {
        "widths": vector * (_COPIES + moments),
        "batch_size": _FLOAT * _BUFFERS * batch * sum(network.widths),
        "snapshots_per_epoch": vector * snapshots_per_epoch * training.epochs,
    }


def check_memory(
    members: Sequence[Member], rows: int, threads: int, snapshots_per_epoch: int = 0
) -> None:
    """Refuse members that do not fit into the memory of this machine, before anything is built.

    Args:
        members: what is trained.
        rows: training examples.
        threads: members trained at the same time.
        snapshots_per_epoch: of each member; those of one member are kept to its end.

    Raises:
        InputError: the message names the setting that takes most.
    """
    parts = [memory_of(member, rows, snapshots_per_epoch) for member in members]
    kept = max((part["snapshots_per_epoch"] for part in parts), default=0)
    working = sorted(
        ((part["widths"] + part["batch_size"], i) for i, part in enumerate(parts)), reverse=True
    )[:threads]
    needed, available = kept + sum(size for size, _ in working), memory_here()
    if needed <= available:
        return
    largest = parts[working[0][1]]
    by_size = largest | {"snapshots_per_epoch": kept}
    name = max(by_size, key=lambda key: by_size[key])
    member = members[working[0][1]]
    value = {
        "widths": f"widths = {member.network.label[:80]} (units, hidden_layers)",
        "batch_size": f"batch_size = {member.training.batch_size}",
        "snapshots_per_epoch": f"snapshots_per_epoch = {snapshots_per_epoch}",
    }[name]
    if len(working) > 1 and needed - available < needed - kept - working[0][0]:
        value = f"threads = {threads}"
    raise InputError(
        f"memory: the training needs about {needed / 2**30:.1f} GiB and {available / 2**30:.1f} "
        f"GiB are here; lower {value}"
    )


def memory_here() -> int:
    """Return the bytes that this process may use: of the machine, its container and its limits."""
    limits: list[int] = []
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    if resource is not None and (limit := resource.getrlimit(resource.RLIMIT_AS)[0]) > 0:
        limits.append(limit)
    return min(limits, default=sys.maxsize)
