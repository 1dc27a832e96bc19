"""What do whole arrays and side-by-side workers gain over a DataLoader loop?

Seconds per model-epoch of 784-40-40-40-10 on 48,000 rows, for the loop that a PyTorch user writes
and for `downslope.train`. The trajectories are the same bits, which is checked.
"""

import itertools
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope import Examples, Member, NetworkSpec, TrainingSpec, train
from downslope.engines import cores
from downslope.installation import hardware, versions

REPETITIONS, ROWS = 5, 48_000
WIDTHS = (784, 40, 40, 40, 10)


def dataloader_epoch(data: Examples, batch_size: int, seed: int) -> list[float]:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(WIDTHS[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Linear(WIDTHS[-2], WIDTHS[-1]))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    rows = TensorDataset(torch.from_numpy(data.inputs), torch.from_numpy(data.targets))
    losses = []
    for x, y in DataLoader(rows, batch_size=batch_size, shuffle=True):
        loss = nn.functional.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main() -> None:
    generator = np.random.default_rng(0)
    data = Examples(
        generator.random((ROWS, 784), dtype=np.float32) - np.float32(0.5),
        generator.integers(0, 10, ROWS),
    )
    print(hardware(), versions(), f"repetitions {REPETITIONS}, medians", sep="\n")
    print("batch | DataLoader s/epoch | alone s/epoch | ratio | on all cores s/model-epoch | ratio")
    torch.set_num_threads(1)
    for batch_size in (16, 128):
        training = TrainingSpec(batch_size=batch_size, epochs=1)
        member = Member(network=NetworkSpec(widths=WIDTHS), training=training, seed=541)
        side_by_side = [member] * (2 * cores())
        times: list[list[float]] = [[], [], []]
        for _ in range(REPETITIONS):
            start = time.perf_counter()
            losses = dataloader_epoch(data, batch_size, member.seed)
            times[0].append(time.perf_counter() - start)
            start = time.perf_counter()
            (record,) = train([member], data, threads=1, engine="pytorch")
            times[1].append(time.perf_counter() - start)
            assert record.batch_losses.tolist() == losses, "not the same trajectory"
            # Seconds of the epochs alone: starting workers is paid once a population.
            records = list(train(side_by_side, data, engine="pytorch"))
            times[2].append(sum(r.seconds for r in records) / len(records) / cores())
        loader, alone, together = map(statistics.median, times)
        ratios = [
            statistics.median(a / b for a, b in zip(times[0], t, strict=True)) for t in times[1:]
        ]
        print(
            f"{batch_size:5} | {loader:.3f} | {alone:.3f} | {ratios[0]:.1f} | "
            f"{together:.3f} | {ratios[1]:.1f}"
        )


main()
