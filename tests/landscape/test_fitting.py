"""Targets meet outputs row by row: nothing is broadcast, and what does not fit is refused."""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.errors import InputError
from downslope.landscape import (
    Grid,
    LossOptions,
    Plane,
    Trajectory,
    compute_landscape,
    evaluate,
    fitting,
)
from downslope.landscape.evaluation import along_plane
from downslope.landscape.fast_paths import evaluate_on_plane
from downslope.landscape.fitting import fit_examples, loss_per_example
from downslope.networks import flatten
from downslope.progress import drain

ROWS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
CLASSES = np.random.default_rng(1).integers(0, 3, 12)


class Wrapped(nn.Module):
    """No plain Sequential, so that only the plain loop takes it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.inner(inputs)


def modules(outputs: int) -> dict[str, nn.Module]:
    """One network that each of the three ways to a surface takes."""
    torch.manual_seed(3)
    dense = nn.Sequential(nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, outputs))
    affine = nn.Sequential(dense[0], nn.Softplus(), dense[2])
    return {"compiled": dense, "affine": affine, "plain": Wrapped(affine)}


@pytest.mark.parametrize("way", ["compiled", "affine", "plain"])
@pytest.mark.parametrize("shape", [(12,), (12, 1), (12, 1, 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.bool_])
def test_a_column_is_compared_with_a_column_on_every_way(way: str, shape: Any, kind: Any) -> None:
    module = modules(1)[way]
    inputs = np.random.default_rng(2).normal(size=(12, 64)).astype(np.float32)
    targets = (np.random.default_rng(3).normal(size=shape) > 0).astype(kind)
    vector = flatten(module).astype(np.float64)
    plane = Plane(vector, np.eye(2, len(vector)))
    points = np.array([[0.0, 0.0], [0.1, -0.2]])
    values = drain(
        evaluate_on_plane(
            module, plane, points, Examples(inputs, targets), LossOptions("mean_squared_error"),
            task="",
        )
    )  # fmt: skip
    column = torch.from_numpy(targets.reshape(12, 1).astype(np.float32))
    for loss, at in zip(values.loss, along_plane(plane, points), strict=True):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(at), module.parameters())
        expected = functional.mse_loss(module(torch.from_numpy(inputs)), column)
        assert loss == pytest.approx(expected.item(), rel=1e-5)


@settings(max_examples=50)
@given(
    outputs=st.lists(st.integers(1, 3), max_size=3),
    targets=st.lists(st.integers(1, 3), max_size=3),
)
def test_mean_squared_error_compares_equal_shapes_or_refuses(
    outputs: list[int], targets: list[int]
) -> None:
    class Shaped(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.new_ones(len(inputs), *outputs)

    numbers = np.random.default_rng(0).normal(size=(5, *targets)).astype(np.float32)
    rows = Examples(np.zeros((5, 2), np.float32), numbers)
    if [n for n in outputs if n > 1] != [n for n in targets if n > 1]:
        with pytest.raises(InputError, match="targets are of shape"):
            fit_examples(Shaped(), rows, "mean_squared_error", None)
        return
    value = drain(
        evaluate(Shaped(), [np.zeros(0, np.float32)], 1, rows, LossOptions("mean_squared_error"))
    )
    expected = functional.mse_loss(
        torch.ones(5, *outputs), torch.from_numpy(numbers.reshape(5, *outputs))
    )
    assert value.loss[0] == pytest.approx(float(expected), rel=1e-6)


@settings(max_examples=50)
@given(
    size=st.tuples(st.integers(2, 4), st.integers(0, 2)),
    kind=st.sampled_from(["u1", "i2", "i8", "f4", "f8", "column", "one-hot"]),
    seed=st.integers(0, 99),
)
def test_classes_of_any_encoding_give_the_loss_of_their_numbers(
    size: tuple[int, int], kind: str, seed: int
) -> None:
    classes, places = size
    draw = np.random.default_rng(seed)
    outputs = draw.normal(size=(4, classes, *([3] * places))).astype(np.float32)
    numbers = draw.integers(0, classes, (4, *([3] * places)))
    encoded = numbers.astype(kind if len(kind) == 2 else np.int64)
    if kind == "column":
        encoded = numbers[:, None]
    if kind == "one-hot":
        encoded = np.moveaxis(np.eye(classes)[numbers], -1, 1)
    rows = Examples(outputs, encoded)
    fitted = fit_examples(nn.Identity(), rows, "cross_entropy", None)
    losses = loss_per_example(
        "cross_entropy", torch.from_numpy(outputs), torch.from_numpy(fitted.arrays[1])
    )
    expected = functional.cross_entropy(
        torch.from_numpy(outputs), torch.from_numpy(numbers), reduction="none"
    )
    torch.testing.assert_close(losses, expected.reshape(4, -1).mean(1), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("targets", "loss", "match"),
    [
        (CLASSES + 1, "cross_entropy", "classes 1 to 3 .* 0 to 2; if they count from 1, subtract"),
        (CLASSES - 1, "cross_entropy", "classes -1 to 1 do not fit"),
        (CLASSES * 9, "cross_entropy", "classes 0 to 18 do not fit a module with 3 outputs"),
        (CLASSES + 0.25, "cross_entropy", "whole numbers for classes"),
        (np.full((12, 3), 1 / 3), "cross_entropy", "no one-hot rows"),
        (np.zeros((12, 2), np.int64), "cross_entropy", r"takes classes of shape \(rows,\)"),
        (CLASSES, "mean_squared_error", r"outputs are of shape \(rows, 3\)"),
        (CLASSES, lambda m, b: functional.mse_loss(m(b[0])[:, :1], b[1]), "target size"),
        (CLASSES, lambda m, b: 3, "returned int; it must be a tensor"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: Any, loss: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        fit_examples(nn.Linear(4, 3), Examples(ROWS, targets), loss, None)


@pytest.mark.parametrize(
    ("module", "inputs", "match"),
    [
        (nn.Linear(4, 1), ROWS, "an output for each of two classes or more"),
        (nn.Linear(5, 3), ROWS, r"inputs of shape \(2, 4\) and type float32, fails with Runtime"),
        (nn.Linear(4, 3), ROWS.astype(np.uint8), "type int64, fails .* save them as float32"),
        (nn.Linear(4, 3), ROWS > 0, "type int64, fails .* save them as float32"),
        (nn.Conv2d(1, 3, 2), ROWS, r"inputs of shape \(2, 4\)"),
        (nn.Flatten(0), ROWS, r"returns shape \(8,\) for 2 examples"),
        (nn.Bilinear(4, 4, 3), ROWS, r"takes 2 inputs \(input1, input2\).*a loss function"),
    ],
)
def test_inputs_that_a_module_does_not_take_are_refused(
    module: nn.Module, inputs: Any, match: str
) -> None:
    with pytest.raises(InputError, match=match) as refusal:
        fit_examples(module, Examples(inputs, CLASSES), "cross_entropy", None)
    assert "\n" not in str(refusal.value)


class Pair(NamedTuple):
    logits: torch.Tensor
    hidden: torch.Tensor


class Several(nn.Module):
    """Returns its logits in a dict, a tuple or a named tuple."""

    def __init__(self, form: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.form = nn.Linear(4, 3), form

    def forward(self, inputs: torch.Tensor) -> Any:
        logits = self.inner(inputs)
        forms = {"dict": {"logits": logits, "hidden": inputs}, "tuple": (logits, inputs)}
        return forms.get(self.form, Pair(logits, inputs))


def landscape_of(module: nn.Module, **measured: Any) -> tuple[np.ndarray, float | None]:
    path, start = Trajectory(), flatten(module)
    for step in range(4):
        change = np.random.default_rng(step).normal(size=start.size).astype(np.float32)
        path.add(start + change / 4, step=step, loss=0.0)
    drawn = drain(
        compute_landscape(
            module, path, Examples(ROWS, CLASSES), grid=Grid(3, 3), curvature_points=1,
            loss=LossOptions(**measured),
        )
    )  # fmt: skip
    return drawn.surface.loss, drawn.result.curvature[0].trace


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


@pytest.mark.parametrize(("form", "key"), [("dict", "logits"), ("tuple", "0"), ("named", "logits")])
def test_an_output_is_taken_by_its_key(form: str, key: str) -> None:
    surface, trace = landscape_of(Several(form), output=key)
    expected, bend = landscape_of(plain(), engine="pytorch")
    np.testing.assert_array_equal(surface, expected)
    assert trace == bend
    with pytest.raises(InputError, match="choose one by its key, as in output="):
        landscape_of(Several(form))
    with pytest.raises(InputError, match=r"output = 'none'; the module returns a .* with '"):
        landscape_of(Several(form), output="none")


@pytest.mark.parametrize(("kind", "close"), [(torch.float64, 1e-6), (torch.bfloat16, 0.03)])
def test_modules_of_other_precision_compute_in_their_own(kind: torch.dtype, close: float) -> None:
    surface, trace = landscape_of(plain().to(kind))
    expected, bend = landscape_of(plain())
    np.testing.assert_allclose(surface, expected, rtol=close)
    assert trace == pytest.approx(bend, rel=close)
    if kind == torch.bfloat16:
        assert np.abs(surface - expected).max() > 1e-5


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_the_old_weight_norm_has_the_landscape_of_the_new() -> None:
    old, new = plain(), plain()
    nn.utils.weight_norm(old)
    nn.utils.parametrizations.weight_norm(new)
    # The same order of parameters: bias, length, direction.
    assert [p.shape for p in old.parameters()] == [p.shape for p in new.parameters()]
    surface, trace = landscape_of(old)
    expected, bend = landscape_of(new)
    np.testing.assert_allclose(surface, expected, rtol=1e-6)
    assert trace == pytest.approx(bend, rel=1e-4)


def test_absurd_settings_are_refused_before_any_work() -> None:
    for words, more in (("threads = 1000000", {"threads": 10**6}), ("threads = 0", {"threads": 0})):
        with pytest.raises(InputError, match=words):
            landscape_of(plain(), **more)
    path = Trajectory()
    for words, more in (("rows = ", {"rows": 99999}), ("margin = ", {"margin": -1}),
                        ("tolerance = ", {"tolerance": 5})):  # fmt: skip
        with pytest.raises(InputError, match=words):
            Grid(**more)
    with pytest.raises(InputError, match="seed = "):
        drain(compute_landscape(plain(), path, Examples(ROWS, CLASSES), seed=-1))


class Encoder(nn.Module):
    """A sequence model of two inputs, which gives logits for each place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(7, 8)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 7)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.attention(self.embedding(tokens), src_key_padding_mask=~mask))


def sequence_loss(module: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = module(batch["tokens"], batch["mask"])
    losses = functional.cross_entropy(logits.mT, batch["labels"], reduction="none")
    return losses.sum(1) / (batch["labels"] >= 0).sum(1)


def test_a_sequence_model_has_the_landscape_of_its_own_loss() -> None:
    draw, module = np.random.default_rng(0), Encoder()
    lengths = draw.integers(2, 6, 9)
    mask = np.arange(6) < lengths[:, None]
    batch = {
        "tokens": draw.integers(0, 7, (9, 6)),
        "mask": mask,
        "labels": np.where(mask, draw.integers(0, 7, (9, 6)), -100),
    }
    path, start = Trajectory(), flatten(module)
    for step in range(3):
        change = draw.normal(size=start.size).astype(np.float32)
        path.add(start + change / 20, step=step, loss=0.0)
    options = LossOptions(sequence_loss, memory=30_000)  # several chunks
    drawn = drain(
        compute_landscape(
            module, path, batch, validation=batch, loss=options, grid=Grid(3, 3), subset=8,
            curvature_points=1,
        )
    )  # fmt: skip
    rows = np.random.default_rng(0).permutation(9)[:8]
    some = {name: torch.from_numpy(array[rows]) for name, array in batch.items()}
    other = Encoder().eval()
    for point, vector in zip(drawn.result.path, path.vectors, strict=True):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(vector), other.parameters())
        expected = sequence_loss(other, some).detach().numpy()
        assert point.true_loss == pytest.approx(expected.mean(), rel=1e-5)
        assert point.standard_error == pytest.approx(expected.std(ddof=1) / np.sqrt(8), rel=1e-4)
        assert point.validation_loss == point.true_loss
    # Attention, too, is differentiated twice.
    (bend,) = drawn.result.curvature
    torch.nn.utils.vector_to_parameters(torch.from_numpy(path.vectors[0]), other.parameters())
    loss = sequence_loss(other, some).mean()
    gradient = torch.autograd.grad(loss, list(other.parameters()))
    norm = torch.cat([part.reshape(-1) for part in gradient]).norm()
    assert bend.gradient_norm == pytest.approx(norm.item(), rel=1e-4)
    assert bend.trace is not None and len(bend.eigenvalues) == 2


@pytest.mark.parametrize("form", ["tuple", "examples", "dict"])
def test_a_loss_of_ones_own_gets_batches_as_they_were_given(form: str) -> None:
    inputs, weights = ROWS.astype(np.float64), np.arange(12) % 2 == 0
    arrays: Any = {
        "tuple": (inputs, CLASSES, weights),
        "dict": {"x": inputs, "y": CLASSES, "w": weights},
        "examples": Examples(inputs, CLASSES),
    }[form]
    kinds: set[Any] = set()

    def loss(module: nn.Module, batch: Any) -> torch.Tensor:
        parts = tuple(batch.values()) if form == "dict" else batch
        assert isinstance(batch, dict if form == "dict" else tuple)
        kinds.add(tuple(part.dtype for part in parts))
        return functional.cross_entropy(module(parts[0]), parts[1], reduction="none")

    module = plain()
    vector = flatten(module)[None]
    found = drain(evaluate(module, vector, 1, arrays, LossOptions(loss)))
    expected = drain(evaluate(module, vector, 1, Examples(ROWS, CLASSES)))
    assert found.loss == expected.loss and np.isnan(found.accuracy[0])
    more = () if form == "examples" else (torch.bool,)
    assert kinds == {(torch.float32, torch.int64, *more)}


def test_what_no_loss_function_can_take_is_refused() -> None:
    def loss(module: nn.Module, batch: Any) -> torch.Tensor:
        return module(batch["x"]).square().mean(1)

    for arrays, match in (
        ({"x": ROWS, "y": CLASSES[:3]}, r"different lengths \(x 12, y 3\)"),
        ({"x": np.array(["a"])}, "x is <U1; it must be an array of numbers"),
        (("text",), "array 0 is str; it must be an array of numbers"),
        ({}, "no examples"),
        ({"z": ROWS}, r"loss function fails with KeyError: 'x' \(tests/.*, line \d+\)"),
    ):
        with pytest.raises(InputError, match=match):
            fit_examples(plain(), arrays, loss, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="give a loss function of module and batch"):
        fit_examples(plain(), {"x": ROWS}, "cross_entropy", None)
    with pytest.raises(InputError, match="output = '0' has no effect beside a loss function"):
        LossOptions(loss, output="0")


def test_a_module_is_tried_once_for_a_whole_landscape(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    whole = fitting._required  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(fitting, "_required", lambda module: tried.append(1) or whole(module))
    landscape_of(Wrapped(plain()))
    assert len(tried) == 1
