"""Where the signal of any module dies or explodes when training begins, and what mends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from downslope.checked import Seed, checked
from downslope.engines.pytorch import one_thread
from downslope.errors import InputError
from downslope.networks import describe_outputs, guarded, make_module, pick_output
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
    """One weighted layer at initialization; all figures are means over networks.

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
    """What a module does to signals and gradients before it is trained.

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


class _Probe(NamedTuple):
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
    output: str | None = None,
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
        output: which output, where the module returns several: a key, a name or a position.
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
    return _diagnose(factory, rows, shape, output, networks, seed)


def _diagnose(
    factory: Callable[[], object],
    rows: torch.Tensor,
    shape: Sequence[int] | None,
    output: str | None,
    networks: int,
    seed: int,
) -> Steps[Diagnosis]:
    first = make_module(factory, seed).float().train()
    rows = _fit(first, rows, shape, output)
    names = _probe(first, rows, output, seed).names
    weights: list[torch.Tensor] = []
    repeated = [True] * len(names)
    before: list[_Probe] = []
    after: list[_Probe] = []
    gains: list[list[float]] = []
    proposed: list[list[float]] = []
    for i in range(networks):
        yield Progress(_TASK, i, 2 * networks, f"network {i + 1} of {networks}")
        module = make_module(factory, seed + i).float().train()
        before.append(probe := _probe(module, rows, output, seed + i))
        if probe.names != names:
            raise InputError("diagnose: the factory must make modules of the same layers each time")
        weights = weights or [_weight(layer).clone() for layer in probe.layers]
        for k, layer in enumerate(probe.layers):
            repeated[k] &= torch.equal(weights[k], _weight(layer))
        gains.append([_gain(layer) for layer in probe.layers])
        proposed.append(_mend(module, rows, output, seed + i))
    gain = np.exp(np.mean(np.log(proposed), axis=0))
    for i in range(networks, 2 * networks):
        yield Progress(_TASK, i, 2 * networks, "with the proposed gains")
        module = make_module(factory, seed + i).float().train()
        for layer, target in zip(_probe(module, rows, output, seed + i).layers, gain, strict=True):
            _scale(layer, target / _gain(layer))
        after.append(_probe(module, rows, output, seed + i))
    yield Progress(_TASK, 2 * networks, 2 * networks)
    sizes = np.stack([probe.size for probe in before])
    low, high = bootstrap_intervals(sizes, seed)
    alike = all(repeated)
    signal, gradient = _means(before)
    mended_signal, mended_gradient = _means(after)
    return Diagnosis(
        layers=[
            LayerDiagnosis(
                name=name,
                fan_in=_fan_in(before[0].layers[i]),
                size=float(sizes[:, i].mean()),
                size_interval=None if alike else (float(low[i]), float(high[i])),
                signal=float(signal[i]),
                gradient=float(gradient[i]),
                gain=float(np.mean([network[i] for network in gains])),
                proposed_gain=float(gain[i]),
                mended_signal=float(mended_signal[i]),
                mended_gradient=float(mended_gradient[i]),
            )
            for i, name in enumerate(names)
        ],
        findings=_findings(names, signal, gradient, gain),
        mended=_findings(names, mended_signal, mended_gradient, None),
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
    sentences: list[str] = []
    for what, values, step in (("signal", signal, 1), ("gradient", gradient, -1)):
        order = range(len(names))[::step]
        start = values[order[0]]
        for i in order:
            ratio = values[i] / start if start > 0 else math.nan
            if 1 / LIMIT <= ratio <= LIMIT:  # so it is finite
                continue
            happens = "dies" if ratio < 1 else "explodes"
            size = f"{ratio:.1e} of what it was" if math.isfinite(ratio) else "not finite"
            text = f"the {what} {happens} at layer {names[i]}, {size} at layer {names[order[0]]}"
            if gain is not None:
                text += f"; weights of deviation {gain[i]:.3g} / sqrt(fan_in) there, and as listed "
                text += "elsewhere, with biases of zero keep it"
            sentences.append(text)
            break
    return sentences


def _means(probes: Sequence[_Probe]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    signals, gradients = ([p.signal for p in probes], [p.gradient for p in probes])
    return np.mean(signals, axis=0), np.mean(gradients, axis=0)


def _fit(
    module: nn.Module, rows: torch.Tensor, shape: Sequence[int] | None, output: str | None
) -> torch.Tensor:
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
        if not isinstance(out := pick_output(out, output), torch.Tensor):
            raise InputError(f"diagnose: the module returns {describe_outputs(out)}")
        return tried
    raise InputError(f"the module takes no batch of these examples; tried {'; '.join(refusals)}")


def _probe(module: nn.Module, rows: torch.Tensor, output: str | None, seed: int) -> _Probe:
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
                out = pick_output(module(rows), output)
            direction = torch.randn(out.shape[1:])
            direction /= direction.square().mean().sqrt()
            values = list(outputs.values())
            if len(values) < 2:
                raise InputError(
                    "diagnose: the module must call two or more Linear or convolution layers; it "
                    f"called {', '.join(names[layer] for layer in outputs) or 'none'}"
                )
            gradients = torch.autograd.grad(
                out, values, direction.expand_as(out), materialize_grads=True
            )
    finally:
        for hook in hooks:
            hook.remove()
    return _Probe(
        layers=list(outputs),
        names=[names[layer] for layer in outputs],
        size=np.array([z.detach().double().square().mean().item() for z in values]),
        signal=np.array([z.detach().double().var(dim=0).mean().item() for z in values]),
        gradient=np.array([g.double().square().mean().item() for g in gradients]),
    )


def _mend(module: nn.Module, rows: torch.Tensor, output: str | None, seed: int) -> list[float]:
    """Scale layer after layer to E[z^2] = 1 and return the gains that this took."""
    layers = _probe(module, rows, output, seed).layers
    for i, layer in enumerate(layers):
        _scale(layer, 1.0)
        size = _probe(module, rows, output, seed).size[i]
        if size > 0 and math.isfinite(size):
            _scale(layer, 1 / math.sqrt(size))
    return [_gain(layer) for layer in layers]


def _scale(layer: nn.Module, factor: float) -> None:
    _weight(layer).mul_(factor)
    bias: object = layer.bias
    if isinstance(bias, torch.Tensor):
        bias.detach().zero_()


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
