"""The plain PyTorch loop: short, readable, on any device, and the oracle for every other engine.

Its trajectory is bit for bit that of the loop a PyTorch user writes after `torch.manual_seed`:
default initialization, `DataLoader(shuffle=True)`, `torch.optim`. It indexes whole arrays in that
loader's order instead of collating examples one by one, and leaves the global generator alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.engines.checkpoints import Checkpoint, put_back, take
from downslope.engines.records import (
    EpochRecord,
    Snapshot,
    divergence,
    minibatch_sizes,
    snapshot_steps,
)
from downslope.errors import InputError
from downslope.networks import Loss, Member, NetworkSpec, TrainingSpec, build, flatten

EVALUATION_ROWS = 4096  # a fixed chunk, so that sums do not depend on how much memory is free


def train_member(
    member: Member,
    training: Examples,
    validation: Examples | None = None,
    *,
    index: int = 0,
    snapshots_per_epoch: int = 0,
    checkpoint_every: int = 0,
    resume: Checkpoint | None = None,
    device: str = "cpu",
) -> Iterator[EpochRecord]:
    """Train one member and yield a record per epoch.

    Args:
        member: network, training and seed.
        training: scaled examples, float32 inputs of shape (examples, features).
        validation: evaluated after each epoch; it does not influence the training.
        index: the member's position in its population, copied to the records.
        snapshots_per_epoch: flat parameter vectors to keep per epoch, evenly spaced; the last is
            the end of the epoch.
        checkpoint_every: epochs between checkpoints in the records; 0 for none.
        resume: a checkpoint of this member to go on from.
        device: where to train; data and network are moved there whole.

    Raises:
        InputError: the data do not fit the network.
    """
    check_fit(member, training)
    if validation is not None:
        check_fit(member, validation)
    spec = member.training
    generator = torch.Generator().manual_seed(member.seed)
    module = build(member.network, generator).to(device)
    inputs, targets = _tensors(training, device)
    held_out = None if validation is None else _tensors(validation, device)
    steps_per_epoch = member.steps_per_epoch(len(training))
    optimizer = make_optimizer(module, spec)
    scheduler = make_scheduler(optimizer, spec, steps_per_epoch)
    taken = snapshot_steps(snapshots_per_epoch, steps_per_epoch)
    first, last_finite = 1, math.nan
    if resume is not None:
        first = resume.epoch + 1
        put_back(resume, module, optimizer, scheduler, generator, resume.epoch * steps_per_epoch)
    step = (first - 1) * steps_per_epoch
    for epoch in range(first, spec.epochs + 1):
        start = time.perf_counter()
        rate = spec.learning_rate
        losses: list[float] = []
        snapshots: list[Snapshot] = []
        module.train()
        order = minibatch_order(len(training), generator).to(device)
        for rows in order.split(spec.batch_size)[:steps_per_epoch]:
            optimizer.zero_grad()
            outputs = forward(module, inputs[rows], generator)
            loss = loss_of(spec.loss, outputs, targets[rows], spec.label_smoothing)
            loss.backward()
            if spec.clip_norm > 0:
                nn.utils.clip_grad_norm_(module.parameters(), spec.clip_norm)
            optimizer.step()
            step += 1
            losses.append(loss.item())
            rate = optimizer.param_groups[0]["lr"]
            if not math.isfinite(losses[-1]):
                break
            last_finite = losses[-1]
            if len(losses) in taken:
                snapshots.append(Snapshot(step=step, loss=losses[-1], parameters=flatten(module)))
            if scheduler is not None:
                scheduler.step()
        batch_losses = np.array(losses, np.float32)
        sizes = minibatch_sizes(member, len(training))[: len(losses)]
        held_out_loss, held_out_accuracy = math.nan, math.nan
        if held_out is not None:
            outputs = predict_module(module, held_out[0])
            held_out_loss = float(loss_of(spec.loss, outputs, held_out[1]))
            if spec.loss == "cross_entropy":
                held_out_accuracy = float((outputs.argmax(1) == held_out[1]).double().mean())
        if spec.evaluation_draw:
            base_seed(generator)
        diverged = not math.isfinite(losses[-1]) or (
            held_out is not None and not math.isfinite(held_out_loss)
        )
        last = diverged or epoch == spec.epochs
        if last and not diverged:  # the very last update has no loss after it
            diverged = not np.isfinite(flatten(module)).all()
        checkpoint = None
        if checkpoint_every and not last and epoch % checkpoint_every == 0:
            checkpoint = take(member, module, optimizer, generator, epoch)
        yield EpochRecord(
            member=index,
            epoch=epoch,
            step=step,
            train_loss=float(np.average(batch_losses.astype(np.float64), weights=sizes)),
            batch_losses=batch_losses,
            validation_loss=held_out_loss,
            validation_accuracy=held_out_accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - start,
            snapshots=tuple(snapshots),
            state={k: v.cpu().numpy().copy() for k, v in module.state_dict().items()}
            if last
            else None,
            checkpoint=checkpoint,
            outcome=("diverged" if diverged else "completed") if last else None,
            reason=divergence(step, epoch, last_finite) if diverged else "",
        )
        if last:
            return


def predict(
    network: NetworkSpec, state: dict[str, NDArray[np.generic]], inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the outputs of a trained network in evaluation mode, shape (rows, outputs)."""
    module = build(network, torch.Generator())
    module.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in state.items()})
    return predict_module(module, torch.from_numpy(np.ascontiguousarray(inputs))).numpy()


def predict_module(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Evaluate a module in evaluation mode, in chunks of fixed size; its mode is restored."""
    training = module.training
    module.eval()
    with one_thread(), torch.no_grad():
        outputs = torch.cat([module(chunk) for chunk in inputs.split(EVALUATION_ROWS)])
    module.train(training)
    return outputs


def forward(
    module: nn.Sequential, inputs: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Run a network in training mode with dropout masks drawn from the member's own stream.

    `nn.Dropout` would draw the same mask from the global generator.
    """
    for layer in module:
        if isinstance(layer, nn.Dropout):
            keep = 1 - layer.p
            mask = torch.empty(inputs.shape).bernoulli_(keep, generator=generator).div_(keep)
            inputs = inputs * mask.to(inputs.device)
        else:
            inputs = layer(inputs)
    return inputs


def loss_of(
    loss: Loss, outputs: torch.Tensor, targets: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Compute the mean loss of a batch as a scalar tensor."""
    if loss == "cross_entropy":
        return functional.cross_entropy(outputs, targets, label_smoothing=label_smoothing)
    return functional.mse_loss(outputs, targets)


@contextmanager
def one_thread() -> Generator[None, None, None]:
    """Compute with one torch thread: the order of a sum must not depend on the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def base_seed(generator: torch.Generator) -> int:
    """Draw the int64 that every pass over a DataLoader draws first."""
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator))


def minibatch_order(examples: int, generator: torch.Generator) -> torch.Tensor:
    """Draw the order of one pass of `DataLoader(shuffle=True)`: int64 rows, shape (examples,).

    The loader draws its base seed, then a second number that seeds a fresh generator for
    `torch.randperm`.
    """
    base_seed(generator)
    return torch.randperm(examples, generator=torch.Generator().manual_seed(base_seed(generator)))


def make_optimizer(module: nn.Module, spec: TrainingSpec) -> torch.optim.Optimizer:
    """Make the `torch.optim` optimizer of a spec for the parameters of a module."""
    weights = [layer.weight for layer in module.modules() if isinstance(layer, nn.Linear)]
    is_weight = {id(weight) for weight in weights}
    rest = [p for p in module.parameters() if id(p) not in is_weight]
    if spec.decay_on == "all":
        groups = [{"params": list(module.parameters()), "weight_decay": spec.weight_decay}]
    else:
        groups = [
            {"params": weights, "weight_decay": spec.weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
    match spec.optimizer:
        case "sgd":
            return torch.optim.SGD(
                groups, lr=spec.learning_rate, momentum=spec.momentum, nesterov=spec.nesterov
            )
        case "adam":
            return torch.optim.Adam(groups, lr=spec.learning_rate)
        case "adamw":
            return torch.optim.AdamW(groups, lr=spec.learning_rate)


def make_scheduler(
    optimizer: torch.optim.Optimizer, spec: TrainingSpec, steps_per_epoch: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """Make the per-step scheduler of a spec; None for a constant rate."""
    total = spec.epochs * steps_per_epoch
    match spec.schedule:
        case "constant":
            return None
        case "cosine":
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total)
        case "one_cycle":
            # One more step than is taken: the scheduler is stepped once after the last update.
            return torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                max_lr=spec.learning_rate,
                total_steps=total + 1,
                cycle_momentum=False,
            )


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


def _tensors(examples: Examples, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs)).to(device)
    if examples.targets is examples.inputs:  # an autoencoder's: do not hold them twice
        return inputs, inputs
    return inputs, torch.from_numpy(np.ascontiguousarray(examples.targets)).to(device)
