"""One member's training: what is asked for (`Job`) and what comes back (`EpochRecord`)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint
from downslope.errors import InputError, one_line
from downslope.networks import Member
from downslope.showing import Shown

Outcome = Literal["completed", "diverged", "failed"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One member's training or a part of it: all that an engine needs to know but the data.

    Args:
        member: what to train.
        index: the member's position in its population; its records carry it as `member`.
        until: the epoch after which to pause, with a checkpoint in its record; None to train on
            to the end.
        snapshots_per_epoch: flat parameter vectors to keep per epoch, evenly spaced; the last is
            the end of the epoch.
        checkpoint_every: epochs between checkpoints in the records; 0 for none.
        checkpoint: of this member, to go on from; None to begin.
        priority: of jobs that wait, the lowest starts first.
        columns: the inputs that the member sees of each example, from the first to before the
            second; None for all.
        corrupt: makes the inputs of an epoch of the clean ones, the member's seed and the epoch.
        penalty: of the outputs of all layers; it is added to the loss that is minimized, not to
            the one that is reported. Only the PyTorch engine has it.

    Raises:
        InputError: a number is out of range, or the checkpoint of another member or of its end.
    """

    member: Member
    index: int = 0
    until: int | None = None
    snapshots_per_epoch: int = 0
    checkpoint_every: int = 0
    checkpoint: Checkpoint | None = None
    priority: tuple[float, ...] = ()
    columns: tuple[int, int] | None = None
    corrupt: Callable[[NDArray[np.float32], int, int], NDArray[np.float32]] | None = None
    penalty: Callable[[Sequence[torch.Tensor]], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        for name in ("snapshots_per_epoch", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise InputError(f"train: {name} = {getattr(self, name)} is below 0")
        start, epochs = self.checkpoint, self.member.training.epochs
        if start is None:
            return
        if start.member != self.member:
            raise InputError(f"train: the checkpoint for member {self.index} is of another member")
        if not 0 <= start.epoch < epochs:
            raise InputError(
                f"train: the checkpoint for member {self.index} is of epoch {start.epoch} of "
                f"{epochs}; at least one must be left to train"
            )

    @property
    def last_epoch(self) -> int:
        """The epoch with which the job is done, unless the member diverges or fails before."""
        return self.member.training.epochs if self.until is None else self.until

    @property
    def epochs(self) -> range:
        """The epochs to train, counted from 1."""
        done = 0 if self.checkpoint is None else self.checkpoint.epoch
        return range(done + 1, self.last_epoch + 1)

    def seen(self, examples: Examples) -> Examples:
        """Return examples with the inputs that the member sees, not copied."""
        if self.columns is None:
            return examples
        inputs: Any = examples.inputs
        return Examples(inputs[:, slice(*self.columns)], examples.targets)

    def keeps_checkpoint(self, epoch: int) -> bool:
        """Tell whether the record of an epoch that is not the member's last has a checkpoint."""
        every = self.checkpoint_every
        return epoch == self.until or (every > 0 and epoch % every == 0)

    def ends_with(self, record: EpochRecord) -> bool:
        """Tell whether a record is the job's last."""
        return record.outcome is not None or record.epoch >= self.last_epoch


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after a step of training.

    Args:
        step: minibatches seen since the start.
        loss: of the minibatch of that step, before its update.
        parameters: flat vector, shape (parameters,), float32.
    """

    step: int
    loss: float
    parameters: NDArray[np.float32]


class EpochRecord(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """One epoch of one member.

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
        checkpoint: what to go on from, where the job asked for it.
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


class TrainingState(Protocol):
    """All that a member's next epoch depends on, in the hands of an engine."""

    def parameters(self) -> NDArray[np.float32]:
        """Return the parameters as a flat vector."""
        ...

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Return the state of the member's `nn.Sequential` by name."""
        ...

    def checkpoint(self, epoch: int) -> Checkpoint:
        """Take a checkpoint after an epoch."""
        ...


def close_epoch(
    job: Job,
    epoch: int,
    losses: Sequence[float] | NDArray[np.float32],
    *,
    rows: int,
    rate: float,
    start: float,
    state: TrainingState,
    previous: EpochRecord | None,
    validation: tuple[float, float] | None = None,
    snapshots: Sequence[Snapshot] = (),
) -> EpochRecord:
    """Make the record of an epoch that has just been trained, as every engine hands it out.

    Args:
        job: what is trained.
        epoch: from 1; `snapshots` were taken in it.
        losses: of its minibatches; the last one alone may not be finite.
        rows: training examples.
        rate: of the last step.
        start: of the epoch, in `time.perf_counter` seconds.
        state: of the member, after it.
        previous: the record of the epoch before, if this job trained it.
        validation: loss and accuracy after it; None without validation examples.
    """
    member = job.member
    steps = member.steps_per_epoch(rows)
    step = (epoch - 1) * steps + len(losses)
    batch_losses = np.asarray(losses, np.float32)
    firsts = member.training.batch_size * np.arange(len(losses))
    sizes = np.minimum(member.training.batch_size, rows - firsts)
    loss, accuracy = (math.nan, math.nan) if validation is None else validation
    diverged = not np.isfinite(batch_losses[-1])
    diverged |= validation is not None and not math.isfinite(loss)
    last = diverged or epoch == member.training.epochs
    if last and not diverged:  # the very last update has no loss after it
        diverged = not np.isfinite(state.parameters()).all()
    reason = ""
    if diverged:
        before = [] if previous is None else previous.batch_losses
        finite = [x for x in (*before[-1:], *batch_losses[-2:]) if np.isfinite(x)]
        known = f"the last finite loss was {finite[-1]:.4g}" if finite else "no loss was finite"
        reason = f"not finite at step {step}, epoch {epoch}; {known}"
    checkpoint = state.checkpoint(epoch) if not last and job.keeps_checkpoint(epoch) else None
    return EpochRecord(
        member=job.index,
        epoch=epoch,
        step=step,
        train_loss=float(np.average(batch_losses.astype(np.float64), weights=sizes)),
        batch_losses=batch_losses,
        validation_loss=loss,
        validation_accuracy=accuracy,
        learning_rate=rate,
        seconds=time.perf_counter() - start,
        snapshots=tuple(snapshots),
        state=state.state_dict() if last else None,
        checkpoint=checkpoint,
        outcome=("diverged" if diverged else "completed") if last else None,
        reason=reason,
    )


def snapshot_steps(snapshots_per_epoch: int, steps_per_epoch: int) -> set[int]:
    """Return the steps of an epoch, counted from 1, after which a snapshot is taken.

    >>> sorted(snapshot_steps(2, 7)), sorted(snapshot_steps(2, 1))
    ([4, 7], [1])
    """
    steps = {
        round((k + 1) * steps_per_epoch / snapshots_per_epoch) for k in range(snapshots_per_epoch)
    }
    return steps - {0}


def record_failure(records: Iterator[EpochRecord], index: int) -> Iterator[EpochRecord]:
    """Turn an error inside a member (no memory, a batch too short for a norm) into its outcome."""
    epoch = step = 0
    try:
        for record in records:
            yield record
            epoch, step = record.epoch, record.step
    except (RuntimeError, ValueError, MemoryError) as error:
        reason = one_line(error)
        yield EpochRecord(member=index, epoch=epoch, step=step, outcome="failed", reason=reason)


def check_fit(member: Member, examples: Examples) -> None:
    """Check that examples fit a member's network and loss.

    Raises:
        InputError: inputs of another width or type, targets that the loss cannot take.
    """
    inputs, targets = examples.inputs, examples.targets
    widths = member.network.widths
    if len(examples) == 0:
        raise InputError("examples: there are none; at least one row is needed")
    if inputs.dtype != np.float32:
        raise InputError(f"examples: inputs are {inputs.dtype}; scale them to float32 first")
    if inputs.ndim != 2 or inputs.shape[1] != widths[0]:
        raise InputError(
            f"examples: inputs of shape {inputs.shape} do not fit a network with {widths[0]} "
            f"inputs; they must be (rows, {widths[0]})"
        )
    if member.training.loss == "cross_entropy":
        if targets.ndim != 1 or targets.dtype != np.int64:
            raise InputError(
                f"examples: cross_entropy needs int64 classes of shape (rows,), not "
                f"{targets.dtype} of shape {targets.shape}"
            )
        if targets.min() < 0 or targets.max() >= widths[-1]:
            raise InputError(
                f"examples: classes {targets.min()} to {targets.max()} do not fit a network with "
                f"{widths[-1]} outputs; they must be 0 to {widths[-1] - 1}"
            )
    elif targets.shape != (len(examples), widths[-1]) or targets.dtype != np.float32:
        raise InputError(
            f"examples: mean_squared_error needs float32 targets of shape "
            f"({len(examples)}, {widths[-1]}), not {targets.dtype} of shape {targets.shape}"
        )
