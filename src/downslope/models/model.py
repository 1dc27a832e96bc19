"""A trained model: what encodes rows and the networks behind it, to predict with, save and export.

On disk it is a folder of plain data: `model.json` (network, encoding, classes, versions, digests),
weights of each seed and what the rows are told by as safetensors. Nothing is pickled.
"""

from __future__ import annotations

import copy
import hashlib
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from torch import nn

from downslope.data import Encoding
from downslope.data.files import read_whole
from downslope.engines import versions
from downslope.engines.pytorch import predict_module
from downslope.errors import InputError, one_line
from downslope.files import Sealed, inside, write_whole
from downslope.networks import NetworkSpec, build, load_state
from downslope.showing import Shown

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "model"
"""Where a run keeps its model."""

_CARD = "model.json"
_ROWS = "rows.safetensors"


def weights_file(seed: int) -> str:
    """Return the name of a seed's weights in a run.

    >>> weights_file(541)
    'model/seed-541.safetensors'
    """
    return f"{FOLDER}/{_weights(seed)}"


# Predicting sets torch's thread count and puts it back: two threads at once would mix that up.
_PREDICTING = threading.Lock()


class ModelCard(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model's folder holds; `model.json` is this structure.

    Args:
        format: of the folder.
        data: name of the data it was trained on.
        data_sha256: digest of their content.
        versions: of Python and the packages that computed.
        network: of every seed.
        encoding: from raw rows to its inputs, and from its outputs to classes or numbers.
        seeds: with weights in `seed-SEED.safetensors` each.
        files: SHA-256 of every other file of the folder.
        sha256: of this structure itself.
    """

    format: Literal["downslope.model/1"] = "downslope.model/1"
    data: str
    data_sha256: str
    versions: dict[str, str]
    network: NetworkSpec
    encoding: Encoding
    seeds: list[int]
    files: dict[str, str]
    sha256: str = ""


@dataclass(frozen=True, repr=False)
class Model(Shown):
    """Networks of one shape, trained with several seeds, and what encodes their inputs.

    A prediction is the mean over seeds: of probabilities for classes, of values for numbers.

    Args:
        network: the shape of each.
        encoding: fitted on the training rows.
        states: weights by seed, then by name.
        residuals: of a regression, absolute residuals on rows that the network which made them
            had not seen, in the target's units, shape (rows,); None for classes.
        seen: digests of encoded rows (`row_digests`) by the part that they were in: "training"
            (validation included) and "test", the sealed ones.
        data: name of the data.
        data_sha256: digest of their content.

    Raises:
        InputError: the parts do not fit each other.
    """

    network: NetworkSpec
    encoding: Encoding
    states: dict[int, dict[str, NDArray[np.generic]]]
    residuals: NDArray[np.float64] | None = None
    seen: dict[str, NDArray[np.uint64]] = field(default_factory=dict[str, NDArray[np.uint64]])
    data: str = ""
    data_sha256: str = ""

    def __post_init__(self) -> None:
        label, widths = self.network.label, self.network.widths
        if not self.states:
            raise InputError("model: no seed has weights")
        for seed, state in self.states.items():
            # Counted before anything is built: a forged shape must not fill the memory.
            numbers = sum(value.size for value in state.values())
            if not self.network.parameters <= numbers:
                raise InputError(f"model: the weights of seed {seed} are not those of {label}")
        shapes = {k: tuple(v.shape) for k, v in _empty(self.network).state_dict().items()}
        for seed, state in self.states.items():
            if shapes != {name: value.shape for name, value in state.items()}:
                raise InputError(f"model: the weights of seed {seed} are not those of {label}")
        outputs = len(self.encoding.class_names)
        if self.encoding.task == "regression":
            outputs = 1
        if widths[-1] != outputs:
            raise InputError(f"model: {label} does not have {outputs} outputs, one a class")
        columns = self.encoding.columns
        inputs = math.prod(self.encoding.shape) if not columns else len(self.encoding.features)
        if widths[0] != inputs:
            raise InputError(f"model: {label} does not have the {inputs} inputs of its encoding")

    def facts(self) -> Mapping[str, object]:
        """Return what the model is made of and what it predicts."""
        return {
            "network": self.network.label,
            "activation": self.network.activation,
            "seeds": list(self.states),
            "task": self.encoding.task,
            "classes": self.encoding.class_names,
            "target": self.encoding.target,
            "columns": self.encoding.columns,
            "data": self.data,
        }

    @cached_property
    def modules(self) -> dict[int, nn.Sequential]:
        """The network of each seed, in evaluation mode; its inputs are what `encode` returns."""
        built: dict[int, nn.Sequential] = {}
        for seed, state in self.states.items():
            built[seed] = _empty(self.network)
            load_state(built[seed], state)
        return built

    def encode(self, rows: pd.DataFrame | NDArray[Any]) -> NDArray[np.float32]:
        """Return rows as the networks see them, shape (rows, features).

        Args:
            rows: of a table, a frame that has its columns by name, in any order and among others;
                of pictures, an array of shape (rows, *shape) or (rows, features).

        Raises:
            InputError: a column is missing, a value is not of its kind, or another shape.
        """
        if not isinstance(rows, np.ndarray):
            if not self.encoding.columns:
                raise InputError(f"predict: give an array of shape {self._shape}, not a table")
            return self.encoding.transform(rows, "predict")
        features = math.prod(self.encoding.shape)
        names = [column.name for column in self.encoding.columns]
        if not all(name.startswith("column ") for name in names):
            raise InputError(f"predict: give a data frame with the columns {', '.join(names)}")
        if rows.shape[1:] not in ((features,), tuple(self.encoding.shape)):
            raise InputError(f"predict: rows of shape {rows.shape}; it must be {self._shape}")
        if rows.dtype.kind not in "biuf":
            raise InputError(f"predict: values of type {rows.dtype}; they must be numbers")
        return self.encoding.transform(rows.reshape(len(rows), features), "predict")

    @property
    def _shape(self) -> str:
        return f"(rows, {', '.join(map(str, self.encoding.shape))})"

    def predict(self, rows: pd.DataFrame | NDArray[Any]) -> NDArray[Any]:
        """Return the class name or the number of each row, shape (rows,).

        Raises:
            InputError: see `encode`.
        """
        return self.combine(self.encode(rows)).values

    def predict_proba(self, rows: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each class, in the order of `encoding.class_names`.

        Returns:
            Shape (rows, classes).

        Raises:
            InputError: see `encode`; or numbers are predicted, not classes.
        """
        probabilities = self.combine(self.encode(rows)).probabilities
        if probabilities is None:
            raise InputError("predict_proba: this model predicts numbers; use predict")
        return probabilities

    def combine(self, inputs: NDArray[np.float32]) -> Predictions:
        """Predict from encoded rows, shape (rows, features), with all seeds."""
        outputs = np.stack([float64_outputs(m, inputs) for m in self.modules.values()])
        if self.encoding.task == "regression":
            values = self.encoding.numbers_of(outputs)
            return Predictions(values.mean(axis=0), _spread(values), None, self._interval(values))
        each = torch.from_numpy(outputs).softmax(2).numpy()
        mean = each.mean(axis=0)
        chosen = mean.argmax(axis=1)
        of_chosen = each[:, np.arange(len(chosen)), chosen]
        names = np.array(self.encoding.class_names)
        return Predictions(names[chosen], _spread(of_chosen), mean, None)

    def _interval(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        if self.residuals is None:
            return None
        half = conformal_quantile(self.residuals, 0.95)
        mean = values.mean(axis=0)
        return np.stack([mean - half, mean + half], axis=1)

    def files(self) -> dict[str, bytes]:
        """Return the content of each file of the model's folder."""
        contents = {_weights(seed): _saved(s) for seed, s in self.states.items()}
        told = {f"{part} rows": digests for part, digests in self.seen.items()}
        if self.residuals is not None:
            told["residuals"] = self.residuals  # type: ignore[assignment]
        contents[_ROWS] = _saved(told)
        card = ModelCard(
            data=self.data,
            data_sha256=self.data_sha256,
            versions=versions(),
            network=self.network,
            encoding=self.encoding,
            seeds=list(self.states),
            files={name: hashlib.sha256(c).hexdigest() for name, c in contents.items()},
        )
        return contents | {_CARD: card.to_bytes()}

    def save(self, folder: Path | str) -> None:
        """Write the model's folder; `load_model` reads it.

        Raises:
            InputError: it cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
        for name, content in self.files().items():
            write_whole(inside(folder, name), content)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of some rows.

    Args:
        values: names of classes, or numbers in the target's units, shape (rows,).
        spread: standard deviation over seeds of the value, or of the probability of the class
            that is predicted, shape (rows,); NaN for a single seed.
        probabilities: mean over seeds, shape (rows, classes); None for numbers.
        interval: of the value of a row, 95 %, shape (rows, 2); None for classes.
    """

    values: NDArray[Any]
    spread: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None
    interval: NDArray[np.float64] | None

    def frame(self, class_names: list[str], *, proba: bool = False) -> pd.DataFrame:
        """Return a table with a row for each: prediction, probability or interval, spread.

        Args:
            class_names: by class.
            proba: with a column for the probability of each class.
        """
        import pandas as pd

        columns: dict[str, Any] = {"prediction": self.values}
        if self.probabilities is not None:
            columns["probability"] = self.probabilities.max(axis=1)
        if self.interval is not None:
            columns |= {"low": self.interval[:, 0], "high": self.interval[:, 1]}
        columns["spread"] = self.spread
        if proba and self.probabilities is not None:
            each = zip(class_names, self.probabilities.T, strict=True)
            columns |= {f"probability of {name}": column for name, column in each}
        return pd.DataFrame(columns)


def load_model(path: Path | str) -> Model:
    """Load the model of a run.

    Args:
        path: the directory of a run, or its folder `model`, wherever it was moved to.

    Raises:
        InputError: there is none, a file of it is missing or not what was written, leads out of
            the folder, or the parts do not fit each other.
    """
    folder = Path(path)
    if not (folder / _CARD).is_file():
        if not (folder / FOLDER / _CARD).is_file():
            raise InputError(
                f"{folder}: holds no trained model ({FOLDER}/{_CARD}); give a run whose final "
                "training has finished, of this version of downslope"
            )
        folder = inside(folder, FOLDER)
    card_path = inside(folder, _CARD)
    try:
        card = ModelCard.from_bytes(read_whole(card_path))
    except InputError as error:
        raise InputError(f"{card_path}: {error}") from None
    contents = {name: _checked(folder, name, digest) for name, digest in card.files.items()}
    try:
        states = {s: _loaded(contents, _weights(s)) for s in card.seeds}
        told = _loaded(contents, _ROWS)
        model = Model(
            network=card.network,
            encoding=card.encoding,
            states=states,
            residuals=told.pop("residuals", None),
            seen={name.removesuffix(" rows"): digests for name, digests in told.items()},
            data=card.data,
            data_sha256=card.data_sha256,
        )
        _try_out(model)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    return model


def conformal_quantile(residuals: NDArray[np.float64], level: float) -> float:
    """Return the half width of an interval that holds a new value with some probability.

    Split conformal prediction (Lei et al. 2018, "Distribution-free predictive inference for
    regression", algorithm 2): among n exchangeable residuals and a new one, the new one is at
    most the ceil((n + 1) level)-th smallest with at least that probability.

    Args:
        residuals: absolute, of rows that the network has not seen, shape (n,).
        level: the probability, in (0, 1).

    >>> conformal_quantile(np.arange(1.0, 20), 0.95), conformal_quantile(np.arange(9.0), 0.95)
    (19.0, inf)
    """
    rank = math.ceil((len(residuals) + 1) * level - 1e-9)
    return float(np.sort(residuals)[rank - 1]) if rank <= len(residuals) else math.inf


def float64_outputs(module: nn.Module, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a network's outputs, computed in float64, so that a row's do not depend on others.

    Args:
        module: in evaluation mode; left as it is.
        inputs: encoded rows, shape (rows, features).
    """
    wide = copy.deepcopy(module).double()
    with _PREDICTING:
        return predict_module(wide, torch.from_numpy(inputs).double()).numpy()


def row_digests(inputs: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a number for each encoded row, equal for equal rows only, but for chance.

    >>> digests = row_digests(np.array([[1, 2], [3, 4], [1, 2]], np.float32))
    >>> (digests == digests[0]).tolist()
    [True, False, True]
    """
    rows = np.ascontiguousarray(inputs) + np.float32(0)  # minus zero is zero
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _weights(seed: int) -> str:
    return f"seed-{seed}.safetensors"


def _empty(network: NetworkSpec) -> nn.Sequential:
    return build(network, torch.Generator()).eval()


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation over seeds, the first axis; NaN for a single one."""
    if len(values) == 1:
        return np.full(values.shape[1:], np.nan)
    return values.std(axis=0, ddof=1)


def _saved(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    return save_safetensors({k: np.asarray(v, order="C") for k, v in arrays.items()})


def _checked(folder: Path, name: str, digest: str) -> bytes:
    """Read a file of a model, which must be what was written."""
    path = inside(folder, name)
    content = read_whole(path)
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"{path}: not what was written (its SHA-256 is not that in {_CARD}); bring it back "
            "from a copy"
        )
    return content


def _loaded(contents: Mapping[str, bytes], name: str) -> dict[str, Any]:
    if name not in contents:
        raise InputError(f"{name}: not among the files of {_CARD}")
    try:
        return load_safetensors(contents[name])
    except SafetensorError as error:
        raise InputError(f"{name}: is no safetensors file ({one_line(error)})") from None


def _try_out(model: Model) -> None:
    """Refuse parts that are of the right shape and cannot be used all the same."""
    encoding = model.encoding
    for name, array in ({"residuals": model.residuals} | model.seen).items():
        kind = "f" if name == "residuals" else "u"
        if array is not None and (array.ndim != 1 or array.dtype.kind != kind):
            raise InputError(f"{_ROWS}: {name!r} is of shape {array.shape} and type {array.dtype}")
    try:
        if encoding.columns:
            import pandas as pd

            names = [column.name for column in encoding.columns]
            rows = pd.DataFrame({name: [None] for name in names}, dtype=object)
        else:
            rows = np.zeros((1, math.prod(encoding.shape)))
        model.combine(model.encode(rows))
    except Exception as error:  # a forged encoding fails in any way
        raise InputError(f"{_CARD}: its encoding cannot be used ({one_line(error)})") from None
