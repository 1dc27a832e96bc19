"""From a network spec to the `nn.Sequential` that a PyTorch user would write."""

import math
from collections.abc import Callable

import torch
from torch import nn

from downslope.errors import InputError
from downslope.networks.specs import Activation, Initialization, NetworkSpec

_ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "prelu": nn.PReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


def activation_module(name: Activation) -> nn.Module:
    """Make the module of an activation, with PyTorch's defaults.

    >>> activation_module("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    return _ACTIVATIONS[name]()


def build(spec: NetworkSpec, generator: torch.Generator) -> nn.Sequential:
    """Build and initialize the module of a spec, drawing from `generator` alone.

    With "pytorch" initialization the parameters are, bit for bit, those of the same layers
    constructed after `torch.manual_seed` with the generator's seed, and the generator is left
    where that construction leaves the global one.

    Args:
        spec: the network.
        generator: a CPU generator; it is advanced.

    Returns:
        The module on the CPU in float32, in training mode.

    >>> network = build(NetworkSpec(widths=(4, 3, 2)), torch.Generator().manual_seed(541))
    >>> reference = torch.manual_seed(541) and torch.nn.Linear(4, 3)
    >>> torch.equal(network[0].weight, reference.weight)
    True
    """
    layers: list[nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(zip(spec.widths, spec.widths[1:], strict=False)):
        # skip_init: nn.Linear would draw its parameters from the global generator.
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        assert isinstance(linear, nn.Linear)
        initialize(linear, spec.initialization, generator)
        if spec.weight_scale != 1:
            with torch.no_grad():
                linear.weight.mul_(spec.weight_scale)
        layers.append(linear)
        if i == len(spec.widths) - 2:
            break
        if spec.normalization == "batch":
            layers.append(nn.BatchNorm1d(fan_out))
        layers.append(activation_module(spec.activation))
        if spec.dropout > 0:
            # In training the engines draw its mask from the member's own stream.
            layers.append(nn.Dropout(spec.dropout))
    if spec.output == "sigmoid":
        layers.append(nn.Sigmoid())
    return nn.Sequential(*layers)


def weight_variance(initialization: Initialization, fan_in: int, fan_out: int) -> float:
    """Return Var[w] of a Linear layer's weights.

    He et al. (2015), equation 10; Glorot and Bengio (2010), equation 12; LeCun et al. (1998);
    Saxe et al. (2014), with gain sqrt(2). PyTorch's default is Kaiming-uniform with a = sqrt(5):
    uniform on +-1/sqrt(fan_in), of variance 1/(3 fan_in).

    >>> weight_variance("he", 200, 100), weight_variance("xavier", 200, 100)
    (0.01, 0.006666666666666667)
    """
    match initialization:
        case "he":
            return 2 / fan_in
        case "xavier":
            return 2 / (fan_in + fan_out)
        case "lecun":
            return 1 / fan_in
        case "orthogonal":
            return 2 / max(fan_in, fan_out)
        case "pytorch":
            return 1 / (3 * fan_in)


def bias_variance(initialization: Initialization, fan_in: int) -> float:
    """Return Var[b] of a Linear layer's biases: 1/(3 fan_in) for "pytorch", else 0.

    >>> bias_variance("he", 200)
    0.0
    """
    return 1 / (3 * fan_in) if initialization == "pytorch" else 0.0


def initialize(
    linear: nn.Linear, initialization: Initialization, generator: torch.Generator
) -> None:
    """Draw the parameters of one Linear layer in place.

    "he", "xavier" and "lecun" are normal with `weight_variance`, "orthogonal" has gain sqrt(2);
    "pytorch" is uniform on +-1/sqrt(fan_in) for weights and biases.

    Raises:
        InputError: a layer without inputs or outputs.
    """
    fan_out, fan_in = linear.weight.shape
    if fan_in == 0 or fan_out == 0:
        raise InputError(f"initialize: a Linear layer {fan_in} -> {fan_out} has nothing to draw")
    weight, bias = linear.weight, linear.bias
    with torch.no_grad():
        if initialization == "pytorch":
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
            bound = 1 / math.sqrt(fan_in)
            nn.init.uniform_(bias, -bound, bound, generator=generator)
            return
        if initialization == "orthogonal":
            nn.init.orthogonal_(weight, gain=math.sqrt(2), generator=generator)
        else:
            variance = weight_variance(initialization, fan_in, fan_out)
            nn.init.normal_(weight, std=math.sqrt(variance), generator=generator)
        bias.zero_()
