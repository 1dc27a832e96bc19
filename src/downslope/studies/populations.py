"""What studies of populations share: their examples, and training to the last record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from downslope.data import Dataset, Encoding, Examples, split
from downslope.engines import EpochRecord, train
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps


class Split(NamedTuple):
    """Examples as networks see them."""

    training: Examples
    validation: Examples


def split_examples(dataset: Dataset, training: int, validation: int, seed: int) -> Split:
    """Draw so many examples to train on, and others to look at; the test set stays sealed.

    Raises:
        InputError: the data have fewer, or no classes.
    """
    if not dataset.class_names:
        raise InputError(f"{dataset.name}: has no classes; this study needs some")
    if training + validation > len(dataset.training):
        raise InputError(
            f"{dataset.name}: has {len(dataset.training):,} examples that are not test examples; "
            f"{training + validation:,} are needed"
        )
    rows, others = split(dataset.training, validation, seed)
    encoding = Encoding.fit(dataset, dataset.training.take(rows[:training]))
    apply = encoding.apply
    return Split(
        apply(dataset.training.take(rows[:training])), apply(dataset.training.take(others))
    )


def train_all(
    members: Sequence[Member],
    training: Examples,
    validation: Examples | None = None,
    *,
    threads: int | None = None,
) -> Steps[list[EpochRecord]]:
    """Train a population and return the last record of each member.

    Raises:
        InputError: a member could not be trained, or diverged.
    """
    epochs = sum(member.training.epochs for member in members)
    last: dict[int, EpochRecord] = {}
    for done, record in enumerate(train(members, training, validation, threads=threads), 1):
        check_trained(record, members)
        if record.outcome is not None:
            last[record.member] = record
        yield Progress("training", done, epochs)
    return [last[i] for i in range(len(members))]


def check_trained(record: EpochRecord, members: Sequence[Member]) -> None:
    """Refuse to go on with a member that diverged or failed: a study needs all of them.

    Raises:
        InputError: it did; the message names its seed.
    """
    if record.outcome not in (None, "completed"):
        seed = members[record.member].seed
        raise InputError(f"seed {seed}: {record.outcome} ({record.reason}); change a setting")


def flat(record: EpochRecord) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the parameters that a training ended with, in PyTorch's order; no batch norm."""
    assert record.state is not None
    return np.concatenate([np.asarray(x, np.float32).ravel() for x in record.state.values()])
