"""How much faster are the 50 published attempts, all different, than the loop they were made with?

The compiled engine trains all 1,035 model-epochs on all cores. The time of the `DataLoader` loop is
estimated: each attempt's network and batch size run for some minibatches, and the time of one is
scaled to the attempt's whole length. Sampling and full runs alternate.
"""

import statistics
import time

import torch
from contestants import ROWS, examples, torch_module
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from downslope import Examples, Member, train
from downslope.engines import describe_engine, hardware, versions
from downslope.recipes import load_recipe

REPETITIONS, WARM, SAMPLED, TARGET = 3, 20, 100, 45


def loop_seconds(member: Member, subset: Subset) -> float:
    """Estimate the loop's whole time for one attempt from a sample of its minibatches."""
    batch_size, epochs = member.training.batch_size, member.training.epochs
    module = torch_module(list(member.network.widths), regularized=False)
    optimizer = torch.optim.SGD(module.parameters(), lr=member.training.learning_rate)
    start = 0.0
    for step, (x, y) in enumerate(DataLoader(subset, batch_size=batch_size, shuffle=True)):
        if step == WARM:
            start = time.perf_counter()
        if step == WARM + SAMPLED:
            break
        loss = nn.functional.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    per_step = (time.perf_counter() - start) / SAMPLED
    return per_step * epochs * -(-ROWS // batch_size)


def main() -> None:
    print(hardware(), versions(), describe_engine(), f"repetitions {REPETITIONS}", sep="\n")
    recipe = load_recipe("hw3")
    members = [
        settings.member(784, 10, recipe.seed + i)
        for i, settings in enumerate(recipe.search.proposals(recipe.seed))
    ]
    model_epochs = sum(member.training.epochs for member in members)
    data = Examples(*examples())
    tensors = TensorDataset(torch.from_numpy(data.inputs), torch.from_numpy(data.targets))
    subset = Subset(tensors, range(ROWS))
    slow, fast = [], []
    for _ in range(REPETITIONS):
        slow.append(sum(loop_seconds(member, subset) for member in members))
        start = time.perf_counter()
        assert sum(1 for _ in train(members, data, engine="native")) == model_epochs
        fast.append(time.perf_counter() - start)
        print(f"loop {slow[-1]:.0f} s (estimated), downslope {fast[-1]:.1f} s", flush=True)
    ratio = statistics.median(a / b for a, b in zip(slow, fast, strict=True))
    print("| model-epochs | DataLoader loop, s (estimated) | downslope, s | ratio |")
    print("|---|---|---|---|")
    print(
        f"| {model_epochs:,} | {statistics.median(slow):,.0f} | {statistics.median(fast):.1f} | "
        f"{ratio:.1f} |"
    )
    if ratio < TARGET:
        print(f"MISSED: {ratio:.1f} times, not {TARGET}")


if __name__ == "__main__":
    main()
