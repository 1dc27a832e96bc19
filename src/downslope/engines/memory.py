"""The memory that a training needs, estimated before it begins."""

from __future__ import annotations

import os
import sys
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


class MemoryBudget:
    """The memory of this machine, as members that are trained at the same time take of it.

    Args:
        rows: training examples.
        threads: members trained at the same time.
    """

    def __init__(self, rows: int, threads: int) -> None:
        self._rows, self._threads = rows, threads
        self._largest: list[tuple[int, Member]] = []
        self._kept = self._snapshots_per_epoch = 0

    def add(self, member: Member, snapshots_per_epoch: int = 0) -> None:
        """Count a member; the snapshots of one member are kept to its end.

        Raises:
            InputError: it does not fit, alone or beside the largest before it; the message names
                the setting that takes most.
        """
        parts = memory_of(member, self._rows, snapshots_per_epoch)
        if parts["snapshots_per_epoch"] > self._kept:
            self._kept = parts["snapshots_per_epoch"]
            self._snapshots_per_epoch = snapshots_per_epoch
        self._largest.append((parts["widths"] + parts["batch_size"], member))
        self._largest.sort(key=lambda pair: -pair[0])
        del self._largest[self._threads :]
        needed, available = self._kept + sum(size for size, _ in self._largest), memory_here()
        if needed > available:
            raise InputError(
                f"memory: the training needs about {needed / 2**30:.1f} GiB and "
                f"{available / 2**30:.1f} GiB are here; lower {self._setting(available)}"
            )

    def _setting(self, available: int) -> str:
        """Name the setting that takes most, with its value."""
        size, member = self._largest[0]
        if len(self._largest) > 1 and self._kept + size <= available:
            return f"threads = {self._threads}"
        parts = memory_of(member, self._rows) | {"snapshots_per_epoch": self._kept}
        return {
            "widths": f"widths = {member.network.label[:80]} (units, hidden_layers)",
            "batch_size": f"batch_size = {member.training.batch_size}",
            "snapshots_per_epoch": f"snapshots_per_epoch = {self._snapshots_per_epoch}",
        }[max(parts, key=lambda name: parts[name])]


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
