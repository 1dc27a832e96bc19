"""Train autoencoders: plain, with noise on the inputs, or with a penalty on the codes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.engines import (
    Checkpoint,
    EpochRecord,
    choose_engine,
    cores,
    train,
    train_member,
    train_member_natively,
)
from downslope.engines.pytorch import (
    forward,
    make_optimizer,
    make_scheduler,
    minibatch_order,
    one_thread,
)
from downslope.engines.records import divergence, fail_gently
from downslope.errors import InputError
from downslope.networks import Member, build, flatten
from downslope.reconstruction.autoencoder import code_layer, halves
from downslope.reconstruction.corruption import Corruption

PLAIN = Corruption()


def train_autoencoders(
    members: Sequence[Member],
    inputs: NDArray[np.float32],
    *,
    noise: Corruption = PLAIN,
    sparsity: float = 0.0,
    threads: int | None = None,
) -> Iterator[EpochRecord]:
    """Train a population of autoencoders and yield an `EpochRecord` per epoch of each.

    Without noise and penalty this is `downslope.train` with the inputs as targets. Noise is drawn
    anew for each epoch, targets stay clean, and members advance side by side on the same engine.
    A penalty is beyond the compiled engine: such members train one after another in a plain
    PyTorch loop.

    Args:
        members: with as many outputs as inputs and mean squared error.
        inputs: shape (examples, features), in [0, 1].
        noise: on the inputs.
        sparsity: weight of the mean absolute code, added to the error (L1, as in Ng 2011).
        threads: members trained at the same time; by default all cores.

    Raises:
        InputError: a member that is no autoencoder, inputs outside of [0, 1], or a penalty that is
            negative or not finite.
    """
    for member in members:
        code_layer(member.network)
        if member.training.loss != "mean_squared_error":
            raise InputError(
                f"autoencoder: {member.network.label} with {member.training.loss} cannot "
                "reconstruct; it needs mean_squared_error"
            )
    if not (inputs.min(initial=0) >= 0 and inputs.max(initial=0) <= 1):  # NaN included
        raise InputError(
            f"autoencoder: inputs from {inputs.min():g} to {inputs.max():g}; a sigmoid can only "
            "reconstruct inputs scaled to [0, 1]"
        )
    if not (sparsity >= 0 and math.isfinite(sparsity)):
        raise InputError(f"autoencoder: sparsity = {sparsity}; it must be 0 or above, finite")
    if sparsity > 0:
        return _one_by_one(members, inputs, noise, sparsity)
    if noise.amount > 0:
        return _side_by_side(members, inputs, noise, threads or cores())
    return train(members, Examples(inputs, inputs), threads=threads)


def _side_by_side(
    members: Sequence[Member], inputs: NDArray[np.float32], noise: Corruption, threads: int
) -> Iterator[EpochRecord]:
    native = choose_engine("auto") == "native"
    waiting = [
        fail_gently(_with_noise(member, inputs, noise, index, native), index)
        for index, member in enumerate(members)
    ]
    # The plain loop sets torch's threads for the whole process, so it goes alone.
    with ThreadPoolExecutor(threads if native else 1) as pool:
        while waiting:
            records = list(pool.map(_advance, waiting))
            yield from records
            waiting = [w for w, r in zip(waiting, records, strict=True) if r.outcome is None]


def _advance(records: Iterator[EpochRecord]) -> EpochRecord:
    return next(records)


def _with_noise(
    member: Member, inputs: NDArray[np.float32], noise: Corruption, index: int, native: bool
) -> Iterator[EpochRecord]:
    """Train one member an epoch at a time, from checkpoint to checkpoint, each on its own noise."""
    train_one = train_member_natively if native else train_member
    last: Checkpoint | None = None
    for epoch in range(1, member.training.epochs + 1):
        noisy = Examples(noise.corrupt(inputs, member.seed, epoch), inputs)
        steps = train_one(member, noisy, index=index, checkpoint_every=1, resume=last)
        if native:
            record = next(steps)
        else:
            with one_thread():
                record = next(steps)
        last = record.checkpoint
        yield msgspec.structs.replace(record, checkpoint=None)
        if record.outcome is not None:
            return


def _one_by_one(
    members: Sequence[Member], inputs: NDArray[np.float32], noise: Corruption, sparsity: float
) -> Iterator[EpochRecord]:
    for index, member in enumerate(members):
        records = fail_gently(_with_penalty(member, inputs, noise, sparsity, index), index)
        while True:
            with one_thread():
                record = next(records, None)
            if record is None:
                break
            yield record


def _with_penalty(
    member: Member, inputs: NDArray[np.float32], noise: Corruption, sparsity: float, index: int
) -> Iterator[EpochRecord]:
    """Train one member in a plain loop, in the random stream of `train_member`.

    `train_loss` is the reconstruction error alone, so that it compares with other trainings.
    """
    spec = member.training
    generator = torch.Generator().manual_seed(member.seed)
    module = build(member.network, generator)
    encoder, decoder = halves(module, member.network)
    clean = torch.from_numpy(np.ascontiguousarray(inputs))
    steps_per_epoch = member.steps_per_epoch(len(inputs))
    optimizer = make_optimizer(module, spec)
    scheduler = make_scheduler(optimizer, spec, steps_per_epoch)
    step, last_finite = 0, math.nan
    for epoch in range(1, spec.epochs + 1):
        start = time.perf_counter()
        noisy = torch.from_numpy(noise.corrupt(inputs, member.seed, epoch))
        errors: list[float] = []
        sizes: list[int] = []
        rate = spec.learning_rate
        module.train()
        order = minibatch_order(len(inputs), generator)
        for rows in order.split(spec.batch_size)[:steps_per_epoch]:
            optimizer.zero_grad()
            codes = forward(encoder, noisy[rows], generator)
            error = functional.mse_loss(forward(decoder, codes, generator), clean[rows])
            torch.autograd.backward(error + sparsity * codes.abs().mean())
            if spec.clip_norm > 0:
                nn.utils.clip_grad_norm_(module.parameters(), spec.clip_norm)
            optimizer.step()
            step += 1
            errors.append(error.item())
            sizes.append(len(rows))
            rate = optimizer.param_groups[0]["lr"]
            if not math.isfinite(errors[-1]):
                break
            last_finite = errors[-1]
            if scheduler is not None:
                scheduler.step()
        diverged = not math.isfinite(errors[-1])
        last = diverged or epoch == spec.epochs
        if last and not diverged:
            diverged = not np.isfinite(flatten(module)).all()
        yield EpochRecord(
            member=index,
            epoch=epoch,
            step=step,
            train_loss=float(np.average(np.array(errors, np.float32).astype(float), weights=sizes)),
            batch_losses=np.array(errors, np.float32),
            learning_rate=rate,
            seconds=time.perf_counter() - start,
            state={k: v.numpy().copy() for k, v in module.state_dict().items()} if last else None,
            outcome=("diverged" if diverged else "completed") if last else None,
            reason=divergence(step, epoch, last_finite) if diverged else "",
        )
        if last:
            return
