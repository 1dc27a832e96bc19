"""Faster exact ways to the losses over a plane, where a module's structure allows one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.engines import choose_engine, losses_on_plane
from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.landscape.evaluation import (
    BYTES_PER_OUTPUT,
    Losses,
    LossOptions,
    along_plane,
    evaluate,
)
from downslope.landscape.fitting import Arrays, Sample, input_tensor
from downslope.landscape.planes import Plane
from downslope.networks import (
    Activation,
    NetworkSpec,
    build,
    has_batch_norm,
    load_flat,
    running_statistics,
)
from downslope.progress import Steps

WIDE = 64
"""Products summed for an output from which on it is dearer than the sum of three."""
_PASSING: tuple[type[nn.Module], ...] = (nn.Flatten, nn.Identity)
_LINEAR: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.PReLU: "prelu",
    nn.GELU: "gelu",
    nn.Tanh: "tanh",
}


def evaluate_on_plane(
    module: nn.Module,
    plane: Plane,
    coordinates: NDArray[np.float64],
    examples: Arrays | Sample,
    options: LossOptions,
    *,
    task: str,
) -> Steps[Losses]:
    """Compute losses at points (n, 2) of a plane by the fastest way that gives those of `evaluate`.

    A dense network as `build` makes them goes through the compiled engine, which computes the
    first layer's products three times and not once a point. So does PyTorch for other sequences
    that begin with a wide linear layer (see `split_affine`). All else is a plain forward pass at
    each point.
    """
    sample, loss = options.fit(module, examples), options.loss
    vectors = along_plane(plane, coordinates)
    if callable(loss):  # it may look at any part of the module and of the batch
        return (yield from evaluate(module, vectors, len(coordinates), sample, options, task=task))
    spec = spec_of(module)
    if (
        spec is not None
        and choose_engine(options.engine) == "native"
        and _compiled_agrees(spec, sample.arrays[0], options)
    ):
        axes = np.concatenate([plane.origin[None], plane.directions]).astype(np.float32)
        inputs = np.ascontiguousarray(sample.arrays[0], np.float32)
        losses, accuracies = yield from losses_on_plane(
            spec,
            axes,
            coordinates,
            Examples(inputs, sample.arrays[1]),
            loss,
            buffers=running_statistics(module) if has_batch_norm(module) else None,
            recompute=_recomputed(spec, options),
            threads=options.threads,
            task=task,
        )
        return Losses(losses, accuracies, np.full(len(losses), np.nan))
    if (split := split_affine(module, plane, coordinates, sample.arrays[0], options)) is not None:
        module, vectors = split
        sample = Sample((np.arange(len(sample)), sample.arrays[1]), examples=True)
    return (yield from evaluate(module, vectors, len(coordinates), sample, options, task=task))


class AffineLayer(nn.Module):
    """The outputs of a linear layer at a point of a plane, from those at three points of it.

    The two parameters are the coordinates; the input is numbers of consecutive examples. `outputs`
    are those of all examples at the plane's origin and for its directions, (examples, ...) each.
    """

    def __init__(self, outputs: list[torch.Tensor]) -> None:
        super().__init__()
        self.coordinates = nn.Parameter(torch.zeros(2))
        self.outputs = outputs

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the outputs of some examples."""
        start, (a, b) = int(rows[0]), self.coordinates.tolist()
        origin, first, second = (each[start : start + len(rows)] for each in self.outputs)
        return torch.add(origin, first, alpha=a).add_(second, alpha=b)

    def __deepcopy__(self, memo: object) -> AffineLayer:
        return AffineLayer(self.outputs)  # they are only read, so workers share them


def split_affine(
    module: nn.Module,
    plane: Plane,
    coordinates: NDArray[np.float64],
    inputs: NDArray[Any],
    options: LossOptions,
) -> tuple[nn.Module, Iterator[NDArray[np.float32]]] | None:
    """Replace a linear layer at the beginning by its outputs, which are affine in the coordinates.

    Only an `nn.Sequential` is split, behind its first layer with parameters, if that is linear or a
    convolution that sums at least `WIDE` products for each output, and if the outputs fit in the
    memory that is allowed.

    Returns:
        A module that takes numbers of examples, and its parameters at each point; None where the
        module cannot be split.
    """
    layers = list(module) if type(module) is nn.Sequential else []
    at = next((i for i, layer in enumerate(layers) if type(layer) not in _PASSING), len(layers))
    if at == len(layers) or type(layers[at]) not in _LINEAR:
        return None
    begin, weight = layers[: at + 1], layers[at].get_parameter("weight")
    if weight[0].numel() < WIDE or _special(module, [module, *begin]):
        return None
    if has_batch_norm(module) and options.batch_norm == "recomputed":
        return None  # the chunks would be others, and with them the statistics
    head = copy.deepcopy(nn.Sequential(*begin))
    tensor = input_tensor(head, inputs)
    size = sum(p.numel() for p in head.parameters())
    outputs: list[torch.Tensor] = []
    with torch.no_grad(), one_thread():
        if 3 * 4 * head(tensor[:1]).numel() * len(inputs) > options.memory:
            return None
        for vector in (plane.origin, *plane.directions):
            load_flat(head, vector[:size].astype(np.float32))
            # In pieces: a convolution unfolds what it is given.
            outputs.append(torch.cat([head(some) for some in tensor.split(256)]))
    rest = nn.Sequential(AffineLayer(outputs), *layers[at + 1 :])
    places, vectors = coordinates.astype(np.float32), along_plane(plane, coordinates)
    short = (np.concatenate([at, full[size:]]) for at, full in zip(places, vectors, strict=True))
    return rest, short


def spec_of(module: nn.Module) -> NetworkSpec | None:
    """Return the spec that builds a module of this structure, or None if there is none.

    >>> spec_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))).label
    '4-3-2'
    >>> spec_of(nn.Sequential(nn.Linear(4, 3), nn.Softplus(), nn.Linear(3, 2))) is None
    True
    """
    layers = list(module) if type(module) is nn.Sequential else []
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        return None
    kinds: list[Activation] = [
        _ACTIVATIONS[type(layer)] for layer in layers if type(layer) in _ACTIVATIONS
    ]
    dropouts = (layer.p for layer in layers if isinstance(layer, nn.Dropout))
    plain: Activation = "relu"
    try:
        spec = NetworkSpec(
            widths=(linear[0].in_features, *(layer.out_features for layer in linear)),
            activation=kinds[0] if kinds else plain,
            normalization="batch" if has_batch_norm(module) else "none",
            dropout=next(dropouts, 0.0),
            output="sigmoid" if isinstance(layers[-1], nn.Sigmoid) else "logits",
        )
    except InputError:
        return None
    # The printed form names every setting of these layers, so equal texts mean equal networks.
    twin = build(spec, torch.Generator())
    parts = list(module.modules())
    shared = len(parts) != len(layers) + 1
    same = repr(twin) == repr(module) and not shared
    return spec if same and not _special(module, parts) else None


def _special(module: nn.Module, parts: list[nn.Module]) -> bool:
    """Tell whether parameters are shared, or parts of the module do more than their class says."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "parametrizations")
    tensors = [*module.parameters(), *module.buffers()]
    return (
        any(getattr(part, name, None) for part in parts for name in hooks)
        or len(list(module.named_parameters()))
        != len(list(module.named_parameters(remove_duplicate=False)))
        or any(t.is_floating_point() and t.dtype != torch.float32 for t in tensors)
        or any(t.device.type != "cpu" for t in tensors)
    )


def _compiled_agrees(spec: NetworkSpec, inputs: NDArray[Any], options: LossOptions) -> bool:
    """Tell whether the compiled engine computes just what the forward pass would."""
    if inputs.ndim != 2 or not _recomputed(spec, options):
        return inputs.ndim == 2
    # Statistics of several chunks are averaged, in `evaluate` alone.
    needed = BYTES_PER_OUTPUT * max(spec.widths) * len(inputs)
    return len(inputs) > 1 and needed <= options.memory


def _recomputed(spec: NetworkSpec, options: LossOptions) -> bool:
    return spec.normalization == "batch" and options.batch_norm == "recomputed"
