import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from downslope import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec, build


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"widths": (784,)}, "widths"),
        ({"widths": (784, 0, 10)}, "widths"),
        ({"widths": (784, 5.0, 10)}, "widths"),
        ({"widths": (784, 2**20 + 1, 10)}, "widths"),
        ({"dropout": 1 - 1e-12}, "dropout"),
        ({"dropout": "0.5"}, "dropout"),
        ({"activation": "swish"}, "activation"),
        ({"normalization": "layer"}, "normalization"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": float("nan")}, "dropout"),
        ({"output": "softmax"}, "output"),
        ({"initialization": "zeros"}, "initialization"),
    ],
)
def test_a_network_outside_its_limits_is_refused_by_name(changes, named) -> None:
    with pytest.raises(InputError, match=rf"NetworkSpec: {named} = .* must be"):
        NetworkSpec(**{"widths": (4, 3, 2), **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": "hinge"}, "loss"),
        ({"optimizer": "lbfgs"}, "optimizer"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"schedule": "step"}, "schedule"),
        ({"momentum": 1.0}, "momentum"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum"),
        ({"nesterov": True}, "nesterov"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"weight_decay": float("nan")}, "weight_decay"),
        ({"decay_on": "biases"}, "decay_on"),
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.0}, "epochs"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"learning_rate": "0.1"}, "learning_rate"),
        ({"label_smoothing": 1 - 1e-12}, "label_smoothing"),
        ({"clip_norm": 1e-50}, "clip_norm"),
        ({"clip_norm": 1e50}, "clip_norm"),
        ({"learning_rate": 1e308}, "learning_rate"),  # infinite in float32
        ({"learning_rate": 1e-60}, "learning_rate"),  # zero in float32
        ({"weight_decay": 1e200}, "weight_decay"),
    ],
)
def test_a_training_outside_its_limits_is_refused_by_name(changes, named) -> None:
    with pytest.raises(InputError, match=rf"TrainingSpec: {named} = .* must be"):
        TrainingSpec(**changes)


def test_specs_are_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainingSpec().epochs = 3  # type: ignore[misc]


def test_cross_entropy_needs_logits() -> None:
    network = NetworkSpec(widths=(4, 2), output="sigmoid")
    with pytest.raises(InputError, match=r"network.output"):
        Member(network=network, training=TrainingSpec(), seed=0)


networks = st.builds(
    NetworkSpec,
    widths=st.lists(st.integers(1, 12), min_size=2, max_size=5).map(tuple),
    activation=st.sampled_from(["relu", "leaky_relu", "elu", "prelu", "gelu", "tanh"]),
    normalization=st.sampled_from(["none", "batch"]),
    dropout=st.sampled_from([0.0, 0.3]),
    output=st.sampled_from(["logits", "sigmoid"]),
)


@given(networks)
def test_the_parameter_count_is_that_of_the_module(spec: NetworkSpec) -> None:
    module = build(spec, torch.Generator())
    assert spec.parameters == sum(p.numel() for p in module.parameters())


@given(networks, st.integers(0, 2**63 - 1))
def test_a_member_survives_json(network: NetworkSpec, seed: int) -> None:
    training = TrainingSpec(loss="mean_squared_error")
    member = Member(network=network, training=training, seed=seed)
    assert msgspec.json.decode(msgspec.json.encode(member), type=Member) == member


def test_more_epochs_and_more_units_cost_more() -> None:
    def cost(units: int, epochs: int) -> float:
        network = NetworkSpec(widths=(784, units, 10))
        training = TrainingSpec(epochs=epochs)
        return Member(network=network, training=training, seed=0).expected_cost(1000)

    assert cost(40, 2) == 2 * cost(40, 1)
    assert cost(400, 1) > cost(40, 1)
