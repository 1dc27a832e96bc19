"""What a module is given and returns: checked once, before any work, and never broadcast."""

from __future__ import annotations

import copy
import inspect
import random
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from downslope.data import Examples
from downslope.errors import InputError, one_line
from downslope.networks import Loss, describe_outputs, guarded, pick_output

LossFunction = Callable[[Any, Any], torch.Tensor]
"""From a module and a batch to a loss per example, shape (examples,), or their mean, a scalar."""

Arrays = Examples | Mapping[str, NDArray[Any]] | tuple[NDArray[Any], ...]
"""Examples in one of the forms that `Sample` takes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Examples that a module and a loss have been found to take; see `fit_examples`.

    Args:
        arrays: their first axis is the examples; (inputs, targets) where they were `Examples`.
        names: of the arrays, where they were a mapping: batches are dictionaries, else tuples.
        examples: whether they were `Examples`.
    """

    arrays: tuple[NDArray[Any], ...]
    names: tuple[str, ...] | None = None
    examples: bool = False

    @staticmethod
    def of(arrays: Arrays) -> Sample:
        """Take arrays in any of their forms, each of numbers and as long as the others."""
        if isinstance(arrays, Examples):
            return Sample((np.asarray(arrays.inputs), arrays.targets), examples=True)
        names = tuple(map(str, arrays)) if isinstance(arrays, Mapping) else None
        values = tuple(arrays.values() if isinstance(arrays, Mapping) else arrays)
        shown = names or tuple(f"array {i}" for i in range(len(values)))
        for name, array in zip(shown, values, strict=True):
            # From Python anything may come.
            if not isinstance(cast(Any, array), np.ndarray) or array.dtype.kind not in "fiub":
                kind = getattr(array, "dtype", type(array).__name__)
                raise InputError(f"landscape: {name} is {kind}; it must be an array of numbers")
        lengths = {name: len(a) if a.ndim else 0 for name, a in zip(shown, values, strict=True)}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise InputError(
                f"landscape: arrays of different lengths ({counts}); the first axis of each must "
                "be the examples"
            )
        return Sample(values, names)

    def __len__(self) -> int:
        return len(self.arrays[0]) if self.arrays and self.arrays[0].ndim else 0

    def take(self, rows: NDArray[np.int64] | slice) -> Sample:
        """Return the examples of the given rows, in that order."""
        return Sample(tuple(array[rows] for array in self.arrays), self.names, self.examples)

    def tensors(self, module: nn.Module) -> tuple[torch.Tensor, ...]:
        """Return the arrays on a module's device, floating ones in the type of its parameters.

        Of `Examples`, inputs that are whole numbers become int64, and targets stay as they are.
        """
        device = device_of(module)
        if self.examples:
            return input_tensor(module, self.arrays[0]), _tensor(self.arrays[1], device)
        return tuple(
            input_tensor(module, array) if array.dtype.kind == "f" else _tensor(array, device)
            for array in self.arrays
        )

    def batch(self, tensors: tuple[torch.Tensor, ...], rows: slice) -> Any:
        """Return some rows of what `tensors` returned, as a loss function takes them."""
        parts = tuple(tensor[rows] for tensor in tensors)
        return parts if self.names is None else dict(zip(self.names, parts, strict=True))


def fit_examples(
    module: nn.Module, arrays: Arrays | Sample, loss: Loss | LossFunction, output: str | None
) -> Sample:
    """Check that a module and a loss take some examples, and bring targets to the outputs' shape.

    Two rows are run through a copy of the module; whole numbers go in as int64, others in the type
    of its parameters. Classes may be of any numeric type, of shape (rows,) or (rows, 1), or
    one-hot; they become int64 of shape (rows,). Numbers for "mean_squared_error" become floats of
    the outputs' shape, which may differ by axes of length 1 alone. A loss that is a function gets
    batches of the arrays as they are. What was checked before is returned as it is.

    >>> column = Examples(np.ones((3, 2), np.float32), np.zeros(3, np.float32))
    >>> fit_examples(nn.Linear(2, 1), column, "mean_squared_error", None).arrays[1].shape
    (3, 1)
    """
    if isinstance(arrays, Sample):
        return arrays
    sample = Sample.of(arrays)
    if len(sample) < 1:
        raise InputError("landscape: no examples to compute a loss on")
    trial = copy_of(module)
    if callable(loss):
        _try_function(trial, sample.take(slice(0, 2)), loss)
        return sample
    if not sample.examples:
        raise InputError(
            f"landscape: {loss} takes inputs and targets, as Examples(inputs, targets); for "
            "batches of another form give a loss function of module and batch"
        )
    inputs, targets = sample.arrays
    takes = _required(module)
    if len(takes) > 1:
        raise InputError(
            f"landscape: the module's forward takes {len(takes)} inputs ({', '.join(takes)}), and "
            f"{loss} gives it one; give a loss function of module and batch"
        )
    rows = input_tensor(trial, inputs[:2])
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
    if not isinstance(outputs, torch.Tensor) or not outputs.is_floating_point():
        raise InputError(f"landscape: the module returns {describe_outputs(outputs)}")
    if outputs.dim() < 1 or len(outputs) != len(rows):
        raise InputError(
            f"landscape: the module returns shape {tuple(outputs.shape)} for {len(rows)} examples; "
            "its first axis must be the examples"
        )
    fit = _classes if loss == "cross_entropy" else _numbers
    return Sample((inputs, fit(targets, outputs)), examples=True)


def _try_function(module: nn.Module, rows: Sample, loss: LossFunction) -> None:
    """Check what a loss function makes of two rows."""
    with torch.no_grad(), same_draws(device_of(module)), warnings.catch_warnings():
        # torch's own losses broadcast, with a warning.
        warnings.filterwarnings("error", "Using a target size")
        with guarded("landscape: the loss function"):
            batch = rows.batch(rows.tensors(module), slice(0, len(rows)))
            compute_losses(module, batch, len(rows), loss, None)


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
            "a loss function of module and batch, with binary_cross_entropy_with_logits"
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


def compute_losses(
    module: nn.Module, batch: Any, rows: int, loss: Loss | LossFunction, output: str | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute the losses of a batch, shape (rows,), or a function's mean of them, a scalar.

    Returns:
        The losses; and the outputs that a loss by name was computed of.
    """
    if not callable(loss):
        inputs, targets = batch
        outputs = pick_output(module(inputs), output)
        return loss_per_example(loss, outputs, targets), outputs
    losses: Any = loss(module, batch)
    if not isinstance(losses, torch.Tensor):
        raise InputError(
            f"landscape: the loss function returned {type(losses).__name__}; it must be a tensor"
        )
    if losses.dim() > 1 or (losses.dim() == 1 and len(losses) != rows):
        raise InputError(
            f"landscape: the loss function returned shape {tuple(losses.shape)}; it must be "
            f"({rows},), a loss per example, or a scalar mean"
        )
    return losses, None


def loss_per_example(loss: Loss, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute a loss for each example, shape (examples,).

    Outputs of half precision are compared in float32.

    >>> loss_per_example("mean_squared_error", torch.ones(2, 3), torch.zeros(2, 3)).tolist()
    [1.0, 1.0]
    """
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


def _tensor(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


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
