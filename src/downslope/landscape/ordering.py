"""The order of saved states: by what the files hold, else by the numbers in their names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from downslope.errors import InputError

KEYS = ("global_step", "step", "iteration", "iter", "epoch")
"""Where a checkpoint keeps how far training had come, the finest first."""

_WORDS = {
    "step": r"(?:global[\W_]*)?steps?",
    "iteration": r"(?<![a-z])iter(?:ation)?s?",
    "epoch": r"epochs?",
    "checkpoint": r"checkpoint|ckpt",
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ADVICE = 'name files by their step, as in step-100.pt, or save it in each as "step"'

Readings = dict[str, list[int]]
"""What the files' steps may be, by the words that say where each reading comes from."""


def order_by_step(
    folder: Path, files: Sequence[tuple[Path, Mapping[str, Any]]]
) -> list[tuple[int, Path]]:
    """Put saved states in the order of training.

    The step is what every file holds under the first of `KEYS` that tells them apart; else the
    number that follows "step", "iteration", "epoch" or "checkpoint" in every name; else the only
    number that varies across the names. Where several of these apply and put the files in
    different orders, none is believed.

    Returns:
        Steps and paths, by increasing step.

    >>> names = ["net_epoch10_loss0.31.pt", "net_epoch9_loss1.09.pt", "net_epoch1_loss2.3.pt"]
    >>> [step for step, _ in order_by_step(Path("saved"), [(Path(n), {}) for n in names])]
    [1, 9, 10]
    """
    paths = [path for path, _ in files]
    readings = _held([state for _, state in files])
    if len(paths) > 1:  # a count that stands still in every file tells nothing
        readings = {where: steps for where, steps in readings.items() if len(set(steps)) > 1}
    readings = readings or _named(folder, paths) or _varying(folder, paths)
    telling = {where: steps for where, steps in readings.items() if len(set(steps)) > 1} or readings
    whole = [where for where, steps in telling.items() if len(set(steps)) == len(steps)]
    chosen = next(iter(whole or telling))
    steps = telling[chosen]
    for where, other in telling.items():
        if not _agree(steps, other):
            raise _unclear(folder, paths, {chosen: steps, where: other})
    order = sorted(zip(steps, paths, strict=True))
    for (step, path), (again, other) in itertools.pairwise(order):
        if step == again:
            raise InputError(
                f"{other}: step {step} by {chosen}, as {path.name}; each step only once; {_ADVICE}"
            )
    return order


def _unclear(
    folder: Path, paths: Sequence[Path], readings: Mapping[str, Sequence[float]]
) -> InputError:
    """Say which orders are possible."""
    shown = [f"by {where} {_sequence(paths, steps)}" for where, steps in readings.items()]
    return InputError(
        f"{folder}: the order of the snapshots is not clear: {'; '.join(shown)}; {_ADVICE}"
    )


def _held(states: Sequence[Mapping[str, Any]]) -> Readings:
    """Return what all files hold, by key."""
    readings = {
        f'"{key}" in the files': [whole_number(state.get(key)) for state in states] for key in KEYS
    }
    return _complete(readings)


def whole_number(value: object) -> int | None:
    """Return a count as people save it, a tensor too; None if it is none."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if float(value).is_integer() else None


def _named(folder: Path, paths: Sequence[Path]) -> Readings:
    """Return the numbers that follow a word, by word, where every name has one."""
    readings = {
        f'the number after "{word}"': [_after(word, path) for path in paths] for word in _WORDS
    }
    complete = _complete(readings)
    some = [where for where, steps in readings.items() if any(step is not None for step in steps)]
    if not complete and len(some) > 1:
        examples = [
            next(p.name for p, s in zip(paths, readings[where], strict=True) if s is not None)
            for where in some[:2]
        ]
        raise InputError(
            f"{folder}: {examples[0]} is named by {some[0]}, {examples[1]} by {some[1]}, "
            f"which have no common order; {_ADVICE}"
        )
    return complete


def _after(word: str, path: Path) -> int | None:
    """Return the whole number after a word in a file's name; None if there is not just one."""
    # A fraction is a loss or an accuracy.
    pattern = rf"(?:{_WORDS[word]})[\W_]*(\d+)(?!\d|\.\d)"
    numbers = {int(number) for number in re.findall(pattern, path.stem, re.IGNORECASE)}
    return numbers.pop() if len(numbers) == 1 else None


def _varying(folder: Path, paths: Sequence[Path]) -> Readings:
    """Return the only number that varies across names."""
    rows = [_NUMBER.findall(path.stem) for path in paths]
    for path, row in zip(paths, rows, strict=True):
        if not row:
            raise InputError(f"{path}: no step in it and no number in its name; {_ADVICE}")
    if len({len(row) for row in rows}) > 1:
        short, long = min(rows, key=len), max(rows, key=len)
        names = (paths[rows.index(row)].name for row in (short, long))
        raise InputError(
            f"{folder}: {' and '.join(names)} hold different counts of numbers, so none "
            f"is surely the step; {_ADVICE}"
        )
    columns = list(zip(*rows, strict=True))
    varying = [i for i, column in enumerate(columns) if len({float(n) for n in column}) > 1]
    if len(varying) > 1:
        raise _unclear(
            folder,
            paths,
            {f"number {i + 1} of each name": [float(n) for n in columns[i]] for i in varying[:2]},
        )
    chosen = varying[0] if varying else 0
    if any("." in number for number in columns[chosen]):
        raise InputError(
            f"{paths[0]}: {columns[chosen][0]} is no step, and no other number varies across the "
            f"names; {_ADVICE}"
        )
    return {"the number in its name": [int(number) for number in columns[chosen]]}


def _complete(readings: Mapping[str, Sequence[int | None]]) -> Readings:
    """Keep the readings that every file has."""
    whole = {where: [s for s in steps if s is not None] for where, steps in readings.items()}
    return {where: steps for where, steps in whole.items() if len(steps) == len(readings[where])}


def _agree(first: Sequence[int], second: Sequence[int]) -> bool:
    """Tell whether two readings never put two files in opposite orders."""
    ordered = [later for _, later in sorted(zip(first, second, strict=True))]
    return all(one <= other for one, other in itertools.pairwise(ordered))


def _sequence(paths: Sequence[Path], steps: Sequence[float]) -> str:
    names = [path.name for _, path in sorted(zip(steps, paths, strict=True))]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
