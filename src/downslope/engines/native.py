"""The compiled engine: a member from first to last on one core, no Python between its steps.

The trainer (`native/`) trains a pass over an order of rows; the order, the learning rates and the
records are made here. It holds no interpreter lock while it computes.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint
from downslope.engines.job import EpochRecord, Job, Snapshot, close_epoch, snapshot_steps
from downslope.engines.pytorch import base_seed, minibatch_order
from downslope.engines.schedules import learning_rates
from downslope.errors import InputError
from downslope.networks import (
    Loss,
    Member,
    NetworkSpec,
    TrainingSpec,
    build,
    flatten,
    load_flat,
    load_running_statistics,
    running_statistics,
)

if TYPE_CHECKING:
    _native: Any
else:
    try:
        from downslope import _native
    except ImportError:
        _native = None

MISSING = (
    "the compiled engine is not installed, the slower pytorch engine serves; install a C++20 "
    "compiler and run 'pip install' again"
)


def core() -> Any:
    """Return the compiled module, where `instruction_sets` is not empty."""
    return _native


def instruction_sets() -> list[str]:
    """List the instruction sets that the compiled engine has and this processor runs, best first.

    Empty where the engine was not built.
    """
    return [] if _native is None else list(_native.supported())


def instruction_set() -> str:
    """Return the instruction set in use: the best, or what DOWNSLOPE_ISA names.

    Raises:
        InputError: DOWNSLOPE_ISA names one that is not here.
    """
    names = instruction_sets()
    forced = os.environ.get("DOWNSLOPE_ISA")
    if not forced:
        return names[0]
    if forced not in names:
        raise InputError(
            f"DOWNSLOPE_ISA = {forced!r} does not run here; it must be one of {', '.join(names)}"
        )
    return forced


def make_trainer(member: Member, isa: str, rows: int | None = None) -> Any:
    """Make the compiled trainer of a member, its parameters at zero.

    Its buffers are for a minibatch, which is never larger than the `rows` that there are.
    """
    network, training = member.network, member.training
    return _native.Member(
        isa,
        widths=list(network.widths),
        activation=network.activation,
        batch_norm=network.normalization == "batch",
        dropout=network.dropout,
        sigmoid=network.output == "sigmoid",
        loss=training.loss,
        optimizer=training.optimizer,
        momentum=training.momentum,
        nesterov=training.nesterov,
        weight_decay=training.weight_decay,
        decay_all=training.decay_on == "all",
        label_smoothing=training.label_smoothing,
        clip_norm=training.clip_norm,
        batch_size=min(training.batch_size, rows or training.batch_size),
        dropout_seed=member.seed,
    )


class CancelToken:
    """Cancels trainers that run; each returns after its current minibatch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trainers: list[Any] = []
        self.cancelled = False

    def register(self, trainer: Any) -> None:
        """Include a trainer; it stops at once if that was already asked."""
        with self._lock:
            self._trainers.append(trainer)
            if self.cancelled:
                trainer.stop()

    def unregister(self, trainer: Any) -> None:
        """Leave out a trainer that has ended."""
        with self._lock:
            self._trainers.remove(trainer)

    def cancel(self) -> None:
        """Stop all trainers, now and later."""
        with self._lock:
            self.cancelled = True
            for trainer in self._trainers:
                trainer.stop()


def train_member_natively(
    job: Job,
    training: Examples,
    validation: Examples | None = None,
    *,
    token: CancelToken | None = None,
) -> Iterator[EpochRecord]:
    """Train one member on the compiled trainer and yield a record per epoch.

    Arguments and records are those of `train_member`; the random stream differs only where a
    network drops out: its masks come from a counter keyed by seed, step and layer.
    """
    assert job.penalty is None, "a penalty needs the pytorch engine"
    member, spec, seed = job.member, job.member.training, job.member.seed
    token = token or CancelToken()
    trainer = make_trainer(member, instruction_set(), len(training))
    generator = torch.Generator().manual_seed(seed)
    steps = member.steps_per_epoch(len(training))
    rates = learning_rates(spec, steps).reshape(spec.epochs, steps)
    state = NativeState(member, trainer, generator, rates)
    if job.checkpoint is None:
        trainer.parameters = flatten(build(member.network, generator))
    else:
        state.restore(job.checkpoint)
    cuts = sorted({steps, *snapshot_steps(job.snapshots_per_epoch, steps)})
    training = job.seen(training)
    inputs, targets = _arrays(training)
    held_out = None if validation is None else _arrays(job.seen(validation))
    record = None
    token.register(trainer)
    try:
        for epoch in job.epochs:
            start = time.perf_counter()
            if job.corrupt is not None:
                clean = np.asarray(training.inputs, np.float32)
                inputs = np.ascontiguousarray(job.corrupt(clean, seed, epoch))
            order = minibatch_order(len(training), generator).numpy()
            rate = rates[epoch - 1]
            losses = np.empty(0, np.float32)
            snapshots: list[Snapshot] = []
            for cut in cuts:
                done = len(losses)
                rows = order[done * spec.batch_size : cut * spec.batch_size]
                losses = np.append(losses, trainer.train(inputs, targets, rows, rate[done:cut]))
                if len(losses) < cut or not np.isfinite(losses[-1]):
                    break
                if job.snapshots_per_epoch:
                    snapshots.append(
                        Snapshot(
                            step=trainer.steps,
                            loss=float(losses[-1]),
                            parameters=trainer.parameters,
                        )
                    )
            if token.cancelled:
                return
            scores = None
            if held_out is not None:
                loss, correct = trainer.evaluate(*held_out)
                if token.cancelled:
                    return
                classes = spec.loss == "cross_entropy"
                scores = loss, correct / len(held_out[0]) if classes else math.nan
            if spec.evaluation_draw:
                base_seed(generator)
            record = close_epoch(
                job, epoch, losses, rows=len(training), rate=float(rate[len(losses) - 1]),
                start=start, state=state, previous=record, validation=scores, snapshots=snapshots,
            )  # fmt: skip
            yield record
            if record.outcome is not None:
                return
    finally:
        token.unregister(trainer)


def evaluate_natively(
    network: NetworkSpec, module: nn.Module, examples: Examples, loss: Loss
) -> tuple[float, float]:
    """Return loss and accuracy in evaluation mode; the accuracy is NaN without classes."""
    member = Member(network=network, training=TrainingSpec(loss=loss), seed=0)
    trainer = make_trainer(member, instruction_set(), len(examples))
    trainer.parameters, trainer.buffers = flatten(module), running_statistics(module)
    found, correct = trainer.evaluate(*_arrays(examples))
    return found, correct / len(examples) if loss == "cross_entropy" else math.nan


@dataclass(frozen=True, slots=True)
class NativeState:
    """A member in training on the compiled trainer: what its next epoch depends on."""

    member: Member
    trainer: Any
    generator: torch.Generator
    rates: NDArray[np.float64]

    def parameters(self) -> NDArray[np.float32]:
        """Return the parameters as a flat vector."""
        return self.trainer.parameters

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Return the state that the member's `nn.Sequential` would have, by name."""
        module = build(self.member.network, torch.Generator())
        load_flat(module, self.trainer.parameters)
        load_running_statistics(module, self.trainer.buffers, self.trainer.steps)
        return {name: value.numpy().copy() for name, value in module.state_dict().items()}

    def checkpoint(self, epoch: int) -> Checkpoint:
        """Take a checkpoint after an epoch."""
        arrays: dict[str, NDArray[np.generic]] = {
            "parameters": self.trainer.parameters,
            "buffers": self.trainer.buffers,
            "generator": self.generator.get_state().numpy().copy(),
        }
        for which in range(self.trainer.moments):
            arrays[f"moment{which}"] = self.trainer.moment(which)
        rate = float(self.rates[epoch, 0])
        return Checkpoint(member=self.member, epoch=epoch, rate=rate, arrays=arrays)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go to where a checkpoint was taken.

        Raises:
            InputError: the checkpoint lacks an array.
        """
        arrays, trainer = checkpoint.arrays, self.trainer
        moments = [f"moment{which}" for which in range(trainer.moments)]
        if lacking := {"parameters", "buffers", "generator", *moments} - arrays.keys():
            raise InputError(f"checkpoint: lacks {', '.join(sorted(lacking))}; it is damaged")
        trainer.parameters = arrays["parameters"]
        trainer.buffers = arrays["buffers"]
        for which, name in enumerate(moments):
            trainer.set_moment(which, arrays[name])
        trainer.steps = checkpoint.epoch * self.rates.shape[1]
        self.generator.set_state(torch.from_numpy(np.array(arrays["generator"])))


def _arrays(examples: Examples) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    return np.ascontiguousarray(examples.inputs), np.ascontiguousarray(examples.targets)
