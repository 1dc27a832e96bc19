"""Train autoencoders: plain, with noise on the inputs, or with a penalty on the codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from downslope.autoencoders.autoencoder import code_layer, halves
from downslope.autoencoders.corruption import Corruption
from downslope.data import Examples
from downslope.engines import EpochRecord, Job, local_runner, run_jobs
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, build

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
    anew for each epoch, and targets stay clean. A penalty is beyond the compiled engine: such
    members train one after another in the plain PyTorch loop. The losses reported are without it,
    so that they compare with other trainings.

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
    runner = local_runner(
        Examples(inputs, inputs), None, threads, engine="pytorch" if sparsity > 0 else "auto"
    )
    return run_jobs(
        runner,
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
