"""What a module is given and returns: checked once, before any work, and never broadcast."""

from __future__ import annotations

import copy
import inspect
import random
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.errors import InputError, one_line
from downslope.networks import Loss, describe_outputs, guarded, pick_output

LossFunction = Callable[[Any, torch.Tensor], torch.Tensor]
"""From outputs and targets to a loss per example, shape (examples,), or their mean, a scalar."""


def fit_examples(
    module: nn.Module, examples: Examples, loss: Loss | LossFunction, output: str | None
) -> Examples:
    """Check that a module and a loss take some examples, and bring targets to the outputs' shape.

    Two rows are run through a copy of the module; whole numbers go in as int64, others in the type
    of its parameters. Classes may be of any numeric type, of shape (rows,) or (rows, 1), or
    one-hot; they become int64 of shape (rows,). Numbers for "mean_squared_error" become floats of
    the outputs' shape, which may differ by axes of length 1 alone. A loss that is a function gets
    targets as they are.

    >>> column = Examples(np.ones((3, 2), np.float32), np.zeros(3, np.float32))
    >>> fit_examples(nn.Linear(2, 1), column, "mean_squared_error", None).targets.shape
    (3, 1)
    """
    if len(examples) < 1:
        raise InputError("landscape: no examples to compute a loss on")
    takes = _required(module)
    if len(takes) > 1:
        raise InputError(
            f"landscape: the module's forward takes {len(takes)} inputs ({', '.join(takes)}), and "
            "examples have one array; wrap it in a module whose forward takes one and splits it"
        )
    trial = copy_of(module)
    rows = input_tensor(trial, examples.inputs[:2])
    whole = not rows.is_floating_point()
    shown = f"{rows.dtype}".removeprefix("torch.")
    what = f"landscape: the module, given inputs of shape {tuple(rows.shape)} and type {shown},"
    try:
        with torch.no_grad(), same_draws(rows.device), guarded(what):
            outputs = pick_output(trial(rows), output)
    except InputError as refusal:
        advice = (
            "; if it takes real numbers, scale inputs and save them as float32" if whole else ""
        )
        raise InputError(f"{refusal}{advice}") from refusal.__cause__
    if callable(loss):
        with torch.no_grad(), warnings.catch_warnings():
            # torch's own losses broadcast, with a warning.
            warnings.filterwarnings("error", "Using a target size")
            with guarded("landscape: the loss function"):
                loss_per_example(loss, outputs, target_tensor(examples.targets[:2], rows.device))
        return examples
    if not isinstance(outputs, torch.Tensor) or not outputs.is_floating_point():
        raise InputError(f"landscape: the module returns {describe_outputs(outputs)}")
    if outputs.dim() < 1 or len(outputs) != len(rows):
        raise InputError(
            f"landscape: the module returns shape {tuple(outputs.shape)} for {len(rows)} examples; "
            "its first axis must be the examples"
        )
    fit = _classes if loss == "cross_entropy" else _numbers
    return Examples(examples.inputs, fit(examples.targets, outputs))


def _required(module: nn.Module) -> list[str]:
    """Name the inputs that a module's forward cannot do without."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # compiled code may have none
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind in positional]


def _classes(targets: NDArray[Any], outputs: torch.Tensor) -> NDArray[np.int64]:
    """Return classes as cross-entropy takes them, int64 of the outputs' shape without axis 1."""
    if outputs.dim() < 2 or outputs.shape[1] < 2:
        raise InputError(
            f"landscape: the module returns shape {tuple(outputs.shape)}; cross_entropy needs an "
            "output for each of two classes or more; for one output take mean_squared_error, or "
            "in Python a loss function such as binary_cross_entropy_with_logits"
        )
    count = outputs.shape[1]
    row = (*outputs.shape[:1], *outputs.shape[2:])
    values = np.asarray(targets)
    if values.shape[1:] == outputs.shape[1:] and values.shape[1:] != row[1:]:
        hot = ((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()
        if not hot:
            raise InputError(
                f"landscape: targets of shape {values.shape} are no one-hot rows, each a single 1 "
                "among zeros; cross_entropy takes classes or one-hot rows"
            )
        values = values.argmax(axis=1)
    values = _shaped(values, row, f"cross_entropy takes classes of shape {_rows(row)}")
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.floor(values))
        if not whole.all():
            raise InputError(
                f"landscape: a target is {values[~whole][0]:g}; cross_entropy takes whole numbers "
                "for classes; for real numbers take mean_squared_error"
            )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= count:
        hint = f"; if they count from 1, subtract 1 (largest {high})" if low == 1 else ""
        raise InputError(
            f"landscape: classes {low} to {high} do not fit a module with {count} outputs; they "
            f"must be 0 to {count - 1}{hint}"
        )
    return np.ascontiguousarray(values, np.int64)


def _numbers(targets: NDArray[Any], outputs: torch.Tensor) -> NDArray[Any]:
    """Return targets of the outputs' shape, so that a difference never broadcasts."""
    shape = tuple(outputs.shape)
    words = (
        f"the module's outputs are of shape {_rows(shape)}, and mean_squared_error compares like"
    )
    values = _shaped(np.asarray(targets), shape, words)
    kind = np.float64 if outputs.dtype == torch.float64 else np.float32
    return np.ascontiguousarray(values, kind)


def _shaped(values: NDArray[Any], shape: tuple[int, ...], words: str) -> NDArray[Any]:
    """Bring an array to a shape that differs from its own by axes of length 1 behind the first."""
    longer = [size for size in values.shape[1:] if size != 1]
    if longer != [size for size in shape[1:] if size != 1]:
        raise InputError(f"landscape: targets are of shape {values.shape}; {words}")
    return values.reshape(len(values), *shape[1:])


def _rows(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['rows', *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})"


def loss_per_example(
    loss: Loss | LossFunction, outputs: Any, targets: torch.Tensor
) -> torch.Tensor:
    """Compute a loss for each example, shape (examples,), or as a scalar if the function does so.

    Outputs of half precision are compared in float32.

    >>> loss_per_example("mean_squared_error", torch.ones(2, 3), torch.zeros(2, 3)).tolist()
    [1.0, 1.0]
    """
    if callable(loss):
        losses: Any = loss(outputs, targets)
        if not isinstance(losses, torch.Tensor):
            raise InputError(
                f"landscape: the loss function returned {type(losses).__name__}; it must be a "
                "tensor"
            )
        if losses.dim() > 1 or (losses.dim() == 1 and len(losses) != len(targets)):
            raise InputError(
                f"landscape: the loss function returned shape {tuple(losses.shape)}; it must be "
                f"({len(targets)},), a loss per example, or a scalar mean"
            )
        return losses
    classes = loss == "cross_entropy"
    if outputs.dtype in (torch.float16, torch.bfloat16):
        outputs = outputs.float()
    expected = (*outputs.shape[:1], *outputs.shape[2:]) if classes else tuple(outputs.shape)
    if tuple(targets.shape) != expected:
        raise InputError(
            f"landscape: {loss} of outputs of shape {tuple(outputs.shape)} needs targets of shape "
            f"{expected}, not {tuple(targets.shape)}"
        )
    compute = functional.cross_entropy if classes else functional.mse_loss
    losses = compute(outputs, targets, reduction="none")
    return losses.reshape(len(targets), -1).mean(dim=1)


def input_tensor(module: nn.Module, inputs: NDArray[Any]) -> torch.Tensor:
    """Return inputs on a module's device: whole numbers as int64, others in its own type."""
    device = device_of(module)
    if inputs.dtype.kind != "f":
        return torch.from_numpy(np.ascontiguousarray(inputs, np.int64)).to(device)
    kinds = (p.dtype for p in module.parameters() if p.is_floating_point())
    return torch.from_numpy(np.ascontiguousarray(inputs)).to(device, next(kinds, torch.float32))


def target_tensor(targets: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return targets on a device, as they are."""
    return torch.from_numpy(np.ascontiguousarray(targets)).to(device)


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's first parameter."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def copy_of(module: nn.Module) -> nn.Module:
    """Copy a module, in evaluation mode; its parameters take no gradients."""
    # Results that a module keeps, such as the weight of the old `weight_norm`, refuse to be copied
    # with their history; they are computed anew at each pass.
    memo: dict[int, Any] = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(module, memo).eval().requires_grad_(False)
    except Exception as error:
        raise InputError(
            f"landscape: the module cannot be copied ({one_line(error)}); it must work with "
            "copy.deepcopy"
        ) from None


@contextmanager
def same_draws(device: torch.device) -> Generator[None, None, None]:
    """Put torch's, NumPy's and Python's random generators back where they were."""
    devices = [device.index or 0] if device.type == "cuda" else []
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - modules may draw from it
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002 - modules may draw from it
        random.setstate(python_state)
