"""The oracle: every value is a plain forward pass with those weights, for any module."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.engines import instruction_sets
from downslope.errors import InputError
from downslope.landscape import (
    Losses,
    LossOptions,
    Plane,
    Trajectory,
    evaluate,
    evaluate_surface,
    filter_normalized_plane,
    trace_path,
)
from downslope.landscape.fast_paths import split_affine
from downslope.networks import NetworkSpec, build, flatten, load_flat
from downslope.progress import drain


def dense() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def convolutional() -> nn.Module:
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(24, 3),
    )
    module(torch.randn(40, 2, 8, 8))  # moves the running statistics off their start
    return module


class Transformer(nn.Module):
    """Token embedding, one encoder layer with attention, mean over places, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.register_buffer("places", torch.randn(6, 8))
        self.encode = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.encode(self.embed(tokens) + self.places).mean(dim=1))


def transformer() -> nn.Module:
    torch.manual_seed(2)
    return Transformer()


def rows(kind: str, count: int = 37) -> Examples:
    draw = np.random.default_rng(3)
    inputs: Any
    if kind == "dense":
        inputs = draw.normal(size=(count, 5)).astype(np.float32)
    elif kind == "convolutional":
        inputs = draw.normal(size=(count, 2, 8, 8)).astype(np.float32)
    else:
        inputs = draw.integers(0, 11, (count, 6))
    return Examples(inputs, draw.integers(0, 3, count))


MAKE: dict[str, Callable[[], nn.Module]] = {
    "dense": dense,
    "convolutional": convolutional,
    "transformer": transformer,
}


def forward(module: nn.Module, vector: np.ndarray, examples: Examples) -> tuple[float, float]:
    """What a user would write: load the weights, run, take the mean loss."""
    load_flat(module, vector)
    module.eval()
    with torch.no_grad():
        outputs = module(torch.from_numpy(examples.inputs))
        targets = torch.from_numpy(examples.targets)
        loss = functional.cross_entropy(outputs.double(), targets)
    return float(loss), float((outputs.argmax(1) == targets).double().mean())


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("engine", ["auto", "pytorch"])
@pytest.mark.parametrize("memory", [2**28, 20_000])
def test_every_point_is_a_plain_forward_pass(kind: str, engine: Any, memory: int) -> None:
    module, examples = MAKE[kind](), rows(kind)
    plane = filter_normalized_plane(module, seed=1)
    assert plane.lengths
    # Rectangular, odd, and not the same extent each way.
    x = np.linspace(-0.7, 1.0, 5) * plane.lengths[0]
    y = np.linspace(-0.4, 0.6, 3) * plane.lengths[1]
    options = LossOptions(engine=engine, memory=memory)
    surface = drain(evaluate_surface(module, plane, x, y, examples, options))
    assert surface.loss.shape == surface.accuracy.shape == (3, 5)
    other = MAKE[kind]()
    for j in range(3):
        for i in range(5):
            vector = plane.points(np.array([[x[i], y[j]]]))[0]
            loss, accuracy = forward(other, vector, examples)
            assert surface.loss[j, i] == pytest.approx(loss, rel=1e-6)
            assert surface.accuracy[j, i] == pytest.approx(accuracy, abs=1e-9)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("batch_norm", ["frozen", "recomputed"])
def test_the_same_bits_whatever_the_threads(kind: str, batch_norm: Any) -> None:
    module, examples = MAKE[kind](), rows(kind)
    vectors = filter_normalized_plane(module, 0).points(
        np.random.default_rng(0).normal(size=(5, 2))
    )

    def run(threads: int) -> Losses:
        options = LossOptions(threads=threads, batch_norm=batch_norm)
        return drain(evaluate(module, vectors, 5, examples, options))

    one, three = run(1), run(3)
    assert one.loss.tobytes() == three.loss.tobytes()
    assert one.error.tobytes() == three.error.tobytes()


def everything(module: nn.Module) -> list[Any]:
    """All that must come back: bytes, identities, flags, modes and the global generators."""
    states = np.random.get_state()  # noqa: NPY002 - the legacy generator is what must not move
    return [
        [(n, t.data_ptr(), t.detach().numpy().tobytes()) for n, t in module.state_dict().items()],
        [(n, p.requires_grad, id(p), p._version) for n, p in module.named_parameters()],
        [(n, None if p.grad is None else p.grad.numpy().tobytes()) for n, p in
         module.named_parameters()],
        [(n, part.training) for n, part in module.named_modules()],
        torch.get_rng_state().numpy().tobytes(),
        (states[1].tobytes(), states[2:]),
        random.getstate(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
    ]  # fmt: skip


class Interrupting(nn.Module):
    """Raises on its third forward pass, wherever a copy of it counts."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.inner = convolutional()
        self.error = error
        self.calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.error is not None and self.calls >= 3:
            raise self.error
        return self.inner(inputs) + 0.1 * torch.rand(1)


@pytest.mark.parametrize("batch_norm", ["frozen", "recomputed"])
@pytest.mark.parametrize("error", [None, ZeroDivisionError("inside"), KeyboardInterrupt()])
def test_the_module_and_the_generators_come_back_to_the_bit(
    batch_norm: Any, error: BaseException | None
) -> None:
    module, examples = Interrupting(error), rows("convolutional")
    module.inner[0].bias.requires_grad_(False)
    module.inner[1].eval()
    functional.cross_entropy(
        module.inner(torch.from_numpy(examples.inputs)), torch.from_numpy(examples.targets)
    ).backward()
    path = Trajectory()
    for step in range(4):
        path.add(flatten(module) * (1 + 0.1 * step), step=step, loss=0.0)
    plane = filter_normalized_plane(module, 0)
    before = everything(module)
    steps = trace_path(module, plane, path, examples, LossOptions(batch_norm=batch_norm))
    if error is None:
        points = drain(steps)
        assert all(p.true_loss is not None for p in points)
    else:
        # A failure is one line about the module; Ctrl-C passes.
        with pytest.raises(KeyboardInterrupt if error.args == () else InputError):
            drain(steps)
    assert everything(module) == before
    assert module.calls == 0


def test_a_module_that_draws_draws_the_same_at_every_point() -> None:
    module, examples = Interrupting(None), rows("convolutional")
    vectors = np.tile(flatten(module), (3, 1))
    values = drain(evaluate(module, vectors, 3, examples, LossOptions(threads=3)))
    assert len(set(values.loss.tolist())) == 1


def test_running_statistics_are_recomputed_from_the_data_of_each_point() -> None:
    module, examples = convolutional(), rows("convolutional")
    vector = flatten(module) * 1.5
    found = drain(evaluate(module, vector[None], 1, examples, LossOptions(batch_norm="recomputed")))
    other = convolutional()
    load_flat(other, vector)
    inputs, targets = torch.from_numpy(examples.inputs), torch.from_numpy(examples.targets)
    other.eval()
    for part in other.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # the mean over batches, of which there is one
            part.train()
    with torch.no_grad():
        other(inputs)
        expected = float(functional.cross_entropy(other.eval()(inputs), targets))
    assert found.loss[0] == pytest.approx(expected, rel=1e-6)
    kept = drain(evaluate(module, vector[None], 1, examples))
    assert kept.loss[0] != pytest.approx(expected, rel=1e-3)


@pytest.mark.skipif(not instruction_sets(), reason="no compiled engine")
@pytest.mark.parametrize(("memory", "compiled"), [(2**28, True), (16 * 8 * 20, False)])
def test_a_dense_network_recomputes_its_statistics_the_compiled_way_where_they_are_of_one_chunk(
    monkeypatch: pytest.MonkeyPatch, memory: int, compiled: bool
) -> None:
    from downslope.landscape import fast_paths

    taken: list[bool] = []
    whole = fast_paths.losses_on_plane

    def spy(*args: Any, **more: Any) -> Any:
        taken.append(more["recompute"])
        return whole(*args, **more)

    monkeypatch.setattr(fast_paths, "losses_on_plane", spy)
    spec = NetworkSpec(widths=(5, 8, 8, 3), normalization="batch", dropout=0.2)
    module, examples = build(spec, torch.Generator().manual_seed(0)), rows("dense")
    before = everything(module)
    plane, axis = filter_normalized_plane(module, 0), np.linspace(-1, 1, 3)
    found, plain = (
        drain(
            evaluate_surface(
                module, plane, axis, axis, examples,
                LossOptions(batch_norm="recomputed", engine=engine, memory=memory),
            )
        )
        for engine in ("auto", "pytorch")
    )  # fmt: skip
    assert taken == [True] * compiled
    np.testing.assert_allclose(found.loss, plain.loss, rtol=1e-6)
    np.testing.assert_array_equal(found.accuracy, plain.accuracy)
    assert everything(module) == before


def test_without_running_statistics_both_choices_are_the_same() -> None:
    module, examples = transformer(), rows("transformer")
    vector = flatten(module)[None]
    kept, again = (
        drain(evaluate(module, vector, 1, examples, LossOptions(batch_norm=s))).loss[0]
        for s in ("frozen", "recomputed")
    )
    assert kept == again


def test_the_sampling_error_is_the_spread_over_the_root_of_the_count() -> None:
    module, examples = dense(), rows("dense")
    values = drain(evaluate(module, flatten(module)[None], 1, examples))
    with torch.no_grad():
        losses = functional.cross_entropy(
            module(torch.from_numpy(examples.inputs)), torch.from_numpy(examples.targets),
            reduction="none",
        ).double().numpy()  # fmt: skip
    assert values.error[0] == pytest.approx(losses.std(ddof=1) / np.sqrt(37), rel=1e-5)


def each_loss(module: nn.Module, batch: Any) -> torch.Tensor:
    return functional.cross_entropy(module(batch[0]), batch[1], reduction="none")


def test_a_loss_of_ones_own_may_be_a_mean_or_one_per_example() -> None:
    module, examples = dense(), rows("dense")
    vector = flatten(module)[None]
    named = drain(evaluate(module, vector, 1, examples, LossOptions(memory=20)))
    each = drain(
        evaluate(
            module, vector, 1, examples,
            LossOptions(each_loss, memory=20),
        )
    )  # fmt: skip
    mean = drain(
        evaluate(module, vector, 1, examples, LossOptions(lambda m, b: each_loss(m, b).mean()))
    )
    assert each.loss[0] == named.loss[0]
    assert each.error[0] == named.error[0]
    assert mean.loss[0] == pytest.approx(named.loss[0], rel=1e-6)
    assert np.isnan(mean.error[0])
    assert np.isnan(each.accuracy[0])
    with pytest.raises(InputError, match=r"shape \(2, 3\); it must be \(2,\)"):
        drain(evaluate(module, vector, 1, examples, LossOptions(lambda m, b: m(b[0]))))


def test_nan_and_infinity_are_shown_as_such() -> None:
    module, examples = dense(), rows("dense")
    vectors = np.stack([flatten(module)] * 3)
    vectors[1, 0] = np.nan
    vectors[2, :40] = np.inf
    values = drain(evaluate(module, vectors, 3, examples))
    assert np.isfinite(values.loss).tolist() == [True, False, False]
    assert np.isfinite(values.error).tolist() == [True, False, False]


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("no copies")


def test_what_cannot_be_done_is_said_in_one_line() -> None:
    examples = rows("dense")
    vector = np.zeros((1, 18), np.float32)
    with pytest.raises(InputError, match=r"cannot be copied \(no copies\)"):
        drain(evaluate(Uncopyable(5, 3), vector, 1, examples))
    with pytest.raises(InputError, match="no examples"):
        drain(evaluate(nn.Linear(5, 3), vector, 1, examples.take(np.arange(0))))
    with pytest.raises(InputError, match="batch_norm = 'none'"):
        LossOptions(batch_norm="none")  # pyright: ignore
    with pytest.raises(InputError, match="loss = 'hinge'"):
        LossOptions("hinge")  # pyright: ignore
    with pytest.raises(InputError, match="memory = 0"):
        LossOptions(memory=0)


def test_a_plane_of_two_parameters_is_the_known_surface() -> None:
    """loss = ((a - 3)^2 + (2 b - 4)^2) / 2, on a grid with more columns than rows."""
    module = nn.Linear(2, 1, bias=False)
    examples = Examples(np.diag([1, 2]).astype(np.float32), np.array([[3], [4]], np.float32))
    plane = Plane(np.zeros(2), np.eye(2))
    x, y = np.linspace(-1, 5, 7), np.linspace(0, 3, 4)
    surface = drain(
        evaluate_surface(module, plane, x, y, examples, LossOptions("mean_squared_error"))
    )
    expected = ((x[None] - 3) ** 2 + (2 * y[:, None] - 4) ** 2) / 2
    np.testing.assert_allclose(surface.loss, expected, rtol=1e-6, atol=1e-6)
    assert np.isnan(surface.accuracy).all()


@pytest.mark.skipif(not instruction_sets(), reason="no compiled engine")
def test_a_dense_network_takes_the_compiled_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from downslope.landscape import fast_paths

    taken: list[str] = []

    def spy(spec: Any, *args: Any, **more: Any) -> Any:
        taken.append(spec.label)
        yield from ()
        return np.zeros(1), np.zeros(1)

    monkeypatch.setattr(fast_paths, "losses_on_plane", spy)
    plane = filter_normalized_plane(dense(), 0)
    one = np.zeros(1)
    drain(evaluate_surface(dense(), plane, one, one, rows("dense")))
    drain(evaluate_surface(dense(), plane, one, one, rows("dense"), LossOptions(engine="pytorch")))
    drain(evaluate_surface(dense().double(), plane, one, one, double(rows("dense"))))
    assert taken == ["5-8-8-3"]


def twice(kind: str) -> nn.Module:
    """Sequences that begin with a wide linear layer and that the compiled engine does not know."""
    torch.manual_seed(4)
    if kind == "convolution":
        return nn.Sequential(
            nn.Conv2d(8, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.2), nn.Linear(36, 3),
        )  # fmt: skip
    inner = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Softplus())
    return nn.Sequential(nn.Flatten(), nn.Linear(512, 8), nn.PReLU(), inner, nn.Linear(8, 3))


@pytest.mark.parametrize("kind", ["linear", "convolution"])
@pytest.mark.parametrize("memory", [2**28, 15_000])
def test_a_linear_beginning_is_computed_once_and_gives_plain_forward_passes(
    kind: str, memory: int
) -> None:
    module = twice(kind)
    draw = np.random.default_rng(3)
    images = Examples(draw.normal(size=(37, 8, 8, 8)).astype(np.float32), draw.integers(0, 3, 37))
    if kind == "convolution":
        module(torch.from_numpy(images.inputs))  # moves the running statistics off their start
    before = everything(module)
    plane = filter_normalized_plane(module, seed=1)
    assert plane.lengths
    x, y = np.linspace(-0.7, 1, 5) * plane.lengths[0], np.linspace(-0.4, 0.6, 3) * plane.lengths[1]
    at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    assert (split_affine(module, plane, at, images.inputs, LossOptions(memory=memory)) is None) == (
        kind == "convolution" and memory < 2**20
    )
    surface = drain(evaluate_surface(module, plane, x, y, images, LossOptions(memory=memory)))
    one = drain(
        evaluate_surface(module, plane, x, y, images, LossOptions(memory=memory, threads=1))
    )
    assert everything(module) == before
    assert one.loss.tobytes() == surface.loss.tobytes()
    for point, loss, accuracy in zip(
        at, surface.loss.ravel(), surface.accuracy.ravel(), strict=True
    ):
        expected = forward(module, plane.points(point[None])[0], images)
        assert loss == pytest.approx(expected[0], rel=1e-6)
        assert accuracy == pytest.approx(expected[1], abs=1e-9)


def test_what_is_no_plain_linear_beginning_is_not_split() -> None:
    wide = nn.Linear(64, 64)
    hooked = nn.Sequential(nn.Linear(64, 3))
    hooked[0].register_forward_hook(lambda *_: None)
    norm = nn.Sequential(nn.Linear(64, 3), nn.BatchNorm1d(3))
    others: list[tuple[nn.Module, LossOptions]] = [
        (nn.Sequential(nn.Linear(64, 3)).double(), LossOptions()),
        (nn.Sequential(wide, nn.ReLU(), wide), LossOptions()),
        (nn.Sequential(nn.ReLU(), nn.Linear(64, 3)), LossOptions()),
        (nn.Sequential(nn.Conv2d(1, 3, 7)), LossOptions()),
        (nn.Sequential(nn.Flatten()), LossOptions()),
        (nn.Linear(64, 3), LossOptions()),
        (hooked, LossOptions()),
        (norm, LossOptions(batch_norm="recomputed")),
    ]
    inputs = np.zeros((5, 64), np.float32)
    for module, options in others:
        plane = Plane(np.zeros(9), np.eye(2, 9))  # never looked at
        assert split_affine(module, plane, np.zeros((1, 2)), inputs, options) is None


def double(examples: Examples) -> Examples:
    return Examples(examples.inputs.astype(np.float64), examples.targets)
