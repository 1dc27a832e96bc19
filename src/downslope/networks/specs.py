"""What a member is: its network, its training and its seed, frozen and validated when made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta

from downslope.checked import Checked, Count, Must, refused
from downslope.showing import Shown

Activation = Literal["relu", "leaky_relu", "elu", "prelu", "gelu", "tanh"]
Normalization = Literal["none", "batch"]
Output = Literal["logits", "sigmoid"]
Initialization = Literal["pytorch", "he", "xavier", "lecun", "orthogonal"]
Loss = Literal["cross_entropy", "mean_squared_error"]
Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "cosine", "one_cycle"]
DecayOn = Literal["weights", "all"]

WIDEST = 2**20
"""Units that a layer may have, inputs and outputs included."""

Width = Annotated[int, Meta(ge=1, le=WIDEST)]

# The engines compute in float32: a share must stay below 1 there, a factor neither 0 nor infinite.
Share = Annotated[float, Meta(ge=0, lt=1 - 2**-25)]
_FLOAT32 = "which float32 can hold"
Factor = Annotated[float, Meta(ge=1e-37, le=1e38, description=_FLOAT32)]
FactorOrZero = Annotated[
    float,
    Must(
        lambda value: value == 0 or 1e-37 <= value <= 1e38, f"0 or from 1e-37 to 1e38, {_FLOAT32}"
    ),
]


class NetworkSpec(Checked, frozen=True, kw_only=True):
    """A dense network.

    Each hidden layer is Linear, normalization, activation, dropout; the last layer is Linear and
    the output function.

    Args:
        widths: units per layer, inputs first and outputs last, for example
            (784, 40, 40, 40, 10).
        activation: of the hidden layers. leaky_relu has slope 0.01, elu alpha 1, prelu one
            learned slope per layer that starts at 0.25, as PyTorch's defaults.
        normalization: "batch" puts a BatchNorm1d after each hidden Linear.
        dropout: the probability that a hidden unit is dropped in training, in [0, 1).
        output: "logits" or "sigmoid".
        initialization: how weights start. "pytorch" is `nn.Linear`'s default; "he", "xavier",
            "lecun" are normal with variance 2/fan_in, 2/(fan_in+fan_out), 1/fan_in and
            "orthogonal" has gain sqrt(2); all four start biases at zero.
        weight_scale: factor on the weights as they were drawn, biases not; 1 leaves them alone.
            "lecun" with factor g has the variance g^2/fan_in.

    Raises:
        InputError: a field is outside of what is allowed; the message names it.

    >>> NetworkSpec(widths=(784, 40, 10)).parameters
    31810
    """

    widths: Annotated[
        tuple[Width, ...], Meta(min_length=2, description="inputs, hidden layers, outputs")
    ]
    activation: Activation = "relu"
    normalization: Normalization = "none"
    dropout: Share = 0.0
    output: Output = "logits"
    initialization: Initialization = "pytorch"
    weight_scale: Factor = 1.0

    @property
    def parameters(self) -> int:
        """Count the trainable parameters."""
        linear = sum((a + 1) * b for a, b in zip(self.widths, self.widths[1:], strict=False))
        hidden = self.widths[1:-1]
        batch = 2 * sum(hidden) if self.normalization == "batch" else 0
        slopes = len(hidden) if self.activation == "prelu" else 0
        return linear + batch + slopes

    @property
    def label(self) -> str:
        """Name the shape as the field writes it, for example 784-40-40-40-10."""
        return "-".join(map(str, self.widths))


class TrainingSpec(Checked, frozen=True, kw_only=True):
    """How a network is trained.

    Args:
        loss: "cross_entropy" on logits and integer classes, or "mean_squared_error" over all
            outputs of all examples.
        optimizer: "sgd", "adam" or "adamw", with PyTorch's defaults for what is not named here.
        learning_rate: the constant rate, the start of "cosine", the peak of "one_cycle".
        schedule: stepped after every minibatch. "cosine" falls to zero over the whole training;
            "one_cycle" is Smith and Topin (2018) as in `OneCycleLR` without momentum cycling.
        momentum: of SGD, in [0, 1).
        nesterov: Nesterov's form of momentum; needs momentum above 0.
        weight_decay: L2 penalty added to the gradient (decoupled for "adamw").
        decay_on: "weights" decays the weight matrices of Linear layers only, "all" every
            parameter.
        label_smoothing: of cross-entropy's targets in training (Szegedy et al. 2016), in [0, 1);
            validation losses are without it.
        clip_norm: the largest joint norm of all gradients (Pascanu et al. 2013, as
            `clip_grad_norm_`); 0 leaves them as they are.
        batch_size: examples per minibatch; the last short one is kept, unless batch norm meets a
            single row (see `Member.steps_per_epoch`).
        epochs: passes over the training examples.
        evaluation_draw: the PyTorch loop that is replayed also iterates over a `DataLoader` of
            evaluation examples after each epoch. That pass draws one number from the random
            stream, so it moves all later minibatch orders.

    Raises:
        InputError: a field is outside of what is allowed; the message names it.

    >>> TrainingSpec(learning_rate=-1.0)
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: TrainingSpec: learning_rate = -1.0 is not allowed; ...
    """

    loss: Loss = "cross_entropy"
    optimizer: Optimizer = "sgd"
    learning_rate: Factor = 0.01
    schedule: Schedule = "constant"
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: FactorOrZero = 0.0
    decay_on: DecayOn = "weights"
    label_smoothing: Share = 0.0
    clip_norm: FactorOrZero = 0.0
    batch_size: Count = 32
    epochs: Count = 20
    evaluation_draw: bool = False

    def faults(self) -> Iterator[str]:
        """Yield what belongs to another optimizer or loss."""
        if self.momentum and self.optimizer != "sgd":
            allowed = f"0 with optimizer {self.optimizer!r}; it belongs to 'sgd'"
            yield refused("momentum", self.momentum, allowed)
        if self.nesterov and not self.momentum:
            yield refused("nesterov", self.nesterov, "false unless momentum is above 0")
        if self.label_smoothing and self.loss != "cross_entropy":
            allowed = f"0 with loss {self.loss!r}; it belongs to 'cross_entropy'"
            yield refused("label_smoothing", self.label_smoothing, allowed)


class Member(Shown, Checked, frozen=True, kw_only=True):
    """A network, a training and a seed: the unit of all work.

    The seed is that of `torch.manual_seed` in the PyTorch loop that this member equals.

    >>> Member(network=NetworkSpec(widths=(4, 3)), training=TrainingSpec(), seed=-1)
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: Member: seed = -1 is not allowed; it must be a whole number...
    """

    network: NetworkSpec
    training: TrainingSpec
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]

    def facts(self) -> Mapping[str, object]:
        """Return the network, what is not as by default, and what always matters."""
        changed = {
            name.replace("_", " "): getattr(spec, name)
            for spec in (self.network, self.training)
            for name, default in zip(
                reversed(spec.__struct_fields__), reversed(spec.__struct_defaults__), strict=False
            )
            if getattr(spec, name) != default
        }
        always = ("learning_rate", "batch_size", "epochs")
        return {
            "network": self.network.label,
            **changed,
            **{name.replace("_", " "): getattr(self.training, name) for name in always},
            "seed": self.seed,
        }

    def faults(self) -> Iterator[str]:
        """Yield what of the training does not go with the network."""
        if self.network.normalization == "batch" and self.training.batch_size == 1:
            yield refused(
                "training.batch_size",
                1,
                "2 or more with normalization 'batch', which cannot take the variance of one row",
            )
        if self.training.loss == "cross_entropy" and self.network.output == "sigmoid":
            yield refused("network.output", "sigmoid", "'logits' with loss 'cross_entropy'")

    def steps_per_epoch(self, examples: int) -> int:
        """Count the minibatches of a pass over some examples.

        The last one may be short. Where it would be a single row, of which batch norm can take no
        variance, it is left out: another row each epoch, as orders are drawn anew.

        >>> network = NetworkSpec(widths=(4, 8, 3), normalization="batch")
        >>> member = Member(network=network, training=TrainingSpec(batch_size=8), seed=541)
        >>> [member.steps_per_epoch(rows) for rows in (8, 9, 10)]
        [1, 1, 2]
        """
        full, rest = divmod(examples, self.training.batch_size)
        single = rest == 1 and full > 0 and self.network.normalization == "batch"
        return full + (rest > 0 and not single)

    def expected_cost(self, examples: int) -> float:
        """Estimate the work of training on `examples` rows, in arbitrary units.

        A step costs its overhead plus its arithmetic. The weights below were fitted to the
        compiled engine in microseconds, so that progress bars and longest-first scheduling are
        about right; only their ratios matter.
        """
        batch_size = min(self.training.batch_size, examples)
        steps = self.steps_per_epoch(examples)
        network, training = self.network, self.training
        overhead = 3.0 + len(network.widths)
        arithmetic = batch_size * network.parameters * 6 / 85_000
        if training.optimizer != "sgd" or training.momentum > 0:
            arithmetic += network.parameters / 2_500
        # Curved activations and normalization work on every unit of every example.
        curved = network.activation in ("elu", "gelu", "tanh")
        per_unit = 0.001 + 0.012 * curved + 0.003 * (network.normalization == "batch")
        per_unit += 0.004 * (network.dropout > 0)
        units = batch_size * sum(network.widths[1:-1])
        overhead += per_unit * units
        return self.training.epochs * steps * (overhead + arithmetic)
