"""A trained autoencoder: from raw examples to codes and back, and to one file and back."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from torch import nn

from downslope.data import Examples, Range, Scaling, finite_rows
from downslope.engines.pytorch import predict_module
from downslope.errors import InputError
from downslope.networks import NetworkSpec, build, load_state


def code_layer(network: NetworkSpec) -> int:
    """Return which layer of a network is its code: the narrowest hidden one, the first of several.

    Raises:
        InputError: the network has no hidden layer, or not as many outputs as inputs.

    >>> code_layer(NetworkSpec(widths=(784, 128, 64, 128, 784)))
    2
    """
    widths = network.widths
    if len(widths) < 3 or widths[0] != widths[-1]:
        raise InputError(
            f"autoencoder: {network.label} cannot reconstruct; it needs a hidden layer and as many "
            "outputs as inputs"
        )
    hidden = widths[1:-1]
    return 1 + hidden.index(min(hidden))


def halves(module: nn.Sequential, network: NetworkSpec) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a network's module behind its code: encoder and decoder, which share its parameters."""
    layers = list(module)
    # A hidden layer ends where the next Linear begins.
    starts = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    cut = starts[code_layer(network)]
    return nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:])


def squared_errors(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the squared differences in double precision, shape (examples, features)."""
    return np.square(a.astype(np.float64) - b)


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """A trained autoencoder; raw examples go in and come out in the units of the data.

    Args:
        network: its shape.
        state: its weights by name.
        scaling: from raw examples to [0, 1].
        shape: of one example, for example (28, 28); its product is the number of features.
        fitted: the ranges of the raw examples that it was fitted on; new ones far outside are
            warned of. None where they are not known.

    Raises:
        InputError: the network is no autoencoder, or the weights are not those of it.

    >>> network = NetworkSpec(widths=(4, 2, 4))
    >>> state = {k: v.numpy() for k, v in build(network, torch.Generator()).state_dict().items()}
    >>> coder = Autoencoder(network, state, Scaling(divisor=255), (2, 2))
    >>> coder.encode(np.zeros((3, 2, 2), np.uint8)).shape
    (3, 2)
    """

    network: NetworkSpec
    state: dict[str, NDArray[np.generic]]
    scaling: Scaling
    shape: tuple[int, ...]
    fitted: Range | None = None

    def __post_init__(self) -> None:
        code_layer(self.network)
        module = build(self.network, torch.Generator())
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        if shapes != {name: value.shape for name, value in self.state.items()}:
            raise InputError(f"autoencoder: the weights are not those of {self.network.label}")
        if int(np.prod(self.shape)) != self.network.widths[0]:
            raise InputError(
                f"autoencoder: examples of shape {self.shape} do not fit {self.network.label}"
            )
        columns = self.network.widths[0]
        if self.fitted and not len(self.fitted.low) == len(self.fitted.high) == columns:
            raise InputError(f"autoencoder: the ranges are not of {columns} columns")

    @property
    def code_size(self) -> int:
        """Return how many numbers a code has."""
        return self.network.widths[code_layer(self.network)]

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the codes of raw examples.

        Args:
            raw: shape (examples, features) or (examples, *shape), in the units of the data.

        Returns:
            Shape (examples, code size).

        Raises:
            InputError: another shape, or values that are no finite numbers.
        """
        return self.encode_scaled(self.scale(raw))

    def decode(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """Return what codes stand for, shape (examples, *shape), in the units of the data.

        Args:
            codes: shape (examples, code size).

        Raises:
            InputError: another shape, or values that are no finite numbers.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.code_size:
            raise InputError(
                f"decode: codes of shape {codes.shape} do not fit; they must be "
                f"(examples, {self.code_size})"
            )
        return self._unscale(self.decode_scaled(_finite(codes, "decode")))

    def reconstruct(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return raw examples after their way through the code, shape (examples, *shape).

        Raises:
            InputError: see `encode`.
        """
        return self._unscale(self.decode_scaled(self.encode(raw)))

    def error(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean squared error of each raw example, per value in [0, 1]."""
        scaled = self.scale(raw)
        return squared_errors(scaled, self.reconstruct_scaled(scaled)).mean(axis=1)

    def scale(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return raw examples as the network sees them, shape (examples, features).

        Warns with a `UserWarning` where they are on another scale than those fitted on.

        Raises:
            InputError: see `encode`.
        """
        raw = np.asarray(raw)
        features = self.network.widths[0]
        if raw.ndim < 2 or (raw.shape[1:] != (features,) and raw.shape[1:] != self.shape):
            shape = ", ".join(map(str, self.shape))
            raise InputError(
                f"encode: examples of shape {raw.shape} do not fit; they must be "
                f"(examples, {features}) or (examples, {shape})"
            )
        rows = _finite(raw.reshape(len(raw), features), "encode")
        if self.fitted is not None and len(rows):
            for warning in self.fitted.scale_warnings(rows):
                warnings.warn(f"encode: {warning}", stacklevel=3)
        scaled = self.scaling.apply(Examples(rows, np.zeros(len(rows), np.int64))).inputs
        return np.asarray(scaled, np.float32)

    def encode_scaled(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the codes of examples that are scaled already."""
        return self._half(inputs, 0)

    def decode_scaled(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scaled examples that codes stand for, shape (examples, features)."""
        return self._half(codes, 1)

    def reconstruct_scaled(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scaled examples after their way through the code."""
        return self.decode_scaled(self.encode_scaled(inputs))

    def to_bytes(self) -> bytes:
        """Return the autoencoder as one safetensors file; `from_bytes` reads it."""
        contiguous = {key: np.asarray(value, order="C") for key, value in self.state.items()}
        parts = {
            "network": self.network,
            "scaling": self.scaling,
            "shape": self.shape,
            "fitted": self.fitted,
        }
        metadata = {k: msgspec.json.encode(v).decode() for k, v in parts.items()}
        # Names in order: the same autoencoder gives the same bytes.
        return save_safetensors(contiguous, {"downslope": json.dumps(metadata, sort_keys=True)})

    @staticmethod
    def from_bytes(content: bytes, where: str | Path = "autoencoder") -> Autoencoder:
        """Read what `to_bytes` made.

        Raises:
            InputError: the bytes are damaged or hold something else; `where` names them.
        """
        try:
            length = int.from_bytes(content[:8], "little")
            header = msgspec.json.decode(content[8 : 8 + length], type=dict[str, Any])
            metadata = json.loads(header["__metadata__"]["downslope"])
            state = load_safetensors(content)
            return Autoencoder(
                network=msgspec.json.decode(metadata["network"], type=NetworkSpec),
                state=cast("dict[str, NDArray[np.generic]]", state),
                scaling=msgspec.json.decode(metadata["scaling"], type=Scaling),
                shape=msgspec.json.decode(metadata["shape"], type=tuple[int, ...]),
                fitted=msgspec.json.decode(metadata.get("fitted", "null"), type=Range | None),
            )
        except (LookupError, TypeError, ValueError, msgspec.MsgspecError, SafetensorError) as error:
            raise InputError(
                f"{where}: holds no autoencoder of downslope ({error or type(error).__name__}); "
                "give a run whose autoencoder stage has finished, or its weights.safetensors"
            ) from None

    def _half(self, rows: NDArray[np.float32], which: int) -> NDArray[np.float32]:
        module = build(self.network, torch.Generator())
        load_state(module, self.state)
        half = halves(module, self.network)[which]
        # Arrays that were read from files may be read-only, which torch warns of.
        return predict_module(
            half, torch.from_numpy(np.require(rows, requirements=["C", "W"]))
        ).numpy()

    def _unscale(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.scaling.undo(scaled).astype(np.float32).reshape(len(scaled), *self.shape)


def _finite(rows: NDArray[Any], what: str) -> NDArray[Any]:
    if rows.dtype.kind not in "biuf":
        raise InputError(f"{what}: values of type {rows.dtype}; they must be numbers")
    finite_rows(rows, what)
    return rows
