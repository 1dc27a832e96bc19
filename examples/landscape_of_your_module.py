"""Record the path of your own training loop and compute the loss landscape under it."""

import numpy as np
import torch
from torch import nn

from downslope import Examples, Trajectory, compute_landscape, drain

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(500, 2, generator=generator)
targets = (inputs[:, 0] * inputs[:, 1] > 0).long()  # the exclusive-or problem
module = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(module.parameters(), lr=0.5)

trajectory = Trajectory()
for step in range(400):
    loss = nn.functional.cross_entropy(module(inputs), targets)
    if step % 20 == 0:
        trajectory.record(module, step=step, loss=loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

drawn = drain(compute_landscape(module, trajectory, Examples(inputs.numpy(), targets.numpy())))
first, second = drawn.result.explained_variance
print(f"explained variance {first:.1%} and {second:.1%}")
print(f"lowest loss on the {drawn.surface.loss.shape} grid: {np.nanmin(drawn.surface.loss):.3f}")
last = drawn.result.path[-1]
print(f"at the end: true loss {last.true_loss:.3f}, projected {last.projected_loss:.3f}")
