"""A model for other programs: ONNX, torch.export, or its weights in one safetensors file."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from downslope.data.numbers import NumberEncoding
from downslope.errors import InputError
from downslope.files import inside, write_whole
from downslope.models.model import Model


class ExportedModel(nn.Module):
    """All seeds of a model as one module: probabilities of classes, or numbers in their units.

    As much of the encoding as a graph can hold comes before the networks: the scaling of pictures,
    and of a table the columns of numbers, missing values (NaN) included, unless they are encoded
    by quantiles. What is left is to be encoded by `Model.encode`.

    Args:
        model: what to export.
    """

    shift: torch.Tensor
    spread: torch.Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.nets = nn.ModuleList(model.modules.values())
        encoding = model.encoding
        self.first: nn.Module | None = None
        features = len(encoding.features) if encoding.columns else 0
        if encoding.scaling is not None:
            self.first = _Affine(encoding.scaling, encoding.scaling.divisor)
        elif (numbers := encoding.numbers) and numbers.names and numbers.method != "quantile":
            self.first = _Numbers(numbers)
            features -= len(numbers.features)
        self.rest = features
        self.targets = None if encoding.targets is None else encoding.targets
        if self.targets is not None:
            self.register_buffer("spread", torch.tensor(self.targets.spread, dtype=torch.float64))
            self.register_buffer("shift", torch.tensor(self.targets.shift, dtype=torch.float64))
        self.inputs = self._describe(model)

    def _describe(self, model: Model) -> dict[str, list[str]]:
        """Name the inputs and what their columns are; pixels have no names."""
        encoding = model.encoding
        if encoding.scaling is not None:
            return {"pictures": []}
        first, whole = {}, encoding.features
        if self.first is not None and encoding.numbers is not None:
            first = {"numbers": encoding.numbers.names}
            whole = whole[len(encoding.numbers.features) :]
        return first | ({"encoded": whole} if whole else {})

    def examples(self, model: Model) -> tuple[torch.Tensor, ...]:
        """Return inputs of two rows, to trace with."""
        shapes = {
            "pictures": tuple(model.encoding.shape),
            "numbers": (len(self.inputs.get("numbers", [])),),
            "encoded": (self.rest,),
        }
        types = {"numbers": torch.float64}
        return tuple(
            torch.zeros((2, *shapes[name]), dtype=types.get(name, torch.float32))
            for name in self.inputs
        )

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return probabilities, shape (rows, classes), or numbers, shape (rows, 1)."""
        rows = inputs[0]
        if self.first is not None:
            rows = torch.cat([self.first(inputs[0]).float(), *inputs[1:]], dim=1)
        outputs = torch.stack([net(rows) for net in self.nets])
        if self.targets is None:
            return outputs.softmax(2).mean(0)
        return (outputs.double() * self.spread + self.shift).mean(0).float()


class _Affine(nn.Module):
    """The scaling of pictures, shape (rows, ...), to shape (rows, features)."""

    shift: torch.Tensor
    spread: torch.Tensor

    def __init__(self, scaling: Any, divisor: float) -> None:
        super().__init__()
        self.divisor = divisor
        self.register_buffer("shift", torch.tensor(scaling.shift, dtype=torch.float32))
        self.register_buffer("spread", torch.tensor(scaling.spread, dtype=torch.float32))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return (rows.flatten(1) / self.divisor - self.shift) / self.spread


class _Numbers(nn.Module):
    """The encoding of columns of numbers, NaN where missing, in float64."""

    medians: torch.Tensor
    shift: torch.Tensor
    spread: torch.Tensor

    def __init__(self, numbers: NumberEncoding) -> None:
        super().__init__()
        self.method, self.indicated = numbers.method, numbers.indicated
        for name in ("medians", "shift", "spread"):
            values = torch.tensor(getattr(numbers, name), dtype=torch.float64)
            self.register_buffer(name, values)
        self.edges = [torch.tensor(edges, dtype=torch.float64) for edges in numbers.edges]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        missing = rows.isnan()
        filled = torch.where(missing, self.medians, rows)
        if self.method == "piecewise-linear":
            parts = [_shares(filled[:, at], edges) for at, edges in enumerate(self.edges)]
        else:
            parts = [(filled - self.shift) / self.spread]
        if self.indicated:
            parts.append(missing[:, self.indicated].double())
        return torch.cat(parts, dim=1)


def _shares(values: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Return by bin how much of it lies below each value; see `NumberEncoding`."""
    low, high = edges[:-1], edges[1:]
    floor, ceiling = torch.zeros_like(low), torch.ones_like(low)
    floor[0], ceiling[-1] = -torch.inf, torch.inf
    return ((values[:, None] - low) / (high - low)).clamp(floor, ceiling)


def export_model(model: Model, formats: Sequence[str], out: Path) -> list[tuple[Path, str]]:
    """Write a model for other programs.

    `model.onnx` runs in any ONNX runtime, `model.pt2` with `torch.export.load`; both take the
    inputs that the notes name. `model.safetensors` has the weights of every seed, as SEED.NAME,
    with the encoding as JSON in its metadata.

    Args:
        model: what to write.
        formats: "onnx", "torch" and "safetensors", or some of them.
        out: the folder to write into; made here.

    Returns:
        What was written, and a note on each.

    Raises:
        InputError: a format's package is not installed, or the folder cannot be written.
    """
    exported = ExportedModel(model).eval()
    takes = " and ".join(
        f"{name} (rows, {', '.join(map(str, example.shape[1:]))})"
        for name, example in zip(exported.inputs, exported.examples(model), strict=True)
    )
    if "encoded" in exported.inputs:
        takes += ", where encoded are what Model.encode returns of those columns"
    if "numbers" in exported.inputs and any(c.kind == "date" for c in model.encoding.columns):
        takes += (
            "; dates are numbers: days since 1970, month, day, weekday (Monday 0) and hour, those "
            "that the metadata name"
        )
    written: dict[str, tuple[bytes, str]] = {}
    with _quiet():
        if "onnx" in formats:
            written["model.onnx"] = _onnx(model, exported), f"takes {takes}"
        if "torch" in formats:
            buffer = io.BytesIO()
            torch.export.save(_traced(model, exported), buffer)
            written["model.pt2"] = buffer.getvalue(), f"takes {takes}"
    if "safetensors" in formats:
        state = {
            f"{seed}.{name}": value
            for seed, module in model.modules.items()
            for name, value in module.state_dict().items()
        }
        encoding = json.dumps(model.encoding.to_dict(), sort_keys=True)
        content = save_safetensors(state, {"encoding": encoding})
        written["model.safetensors"] = content, "holds weights as SEED.NAME, the encoding as JSON"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror})") from None
    for name, (content, _) in written.items():
        write_whole(inside(out, name), content)
    return [(out / name, note) for name, (_, note) in written.items()]


def _traced(model: Model, exported: ExportedModel) -> torch.export.ExportedProgram:
    rows = torch.export.Dim("rows")
    examples = exported.examples(model)
    shapes = (tuple({0: rows} for _ in examples),)
    return torch.export.export(exported, examples, dynamic_shapes=shapes)


def _onnx(model: Model, exported: ExportedModel) -> bytes:
    try:
        import_module("onnxscript")  # what torch.onnx needs
    except ImportError:
        raise InputError(
            "export: onnxscript is not installed; pip install 'downslope[onnx]', or leave onnx out"
        ) from None
    program: Any = torch.onnx.export(
        _traced(model, exported),
        input_names=list(exported.inputs),
        output_names=["probabilities" if exported.targets is None else "values"],
        dynamo=True,
        verbose=False,
    )
    proto = program.model_proto
    for key, value in ({"classes": model.encoding.class_names} | exported.inputs).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    return proto.SerializeToString()


@contextmanager
def _quiet() -> Generator[None]:
    """Keep the exporters' remarks on packages that are not needed from the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
