"""Train an autoencoder on somebody's own arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downslope.autoencoders.autoencoder import Autoencoder
from downslope.autoencoders.corruption import Corruption
from downslope.autoencoders.training import PLAIN, train_autoencoders
from downslope.data import Examples, Range, Scaling, finite_rows, white_level
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.progress import Progress, Steps


def fit_autoencoder(
    raw: NDArray[Any],
    *,
    hidden: Sequence[int] = (128, 64, 128),
    training: TrainingSpec | None = None,
    noise: Corruption = PLAIN,
    sparsity: float = 0.0,
    seed: int = 541,
    threads: int | None = None,
) -> Steps[Autoencoder]:
    """Train a dense autoencoder on arrays; no classes are needed.

    Bytes are divided by their level of white (`white_level`), numbers in [0, 1] stay as they are,
    and of anything else each feature is mapped from its range to [0, 1].

    Args:
        raw: shape (examples, features) or (examples, height, width), any numbers.
        hidden: widths of the hidden layers, the narrowest is the code.
        training: by default 20 epochs of Adam, one-cycle to 3e-3, batch 32.
        noise: on the inputs, drawn anew for each epoch; targets stay clean.
        sparsity: weight of the mean absolute code, added to the error in training.
        seed: of weights, order and noise.
        threads: of the computation; has no influence on the result.

    Raises:
        InputError: arrays that are no finite numbers or too few, settings that do not fit, or a
            training that diverged.

    >>> from downslope.progress import drain
    >>> rows = np.random.default_rng(0).integers(0, 256, (64, 4, 4)).astype(np.uint8)
    >>> coder = drain(fit_autoencoder(rows, hidden=(8, 3, 8)))
    >>> coder.encode(rows).shape, coder.reconstruct(rows).shape
    ((64, 3), (64, 4, 4))
    """
    raw = np.asarray(raw)
    if raw.ndim < 2 or raw.size == 0 or raw.dtype.kind not in "biuf":
        raise InputError(
            f"autoencoder: an array of shape {raw.shape} and type {raw.dtype} is nothing to learn "
            "from; it must be numbers of shape (examples, features) or (examples, height, width)"
        )
    shape = raw.shape[1:]
    rows = raw.reshape(len(raw), -1)
    finite_rows(rows, "autoencoder")
    examples = Examples(rows, np.zeros(len(rows), np.int64))
    unit = bool(rows.min() >= 0 and rows.max() <= 1)
    white = white_level(rows) if raw.dtype == np.uint8 else 1.0 if unit else None
    scaling = Scaling.unit(examples, white)
    inputs = np.asarray(scaling.apply(examples).inputs, np.float32).clip(0, 1)
    spec = training or TrainingSpec(
        loss="mean_squared_error",
        optimizer="adam",
        learning_rate=3e-3,
        schedule="one_cycle",
        batch_size=32,
        epochs=20,
    )
    features = rows.shape[1]
    network = NetworkSpec(widths=(features, *hidden, features), output="sigmoid")
    member = Member(network=network, training=spec, seed=seed)
    yield Progress("autoencoder", 0, spec.epochs)
    last = None
    for last in train_autoencoders(
        [member], inputs, noise=noise, sparsity=sparsity, threads=threads
    ):
        note = f"training error {last.train_loss:.4f}"
        yield Progress("autoencoder", last.epoch, spec.epochs, note)
    assert last is not None
    if last.outcome != "completed" or last.state is None:
        raise InputError(
            f"autoencoder: the training {last.outcome}: {last.reason}; lower its learning_rate"
        )
    return Autoencoder(network, last.state, scaling, shape, Range.of(rows))
