"""How fast does the compiled engine train the published autoencoder beside PyTorch at its best?

784-128-64-128-784 with Adam on 60,000 rows, batch 128, 20 epochs, one core each: PyTorch on whole
tensors that are indexed, with its fused Adam; both in one process, alternating.
"""

import statistics
import time

import numpy as np
import torch
from torch import nn

from downslope import Examples, Member, NetworkSpec, TrainingSpec, build, train
from downslope.engines import describe_engine, hardware, versions

REPETITIONS, EPOCHS, ROWS, TARGET = 3, 20, 60_000, 1.5
MEMBER = Member(
    network=NetworkSpec(widths=(784, 128, 64, 128, 784), output="sigmoid"),
    training=TrainingSpec(
        loss="mean_squared_error", optimizer="adam", learning_rate=1e-3, batch_size=128,
        epochs=EPOCHS,
    ),
    seed=1,
)  # fmt: skip


def in_pytorch(inputs: torch.Tensor) -> float:
    """Train in PyTorch; return the last minibatch's loss."""
    module = build(MEMBER.network, torch.Generator().manual_seed(MEMBER.seed))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    loss = torch.zeros(())
    for _ in range(EPOCHS):
        for rows in torch.randperm(ROWS).split(MEMBER.training.batch_size):
            x = inputs[rows]
            loss = nn.functional.mse_loss(module(x), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return loss.item()


def main() -> None:
    print(hardware(), versions(), describe_engine(), f"repetitions {REPETITIONS}", sep="\n")
    inputs = np.random.default_rng(0).random((ROWS, 784), dtype=np.float32)
    data = Examples(inputs, inputs)
    torch.set_num_threads(1)
    slow, fast = [], []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        in_pytorch(torch.from_numpy(inputs))
        slow.append(time.perf_counter() - start)
        start = time.perf_counter()
        assert sum(1 for _ in train([MEMBER], data, engine="native", threads=1)) == EPOCHS
        fast.append(time.perf_counter() - start)
        print(f"PyTorch {slow[-1]:.1f} s, downslope {fast[-1]:.1f} s", flush=True)
    ratio = statistics.median(a / b for a, b in zip(slow, fast, strict=True))
    print("| epochs | PyTorch, s | downslope, s | ratio |")
    print("|---|---|---|---|")
    print(
        f"| {EPOCHS} | {statistics.median(slow):.1f} | {statistics.median(fast):.1f} | "
        f"{ratio:.2f} |"
    )
    if ratio < TARGET:
        print(f"MISSED: {ratio:.2f} times, not {TARGET}")


if __name__ == "__main__":
    main()
