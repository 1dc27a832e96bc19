"""How much faster is a surface here than the loops that people write, and than other packages?

Tables, all by default, or those named on the command line:

- `small`: 784-40-40-40-10, 25x25 points, 2,500 examples, everybody.
- `large`: the same with 60,000 examples.
- `conv`: a convolutional network with batch norm, whose statistics are frozen, and recomputed.
- `norm`: 784-64-64-10 with batch norm recomputed at every point.
- `memory`: what each contestant of `small` needs beyond the data, each in its own process.

Within a table contestants alternate in one process; the median of their times counts, and ratios
are to ours. Slow contestants compute the first points of the grid alone and their time is
multiplied. loss-landscapes and landscaper take part where they are installed (`pip install
loss-landscapes landscaper`), each with the whole batch at every point, which is their best case.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import io
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from downslope import Examples, NetworkSpec, build, drain
from downslope.engines import Engine, instruction_sets
from downslope.landscape import (
    BatchNorm,
    LossOptions,
    Plane,
    evaluate_surface,
    filter_normalized_plane,
)
from downslope.networks import load_flat, unflatten

SIDE = 25
POINTS = SIDE * SIDE
Way = Callable[[nn.Module, Plane, Examples], np.ndarray]
"""Computes the losses of the first points of the grid."""


@dataclass(frozen=True)
class Contestant:
    """Say how to compute a surface, and how many of its points are computed."""

    run: Way
    points: int = POINTS
    needs: str = ""


def axes(plane: Plane) -> list[np.ndarray]:
    assert plane.lengths
    return [np.linspace(-1, 1, SIDE) * length for length in plane.lengths]


def vectors(plane: Plane) -> Iterator[np.ndarray]:
    origin, first, second = (
        torch.from_numpy(v.astype(np.float32)) for v in (plane.origin, *plane.directions)
    )
    x, y = axes(plane)
    for b in y:
        for a in x:
            yield torch.add(torch.add(origin, first, alpha=a), second, alpha=b).numpy()


def ours(engine: Engine = "auto", batch_norm: BatchNorm = "frozen") -> Way:
    options = LossOptions(engine=engine, batch_norm=batch_norm)

    def run(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
        x, y = axes(plane)
        return drain(evaluate_surface(module, plane, x, y, rows, options)).loss.ravel()

    return run


def per_point(points: int = POINTS, batch: int | None = None) -> Way:
    """One functional_call at each point, on the whole batch or on pieces of it."""

    def run(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
        size = batch or len(rows)
        inputs = torch.from_numpy(rows.inputs).split(size)
        targets = torch.from_numpy(rows.targets).split(size)
        losses: list[float] = []
        with torch.inference_mode():
            for vector in islice(vectors(plane), points):
                parameters = unflatten(module, vector)
                total = 0.0
                for some, right in zip(inputs, targets, strict=True):
                    outputs = functional_call(module, parameters, (some,))
                    total += float(functional.cross_entropy(outputs, right, reduction="sum"))
                losses.append(total / len(rows))
        return np.array(losses)

    return run


def vmapped(points: int = POINTS, together: int = 5) -> Way:
    """Several points at once by vmap over their parameters, on the whole batch."""

    def run(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
        inputs, targets = torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
        _, buffers = stack_module_state([module])
        kept = {name: value[0] for name, value in buffers.items()}

        def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
            outputs = functional_call(module, (parameters, kept), (inputs,))
            return functional.cross_entropy(outputs, targets)

        losses: list[np.ndarray] = []
        source = islice(vectors(plane), points)
        with torch.no_grad():
            while some := list(islice(source, together)):
                each = [unflatten(module, vector) for vector in some]
                wide = {name: torch.stack([e[name] for e in each]) for name in each[0]}
                losses.append(vmap(loss)(wide).numpy())
        return np.concatenate(losses)

    return run


def recomputing(points: int) -> Way:
    """Load, one pass with batch norm in training mode and momentum 1, one in evaluation mode."""

    def run(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
        module = copy.deepcopy(module)
        inputs, targets = torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
        norms = [m for m in module.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        losses: list[float] = []
        with torch.no_grad():
            for norm in norms:
                norm.momentum = 1.0
            for vector in islice(vectors(plane), points):
                load_flat(module, vector)
                for norm in norms:
                    norm.train()
                module(inputs)
                for norm in norms:
                    norm.eval()
                losses.append(float(functional.cross_entropy(module(inputs), targets)))
        return np.array(losses)

    return run


def loader(points: int) -> Way:
    """The published loop: a DataLoader of the subset at each point, minibatches of 256."""

    def run(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
        data = TensorDataset(torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets))
        batches = DataLoader(data, batch_size=256)
        losses: list[float] = []
        with torch.no_grad():
            for vector in islice(vectors(plane), points):
                load_flat(module, vector)
                total = 0.0
                for inputs, targets in batches:
                    total += float(functional.cross_entropy(module(inputs), targets)) * len(inputs)
                losses.append(total / len(rows))
        return np.array(losses)

    return run


def loss_landscapes(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
    """loss-landscapes' plane of random directions, normalized by filter, as our plane is."""
    import loss_landscapes as peer
    from loss_landscapes.metrics import Loss

    inputs, targets = torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
    with torch.inference_mode():
        return np.asarray(
            peer.random_plane(
                module, Loss(functional.cross_entropy, inputs, targets), distance=1, steps=SIDE,
                normalization="filter", deepcopy_model=True,
            )
        ).ravel()  # fmt: skip


def landscaper(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
    """landscaper's plane along given directions."""
    from landscaper.compute import compute_loss_landscape

    data = torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
    directions = [
        [part.clone() for part in unflatten(module, direction).values()]
        for direction in plane.directions.astype(np.float32)
    ]

    def loss(network: nn.Module, given: tuple[torch.Tensor, torch.Tensor]) -> float:
        return float(functional.cross_entropy(network(given[0]), given[1]))

    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        found, _ = compute_loss_landscape(
            module, data, directions, loss, steps=SIDE, distance=1.0, dim=2, device="cpu"
        )
    return np.asarray(found).ravel()


SMALL = {
    "downslope": Contestant(ours()),
    "downslope, PyTorch alone": Contestant(ours("pytorch")),
    "functional_call per point": Contestant(per_point()),
    "vmap over 5 points": Contestant(vmapped()),
    "DataLoader per point": Contestant(loader(25), 25),
    "loss-landscapes": Contestant(loss_landscapes, needs="loss_landscapes"),
    "landscaper": Contestant(landscaper, needs="landscaper"),
}
LARGE = {
    "downslope": Contestant(ours()),
    "functional_call per point": Contestant(per_point(25), 25),
    "functional_call per point, 2,500 at a time": Contestant(per_point(25, 2500), 25),
}
CONV = {
    "downslope": Contestant(ours()),
    "functional_call per point": Contestant(per_point(125), 125),
    "functional_call per point, 100 at a time": Contestant(per_point(125, 100), 125),
    "functional_call per point, 25 at a time": Contestant(per_point(125, 25), 125),
    "vmap over 5 points": Contestant(vmapped(125), 125),
    "DataLoader per point": Contestant(loader(125), 125),
}
NORM = {
    "downslope": Contestant(ours(batch_norm="recomputed")),
    "downslope, PyTorch alone": Contestant(ours("pytorch", "recomputed")),
    "load, train pass, evaluation pass": Contestant(recomputing(125), 125),
}


def side_by_side(
    title: str,
    contestants: dict[str, Contestant],
    given: tuple[nn.Module, Plane, Examples],
    rounds: int,
) -> None:
    """Time contestants in turn, after one round that checks their losses."""
    here = {name: each for name, each in contestants.items() if _installed(each.needs)}
    for name in contestants.keys() - here.keys():
        print(f"{name} is not installed")
    first, *others = here
    wanted = here[first].run(*given)
    for name in others:
        found = here[name].run(*given)
        # The other packages draw or scale directions themselves: as many points, other losses.
        if not here[name].needs:
            np.testing.assert_allclose(found, wanted[: len(found)], rtol=2e-5)
        assert len(found) == here[name].points
    times: dict[str, list[float]] = {name: [] for name in here}
    for _ in range(rounds):
        for name, each in here.items():
            start = time.perf_counter()
            each.run(*given)
            times[name].append((time.perf_counter() - start) * POINTS / each.points)
    ratios = {n: [a / b for a, b in zip(t, times[first], strict=True)] for n, t in times.items()}
    print(f"\n{title}; median of {rounds}\n")
    print("| way | seconds | times ours | points |\n|---|---|---|---|")
    for name, each in here.items():
        seconds, ratio = statistics.median(times[name]), statistics.median(ratios[name])
        print(f"| {name} | {seconds:.4f} | {ratio:.1f} | {each.points} |", flush=True)


def _installed(package: str) -> bool:
    return not package or importlib.util.find_spec(package) is not None


def dense(count: int, **spec: Any) -> tuple[nn.Module, Plane, Examples]:
    draw = np.random.default_rng(0)
    network = NetworkSpec(**{"widths": (784, 40, 40, 40, 10), **spec})
    module = build(network, torch.Generator().manual_seed(0)).eval()
    rows = draw.random((count, 784), dtype=np.float32), draw.integers(0, 10, count)
    return module, filter_normalized_plane(module, 0), Examples(*rows)


def convolutional(count: int) -> tuple[nn.Module, Plane, Examples]:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 10),
    ).eval()  # fmt: skip
    draw = np.random.default_rng(0)
    images = draw.random((count, 1, 28, 28), dtype=np.float32)
    return module, filter_normalized_plane(module, 0), Examples(images, draw.integers(0, 10, count))


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def memory() -> None:
    """Print the peak of each contestant in a fresh process, above what the data and torch need."""
    print("\nPeak memory of `small`, MiB above the start\n\n| way | MiB |\n|---|---|", flush=True)
    for name, each in SMALL.items():
        if _installed(each.needs):
            subprocess.run([sys.executable, __file__, "--peak-of", name], check=True)


def main() -> None:
    tables = ("small", "large", "conv", "norm", "memory")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(tables)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak-of", choices=SMALL, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak_of:
        given = dense(2500)
        given[0](torch.from_numpy(given[2].inputs[:1]))
        before = peak()
        SMALL[asked.peak_of].run(*given)
        print(f"| {asked.peak_of} | {peak() - before:.0f} |", flush=True)
        return
    if unknown := set(asked.tables) - set(tables):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    wanted = asked.tables or tables
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch "
        f"{torch.__version__} on {torch.get_num_threads()} threads, {' '.join(instruction_sets())}"
    )
    rounds: int = asked.rounds
    if "small" in wanted:
        title = "784-40-40-40-10, 25x25 points, 2,500 examples"
        side_by_side(title, SMALL, dense(2500), rounds)
    if "large" in wanted:
        title = "784-40-40-40-10, 25x25 points, 60,000 examples"
        side_by_side(title, LARGE, dense(60_000), rounds)
    if "conv" in wanted:
        title = "two convolutions with batch norm, 25x25 points, 500 images"
        side_by_side(title, CONV, convolutional(500), rounds)
    if "norm" in wanted:
        title = "784-64-64-10, batch norm recomputed, 25x25 points, 2,500 examples"
        given = dense(2500, widths=(784, 64, 64, 10), normalization="batch")
        side_by_side(title, NORM, given, rounds)
    if "memory" in wanted:
        memory()


if __name__ == "__main__":
    main()
