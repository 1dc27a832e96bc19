"""Random directions that are scaled like the network they start from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from downslope.landscape.planes import Plane, orthonormal
from downslope.networks import flatten


def filter_normalized_plane(module: nn.Module, seed: int, *, biases: bool = False) -> Plane:
    """Draw a plane of two random directions, filter-normalized (Li et al. 2018, section 4).

    Each filter of a direction (a row of a matrix, an output channel of a convolution) is scaled
    to the norm of the module's filter. `Plane.lengths` are the directions' lengths, so that
    coordinates (lengths[0], 0) are where Li et al. write (1, 0). What the second direction has
    along the first, by chance about 1/sqrt(parameters) of it, is taken away.

    Args:
        module: where the plane lies; it is only read.
        seed: of the draw.
        biases: let vectors (biases, slopes, norm layers) vary too; else they stay as they are.

    Raises:
        InputError: no parameter varies.

    >>> plane = filter_normalized_plane(nn.Linear(3, 2), seed=0)
    >>> np.allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    True
    """
    generator = torch.Generator().manual_seed(seed)
    made = [_direction(module, generator, biases) for _ in range(2)]
    raw = torch.stack(made).numpy()
    lengths = np.linalg.norm(raw, axis=1)
    return Plane(
        flatten(module).astype(np.float64),
        orthonormal(raw),
        lengths=(float(lengths[0]), float(lengths[1])),
    )


def _direction(module: nn.Module, generator: torch.Generator, biases: bool) -> torch.Tensor:
    parts: list[torch.Tensor] = []
    for parameter in module.parameters():
        held = parameter.detach().to("cpu", torch.float64)
        if held.dim() < 2 and not biases:
            parts.append(torch.zeros(held.numel(), dtype=torch.float64))
            continue
        drawn = torch.randn(held.shape, generator=generator, dtype=torch.float64)
        rows = drawn.reshape(held.shape[0] if held.dim() > 1 else 1, -1)
        filters = held.reshape(rows.shape)
        scale = filters.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True)
        parts.append((rows * scale).reshape(-1))
    return torch.cat(parts)
