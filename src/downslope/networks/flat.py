"""Between a module and one flat parameter vector, exactly and without side effects.

A flat vector is always in the order of `torch.nn.utils.parameters_to_vector(module.parameters())`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.errors import InputError


def flatten(module: nn.Module) -> NDArray[np.float32]:
    """Copy the parameters of a module into one float32 vector of shape (parameters,).

    >>> flatten(nn.Linear(3, 2)).shape
    (8,)
    """
    parts = [p.detach().reshape(-1).to("cpu", torch.float32) for p in module.parameters()]
    return torch.cat(parts).numpy() if parts else np.empty(0, np.float32)


def unflatten(module: nn.Module, vector: NDArray[np.float32]) -> dict[str, torch.Tensor]:
    """Cut a flat vector into tensors by parameter name, for `load_state_dict` or `functional_call`.

    The module is only read, for names and shapes.

    Args:
        module: whose layout to use.
        vector: shape (parameters,).

    Raises:
        InputError: the vector has another length than the module has parameters.

    >>> module = nn.Linear(3, 2)
    >>> parts = unflatten(module, flatten(module))
    >>> all(torch.equal(parts[name], p) for name, p in module.named_parameters())
    True
    """
    named = list(module.named_parameters())
    total = sum(p.numel() for _, p in named)
    if vector.shape != (total,):
        raise InputError(
            f"flat vector: shape {vector.shape} does not fit a module of {total} parameters; "
            f"it must be ({total},)"
        )
    parts = torch.from_numpy(np.array(vector, dtype=np.float32)).split(
        [p.numel() for _, p in named]
    )
    return {
        name: part.reshape(p.shape).to(p.device, p.dtype)
        for (name, p), part in zip(named, parts, strict=True)
    }


def load_flat(module: nn.Module, vector: NDArray[np.float32]) -> None:
    """Write a flat vector into the parameters of a module, in place.

    Raises:
        InputError: the vector has another length than the module has parameters.
    """
    parts = unflatten(module, vector)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(parts[name])
