"""Second moments of signals and gradients in freshly initialized networks, on real inputs.

The unit of independence is the initialization: the units of one network share its inputs and its
earlier layers, so they are not independent samples, and every figure here is one per network.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.checked import Count, Seed, checked
from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.networks import Initialization, NetworkSpec, build, weight_variance
from downslope.progress import Progress, Steps
from downslope.theory.settings import (
    INITIALIZATIONS,
    Depth,
    Initializations,
    Repetitions,
    Width,
)

OUTPUTS: Final = 10
"""Units of the output layer of the measured networks."""


class Moments(NamedTuple):
    """What was measured in one network, or stacked over several: shape (..., hidden layers).

    Args:
        z_mean: mean of the pre-activations over rows and units.
        z_second: mean of their squares; equals Var[z] where E[z] = 0.
        x_second: mean square of the activations after ReLU.
        z_row: as z_second, for the first row alone: one input has an exact finite-width spread.
        d_second: mean square of the gradient with respect to the pre-activations.
        d_growth: d_second of this layer over that of the layer above, per row, then averaged over
            rows; in the last hidden layer the layer above is the output. Row by row its
            expectation is exact; the ratio of the rows' averages would be biased at finite width.
    """

    z_mean: NDArray[np.float64]
    z_second: NDArray[np.float64]
    x_second: NDArray[np.float64]
    z_row: NDArray[np.float64]
    d_second: NDArray[np.float64]
    d_growth: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measurement:
    """The moments of independent networks of one initialization.

    Args:
        initialization: how the networks were initialized.
        widths: units per layer, inputs first and outputs last.
        input_second: mean square of the inputs over rows and features.
        row_second: of the first row alone.
        examples: rows that were run.
        moments: each of shape (repetitions, hidden layers).
    """

    initialization: Initialization
    widths: tuple[int, ...]
    input_second: float
    row_second: float
    examples: int
    moments: Moments

    @property
    def width(self) -> int:
        """Units per hidden layer, n."""
        return self.widths[1]

    @property
    def gain(self) -> float:
        """Return n Var[w] between hidden layers."""
        return self.width * weight_variance(self.initialization, self.width, self.width)


def record(network: nn.Sequential, inputs: torch.Tensor, cotangent: torch.Tensor) -> Moments:
    """Run one network forward and backward and take the moments of each hidden layer.

    Args:
        network: Linear, activation, ..., Linear.
        inputs: shape (rows, features).
        cotangent: shape (outputs,), the fixed direction u of the functional u . network(x) whose
            gradient is taken; any loss has such a gradient at the outputs.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> record(network, torch.ones(5, 2), torch.ones(1)).x_second.shape
    (1,)
    """
    pre: list[torch.Tensor] = []
    post: list[torch.Tensor] = []
    with one_thread(), torch.enable_grad():
        x = inputs.detach().requires_grad_(True)
        for i, layer in enumerate(network):
            x = layer(x)
            if isinstance(layer, nn.Linear) and i < len(network) - 1:
                pre.append(x)
            elif not isinstance(layer, nn.Linear):
                post.append(x)
        gradients = torch.autograd.grad(x, pre, cotangent.expand_as(x))
        # Means in float64: squares of gradients may be as small as 1e-38, and sums are long.
        rows = [g.double().square().mean(dim=1) for g in gradients]
        above = [*rows[1:], cotangent.double().square().mean().expand(len(inputs))]
        return Moments(
            z_mean=_column(z.double().mean() for z in pre),
            z_second=_column(z.double().square().mean() for z in pre),
            z_row=_column(z[0].double().square().mean() for z in pre),
            x_second=_column(a.double().square().mean() for a in post),
            d_second=_column(row.mean() for row in rows),
            d_growth=_column(
                (row / up)[up > 0].mean() for row, up in zip(rows, above, strict=True)
            ),
        )


@checked("theory")
def measure(
    inputs: NDArray[np.float32],
    *,
    depth: Depth,
    width: Width,
    initializations: Initializations = INITIALIZATIONS,
    repetitions: Repetitions,
    seed: Seed,
    examples: Count,
) -> Steps[list[Measurement]]:
    """Measure ReLU networks of equal hidden widths, newly drawn in every repetition.

    Every network has its own seed, so no two share a weight. The global generator is not used;
    results are bitwise the same for a seed, whatever the number of threads. Arguments are those of
    `run_theory`.

    Returns:
        One measurement per initialization, in order.

    Raises:
        InputError: an argument is outside of what is allowed; the message names it.

    >>> from downslope.progress import drain
    >>> rows = np.ones((4, 3), np.float32)
    >>> he, lecun = drain(measure(rows, depth=2, width=32, initializations=("he", "lecun"),
    ...                           repetitions=3, seed=0, examples=4))
    >>> he.widths, lecun.moments.x_second.shape
    ((3, 32, 32, 10), (3, 2))
    """
    if inputs.ndim != 2 or 0 in inputs.shape:
        raise InputError(
            f"theory: inputs of shape {inputs.shape} are not allowed; "
            "inputs must be (rows, features), at least one of each"
        )
    if not np.isfinite(inputs).all() or not inputs.any():
        raise InputError(
            "theory: inputs are not finite or all zero; inputs must be finite, some not 0"
        )
    if len(inputs) > examples:
        rows = np.random.default_rng([seed, 0]).permutation(len(inputs))[:examples]
        inputs = inputs[np.sort(rows)]
    tensor = torch.from_numpy(np.array(inputs, dtype=np.float32))
    widths = (inputs.shape[1], *[width] * depth, OUTPUTS)

    # A generator's body starts at its first step; arguments are refused above, at the call.
    def steps() -> Steps[list[Measurement]]:
        total = len(initializations) * repetitions
        measurements: list[Measurement] = []
        for initialization in initializations:
            networks: list[Moments] = []
            for repetition in range(repetitions):
                done = len(measurements) * repetitions + repetition
                yield Progress("measuring initializations", done, total, initialization)
                # A place in the fixed list: adding an initialization leaves others' draws alone.
                key = [seed, 1, INITIALIZATIONS.index(initialization), repetition]
                networks.append(_one_network(initialization, widths, tensor, key))
            measurements.append(
                Measurement(
                    initialization=initialization,
                    widths=widths,
                    input_second=float(np.mean(np.square(inputs, dtype=np.float64))),
                    row_second=float(np.mean(np.square(inputs[0], dtype=np.float64))),
                    examples=len(inputs),
                    moments=Moments(*map(np.stack, zip(*networks, strict=True))),
                )
            )
        yield Progress("measuring initializations", total, total)
        return measurements

    return steps()


def _one_network(
    initialization: Initialization, widths: tuple[int, ...], inputs: torch.Tensor, key: list[int]
) -> Moments:
    state = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1
    generator = torch.Generator().manual_seed(state)
    with one_thread():
        network = build(NetworkSpec(widths=widths, initialization=initialization), generator)
        network.requires_grad_(False)
        direction = torch.randn(OUTPUTS, generator=generator)
        # A random direction of fixed length: its own length would only add noise.
        return record(network, inputs, direction / direction.square().mean().sqrt())


def _column(values: Generator[torch.Tensor]) -> NDArray[np.float64]:
    return np.array([value.item() for value in values])
