"""Where the signal of any module dies or explodes when training begins, and what mends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.checked import Seed, checked
from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.networks import guarded, make_module
from downslope.progress import Progress, Steps
from downslope.statistics import bootstrap_intervals
from downslope.theory.settings import Networks, Rows

WEIGHTED: Final = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
"""The layers that are looked at."""

LIMIT: Final = 1e3
"""The factor in a second moment beyond which a signal is called dead or exploded."""

_TASK: Final = "measuring the module"


class LayerDiagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one weighted layer at initialization; all figures are means over networks.

    Args:
        name: of the layer in its module, with its kind, for example "3 (Linear)".
        fan_in: inputs of one unit.
        size: E[z^2] of its outputs z.
        size_interval: the 95 % bootstrap interval of that mean, over initializations; None where
            every initialization is the same network.
        signal: the variance of z over input rows, mean over units: what tells inputs apart.
        gradient: E[d^2] of the gradient with respect to z, for one of second moment 1 at the
            outputs.
        gain: root mean square of the weights times sqrt(fan_in), as it is.
        proposed_gain: that makes E[z^2] = 1 with biases of zero.
        mended_signal: as signal, in newly drawn networks with the proposed gains.
        mended_gradient: likewise.
    """

    name: str
    fan_in: int
    size: float
    size_interval: tuple[float, float] | None
    signal: float
    gradient: float
    gain: float
    proposed_gain: float
    mended_signal: float
    mended_gradient: float


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what a module does to signals and gradients before it is trained.

    Args:
        layers: in the order of their first call.
        findings: sentences that name layers; empty where all is well.
        mended: the same sentences for networks with the proposed gains.
        networks: independent initializations; 1 where all are the same network.
        examples: rows that were run.
        repeated: layers whose weights are the same in every initialization.
    """

    layers: list[LayerDiagnosis]
    findings: list[str]
    mended: list[str]
    networks: int
    examples: int
    repeated: list[str] = []

    @property
    def caution(self) -> str:
        """Say what the initializations are not independent in; empty where they are."""
        why = "it seeds itself, as with torch.manual_seed, or sets its weights"
        if len(self.repeated) == len(self.layers):
            return (
                f"the factory makes the same network from every seed ({why}): all figures are of "
                "one network, so there are no intervals over initializations"
            )
        if self.repeated:
            return (
                f"the factory gives {', '.join(self.repeated)} the same weights from every seed "
                f"({why}): the intervals leave out what those weights would vary"
            )
        return ""


@dataclass(slots=True)
class _Probe:
    layers: list[nn.Module]
    names: list[str]
    size: NDArray[np.float64]
    signal: NDArray[np.float64]
    gradient: NDArray[np.float64]


@checked("diagnose")
def diagnose(
    factory: Callable[[], object],
    inputs: NDArray[np.float32],
    *,
    shape: Sequence[int] | None = None,
    networks: Networks = 10,
    examples: Rows = 128,
    seed: Seed,
) -> Steps[Diagnosis]:
    """Measure any module layer by layer at initialization and propose the gains that mend it.

    The gains are found layer by layer so that each E[z^2] is 1 (layer-sequential unit variance,
    Mishkin and Matas 2016, arXiv:1511.06422), averaged over networks, and tried on networks drawn
    anew. The factory's draws come from torch's global generator, which is seeded for it and given
    back as it was.

    Args:
        factory: makes the module, freshly initialized each time.
        inputs: shape (rows, features).
        shape: of one example; tried as (1, *shape) and as it is where flat rows do not fit.
        networks: independent initializations, 3 to 1000.
        examples: rows to run; the first ones.
        seed: of the initializations.

    Raises:
        InputError: an argument out of range, or a factory that makes no module of at least two
            weighted layers that takes these inputs.

    >>> from downslope.progress import drain
    >>> def deep():
    ...     return nn.Sequential(*[nn.Linear(64, 64) for _ in range(12)])
    >>> rows = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32)
    >>> drain(diagnose(deep, rows, seed=541, networks=5)).findings[0]
    'the signal dies at layer 7 (Linear), ...
    """
    if inputs.ndim != 2 or len(inputs) < 2 or not np.isfinite(inputs).all():
        raise InputError(
            "diagnose: inputs must be finite, of shape (rows, features), 2 rows or more"
        )
    rows = torch.from_numpy(np.array(inputs[:examples], dtype=np.float32))
    return _diagnose(factory, rows, shape, networks, seed)


def _diagnose(
    factory: Callable[[], object],
    rows: torch.Tensor,
    shape: Sequence[int] | None,
    networks: int,
    seed: int,
) -> Steps[Diagnosis]:
    first = _make(factory, seed)
    rows = _fit(first, rows, shape)
    weights = [_weight(layer).clone() for layer in _probe(first, rows, seed).layers]
    repeated = [True] * len(weights)
    before: list[_Probe] = []
    gains: list[NDArray[np.float64]] = []
    proposed: list[NDArray[np.float64]] = []
    for i in range(networks):
        yield Progress(_TASK, i, 2 * networks, f"network {i + 1} of {networks}")
        module = _make(factory, seed + i)
        probe = _probe(module, rows, seed + i)
        before.append(probe)
        if i:
            pairs = zip(weights, probe.layers, strict=False)
            repeated = [
                same and torch.equal(weight, _weight(layer))
                for same, (weight, layer) in zip(repeated, pairs, strict=False)
            ]
        gains.append(np.array([_gain(layer) for layer in probe.layers]))
        proposed.append(_mend(module, rows, seed + i))
    names = before[0].names
    if any(probe.names != names for probe in before):
        raise InputError("diagnose: the factory must make modules of the same layers each time")
    gain = np.exp(np.mean(np.log(proposed), axis=0))
    after: list[_Probe] = []
    for i in range(networks):
        yield Progress(_TASK, networks + i, 2 * networks, "with the proposed gains")
        module = _make(factory, seed + networks + i)
        probe = _probe(module, rows, seed + networks + i)
        for layer, wanted in zip(probe.layers, gain, strict=True):
            _scale(layer, wanted / _gain(layer))
        after.append(_probe(module, rows, seed + networks + i))
    yield Progress(_TASK, 2 * networks, 2 * networks)
    sizes = np.stack([probe.size for probe in before])
    low, high = bootstrap_intervals(sizes, seed)
    alike = all(repeated)
    was, now = _means(before), _means(after)
    fans = [_fan_in(layer) for layer in before[0].layers]
    return Diagnosis(
        layers=[
            LayerDiagnosis(
                name=name,
                fan_in=fans[i],
                size=float(sizes[:, i].mean()),
                size_interval=None if alike else (float(low[i]), float(high[i])),
                signal=float(was[0][i]),
                gradient=float(was[1][i]),
                gain=float(np.mean([own[i] for own in gains])),
                proposed_gain=float(gain[i]),
                mended_signal=float(now[0][i]),
                mended_gradient=float(now[1][i]),
            )
            for i, name in enumerate(names)
        ],
        findings=_findings(names, *was, gain),
        mended=_findings(names, *now, None),
        networks=1 if alike else networks,
        examples=len(rows),
        repeated=[name for name, same in zip(names, repeated, strict=True) if same],
    )


def _findings(
    names: Sequence[str],
    signal: NDArray[np.float64],
    gradient: NDArray[np.float64],
    gain: NDArray[np.float64] | None,
) -> list[str]:
    found: list[str] = []
    for what, values, order in (
        ("signal", signal, range(len(names))),
        ("gradient", gradient, range(len(names) - 1, -1, -1)),
    ):
        start = values[order[0]]
        for i in order:
            ratio = values[i] / start if start > 0 else math.nan
            if math.isfinite(ratio) and 1 / LIMIT <= ratio <= LIMIT:
                continue
            happens = "dies" if ratio < 1 else "explodes"
            size = f"{ratio:.1e} of what it was" if math.isfinite(ratio) else "not finite"
            text = f"the {what} {happens} at layer {names[i]}, {size} at layer {names[order[0]]}"
            if gain is not None:
                text += f"; weights of deviation {gain[i]:.3g} / sqrt(fan_in) there, and as listed "
                text += "elsewhere, with biases of zero keep it"
            found.append(text)
            break
    return found


def _means(probes: Sequence[_Probe]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.mean([probe.signal for probe in probes], axis=0),
        np.mean([probe.gradient for probe in probes], axis=0),
    )


def _make(factory: Callable[[], object], seed: int) -> nn.Module:
    return make_module(factory, seed).float().train()


def _fit(module: nn.Module, rows: torch.Tensor, shape: Sequence[int] | None) -> torch.Tensor:
    """Return the rows in the first of the possible shapes that the module takes."""
    shapes = [tuple(rows.shape[1:])]
    if shape is not None:
        shapes += [(1, *shape), tuple(shape)]
    refusals: list[str] = []
    for one in dict.fromkeys(shapes):
        tried = rows.reshape(len(rows), *one)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]), guarded(f"{one}: it"):
                out = module(tried)
        except InputError as error:
            refusals.append(str(error))
            continue
        if isinstance(out, torch.Tensor):
            return tried
        refusals.append(f"{one}: returns {type(out).__name__}, not a tensor")
    raise InputError(f"the module takes no batch of these examples; tried {'; '.join(refusals)}")


def _probe(module: nn.Module, rows: torch.Tensor, seed: int) -> _Probe:
    """Run a module forward and backward and take the moments of its weighted layers."""
    names: dict[nn.Module, str] = {
        layer: f"{name or 'module'} ({type(layer).__name__})"
        for name, layer in module.named_modules()
        if isinstance(layer, WEIGHTED)
    }
    outputs: dict[nn.Module, torch.Tensor] = {}

    def keep(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        outputs.setdefault(layer, output)  # the first call of a layer that is shared

    hooks = [layer.register_forward_hook(keep) for layer in names]
    try:
        with one_thread(), torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            with guarded("the module"):
                out = module(rows)
            direction = torch.randn(out.shape[1:])
            direction /= direction.square().mean().sqrt()
            found = list(outputs.values())
            if len(found) < 2:
                raise InputError(
                    "diagnose: the module must call two or more Linear or convolution layers; it "
                    f"called {', '.join(names[layer] for layer in outputs) or 'none'}"
                )
            gradients = torch.autograd.grad(
                out, found, direction.expand_as(out), materialize_grads=True
            )
    finally:
        for hook in hooks:
            hook.remove()
    return _Probe(
        layers=list(outputs),
        names=[names[layer] for layer in outputs],
        size=np.array([z.detach().double().square().mean().item() for z in found]),
        signal=np.array([z.detach().double().var(dim=0).mean().item() for z in found]),
        gradient=np.array([g.double().square().mean().item() for g in gradients]),
    )


def _mend(module: nn.Module, rows: torch.Tensor, seed: int) -> NDArray[np.float64]:
    """Scale layer after layer to E[z^2] = 1 and return the gains that this took."""
    layers = _probe(module, rows, seed).layers
    for i, layer in enumerate(layers):
        _scale(layer, 1.0)
        size = _probe(module, rows, seed).size[i]
        if size > 0 and math.isfinite(size):
            _scale(layer, 1 / math.sqrt(size))
    return np.array([_gain(layer) for layer in layers])


def _scale(layer: nn.Module, factor: float) -> None:
    with torch.no_grad():
        weight: object = layer.weight
        bias: object = layer.bias
        assert isinstance(weight, torch.Tensor)
        weight.mul_(factor)
        if isinstance(bias, torch.Tensor):
            bias.zero_()


def _weight(layer: nn.Module) -> torch.Tensor:
    weight: object = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


def _fan_in(layer: nn.Module) -> int:
    weight = _weight(layer)
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        # Of the kernel's places, 1 in stride^d meets an input.
        return max(1, weight[:, 0].numel() // math.prod(layer.stride))
    return weight[0].numel()


def _gain(layer: nn.Module) -> float:
    square = _weight(layer).double().square().mean().item()
    return max(math.sqrt(square * _fan_in(layer)), 1e-300)
