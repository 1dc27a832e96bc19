"""A dense autoencoder beside the best linear one, principal component analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from downslope.data import Examples, Scaling, SealedTestSet
from downslope.engines import EpochRecord, predict, train
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps


class AutoencoderEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the mean squared training error of one epoch; None if not finite."""

    epoch: int
    train_loss: float | None


class AutoencoderResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a trained autoencoder's figures. Errors are mean squared, per pixel in [0, 1].

    Args:
        member: what was trained.
        parameters: how many it has.
        code_size: the width of its narrowest layer.
        epochs: the training.
        outcome: "completed", "diverged" or "failed".
        test_mse: on the sealed test set; None unless completed.
        pca_test_mse: of principal components of the same number, fitted to the same training
            examples and clipped to [0, 1].
        shown: test examples whose reconstructions are kept, two first, then a grid.
    """

    member: Member
    parameters: int
    code_size: int
    epochs: list[AutoencoderEpoch]
    outcome: str
    test_mse: float | None
    pca_test_mse: float | None
    shown: list[int]


@dataclass(frozen=True, slots=True)
class Autoencoder:
    """Hold an autoencoder with its arrays.

    Args:
        result: the figures.
        state: the trained module's state.
        originals: the shown test examples, shape (shown, features), in [0, 1].
        reconstructions: by the autoencoder, the same shape.
        pca_reconstructions: by principal components, the same shape.
        labels: classes of the shown examples, shape (shown,).
    """

    result: AutoencoderResult
    state: dict[str, NDArray[np.generic]]
    originals: NDArray[np.float32]
    reconstructions: NDArray[np.float32]
    pca_reconstructions: NDArray[np.float32]
    labels: NDArray[np.int64]


def autoencode(
    member: Member, training: Examples, test: SealedTestSet, scaling: Scaling
) -> Steps[Autoencoder]:
    """Train a dense autoencoder and compare it with PCA on the sealed test set.

    Args:
        member: with as many outputs as inputs, a sigmoid output and mean squared error.
        training: examples with inputs scaled to [0, 1]; their classes are not used.
        test: sealed; opened once.
        scaling: of the training inputs, for the test inputs.

    Raises:
        InputError: a member that is no autoencoder, or inputs outside of [0, 1].
    """
    widths = member.network.widths
    if widths[0] != widths[-1] or member.training.loss != "mean_squared_error":
        raise InputError(
            f"autoencoder: {member.network.label} with {member.training.loss} cannot reconstruct; "
            "it needs as many outputs as inputs and mean_squared_error"
        )
    inputs = np.asarray(training.inputs, np.float32)
    if not (inputs.min() >= 0 and inputs.max() <= 1):  # NaN included
        raise InputError(
            f"autoencoder: inputs from {inputs.min():g} to {inputs.max():g}; a sigmoid can only "
            "reconstruct inputs scaled to [0, 1]"
        )
    total = member.training.epochs + 2  # fitting PCA takes about two epochs' time
    yield Progress("autoencoder", 0, total)
    records: list[EpochRecord] = []
    for record in train([member], Examples(inputs, inputs)):
        records.append(record)
        note = f"training error {record.train_loss:.4f}"
        yield Progress("autoencoder", len(records), total, note)
    last = records[-1]
    completed = last.outcome == "completed" and last.state is not None
    code_size = min(widths)
    held_out = scaling.apply(test.open("autoencoder: reconstruction error beside PCA"))
    originals = np.asarray(held_out.inputs, np.float32)
    pca = PCA(min(code_size, *inputs.shape), svd_solver="covariance_eigh").fit(inputs)
    linear = pca.inverse_transform(pca.transform(originals)).clip(0, 1).astype(np.float32)
    state = last.state or {}
    decoded = predict(member.network, state, originals) if completed else np.zeros_like(originals)
    shown = shown_examples(np.asarray(held_out.targets, np.int64))
    yield Progress("autoencoder", total, total)
    result = AutoencoderResult(
        member=member,
        parameters=member.network.parameters,
        code_size=code_size,
        epochs=[
            AutoencoderEpoch(
                epoch=r.epoch, train_loss=r.train_loss if math.isfinite(r.train_loss) else None
            )
            for r in records
        ],
        outcome=last.outcome or "failed",
        test_mse=mean_squared_error(originals, decoded) if completed else None,
        pca_test_mse=mean_squared_error(originals, linear),
        shown=shown.tolist(),
    )
    return Autoencoder(
        result,
        state,
        originals[shown],
        decoded[shown],
        linear[shown],
        np.asarray(held_out.targets, np.int64)[shown],
    )


def mean_squared_error(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Average the squared difference over all elements, in double precision.

    >>> mean_squared_error(np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32))
    1.0
    """
    return float(np.mean(np.square(a.astype(np.float64) - b)))


def shown_examples(labels: NDArray[np.int64], per_class: int = 2) -> NDArray[np.int64]:
    """Choose the examples to show by position alone, so that nobody picks the pretty ones.

    Returns:
        The first two examples of the test set, then the first `per_class` of each class.

    >>> shown_examples(np.array([1, 1, 0, 0, 1]), per_class=1)
    array([0, 1, 2, 0])
    """
    firsts = [np.flatnonzero(labels == c)[:per_class] for c in np.unique(labels)]
    return np.concatenate([np.arange(min(2, len(labels))), *firsts])
