"""Losses of any module at many parameter vectors, the module itself left alone."""

from __future__ import annotations

import math
import queue
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Annotated, Any

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import nn

from downslope.checked import Threads, check
from downslope.engines import Engine, cores
from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.landscape.fitting import (
    Arrays,
    LossFunction,
    Sample,
    compute_losses,
    copy_of,
    device_of,
    fit_examples,
    same_draws,
)
from downslope.landscape.planes import Plane
from downslope.landscape.settings import BatchNorm
from downslope.networks import Loss, batch_norms, guarded, load_flat
from downslope.progress import Progress, Steps

QUICK = 0.1
"""Seconds that a batch of points should take, so that progress is seen."""
BYTES_PER_OUTPUT = 16
"""Memory that an example is counted with, for each output of its widest part: four floats."""


@dataclass(frozen=True, slots=True)
class LossOptions:
    """What is measured at every point, and how.

    Args:
        loss: "cross_entropy" of logits with classes along axis 1, "mean_squared_error", or a
            function of the module and a batch, which is (inputs, targets) of `Examples`, a tuple
            or a dictionary of tensors where examples are given so. It returns a loss per example,
            or their mean.
        batch_norm: "frozen" leaves the running statistics as the module has them; "recomputed"
            takes them anew at every point from a pass over the same examples (Izmailov et al. 2018,
            section 3.2).
        memory: bytes that the activations of one chunk of examples may take.
        threads: points computed at the same time, by default one per core; the result does not
            depend on it.
        engine: "native" may compute the networks that it trains; "pytorch" computes all.
        output: which output, where the module returns several: the key of a dict, the name in a
            named tuple, or the position in a tuple, such as "0"; a loss function picks itself.

    Raises:
        InputError: a value that is not allowed, or an output beside a loss function.
    """

    loss: Loss | LossFunction = "cross_entropy"
    batch_norm: BatchNorm = "frozen"
    memory: int = 256 * 2**20
    threads: int | None = None
    engine: Engine = "auto"
    output: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.loss):
            check("landscape", "loss", self.loss, Loss)
        check("landscape", "batch_norm", self.batch_norm, BatchNorm)
        check("landscape", "memory", self.memory, Annotated[int, Meta(ge=1)])
        check("landscape", "threads", self.threads, Threads | None)
        if callable(self.loss) and self.output is not None:
            raise InputError(
                f"landscape: output = {self.output!r} has no effect beside a loss function, which "
                "takes from the module's outputs what it needs"
            )

    @staticmethod
    def of(loss: Loss | LossFunction | LossOptions) -> LossOptions:
        """Take a loss by name or function, all else by default."""
        return loss if isinstance(loss, LossOptions) else LossOptions(loss)

    def fit(self, module: nn.Module, examples: Arrays | Sample) -> Sample:
        """Check a module and examples together, before any work; see `fit_examples`."""
        return fit_examples(module, examples, self.loss, self.output)

    def losses(
        self, module: nn.Module, batch: Any, rows: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute a batch's losses and, of a loss by name, outputs; see `compute_losses`."""
        return compute_losses(module, batch, rows, self.loss, self.output)


@dataclass(frozen=True, slots=True)
class Losses:
    """What was measured at n points; not finite where the network's loss is not.

    Args:
        loss: mean over the examples, shape (n,).
        accuracy: share of examples classified right, shape (n,); NaN where there are no classes.
        error: standard error of the mean loss from the number of examples, shape (n,); NaN where
            it is not known.
    """

    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: NDArray[np.float64]

    @staticmethod
    def none(count: int) -> Losses:
        """Return values that are nowhere known."""
        return Losses(*np.full((3, count), np.nan))


def evaluate(
    module: nn.Module,
    vectors: Iterable[NDArray[np.float32]],
    count: int,
    examples: Arrays | Sample,
    options: LossOptions | None = None,
    *,
    task: str = "losses",
) -> Steps[Losses]:
    """Compute the loss of a module at many parameter vectors on the same examples.

    The module given is copied and only read: parameters, buffers, modes, gradients and hooks stay
    as they are, and so do the global random generators. The copies run in evaluation mode. Where a
    module draws random numbers even then, each point draws the same ones. Each point is a plain
    forward pass over chunks of the examples, computed by one thread, on the module's device and in
    the type of its parameters: float64 and bfloat16 modules compute as such. Vectors are float32,
    and losses of half-precision outputs are taken in float32.

    Args:
        module: the network.
        vectors: flat vectors; asked for when they are needed.
        count: how many.
        examples: inputs as the module takes them, their first axis the examples; or, for a loss
            function, any arrays as a dictionary or a tuple.
        options: what to compute; by default cross-entropy.
        task: the name shown with the progress.

    Raises:
        InputError: no examples, vectors of another length than the module has parameters, a
            module that cannot be copied, or examples that do not fit; see `fit_examples`.
    """
    options = options or LossOptions()
    workers = _Workers(module, options.fit(module, examples), options)
    loss, accuracy, error = (np.full(count, np.nan) for _ in range(3))
    done, source, batch = 0, iter(vectors), len(workers)
    try:
        yield Progress(task, 0, count)
        while done < count:
            start = time.monotonic()
            for value in workers.run(list(islice(source, batch))):
                loss[done], accuracy[done], error[done] = value
                done += 1
                yield Progress(task, done, count)
            # Points that are quick are handed out by the dozen: workers wait at the end of a batch.
            if time.monotonic() - start < QUICK:
                batch = max(len(workers), min(2 * batch, workers.most))
    finally:
        workers.close()
    return Losses(loss, accuracy, error)


class _Workers:
    """Copies of one module that evaluate side by side, a thread and a copy each."""

    def __init__(self, module: nn.Module, sample: Sample, options: LossOptions) -> None:
        self.options = options
        self.device = device = device_of(module)
        self.sample, self.tensors = sample, sample.tensors(module)
        first = copy_of(module)
        with one_thread(), same_draws(device):
            before = _states()
            per_example = self._activation_bytes(first)
            draws = _states() != before
        rows = max(1, options.memory // max(1, per_example))
        self.chunks = even_chunks(len(sample), rows)
        # A module that draws needs the one global generator to itself; a device is shared badly.
        threads = 1 if draws or device.type != "cpu" else (options.threads or cores())
        self.copies: queue.SimpleQueue[nn.Module] = queue.SimpleQueue()
        self.copies.put(first)
        for _ in range(threads - 1):
            self.copies.put(copy_of(first))
        self.count = threads
        # Vectors that wait may take as much memory as activations.
        size = 4 * sum(p.numel() for p in first.parameters())
        self.most = min(16 * threads, options.memory // max(1, size))
        self.pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def __len__(self) -> int:
        return self.count

    def run(self, vectors: list[NDArray[np.float32]]) -> list[tuple[float, float, float]]:
        with one_thread():
            if self.count == 1:
                with same_draws(self.device):
                    return [self._evaluate(vector) for vector in vectors]
            waiting: list[Future[tuple[float, float, float]]] = [
                self.pool.submit(self._evaluate, vector) for vector in vectors
            ]
            return [future.result() for future in waiting]

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)

    def _evaluate(self, vector: NDArray[np.float32]) -> tuple[float, float, float]:
        module = self.copies.get()
        what = "the loss function" if callable(self.options.loss) else "the module"
        try:
            with torch.no_grad(), guarded(f"landscape: {what}"):
                load_flat(module, vector)
                if self.count == 1:
                    seed_all(self.device)
                if self.options.batch_norm == "recomputed":
                    self._recompute_statistics(module)
                return self._pass(module)
        finally:
            self.copies.put(module)

    def _losses(self, module: nn.Module, rows: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch = self.sample.batch(self.tensors, rows)
        return self.options.losses(module, batch, rows.stop - rows.start)

    def _pass(self, module: nn.Module) -> tuple[float, float, float]:
        total = squares = right = 0.0
        count = len(self.sample)
        classes = self.options.loss == "cross_entropy"
        for rows in self.chunks:
            losses, outputs = self._losses(module, rows)
            size = rows.stop - rows.start
            if losses.dim() == 0:
                total, squares = total + float(losses) * size, math.nan
            else:
                wide = losses.double()
                total, squares = total + float(wide.sum()), squares + float((wide**2).sum())
            if classes and outputs is not None:
                hits = (outputs.argmax(dim=1) == self.tensors[1][rows]).double()
                right += float(hits.reshape(size, -1).mean(dim=1).sum())
        mean = total / count
        spread = squares / count - mean**2
        known = count > 1 and math.isfinite(spread)  # max() turns a NaN into 0
        error = math.sqrt(max(spread, 0) / (count - 1)) if known else math.nan
        return mean, right / count if classes else math.nan, error

    def _recompute_statistics(self, module: nn.Module) -> None:
        """Replace batch norm's running statistics by those of a pass over the examples."""
        norms = [norm for norm in batch_norms(module) if norm.track_running_stats]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.train()
            for rows in self.chunks:
                for norm in norms:
                    norm.momentum = (rows.stop - rows.start) / rows.stop
                self._losses(module, rows)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
                norm.eval()

    def _activation_bytes(self, module: nn.Module) -> int:
        """Measure the bytes that one example needs, from the largest output of a part."""
        rows = slice(0, min(2, len(self.sample)))
        largest = max(tensor[0].numel() for tensor in self.tensors)

        def look(part: nn.Module, _: Any, outputs: Any) -> None:
            nonlocal largest
            if isinstance(outputs, torch.Tensor) and outputs.dim():
                largest = max(largest, outputs.numel() // rows.stop)

        handles = [part.register_forward_hook(look) for part in module.modules()]
        try:
            with torch.no_grad():
                self._losses(module, rows)
        finally:
            for handle in handles:
                handle.remove()
        return BYTES_PER_OUTPUT * largest


def seed_all(device: torch.device) -> None:
    """Seed the global generators, within `same_draws`: each point draws the same numbers."""
    torch.default_generator.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - modules may draw from it
    random.seed(0)
    if device.type == "cuda":
        torch.cuda.manual_seed(0)


def _states() -> tuple[Any, ...]:
    """Return the states of the global generators of the CPU, to compare."""
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 - modules may draw from it
    words = numpy_state[1].tobytes(), *numpy_state[2:]
    return torch.get_rng_state().numpy().tobytes(), words, random.getstate()


def even_chunks(count: int, rows: int) -> list[slice]:
    """Cut examples into chunks of at most `rows`, of sizes that differ by one at most."""
    edges = np.linspace(0, count, -(-count // rows) + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


def along_plane(plane: Plane, coordinates: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    """Yield the flat vector of each pair of coordinates, one at a time."""
    for pair in coordinates:
        yield plane.points(pair[None])[0]
