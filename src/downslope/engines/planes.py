"""Losses of a network all over a plane in parameter space, on the compiled core."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downslope.data import Examples
from downslope.engines.environment import cores
from downslope.engines.job import check_fit
from downslope.engines.native import (
    CancelToken,
    instruction_set,
    instruction_sets,
    make_trainer,
)
from downslope.errors import InputError
from downslope.networks import Loss, Member, NetworkSpec, TrainingSpec
from downslope.progress import Progress, Steps

PIECE = 64
"""Points that a core takes at once where batch norm needs all examples at each."""


def losses_on_plane(
    network: NetworkSpec,
    vectors: NDArray[np.float32],
    points: NDArray[np.float64],
    examples: Examples,
    loss: Loss = "cross_entropy",
    *,
    buffers: NDArray[np.float32] | None = None,
    recompute: bool = False,
    threads: int | None = None,
    task: str = "surface",
) -> Steps[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Compute the loss of a network at points of a plane, on all cores.

    The first layer's products with the examples are affine in the two coordinates, so they are
    computed three times and not once a point. Nothing drops out; batch norm uses `buffers`, or at
    every point the statistics of all examples there. The result does not depend on `threads`.

    Args:
        network: whose parameters the plane lies among.
        vectors: origin and two directions, shape (3, parameters), in the order of
            `parameters_to_vector`. The directions are used as they are.
        points: coordinates along the two directions, shape (n, 2).
        examples: scaled examples.
        loss: what to compute.
        buffers: running mean and variance of each batch norm in turn, as in a `Checkpoint`.
        recompute: take batch norm's statistics at every point from a pass over the examples, as
            its running statistics with momentum 1 would be.
        threads: of the computation; by default one per core.
        task: the name shown with the progress.

    Returns:
        Mean losses and accuracies, each of shape (n,); accuracies are NaN where the loss is the
        mean squared error.

    Raises:
        InputError: shapes do not fit, one example alone with `recompute`, or the compiled engine
            is not installed.

    >>> from downslope.progress import drain
    >>> network = NetworkSpec(widths=(2, 2))
    >>> weights = np.array([[0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]])
    >>> examples = Examples(np.eye(2, dtype=np.float32), np.array([0, 1]))
    >>> losses, accuracies = drain(losses_on_plane(
    ...     network, weights.astype(np.float32), np.array([[0.0, 0.0], [1.0, 0.0]]), examples))
    >>> losses.round(4).tolist(), accuracies.tolist()
    ([0.6931, 0.3133], [0.5, 1.0])
    """
    if not instruction_sets():
        raise InputError("losses on a plane: the compiled engine is not installed")
    everything = len(examples)
    block = max(2, everything) if recompute else min(1024, max(64, -(-everything // 16)))
    member = Member(
        network=network, training=TrainingSpec(batch_size=block, epochs=1, loss=loss), seed=0
    )
    check_fit(member, examples)
    vectors = np.ascontiguousarray(vectors, np.float32)
    points = np.ascontiguousarray(points, np.float64)
    # A copy: classes are indices, and the core reads them while the caller goes on.
    inputs, targets = np.ascontiguousarray(examples.inputs), np.array(examples.targets)
    token = CancelToken()
    isa = instruction_set()

    def compute(piece: tuple[slice, slice]) -> Any:
        rows, at = piece
        trainer = make_trainer(member, isa)
        if buffers is not None:
            trainer.buffers = np.ascontiguousarray(buffers, np.float32)
        token.register(trainer)
        try:
            return trainer.losses_on_plane(
                vectors, points[at], inputs[rows], targets[rows], recompute
            )
        finally:
            token.unregister(trainer)

    all_rows, all_points = slice(0, everything), slice(0, len(points))
    if recompute:
        pieces = [(all_rows, slice(at, at + PIECE)) for at in range(0, len(points), PIECE)]
    else:
        pieces = [(slice(at, at + block), all_points) for at in range(0, everything, block)]
    sums, correct = np.zeros(len(points)), np.zeros(len(points))
    pool = ThreadPoolExecutor(threads or cores())
    try:
        for done, (some, right) in enumerate(pool.map(compute, pieces), 1):
            at = pieces[done - 1][1]
            sums[at] += some
            correct[at] += right
            yield Progress(task, done, len(pieces))
    except ValueError as error:  # the core's own words about shapes
        raise InputError(f"losses on a plane: {error}") from None
    finally:
        token.cancel()
        pool.shutdown(cancel_futures=True)
    accuracies = correct / everything
    return sums / everything, accuracies if loss == "cross_entropy" else accuracies * np.nan
