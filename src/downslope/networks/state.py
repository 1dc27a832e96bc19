"""A module's state in arrays: weights by name, and the running statistics of batch norm, flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage] - their base


def load_state(module: nn.Module, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put arrays by name, as `state_dict` names them, into a module.

    Raises:
        RuntimeError: names or shapes are not those of the module.

    >>> module = nn.Linear(1, 1)
    >>> load_state(module, {"weight": np.full((1, 1), 2.0), "bias": np.zeros(1)})
    >>> module.weight.item()
    2.0
    """
    # Copies: what was read from files may be read-only, which torch warns of.
    module.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in arrays.items()})


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """List the batch norms within a module, of any dimension."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def has_batch_norm(module: nn.Module) -> bool:
    """Tell whether a module has a batch norm in it.

    >>> has_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))), has_batch_norm(nn.ReLU())
    (True, False)
    """
    return bool(batch_norms(module))


def running_statistics(module: nn.Module) -> NDArray[np.float32]:
    """Copy batch norm's running mean and variance, layer after layer, into one flat vector.

    >>> running_statistics(nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(1))).tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    """
    parts = [buffer.detach().cpu() for buffer, _ in _buffers(module)]
    return torch.cat(parts).numpy() if parts else np.empty(0, np.float32)


def load_running_statistics(module: nn.Module, flat: NDArray[np.float32], steps: int) -> None:
    """Put what `running_statistics` returned into a module.

    Args:
        module: of the same layers.
        flat: running mean and variance of each batch norm, one after the other.
        steps: minibatches that they have seen.
    """
    buffers = list(_buffers(module))
    parts = torch.from_numpy(np.array(flat)).split([buffer.numel() for buffer, _ in buffers])
    for (buffer, seen), part in zip(buffers, parts, strict=True):
        buffer.copy_(part)
        seen.fill_(steps)


def _buffers(module: nn.Module) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield each running mean and variance with its layer's count of minibatches."""
    for norm in batch_norms(module):
        if norm.running_mean is not None and norm.running_var is not None:
            assert norm.num_batches_tracked is not None
            yield norm.running_mean, norm.num_batches_tracked
            yield norm.running_var, norm.num_batches_tracked
