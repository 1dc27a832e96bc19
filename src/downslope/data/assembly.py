"""From arrays as read to a `Dataset`: types, shapes, classes, counts and the held-out test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from downslope.data.encoding import columns_of_array
from downslope.data.examples import (
    Column,
    Dataset,
    DecimalMark,
    Examples,
    Inputs,
    SealedTestSet,
    Task,
    content_digest,
)
from downslope.data.files import fault, finite_rows
from downslope.data.labels import Labels, encode, listed, numbers, task_of
from downslope.data.preparation import Range

HOLD_OUT = 0.2
"""The part that becomes the test set where the source has none of its own."""

HOLD_OUT_SEED = 541
"""Seed of the stratified hold-out, so that everybody's test set is the same."""

Kind = Literal["images", "table"]
"""What inputs may be taken for."""

DARK = 127
"""Bytes of pictures usually reach beyond this; 255 is white only where they do."""

COUNTS = 16
"""Bytes up to this in two dimensions are levels or counts, of which few are pictures."""


@dataclass(frozen=True, slots=True)
class Part:
    """One array of examples as read, with what its format knows of it.

    Args:
        inputs: shape (examples, ...), any numeric type.
        at: the file, and the key in it, by which an error names the inputs.
        labels: None if there are none.
        kind: what the inputs are; None decides by type, dimensions and values.
        class_names: known names; if empty, the labels as written.
        max_pixel: the grey level of full white, where it is known.
        columns: of a table with names; its inputs are then a frame with values by kind.
        target: name of the label column.
        notes: what the reader has decided already.
        decimal: mark of a text table's numbers.
    """

    inputs: NDArray[Any]
    at: str
    labels: Labels | None
    kind: Kind | None = None
    class_names: tuple[str, ...] = ()
    max_pixel: float | None = None
    columns: tuple[Column, ...] = ()
    target: str = ""
    notes: tuple[str, ...] = ()
    decimal: DecimalMark = ""


def assemble(
    name: str, source: str, training: Part, test: Part | None = None, task: Task | None = None
) -> Dataset:
    """Check arrays against each other and make a data set of them.

    Labels are encoded by `encode`, or are numbers to predict where `task_of` finds so. What is
    decided from values is decided from training rows: whether flat bytes are pictures
    (`_decide`) and which level is white. White is 255 where bytes exceed 127, 1 where pictures
    lie in [0, 1], and the brightest value between; pictures with negative values or values
    above 255 have none, nor has a table. Square flat pictures get their sides back as shape.
    Without a test part a stratified fifth of the training part is held out.

    Args:
        name: of the data set.
        source: in words for the report.
        training: the training arrays, and what is known of them.
        test: the test arrays.
        task: classes or numbers to predict; None decides by the training labels.
    """
    said = list(training.notes)
    parts = [training] if test is None else [training, test]
    for part in parts:
        _check(part)
    if test is not None:
        _check_shapes(training, test)
    task, targets, names = _encode(parts, task, said)
    kept = held_out = None
    if test is None:
        kept, held_out = _hold_out(training, targets[0], names)
        stratified = "" if task == "regression" else ", stratified,"
        said.append(
            f"no test set of its own: a fifth of the rows ({len(held_out):,}){stratified} was "
            "held out"
        )
    kind, max_pixel = training.kind, training.max_pixel
    if kind is None:
        seen = training.inputs if kept is None else training.inputs[kept]
        kind, why = _decide(seen, training.at)
        said.append(f"inputs taken for {'a table' if kind == 'table' else 'images'}: {why}")
    images = kind == "images"
    arrays = [part.inputs for part in parts] if training.columns else _inputs(parts, images)
    if kept is None or held_out is None:
        trained, sealed = map(Examples, arrays, targets)
    else:
        everything = Examples(arrays[0], targets[0])
        trained, sealed = everything.take(kept), everything.take(held_out)
    if images and max_pixel is None:
        max_pixel = max_pixel_of(trained.inputs)
        low, high = cast(float, trained.inputs.min()), cast(float, trained.inputs.max())
        said.append(
            f"pixels from {low:g} to {high:g} have no level of white; each is standardized"
            if max_pixel is None
            else f"white is {max_pixel:g}; the brightest training pixel is {high:g}"
        )
    said += [
        f"the test set beside the training set: {warning}"
        for warning in _scale_warnings(trained, sealed)
    ]
    columns = training.columns
    if not columns and not images:
        columns = columns_of_array(arrays[0].shape[1])
    return Dataset(
        name=name,
        source=source,
        shape=_shape(training, images),
        class_names=training.class_names or names,
        training=trained,
        test=SealedTestSet(sealed),
        max_pixel=max_pixel,
        sha256=content_digest(*_arrays(trained), trained.targets, *_arrays(sealed), sealed.targets),
        notes=tuple(said),
        task=task,
        columns=columns,
        target=training.target,
        decimal=training.decimal,
    )


def _scale_warnings(training: Examples, test: Examples) -> list[str]:
    if training.frame is not None:  # of one file, with the same scale for all its rows
        return []
    return Range.of(training.inputs).scale_warnings(test.inputs)


def _arrays(examples: Examples) -> list[NDArray[Any]]:
    """Return inputs as arrays of bytes that a digest can be taken of."""
    frame = examples.frame
    if frame is None:
        return [examples.inputs]
    columns = [frame[name].to_numpy() for name in frame.columns]
    text = [np.array(c, object) if c.dtype == object else c for c in columns]
    return [
        np.frombuffer("\0".join("\1" if w is None else w for w in c).encode(), np.uint8)
        if c.dtype == object
        else c
        for c in text
    ]


def _check(part: Part) -> None:
    raw, at, labels = part.inputs, part.at, part.labels
    if part.columns:  # a frame, looked into by its reader
        return
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
    if labels is not None and labels.values.ndim > 0:
        shape = labels.values.shape
        count = shape[1] if len(shape) == 2 and shape[0] == 1 else shape[0]
        if len(raw) != count:
            raise fault(
                at, f"{len(raw)} examples but {count} labels in {labels.at}; the counts must agree"
            )


def _check_shapes(training: Part, test: Part) -> None:
    expected, shape = (part.inputs.shape[1:] for part in (training, test))
    if shape != expected:
        raise fault(
            test.at,
            f"test examples of shape {shape}, training examples of {expected}; they must have the "
            "same features",
        )
    wanted, kind = (part.inputs.dtype for part in (training, test))
    if (kind == np.uint8) != (wanted == np.uint8):
        raise fault(
            test.at,
            f"test examples of type {kind}, training examples of {wanted}; save both with one type "
            "and scale",
        )


def _encode(
    parts: list[Part], task: Task | None, said: list[str]
) -> tuple[Task, list[NDArray[Any]], tuple[str, ...]]:
    """Return the task, the targets of each part and the names of the classes.

    Without labels the targets are zeros.
    """
    labels = [part.labels for part in parts if part.labels is not None]
    if len(labels) < len(parts):
        if task is not None:
            raise fault(parts[0].at, f"has no labels, so task = {task!r} has no effect")
        return "classification", [np.zeros(len(part.inputs), np.int64) for part in parts], ()
    why = "as asked for"
    if task is None:
        task, why = "classification", ""
        if parts[0].inputs.ndim == 2 and parts[0].kind != "images":
            task, why = task_of(labels[0])
    if task == "regression":
        said.append(f"numbers to predict (a regression): {why}")
        return task, [numbers(each) for each in labels], ()
    targets, names = encode(*labels)
    if len(names) < 2:
        raise fault(labels[0].at, "holds a single class; at least two are needed")
    if parts[0].columns or names != tuple(map(str, range(len(names)))):
        said.append(f"{len(names)} classes to predict{why and f' ({why})'}: {listed(names)}")
    return task, list(targets), names


def _decide(raw: NDArray[Any], at: str) -> tuple[Kind, str]:
    """Decide whether inputs are pictures or a table, and say why."""
    if raw.ndim > 2:
        return "images", f"each example has {raw.ndim - 1} dimensions"
    width = raw.shape[1]
    if raw.dtype != np.uint8:
        return "table", f"{width} columns of {raw.dtype}"
    highest = int(raw.max())
    side = isqrt(width)
    if side * side != width or side < 8:
        return "table", f"{width} columns of bytes, no square of at least 8 x 8 pixels"
    if highest <= COUNTS:
        return "table", f"bytes that reach {highest} only, where pictures reach 255"
    if highest > DARK:
        return "images", f"bytes up to {highest}, {side} x {side} pixels"
    raise fault(
        at,
        f"holds bytes up to {highest} in {width} columns, which may be dark pictures of {side} x "
        f'{side} pixels or a table; say which with data.kind = "images" or data.kind = "table" '
        '(load(..., kind="...") in Python)',
    )


def _inputs(parts: Sequence[Part], images: bool) -> list[Inputs]:
    """Return flat inputs: bytes, or float32 where that loses nothing, or float64."""
    flat = [part.inputs.reshape(len(part.inputs), -1) for part in parts]
    if all(
        rows.dtype == np.uint8
        or (images and rows.dtype.kind in "iu" and rows.min() >= 0 and rows.max() <= 255)
        for rows in flat
    ):
        # PyTorch warns of read-only arrays.
        return [np.require(rows, np.uint8, ["C", "W"]) for rows in flat]
    wide = [finite_rows(rows, part.at) for rows, part in zip(flat, parts, strict=True)]
    with np.errstate(over="ignore"):
        narrow = [rows.astype(np.float32) for rows in wide]
    exact = all(np.array_equal(a, b) for a, b in zip(narrow, wide, strict=True))
    return [np.require(rows, None, ["C", "W"]) for rows in (narrow if exact else wide)]


def _shape(part: Part, images: bool) -> tuple[int, ...]:
    shape = part.inputs.shape[1:]
    if len(shape) == 3 and shape[2] == 1:
        return shape[:2]
    if len(shape) == 1 and images and shape[0] > 1 and isqrt(shape[0]) ** 2 == shape[0]:
        return (isqrt(shape[0]),) * 2
    return shape


def max_pixel_of(inputs: NDArray[Any]) -> float | None:
    """Return the level of full white of pictures, None where their values have none.

    >>> max_pixel_of(np.array([[0, 200]])), max_pixel_of(np.array([[0, 16]]))
    (255.0, 16.0)
    >>> max_pixel_of(np.array([[0.0, 0.9]])), max_pixel_of(np.array([[-1.0, 1.0]]))
    (1.0, None)
    """
    low, high = cast(float, inputs.min()), cast(float, inputs.max())
    if low < 0 or high > 255:
        return None
    if high > DARK or high == 0:
        return 255.0
    return max(1.0, float(high))


def _hold_out(
    part: Part, targets: NDArray[Any], names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows for training and for the test set; every class is among the former."""
    from sklearn.model_selection import train_test_split

    if targets.dtype != np.int64:
        if len(targets) < 10:
            raise fault(part.at, f"has {len(targets)} rows; at least 10 are needed")
        kept, held_out = train_test_split(
            np.arange(len(targets)), test_size=HOLD_OUT, random_state=HOLD_OUT_SEED
        )
        return np.sort(kept), np.sort(held_out)
    counts = np.bincount(targets)
    rarest, classes = int(counts.min()), len(counts)
    if rarest < 2 or len(targets) < 5 * classes:
        which = f" ({names[int(counts.argmin())]!r})" if names else ""
        raise fault(
            part.labels.at if part.labels else part.at,
            f"has {len(targets)} rows of {classes} classes, {rarest} of the rarest{which}; to hold "
            f"a test set out it needs at least 2 of each class and {5 * classes} in all",
        )
    kept, held_out = train_test_split(
        np.arange(len(targets)), test_size=HOLD_OUT, random_state=HOLD_OUT_SEED, stratify=targets
    )
    return np.sort(kept), np.sort(held_out)
