"""Activations as functions of one number, with their kinks and their derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from downslope.engines.pytorch import one_thread
from downslope.errors import InputError, one_line

Function = Callable[[torch.Tensor], torch.Tensor]
"""An elementwise function of tensors, for example `torch.tanh` or an `nn.Module`."""


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise activation.

    Args:
        name: as in `ACTIVATIONS`, or the user's own.
        function: of float64 tensors.
        kinks: where it or a derivative of it jumps.
    """

    name: str
    function: Function
    kinks: tuple[float, ...] = (0.0,)

    def values(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the function's values, of the shape of z."""
        with one_thread(), torch.no_grad():
            return self.function(torch.from_numpy(z)).numpy()

    def slopes(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the function's derivative by autograd, of the shape of z."""
        with one_thread(), torch.enable_grad():
            at = torch.from_numpy(z).requires_grad_(True)
            (slope,) = torch.autograd.grad(self.function(at).sum(), at)
        return slope.numpy()


def _linear(z: torch.Tensor) -> torch.Tensor:
    return z * 1


def _prelu(z: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(z, 0.25)


ACTIVATIONS: Final = MappingProxyType(
    {
        one.name: one
        for one in (
            Activation("linear", _linear, ()),
            Activation("relu", functional.relu),
            Activation("leaky_relu", functional.leaky_relu),
            Activation("prelu", _prelu),
            Activation("elu", functional.elu),
            Activation("selu", functional.selu),
            Activation("gelu", functional.gelu, ()),
            Activation("silu", functional.silu, ()),
            Activation("mish", functional.mish, ()),
            Activation("softplus", functional.softplus, (20.0,)),  # torch's goes linear there
            Activation("tanh", torch.tanh, ()),
            Activation("sigmoid", torch.sigmoid, ()),
            Activation("hardtanh", functional.hardtanh, (-1.0, 1.0)),
            Activation("softsign", functional.softsign),
        )
    }
)
"""The activations known by name, with PyTorch's default arguments."""


def find_activation(
    activation: str | Function | Activation, kinks: Sequence[float] | None = None
) -> Activation:
    """Find an activation by name, or take a user's own function.

    Args:
        activation: a name from `ACTIVATIONS`, or an elementwise function of tensors that autograd
            can differentiate.
        kinks: of the user's function; by default one at 0, which does no harm where there is none.

    Raises:
        InputError: no such name, or a function that is not elementwise.

    >>> find_activation("hardtanh").kinks
    (-1.0, 1.0)
    >>> find_activation(lambda z: z.clamp(0, 6), kinks=(0, 6)).values(np.array([-1.0, 7.0]))
    array([0., 6.])
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise InputError(
                f"activation {activation!r} is not known; it must be one of "
                f"{', '.join(ACTIVATIONS)}, or a function of tensors"
            )
        return ACTIVATIONS[activation]
    name = getattr(activation, "__name__", type(activation).__name__)
    if isinstance(activation, torch.nn.Module):
        activation = activation.double()
    custom = Activation(name, activation, (0.0,) if kinks is None else tuple(map(float, kinks)))
    _refuse_unless_elementwise(custom)
    return custom


def _refuse_unless_elementwise(activation: Activation) -> None:
    z = np.linspace(-2.1, 2.0, 12)
    try:
        whole, alone = activation.values(z), activation.values(z[3:4])
        slopes = activation.slopes(z)
    except Exception as error:
        raise InputError(
            f"activation {activation.name!r}: does not work on a float64 tensor "
            f"({one_line(error)}); write it with torch functions"
        ) from None
    same = whole.shape == slopes.shape == z.shape and np.allclose(whole[3:4], alone)
    if not same:
        raise InputError(
            f"activation {activation.name!r}: is not elementwise; each output must depend on one "
            "input alone"
        )
