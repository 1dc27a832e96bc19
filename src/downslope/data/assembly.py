"""From arrays as read to a `Dataset`: types, shapes, classes, counts and the held-out test set."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from downslope.data.examples import Dataset, Examples, SealedTestSet, content_digest
from downslope.data.fashion import CLASS_NAMES, is_fashion_mnist
from downslope.data.files import fault

HOLD_OUT = 0.2
"""The part that becomes the test set where the source has none of its own."""

HOLD_OUT_SEED = 541
"""Seed of the stratified hold-out, so that everybody's test set is the same."""


@dataclass(frozen=True, slots=True)
class Part:
    """Hold one pair of arrays as read, and the words by which an error names each.

    Args:
        inputs: shape (examples, ...), any numeric type.
        targets: classes, shape (examples,) or (examples, 1); None if there are no labels.
        inputs_at: the file, and the key in it, of the inputs.
        targets_at: the same of the targets.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any] | None
    inputs_at: str
    targets_at: str


def assemble(
    name: str,
    source: str,
    training: Part,
    test: Part | None,
    *,
    images: bool | None = None,
    classes: int | None = None,
    class_names: tuple[str, ...] = (),
    white: float | None = None,
) -> Dataset:
    """Check arrays against each other and make a data set of them.

    Bytes are images with white 255. Floating images have white 1 if all lie in [0, 1], 255 if in
    [0, 255], else none; so has a table. Square flat images get their sides back as shape.

    Args:
        name: of the data set.
        source: in words for the report.
        training: the training arrays.
        test: the test arrays; None holds out a stratified fifth of the training arrays.
        images: whether the inputs are images; None decides by type and dimensions.
        classes: the most classes there can be, where the format fixes it; None takes the training
            labels as they are, which must be 0 to k-1 with none missing.
        class_names: known names. If empty, Fashion-MNIST's where the arrays are exactly those,
            else the labels' own digits.
        white: the grey level of full white, where it is known.

    Raises:
        InputError: a wrong number of dimensions or type, a value that is not finite, differing
            counts or shapes, a label outside the classes, or too few rows to hold a test set out.
    """
    if images is None:
        images = training.inputs.dtype == np.uint8 or training.inputs.ndim > 2
    parts = [training] if test is None else [training, test]
    inputs = [_inputs(part, images) for part in parts]
    targets = [_targets(part) for part in parts]
    for part, target in zip(parts, targets, strict=True):
        if len(part.inputs) != len(target):
            raise fault(
                part.inputs_at,
                f"{len(part.inputs)} examples but {len(target)} labels in {part.targets_at}; "
                "the counts must agree",
            )
    shape = _shape(training, images)
    if test is not None:
        if _shape(test, images) != shape:
            raise fault(
                test.inputs_at,
                f"test examples of shape {_shape(test, images)}, training examples of {shape}; "
                "they must have the same features",
            )
        if inputs[0].dtype != inputs[1].dtype:
            raise fault(
                test.inputs_at,
                f"test examples of type {test.inputs.dtype}, training examples of "
                f"{training.inputs.dtype}; save both with one type and scale",
            )
    labelled = training.targets is not None
    count = _class_count(parts, targets, classes) if labelled else 1
    if images and white is None:
        white = _white(inputs[0])
    if test is None:
        held_in, held_out = _hold_out(training, inputs[0], targets[0], count)
    else:
        held_in, held_out = map(Examples, inputs, targets)
    if labelled and not class_names and is_fashion_mnist(held_in, held_out):
        class_names = CLASS_NAMES
    return Dataset(
        name=name,
        source=source,
        shape=shape,
        class_names=class_names[:count] or tuple(map(str, range(count if labelled else 0))),
        training=held_in,
        test=SealedTestSet(held_out),
        white=white,
        sha256=content_digest(held_in.inputs, held_in.targets, held_out.inputs, held_out.targets),
    )


def _inputs(part: Part, images: bool) -> NDArray[np.uint8] | NDArray[np.float32]:
    raw, at = part.inputs, part.inputs_at
    if not 2 <= raw.ndim <= 4:
        raise fault(
            at,
            f"has {raw.ndim} dimensions, shape {raw.shape}; examples must be (n, features), "
            "(n, height, width) or (n, height, width, channels)",
        )
    if raw.size == 0:
        raise fault(at, f"holds nothing (shape {raw.shape}); it needs examples with features")
    if raw.dtype.kind not in "biuf":
        raise fault(at, f"has dtype {raw.dtype}; only whole and floating numbers are read")
    flat = raw.reshape(len(raw), -1)
    grey = flat.dtype == np.uint8 or (
        images and flat.dtype.kind in "iu" and flat.min() >= 0 and flat.max() <= 255
    )
    if grey:
        return np.require(flat, np.uint8, ["C", "W"])  # PyTorch warns of read-only arrays
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = flat.astype(np.float32)
    finite = np.isfinite(narrow)
    if not finite.all():
        row, column = np.unravel_index(int(np.argmin(finite)), finite.shape)
        raise fault(
            at,
            f"row {row}, column {column} (both from 0) holds {flat[row, column]}; every value "
            "must be a finite number that fits float32",
        )
    return np.require(narrow, np.float32, ["C", "W"])


def _targets(part: Part) -> NDArray[np.int64]:
    raw, at = part.targets, part.targets_at
    if raw is None:
        return np.zeros(len(part.inputs), np.int64)
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    if raw.ndim != 1:
        raise fault(
            at,
            f"has {raw.ndim} dimensions, shape {raw.shape}; labels must be one class per example, "
            "shape (n,)",
        )
    if raw.dtype.kind not in "biuf":
        raise fault(at, f"has dtype {raw.dtype}; labels must be whole numbers from 0")
    wrong = np.zeros(len(raw), bool)
    if raw.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wrong = ~np.isfinite(raw) | (raw != np.floor(raw))
    if raw.dtype.kind != "b":
        with np.errstate(invalid="ignore", over="ignore"):
            # No set has more classes than this; a larger label would not even fit int64.
            wrong |= (raw < 0) | (raw > 2**31)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise fault(
            at,
            f"row {row} (from 0) holds the label {raw[row]}, which is outside the classes; labels "
            "must be whole numbers from 0 to the number of classes less 1",
        )
    return np.require(raw, np.int64, ["C", "W"])


def _shape(part: Part, images: bool) -> tuple[int, ...]:
    shape = part.inputs.shape[1:]
    if len(shape) == 3 and shape[2] == 1:
        return shape[:2]
    if len(shape) == 1 and images and shape[0] > 1 and isqrt(shape[0]) ** 2 == shape[0]:
        return (isqrt(shape[0]),) * 2
    return shape


def _white(inputs: NDArray[Any]) -> float | None:
    if inputs.dtype == np.uint8:
        return 255.0
    low, high = cast(float, inputs.min()), cast(float, inputs.max())
    if low < 0 or high > 255:
        return None
    return 1.0 if high <= 1 else 255.0


def _class_count(parts: list[Part], targets: list[NDArray[np.int64]], most: int | None) -> int:
    """Count the classes and name the first label that is none of them."""
    if most is None:
        # Labels 0..k-1 are all there in training; one beyond a gap is a mistake, not a class.
        count = len(np.unique(targets[0]))
    else:
        inside = [int(labels[labels < most].max(initial=-1)) for labels in targets]
        count = max(inside) + 1
    for part, labels in zip(parts, targets, strict=True):
        outside = labels >= count
        if outside.any():
            row = int(np.argmax(outside))
            allowed = (
                f"0 to {most - 1}, as this format has at most {most}; save other sets as .npz"
                if most is not None
                else f"0 to {count - 1}: the training labels hold {count} different classes, which "
                "must be numbered from 0 with none missing"
            )
            raise fault(
                part.targets_at,
                f"row {row} (from 0) holds the label {labels[row]}, outside the classes {allowed}",
            )
    if count < 2:
        raise fault(parts[0].targets_at, "holds a single class; at least two are needed")
    return count


def _hold_out(
    part: Part,
    inputs: NDArray[np.uint8] | NDArray[np.float32],
    targets: NDArray[np.int64],
    count: int,
) -> tuple[Examples, Examples]:
    from sklearn.model_selection import train_test_split

    rarest = int(np.bincount(targets, minlength=count).min())
    if rarest < 2 or len(targets) < 5 * count:
        raise fault(
            part.targets_at,
            f"has {len(targets)} rows of {count} classes, {rarest} of the rarest; to hold a test "
            f"set out it needs at least 2 of each class and {5 * count} in all",
        )
    rows = train_test_split(
        np.arange(len(targets)), test_size=HOLD_OUT, random_state=HOLD_OUT_SEED, stratify=targets
    )
    everything = Examples(inputs, targets)
    kept, held = (everything.take(np.sort(chosen)) for chosen in rows)
    return kept, held
