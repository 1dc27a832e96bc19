"""What an engine is asked, and what it yields: one immutable record per epoch of a member."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint
from downslope.errors import one_line
from downslope.networks import Member

Outcome = Literal["completed", "diverged", "failed"]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the parameters after a step of training.

    Args:
        step: minibatches seen since the start.
        loss: of the minibatch of that step, before its update.
        parameters: flat vector, shape (parameters,), float32.
    """

    step: int
    loss: float
    parameters: NDArray[np.float32]


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Report one epoch of one member.

    Args:
        member: position of the member in its population.
        epoch: from 1.
        step: minibatches seen since the start.
        train_loss: mean over this epoch's examples of the loss at the time they were seen.
        batch_losses: the loss of each minibatch of this epoch, shape (steps,), float32.
        validation_loss: after the epoch; NaN without validation examples.
        validation_accuracy: in [0, 1]; NaN without validation examples or classes.
        learning_rate: of the last step of the epoch.
        seconds: wall time of the epoch, validation included.
        snapshots: parameters within and at the end of the epoch, oldest first.
        state: the module's whole state by name, in a member's last record only.
        checkpoint: what to go on from, where `checkpoint_every` asked for it.
        outcome: in a member's last record: "completed", "diverged" (a loss was not finite; the
            member has stopped) or "failed" (see `reason`); None while it goes on.
        reason: one line that explains "diverged" or "failed".
    """

    member: int
    epoch: int
    step: int
    train_loss: float = math.nan
    batch_losses: NDArray[np.float32] = msgspec.field(
        default_factory=lambda: np.empty(0, np.float32)
    )
    validation_loss: float = math.nan
    validation_accuracy: float = math.nan
    learning_rate: float = math.nan
    seconds: float = 0.0
    snapshots: tuple[Snapshot, ...] = ()
    state: dict[str, NDArray[np.generic]] | None = None
    checkpoint: Checkpoint | None = None
    outcome: Outcome | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """Hold what `population.train` asks of the engine that it chose.

    Args:
        members: the population.
        queue: positions in `members`, in the order in which they start.
        training: as for `population.train`, like the rest.
        validation: None for none.
        snapshots_per_epoch: 0 for none.
        checkpoint_every: 0 for none.
        resume: by position in `members`.
    """

    members: Sequence[Member]
    queue: Sequence[int]
    training: Examples
    validation: Examples | None
    snapshots_per_epoch: int
    checkpoint_every: int
    resume: Mapping[int, Checkpoint]


def snapshot_steps(snapshots_per_epoch: int, steps_per_epoch: int) -> set[int]:
    """Return the steps of an epoch, counted from 1, after which a snapshot is taken.

    >>> sorted(snapshot_steps(2, 7)), sorted(snapshot_steps(2, 1))
    ([4, 7], [1])
    """
    steps = {
        round((k + 1) * steps_per_epoch / snapshots_per_epoch) for k in range(snapshots_per_epoch)
    }
    return steps - {0}


def minibatch_sizes(member: Member, examples: int) -> NDArray[np.int64]:
    """Return the rows of each minibatch of an epoch, shape (steps,)."""
    batch_size = member.training.batch_size
    starts = batch_size * np.arange(member.steps_per_epoch(examples))
    return np.minimum(batch_size, examples - starts)


def divergence(step: int, epoch: int, last_finite: float) -> str:
    """Say in one line where a member's loss or weights stopped being finite."""
    before = (
        f"the last finite loss was {last_finite:.4g}"
        if math.isfinite(last_finite)
        else ("no loss was finite")
    )
    return f"not finite at step {step}, epoch {epoch}; {before}"


def fail_gently(records: Iterator[EpochRecord], index: int) -> Iterator[EpochRecord]:
    """Turn an error inside a member (no memory, a batch too short for a norm) into its outcome."""
    epoch = step = 0
    try:
        for record in records:
            yield record
            epoch, step = record.epoch, record.step
    except (RuntimeError, ValueError, MemoryError) as error:
        reason = one_line(error)
        yield EpochRecord(member=index, epoch=epoch, step=step, outcome="failed", reason=reason)
