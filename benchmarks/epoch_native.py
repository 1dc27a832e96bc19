"""How fast is the compiled engine beside a DataLoader loop, and how near the processor's limit?

Seconds per model-epoch on 48,000 rows of 784 features for plain SGD, a population on all cores
against the loop that a PyTorch user writes, alternating; then the share of torch's sgemm rate on
one core.
"""

import itertools
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from downslope import Examples, Member, NetworkSpec, TrainingSpec, train
from downslope.engines import cores, describe_engine, measure_share
from downslope.installation import hardware, versions

REPETITIONS, ROWS = 5, 48_000
SHAPES = {"40x3": (784, 40, 40, 40, 10), "256x4": (784, 256, 256, 256, 256, 10)}


def dataloader_epoch(data: Examples, widths: tuple[int, ...], batch_size: int) -> None:
    """Train one epoch as the published code does: a DataLoader over a Subset, as random_split."""
    torch.manual_seed(541)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    rows = TensorDataset(torch.from_numpy(data.inputs), torch.from_numpy(data.targets))
    total = 0.0
    loader = DataLoader(Subset(rows, range(ROWS)), batch_size=batch_size, shuffle=True)
    for x, y in loader:
        loss = nn.functional.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()


def main() -> None:
    generator = np.random.default_rng(0)
    data = Examples(
        generator.random((ROWS, 784), dtype=np.float32) - np.float32(0.5),
        generator.integers(0, 10, ROWS),
    )
    print(hardware(), versions(), describe_engine(), f"repetitions {REPETITIONS}", sep="\n")
    print("shape | batch | DataLoader s | native s/model-epoch, all cores | ratio, median of pairs")
    for name, widths in SHAPES.items():
        for batch_size in (16, 128):
            training = TrainingSpec(batch_size=batch_size, epochs=2)
            member = Member(network=NetworkSpec(widths=widths), training=training, seed=541)
            population = [member] * (2 * cores())
            model_epochs = len(population) * training.epochs
            loader, native = [], []
            for _ in range(REPETITIONS):
                start = time.perf_counter()
                dataloader_epoch(data, widths, batch_size)
                loader.append(time.perf_counter() - start)
                start = time.perf_counter()
                list(train(population, data, engine="native"))
                native.append((time.perf_counter() - start) / model_epochs)
            ratio = statistics.median(a / b for a, b in zip(loader, native, strict=True))
            slow, fast = statistics.median(loader), statistics.median(native)
            print(f"{name} | {batch_size} | {slow:.3f} | {fast:.4f} | {ratio:.1f}", flush=True)
    print("shape | batch | GFLOP/s on one core | share of torch's sgemm")
    for name, widths in SHAPES.items():
        for batch_size in (16, 128):
            share, rate = measure_share(widths, batch_size, repetitions=15)
            print(f"{name} | {batch_size} | {rate / 1e9:.0f} | {share:.0%}", flush=True)


main()
