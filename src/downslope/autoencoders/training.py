"""Training autoencoders: plain, with noise on the inputs, or with a penalty on the codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from downslope.autoencoders.autoencoder import Autoencoder, code_layer, halves
from downslope.autoencoders.corruption import Corruption
from downslope.data import Examples, Range, Scaling, finite_rows, max_pixel_of
from downslope.engines import EpochRecord, Job, MakeRunner, local_runner, run_jobs
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec, build
from downslope.progress import Progress, Steps

PLAIN = Corruption()


def train_autoencoders(
    members: Sequence[Member],
    inputs: NDArray[np.float32],
    *,
    noise: Corruption = PLAIN,
    sparsity: float = 0.0,
    threads: int | None = None,
    make_runner: MakeRunner = local_runner,
) -> Iterator[EpochRecord]:
    """Train a population of autoencoders and yield an `EpochRecord` per epoch of each.

    Without noise and penalty this is `downslope.train` with the inputs as targets. Noise is drawn
    anew for each epoch, and targets stay clean. A penalty is beyond the compiled engine: such
    members train in the plain PyTorch loop, here one after another. The losses reported are
    without it, so that they compare with other trainings.

    Args:
        members: with as many outputs as inputs and mean squared error.
        inputs: shape (examples, features), in [0, 1].
        noise: on the inputs.
        sparsity: weight of the mean absolute code, added to the error (L1, as in Ng 2011).
        threads: members trained at the same time; by default all cores.
        make_runner: makes what trains, here or on a cluster.

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
    make = partial(make_runner, engine="pytorch") if sparsity > 0 else make_runner
    return run_jobs(
        make(Examples(inputs, inputs), None, threads),
        [
            Job(
                member=member,
                index=index,
                corrupt=noise.corrupt if noise.amount > 0 else None,
                penalty=_mean_code(member.network, sparsity) if sparsity > 0 else None,
            )
            for index, member in enumerate(members)
        ],
    )


def _mean_code(
    network: NetworkSpec, weight: float
) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
    """Make the penalty of a network: its mean absolute code."""
    encoder, _ = halves(build(network, torch.Generator()), network)
    code = len(encoder) - 1
    return lambda outputs: weight * outputs[code].abs().mean()


def fit_autoencoder(
    raw: NDArray[Any],
    *,
    hidden: Sequence[int] = (128, 64, 128),
    training: TrainingSpec | None = None,
    noise: Corruption = PLAIN,
    sparsity: float = 0.0,
    seed: int = 541,
    threads: int | None = None,
) -> Steps[Autoencoder]:
    """Train a dense autoencoder on arrays; no classes are needed.

    Bytes are divided by the value of a white pixel (`max_pixel_of`), numbers in [0, 1] stay as they
    are, and of anything else each feature is mapped from its range to [0, 1].

    Args:
        raw: shape (examples, features) or (examples, height, width), any numbers.
        hidden: widths of the hidden layers, the narrowest is the code.
        training: by default 20 epochs of Adam, one-cycle to 3e-3, batch 32.
        noise: on the inputs, drawn anew for each epoch; targets stay clean.
        sparsity: weight of the mean absolute code, added to the error in training.
        seed: of weights, order and noise.
        threads: of the computation; has no influence on the result.

    Raises:
        InputError: arrays that are no finite numbers or too few, settings that do not fit, or a
            training that diverged.

    >>> from downslope.progress import drain
    >>> rows = np.random.default_rng(0).integers(0, 256, (64, 4, 4)).astype(np.uint8)
    >>> coder = drain(fit_autoencoder(rows, hidden=(8, 3, 8)))
    >>> coder.encode(rows).shape, coder.reconstruct(rows).shape
    ((64, 3), (64, 4, 4))
    """
    raw = np.asarray(raw)
    if raw.ndim < 2 or raw.size == 0 or raw.dtype.kind not in "biuf":
        raise InputError(
            f"autoencoder: an array of shape {raw.shape} and type {raw.dtype} is nothing to learn "
            "from; it must be numbers of shape (examples, features) or (examples, height, width)"
        )
    shape = raw.shape[1:]
    rows = raw.reshape(len(raw), -1)
    finite_rows(rows, "autoencoder")
    examples = Examples(rows, np.zeros(len(rows), np.int64))
    if raw.dtype == np.uint8:
        max_pixel = max_pixel_of(rows)
    else:
        max_pixel = 1.0 if rows.min() >= 0 and rows.max() <= 1 else None
    scaling = Scaling.unit(examples, max_pixel)
    inputs = np.asarray(scaling.apply(examples).inputs, np.float32).clip(0, 1)
    spec = training or TrainingSpec(
        loss="mean_squared_error",
        optimizer="adam",
        learning_rate=3e-3,
        schedule="one_cycle",
        batch_size=32,
        epochs=20,
    )
    features = rows.shape[1]
    network = NetworkSpec(widths=(features, *hidden, features), output="sigmoid")
    member = Member(network=network, training=spec, seed=seed)
    yield Progress("autoencoder", 0, spec.epochs)
    last = None
    for last in train_autoencoders(
        [member], inputs, noise=noise, sparsity=sparsity, threads=threads
    ):
        note = f"training error {last.train_loss:.4f}"
        yield Progress("autoencoder", last.epoch, spec.epochs, note)
    assert last is not None
    if last.outcome != "completed" or last.state is None:
        raise InputError(
            f"autoencoder: the training {last.outcome}: {last.reason}; lower its learning_rate"
        )
    return Autoencoder(network, last.state, scaling, shape, Range.of(rows))
