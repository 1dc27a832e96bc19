"""Faster exact ways to the losses over a plane, where a module's structure allows one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.data import Examples
from downslope.engines import choose_engine, losses_on_plane
from downslope.errors import InputError
from downslope.landscape.evaluation import BYTES_PER_OUTPUT, Measure, Values, along_plane, evaluate
from downslope.landscape.planes import Plane
from downslope.networks import Activation, NetworkSpec, build
from downslope.progress import Steps

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
    examples: Examples,
    measure: Measure,
    *,
    task: str,
) -> Steps[Values]:
    """Compute losses at points of a plane by the fastest way that gives those of `evaluate`.

    A dense network as `build` makes them goes through the compiled engine, which computes the
    first layer's products three times and not once a point. All else is a plain forward pass at
    each point.

    Args:
        module: the network; it is only read.
        plane: where the points lie.
        coordinates: shape (n, 2).
        examples: as the module takes them.
        measure: what to compute.
        task: the name shown with the progress.
    """
    spec = spec_of(module)
    if (
        spec is not None
        and choose_engine(measure.engine) == "native"
        and _ours(spec, examples, measure)
    ):
        vectors = np.concatenate([plane.origin[None], plane.directions]).astype(np.float32)
        inputs = np.ascontiguousarray(examples.inputs, np.float32)
        loss, accuracy = yield from losses_on_plane(
            spec,
            vectors,
            coordinates,
            Examples(inputs, examples.targets),
            "cross_entropy" if measure.loss == "cross_entropy" else "mean_squared_error",
            buffers=_buffers(module),
            recompute=_recomputed(spec, measure),
            threads=measure.threads,
            task=task,
        )
        return Values(loss, accuracy, np.full(len(loss), np.nan))
    vectors = along_plane(plane, coordinates)
    return (yield from evaluate(module, vectors, len(coordinates), examples, measure, task=task))


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
    dropouts = [layer.p for layer in layers if isinstance(layer, nn.Dropout)]
    plain: Activation = "relu"
    try:
        spec = NetworkSpec(
            widths=(linear[0].in_features, *(layer.out_features for layer in linear)),
            activation=kinds[0] if kinds else plain,
            normalization="batch" if any(isinstance(m, nn.BatchNorm1d) for m in layers) else "none",
            dropout=dropouts[0] if dropouts else 0.0,
            output="sigmoid" if isinstance(layers[-1], nn.Sigmoid) else "logits",
        )
    except InputError:
        return None
    # The printed form names every setting of these layers, so equal texts mean equal networks.
    twin = build(spec, torch.Generator())
    return spec if repr(twin) == repr(module) and not _special(module) else None


def _special(module: nn.Module) -> bool:
    """Tell whether parts are shared or do more than their class says."""
    parts = list(module.modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "parametrizations")
    tensors = [*module.parameters(), *module.buffers()]
    return (
        any(getattr(part, name, None) for part in parts for name in hooks)
        or len(parts) != len(list(module.children())) + 1
        or len(list(module.named_parameters()))
        != len(list(module.named_parameters(remove_duplicate=False)))
        or any(t.is_floating_point() and t.dtype != torch.float32 for t in tensors)
        or any(t.device.type != "cpu" for t in tensors)
    )


def _ours(spec: NetworkSpec, examples: Examples, measure: Measure) -> bool:
    """Tell whether the compiled engine computes just what the forward pass would."""
    if callable(measure.loss) or examples.inputs.ndim != 2:
        return False
    if not _recomputed(spec, measure):
        return True
    # Statistics of several chunks are averaged, in `evaluate` alone.
    needed = BYTES_PER_OUTPUT * max(spec.widths) * len(examples)
    return len(examples) > 1 and needed <= measure.memory


def _recomputed(spec: NetworkSpec, measure: Measure) -> bool:
    return spec.normalization == "batch" and measure.statistics == "recomputed"


def _buffers(module: nn.Module) -> NDArray[np.float32] | None:
    def arrays() -> Iterator[NDArray[np.float32]]:
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d):
                assert part.running_mean is not None and part.running_var is not None
                yield part.running_mean.numpy()
                yield part.running_var.numpy()

    found = list(arrays())
    return np.concatenate(found) if found else None
