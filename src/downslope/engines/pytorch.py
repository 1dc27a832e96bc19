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
from downslope.engines.checkpoints import TorchState
from downslope.engines.job import EpochRecord, Job, Snapshot, close_epoch, snapshot_steps
from downslope.networks import Loss, NetworkSpec, TrainingSpec, build, flatten, load_state

EVALUATION_ROWS = 4096  # a fixed chunk, so that sums do not depend on how much memory is free


def train_member(
    job: Job, training: Examples, validation: Examples | None = None, *, device: str = "cpu"
) -> Iterator[EpochRecord]:
    """Train one member in PyTorch and yield a record per epoch.

    Args:
        job: what to train.
        training: scaled examples that fit it, float32 inputs of shape (examples, features).
        validation: evaluated after each epoch; it does not influence the training.
        device: where to train; data and network are moved there whole.
    """
    spec, seed = job.member.training, job.member.seed
    generator = torch.Generator().manual_seed(seed)
    module = build(job.member.network, generator).to(device)
    steps = job.member.steps_per_epoch(len(training))
    optimizer = make_optimizer(module, spec)
    scheduler = make_scheduler(optimizer, spec, steps)
    state = TorchState(job.member, module, optimizer, scheduler, generator)
    if job.checkpoint is not None:
        state.restore(job.checkpoint, job.checkpoint.epoch * steps)
    training = job.seen(training)
    inputs, targets = _tensors(training, device)
    held_out = None if validation is None else _tensors(job.seen(validation), device)
    snapshot_after = snapshot_steps(job.snapshots_per_epoch, steps)
    record = None
    for epoch in job.epochs:
        start, rate = time.perf_counter(), spec.learning_rate
        losses: list[float] = []
        snapshots: list[Snapshot] = []
        if job.corrupt is not None:
            clean = np.asarray(training.inputs, np.float32)
            inputs = torch.from_numpy(job.corrupt(clean, seed, epoch)).to(device)
        module.train()
        order = minibatch_order(len(training), generator).to(device)
        for rows in order.split(spec.batch_size)[:steps]:
            optimizer.zero_grad()
            outputs = layer_outputs(module, inputs[rows], generator)
            loss = loss_of(spec.loss, outputs[-1], targets[rows], spec.label_smoothing)
            (loss if job.penalty is None else loss + job.penalty(outputs)).backward()
            if spec.clip_norm > 0:
                nn.utils.clip_grad_norm_(module.parameters(), spec.clip_norm)
            optimizer.step()
            losses.append(loss.item())
            rate = optimizer.param_groups[0]["lr"]
            if not math.isfinite(losses[-1]):
                break
            if len(losses) in snapshot_after:
                step = (epoch - 1) * steps + len(losses)
                snapshots.append(Snapshot(step=step, loss=losses[-1], parameters=flatten(module)))
            if scheduler is not None:
                scheduler.step()
        scores = None if held_out is None else evaluate_module(module, *held_out, spec.loss)
        if spec.evaluation_draw:
            base_seed(generator)
        record = close_epoch(
            job, epoch, losses, rows=len(training), rate=rate, start=start, state=state,
            previous=record, validation=scores, snapshots=snapshots,
        )  # fmt: skip
        yield record
        if record.outcome is not None:
            return


def evaluate_module(
    module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, loss: Loss
) -> tuple[float, float]:
    """Return loss and accuracy in evaluation mode; the accuracy is NaN without classes."""
    outputs = predict_module(module, inputs)
    accuracy = math.nan
    if loss == "cross_entropy":
        accuracy = float((outputs.argmax(1) == targets).double().mean())
    return float(loss_of(loss, outputs, targets)), accuracy


def predict(
    network: NetworkSpec, state: dict[str, NDArray[np.generic]], inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the outputs of a trained network in evaluation mode, shape (rows, outputs)."""
    module = build(network, torch.Generator())
    load_state(module, state)
    return predict_module(module, torch.from_numpy(np.ascontiguousarray(inputs))).numpy()


def predict_module(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Evaluate a module in evaluation mode, in chunks of fixed size; its mode is restored."""
    training = module.training
    module.eval()
    with one_thread(), torch.no_grad():
        outputs = torch.cat([module(chunk) for chunk in inputs.split(EVALUATION_ROWS)])
    module.train(training)
    return outputs


def layer_outputs(
    module: nn.Sequential, inputs: torch.Tensor, generator: torch.Generator
) -> list[torch.Tensor]:
    """Run a network in training mode and return what each of its layers gives.

    Dropout masks are drawn from the member's own stream; `nn.Dropout` would draw the same ones
    from the global generator.
    """
    outputs = [inputs]
    for layer in module:
        if isinstance(layer, nn.Dropout):
            keep = 1 - layer.p
            mask = torch.empty(outputs[-1].shape).bernoulli_(keep, generator=generator).div_(keep)
            outputs.append(outputs[-1] * mask.to(inputs.device))
        else:
            outputs.append(layer(outputs[-1]))
    return outputs[1:]


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


def _tensors(examples: Examples, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs)).to(device)
    if examples.targets is examples.inputs:  # an autoencoder's: do not hold them twice
        return inputs, inputs
    return inputs, torch.from_numpy(np.ascontiguousarray(examples.targets)).to(device)
