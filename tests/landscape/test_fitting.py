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
        "cross_entropy", torch.from_numpy(outputs), torch.from_numpy(fitted.targets)
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
        (CLASSES, lambda o, t: functional.mse_loss(o[:, :1], t), "target size"),
        (CLASSES, lambda o, t: 3, "returned int; it must be a tensor"),
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
        (nn.Bilinear(4, 4, 3), ROWS, r"takes 2 inputs \(input1, input2\)"),
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
