import numpy as np
import pytest
import torch
from torch import nn

from downslope.networks import NetworkSpec, activation_module, build


def users_network() -> nn.Sequential:
    """Write the published network as a PyTorch user does."""
    return nn.Sequential(
        nn.Linear(784, 40),
        nn.ReLU(),
        nn.Linear(40, 40),
        nn.ReLU(),
        nn.Linear(40, 40),
        nn.ReLU(),
        nn.Linear(40, 10),
    )


@pytest.mark.parametrize("seed", [0, 541, 576])
def test_default_initialization_is_pytorchs_bit_for_bit(seed: int) -> None:
    before = torch.get_rng_state()
    torch.manual_seed(seed)
    reference = users_network()
    next_draw = torch.rand(3)
    torch.set_rng_state(before)

    generator = torch.Generator().manual_seed(seed)
    module = build(NetworkSpec(widths=(784, 40, 40, 40, 10)), generator)

    assert [type(a) for a in module] == [type(b) for b in reference]
    for name, parameter in reference.named_parameters():
        assert torch.equal(module.get_parameter(name), parameter), name
    # The stream goes on where the user's would.
    assert torch.equal(torch.rand(3, generator=generator), next_draw)


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    build(NetworkSpec(widths=(8, 8, 2), normalization="batch", dropout=0.5), torch.Generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_order_of_a_hidden_layer_is_linear_norm_activation_dropout() -> None:
    spec = NetworkSpec(
        widths=(5, 4, 3), normalization="batch", activation="elu", dropout=0.2, output="sigmoid"
    )
    kinds = [type(layer) for layer in build(spec, torch.Generator())]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ELU, nn.Dropout, nn.Linear, nn.Sigmoid]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("elu", lambda x: np.where(x > 0, x, np.expm1(x))),
        ("prelu", lambda x: np.where(x > 0, x, 0.25 * x)),
        ("tanh", np.tanh),
    ],
)
def test_activations_are_the_textbook_functions(name, function) -> None:
    x = np.linspace(-3, 3, 61)
    with torch.no_grad():
        found = activation_module(name).double()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, function(x), rtol=1e-12)


def test_gelu_is_x_times_the_normal_distribution_function() -> None:
    from scipy.stats import norm

    x = np.linspace(-3, 3, 61)
    found = activation_module("gelu")(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, x * norm.cdf(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("initialization", "variance"),
    [("he", 2 / 500), ("xavier", 2 / 800), ("lecun", 1 / 500), ("pytorch", 1 / 1500)],
)
def test_initializations_have_their_variance(initialization, variance: float) -> None:
    spec = NetworkSpec(widths=(500, 300), initialization=initialization)
    weight = build(spec, torch.Generator().manual_seed(3))[0].weight.detach().double()
    # The standard error of a variance from 150,000 draws is below 0.4 %.
    assert float(weight.var()) == pytest.approx(variance, rel=0.015)
    assert abs(float(weight.mean())) < 4 * (variance / 150_000) ** 0.5


def test_orthogonal_rows_are_orthogonal_with_gain_root_two() -> None:
    spec = NetworkSpec(widths=(60, 30), initialization="orthogonal")
    weight = build(spec, torch.Generator())[0].weight.detach().double()
    gram = weight @ weight.T
    torch.testing.assert_close(gram, 2 * torch.eye(30, dtype=torch.float64), atol=1e-5, rtol=0)


def test_only_pytorchs_initialization_draws_biases() -> None:
    for initialization in ("he", "xavier", "lecun", "orthogonal"):
        spec = NetworkSpec(widths=(6, 5), initialization=initialization)
        assert not build(spec, torch.Generator())[0].bias.any()
    assert build(NetworkSpec(widths=(6, 5)), torch.Generator())[0].bias.any()


@pytest.mark.parametrize("initialization", ["he", "xavier", "lecun", "orthogonal"])
def test_initializations_are_those_of_torch_nn_init(initialization: str) -> None:
    """The same stream through `torch.nn.init` gives the same weights, to the last bit or so."""
    module = build(
        NetworkSpec(widths=(30, 20, 10), initialization=initialization),
        torch.Generator().manual_seed(541),
    )
    generator = torch.Generator().manual_seed(541)
    for fan_in, fan_out, layer in ((30, 20, module[0]), (20, 10, module[2])):
        expected = torch.empty(fan_out, fan_in)
        match initialization:
            case "he":
                nn.init.kaiming_normal_(expected, nonlinearity="relu", generator=generator)
            case "xavier":
                nn.init.xavier_normal_(expected, generator=generator)
            case "lecun":
                nn.init.kaiming_normal_(expected, nonlinearity="linear", generator=generator)
            case _:
                gain = nn.init.calculate_gain("relu")
                nn.init.orthogonal_(expected, gain=gain, generator=generator)
        torch.testing.assert_close(layer.weight, expected, rtol=1e-6, atol=0)
        assert not layer.bias.any()


def test_weight_scale_multiplies_the_weights_and_leaves_the_biases() -> None:
    plain, scaled = (
        build(NetworkSpec(widths=(5, 4, 3), weight_scale=scale), torch.Generator().manual_seed(541))
        for scale in (1.0, 2.5)
    )
    for i in (0, 2):
        assert torch.equal(scaled[i].weight, 2.5 * plain[i].weight)
        assert torch.equal(scaled[i].bias, plain[i].bias)
