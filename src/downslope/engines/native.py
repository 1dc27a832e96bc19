"""The compiled engine: a member from first to last on one core, no Python between its steps.

The core (`native/`) trains a pass over an order of rows; the order, the learning rates and the
records are made here. Worker threads hold no interpreter lock while the core computes.
"""

from __future__ import annotations

import atexit
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint, load_statistics
from downslope.engines.pytorch import base_seed, minibatch_order
from downslope.engines.records import (
    EpochRecord,
    Order,
    Outcome,
    Snapshot,
    divergence,
    fail_gently,
    minibatch_sizes,
    snapshot_steps,
)
from downslope.engines.schedules import learning_rates
from downslope.errors import InputError
from downslope.networks import Member, build, flatten, load_flat

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


def make_core(member: Member, isa: str, rows: int | None = None) -> Any:
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


class Stop:
    """Let running cores return after their minibatch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cores: list[Any] = []
        self.asked = False

    def watch(self, core: Any) -> None:
        """Include a core; it stops at once if that was already asked."""
        with self._lock:
            self._cores.append(core)
            if self.asked:
                core.stop()

    def forget(self, core: Any) -> None:
        """Leave out a core that has ended."""
        with self._lock:
            self._cores.remove(core)

    def ask(self) -> None:
        """Stop all cores, now and later."""
        with self._lock:
            self.asked = True
            for core in self._cores:
                core.stop()


def train_member_natively(
    member: Member,
    training: Examples,
    validation: Examples | None = None,
    *,
    index: int = 0,
    snapshots_per_epoch: int = 0,
    checkpoint_every: int = 0,
    resume: Checkpoint | None = None,
    stop: Stop | None = None,
) -> Iterator[EpochRecord]:
    """Train one member on the compiled core and yield a record per epoch.

    Arguments and records are those of `train_member`; the random stream differs only where a
    network drops out: its masks come from a counter keyed by seed, step and layer.
    """
    spec = member.training
    stop = stop or Stop()
    core = make_core(member, instruction_set(), len(training))
    generator = torch.Generator().manual_seed(member.seed)
    steps_per_epoch = member.steps_per_epoch(len(training))
    if resume is None:
        core.parameters = flatten(build(member.network, generator))
        first = 1
    else:
        restore(core, generator, resume, steps_per_epoch)
        first = resume.epoch + 1
    rates = learning_rates(spec, steps_per_epoch)
    cuts = sorted({steps_per_epoch, *snapshot_steps(snapshots_per_epoch, steps_per_epoch)})
    inputs, targets = _arrays(training)
    held_out = None if validation is None else _arrays(validation)
    last_finite = math.nan
    stop.watch(core)
    try:
        for epoch in range(first, spec.epochs + 1):
            start = time.perf_counter()
            order = minibatch_order(len(training), generator).numpy()
            now = rates[(epoch - 1) * steps_per_epoch : epoch * steps_per_epoch]
            parts: list[NDArray[np.float32]] = []
            snapshots: list[Snapshot] = []
            done = 0
            for cut in cuts:
                rows = order[done * spec.batch_size : cut * spec.batch_size]
                losses = core.train(inputs, targets, rows, now[done:cut])
                parts.append(losses)
                if len(losses) < cut - done or not np.isfinite(losses[-1]):
                    break
                done = cut
                if snapshots_per_epoch:
                    snapshots.append(
                        Snapshot(
                            step=core.steps, loss=float(losses[-1]), parameters=core.parameters
                        )
                    )
            if stop.asked:
                return
            batch_losses = np.concatenate(parts)
            finite = bool(np.isfinite(batch_losses[-1]))
            if finite or len(batch_losses) > 1:
                last_finite = float(batch_losses[-1 if finite else -2])
            loss, correct = math.nan, 0
            if held_out is not None:
                loss, correct = core.evaluate(*held_out)
                if stop.asked:
                    return
            if spec.evaluation_draw:
                base_seed(generator)
            diverged = not finite or (held_out is not None and not math.isfinite(loss))
            last = diverged or epoch == spec.epochs
            if last and not diverged:  # the very last update has no loss after it
                diverged = not np.isfinite(core.parameters).all()
            outcome: Outcome | None = ("diverged" if diverged else "completed") if last else None
            sizes = minibatch_sizes(member, len(training))[: len(batch_losses)]
            accuracy = math.nan
            if validation is not None and spec.loss == "cross_entropy":
                accuracy = correct / len(validation)
            checkpoint = None
            if checkpoint_every and not last and epoch % checkpoint_every == 0:
                rate = float(rates[epoch * steps_per_epoch])
                checkpoint = save_checkpoint(member, core, generator, epoch, rate)
            yield EpochRecord(
                member=index,
                epoch=epoch,
                step=core.steps,
                train_loss=float(np.average(batch_losses.astype(np.float64), weights=sizes)),
                batch_losses=batch_losses,
                validation_loss=loss,
                validation_accuracy=accuracy,
                learning_rate=float(now[len(batch_losses) - 1]),
                seconds=time.perf_counter() - start,
                snapshots=tuple(snapshots),
                state=module_state(member, core) if last else None,
                checkpoint=checkpoint,
                outcome=outcome,
                reason=divergence(core.steps, epoch, last_finite) if diverged else "",
            )
            if last:
                return
    finally:
        stop.forget(core)


class Threads:
    """Threads that train on the compiled core, with what guards them.

    Every scheduler starts its threads here: they work on copied targets, stop after their
    minibatch, and end before the interpreter does.

    Args:
        training: examples that the threads read.
        validation: likewise; None for none.
        wake: lets threads that wait for work go on, so that they see the stop.
    """

    def __init__(
        self,
        training: Examples,
        validation: Examples | None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.data = _unchanging(training), None if validation is None else _unchanging(validation)
        self.stop = Stop()
        self._wake = wake
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        return len(self._threads)

    def start(self, work: Callable[[], None]) -> None:
        """Start one more thread."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        _RUNNING.add(self)
        thread.start()

    def end(self) -> None:
        """Stop all threads and wait for them."""
        self.stop.ask()
        self._wake()
        for thread in self._threads:
            if thread.ident is not None:  # one that never started cannot be joined
                thread.join()
        _RUNNING.discard(self)


_RUNNING: set[Threads] = set()


@atexit.register
def _end_all() -> None:  # pyright: ignore[reportUnusedFunction] - atexit calls it
    """End what nobody closed: a thread must not come back to an interpreter that is gone."""
    for threads in list(_RUNNING):
        threads.end()


def train_in_threads(order: Order, count: int) -> Iterator[EpochRecord]:
    """Train members side by side; see `population.train`."""
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in order.queue:
        jobs.put(index)
    records: queue.SimpleQueue[EpochRecord | BaseException] = queue.SimpleQueue()
    threads = Threads(order.training, order.validation)

    def work() -> None:
        try:
            while not threads.stop.asked:
                try:
                    index = jobs.get_nowait()
                except queue.Empty:
                    return
                own = train_member_natively(
                    order.members[index],
                    *threads.data,
                    index=index,
                    snapshots_per_epoch=order.snapshots_per_epoch,
                    checkpoint_every=order.checkpoint_every,
                    resume=order.resume.get(index),
                    stop=threads.stop,
                )
                for record in fail_gently(own, index):
                    records.put(record)
        except BaseException as error:  # told to the caller, who would wait for ever otherwise
            records.put(error)

    try:
        for _ in range(count):
            threads.start(work)
        unfinished = len(order.members)
        while unfinished:
            record = records.get()
            if isinstance(record, BaseException):
                raise record
            unfinished -= record.outcome is not None
            yield record
    finally:
        threads.end()


def _unchanging(examples: Examples) -> Examples:
    """Copy the targets: classes are indices, and the core reads them while the caller goes on."""
    if examples.targets is examples.inputs:  # an autoencoder's are no indices: not held twice
        return examples
    return Examples(examples.inputs, examples.targets.copy())


def save_checkpoint(
    member: Member, core: Any, generator: torch.Generator, epoch: int, rate: float
) -> Checkpoint:
    """Take everything that the next epoch depends on."""
    arrays: dict[str, NDArray[np.generic]] = {
        "parameters": core.parameters,
        "buffers": core.buffers,
        "generator": generator.get_state().numpy().copy(),
    }
    for which in range(core.moments):
        arrays[f"moment{which}"] = core.moment(which)
    return Checkpoint(member=member, epoch=epoch, rate=rate, arrays=arrays)


def restore(
    core: Any, generator: torch.Generator, checkpoint: Checkpoint, steps_per_epoch: int
) -> None:
    """Put a core and its generator where a checkpoint was taken.

    Raises:
        InputError: the checkpoint lacks an array.
    """
    moments = [f"moment{which}" for which in range(core.moments)]
    if lacking := {"parameters", "buffers", "generator", *moments} - checkpoint.arrays.keys():
        raise InputError(f"checkpoint: lacks {', '.join(sorted(lacking))}; it is damaged")
    core.parameters = checkpoint.arrays["parameters"]
    core.buffers = checkpoint.arrays["buffers"]
    for which in range(core.moments):
        core.set_moment(which, checkpoint.arrays[f"moment{which}"])
    core.steps = checkpoint.epoch * steps_per_epoch
    generator.set_state(torch.from_numpy(np.array(checkpoint.arrays["generator"])))


def module_state(member: Member, core: Any) -> dict[str, NDArray[np.generic]]:
    """Return the state dict that the member's `nn.Sequential` would have, as arrays."""
    module = build(member.network, torch.Generator())
    load_flat(module, core.parameters)
    load_statistics(module, core.buffers, core.steps)
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def _arrays(examples: Examples) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    return np.ascontiguousarray(examples.inputs), np.ascontiguousarray(examples.targets)
