"""How much faster is a surface here than the loops that people write?

784-40-40-40-10, 25x25 points, 2,500 examples; then functional_call on 60,000 examples, and a small
convolutional network. Contestants alternate in one process; the median of their times counts, and
ratios are to ours. loss-landscapes and landscaper take part where they are installed.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from downslope import Examples, NetworkSpec, build, drain
from downslope.landscape import Measure, Plane, evaluate_surface, filter_normalized_plane
from downslope.networks import load_flat, unflatten

SIDE = 25


def axes(plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    assert plane.lengths
    return tuple(np.linspace(-1, 1, SIDE) * length for length in plane.lengths)  # type: ignore


def vectors(plane: Plane):
    x, y = axes(plane)
    for b in y:
        for a in x:
            yield plane.points(np.array([[a, b]]))[0]


def ours(module: nn.Module, plane: Plane, rows: Examples, engine: str = "auto") -> np.ndarray:
    x, y = axes(plane)
    return drain(evaluate_surface(module, plane, x, y, rows, Measure(engine=engine))).loss  # type: ignore


def per_point(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
    inputs, targets = torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
    losses = []
    with torch.no_grad():
        for vector in vectors(plane):
            outputs = functional_call(module, unflatten(module, vector), (inputs,))
            losses.append(float(functional.cross_entropy(outputs, targets)))
    return np.array(losses).reshape(SIDE, SIDE)


def loader(module: nn.Module, plane: Plane, rows: Examples, points: int = 25) -> np.ndarray:
    """The published loop: a DataLoader of the subset at each point. The first `points` alone."""
    data = TensorDataset(torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets))
    batches = DataLoader(data, batch_size=256)
    losses = []
    with torch.no_grad():
        for _, vector in zip(range(points), vectors(plane), strict=False):
            load_flat(module, vector)
            total = 0.0
            for inputs, targets in batches:
                total += float(functional.cross_entropy(module(inputs), targets)) * len(inputs)
            losses.append(total / len(rows))
    return np.array(losses)


def loss_landscapes(module: nn.Module, plane: Plane, rows: Examples) -> np.ndarray:
    import loss_landscapes as peer
    from loss_landscapes.metrics import Loss

    metric = Loss(
        nn.CrossEntropyLoss(), torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
    )
    with torch.no_grad():
        return peer.random_plane(
            module, metric, distance=1, steps=SIDE, normalization="filter", deepcopy_model=True
        )


def side_by_side(
    title: str, contestants: dict[str, tuple[Callable[[], np.ndarray], float]], rounds: int
) -> None:
    """Time contestants in turn; the number beside each is what its time is multiplied by."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (run, scale) in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(scale * (time.perf_counter() - start))
    first = statistics.median(next(iter(times.values())))
    print(f"\n{title}; median of {rounds}")
    for name, seen in times.items():
        middle = statistics.median(seen)
        print(f"  {name:42} {middle:9.4f} s  {middle / first:7.1f} x")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    draw = np.random.default_rng(0)
    spec = NetworkSpec(widths=(784, 40, 40, 40, 10))
    module = build(spec, torch.Generator().manual_seed(0)).eval()
    plane = filter_normalized_plane(module, 0)
    few, many = (
        Examples(draw.random((n, 784), dtype=np.float32), draw.integers(0, 10, n))
        for n in (2500, 60_000)
    )
    assert np.allclose(ours(module, plane, few), per_point(module, plane, few), rtol=1e-5)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    contestants: dict[str, tuple[Callable[[], np.ndarray], float]] = {
        "downslope": (lambda: ours(module, plane, few), 1),
        "downslope, PyTorch alone": (lambda: ours(module, plane, few, "pytorch"), 1),
        "functional_call per point": (lambda: per_point(module, plane, few), 1),
        "DataLoader per point (25 points, times 25)": (lambda: loader(module, plane, few), 25),
    }
    try:
        import loss_landscapes as _peer  # noqa: F401

        contestants["loss-landscapes, random plane"] = (
            lambda: loss_landscapes(module, plane, few),
            1,
        )
    except ImportError:
        print("loss-landscapes is not installed")
    side_by_side("784-40-40-40-10, 25x25 points, 2,500 examples", contestants, rounds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of the process so far: {memory:.0f} MiB")
    side_by_side(
        "the same with 60,000 examples",
        {
            "downslope": (lambda: ours(module, plane, many), 1),
            "functional_call per point": (lambda: per_point(module, plane, many), 1),
        },
        1,
    )
    torch.manual_seed(0)
    conv = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 10),
    ).eval()  # fmt: skip
    images = Examples(few.inputs.reshape(-1, 1, 28, 28)[:500], few.targets[:500])
    around = filter_normalized_plane(conv, 0)
    side_by_side(
        "a convolutional network with batch norm, 25x25 points, 500 images",
        {
            "downslope": (lambda: ours(conv, around, images), 1),
            "functional_call per point": (lambda: per_point(conv, around, images), 1),
        },
        max(1, rounds - 2),
    )


if __name__ == "__main__":
    main()
