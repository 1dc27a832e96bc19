"""Observations of two solutions compared: to the bit, within rounding, or different in what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Closeness = Literal["bits", "rounding", "different"]

ROUNDING = 2e-4
"""Of an array's largest entry: far above the rounding of a few steps, far below any mistake."""
SAMPLING = {
    "variance of the weights times inputs": 0.06,
    "spread that dropout makes": 0.15,
    "mean under dropout": 0.02,
}
"""Relative tolerance of what is estimated from random draws, by the observation's name."""
NOT_THE_BEST = "another attempt"
NO_ATTEMPT = "what no attempt had on validation data"
VAGUE = (NOT_THE_BEST, NO_ATTEMPT)
"""Observations that say that something is wrong and not what."""
USUAL_STARTS = ((1 / 3, 1 / 3), (2, 2), (1.593, 1), (7.84, 2))
"""n Var[w] of 784 -> 200 -> 200 for PyTorch's default, He by fan in, Xavier, He by fan out."""


def compare(name: str, ours: Any, theirs: Any) -> Closeness:
    """Compare one observation of a solution with that of another.

    >>> compare("loss", np.array([1.0]), np.array([1.0 + 1e-7]))
    'rounding'
    """
    if not (isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray)):
        same = type(ours) is type(theirs) and ours == theirs
        return "bits" if same else "different"
    if ours.shape != theirs.shape:
        return "different"
    if np.array_equal(ours, theirs, equal_nan=True):
        return "bits"
    if name in SAMPLING:
        near = np.abs(ours - theirs) <= SAMPLING[name] * np.abs(ours)
        return "rounding" if near.all() else "different"
    finite = np.isfinite(ours)
    if not np.array_equal(finite, np.isfinite(theirs)):
        return "different"
    scale = float(np.abs(ours[finite]).max(initial=1e-12))
    gap = float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0))
    return "rounding" if gap <= ROUNDING * scale else "different"


def compare_with_right(name: str, right: Any, theirs: Any) -> Closeness:
    """Compare with the reference, where more than one start of the weights is right."""
    if name in SAMPLING and name.startswith("variance") and isinstance(theirs, np.ndarray):
        starts = [np.array(start) for start in USUAL_STARTS]
        if any(compare(name, start, theirs) != "different" for start in starts):
            return "bits" if np.array_equal(right, theirs) else "rounding"
    return compare(name, right, theirs)


def difference(name: str, right: Any, theirs: Any) -> str:
    """Say in what an observation differs: shape, order, scale, sign, or the first step.

    >>> difference("vector", np.array([1.0, 2.0, 4.0]), np.array([4.0, 2.0, 1.0]))
    'vector: has the right values in another order'
    >>> difference("loss", np.array(2.0), np.array(4.0))
    'loss: 2 times the right value (4, right is 2)'
    """
    if not (isinstance(right, np.ndarray) and isinstance(theirs, np.ndarray)):
        if isinstance(right, bool) and isinstance(theirs, bool):
            return f"{name}: {'yes' if theirs else 'no'}, should be {'yes' if right else 'no'}"
        return f"{name}: {_shown(theirs)}, should be {_shown(right)}"
    if right.shape != theirs.shape:
        return f"{name}: shape {theirs.shape}, should be {right.shape}"
    if not np.isfinite(theirs).all():
        return f"{name}: holds values that are not finite"
    if "by step" in name:
        steps = [compare(name, a, b) == "different" for a, b in zip(right, theirs, strict=True)]
        step = steps.index(True) if any(steps) else 0
        if step:
            return f"{name}: right up to step {step}, departs at step {step + 1}"
        return _kind(f"{name}, from the first step on", right[0], theirs[0])
    return _kind(name, right, theirs)


def _kind(name: str, right: NDArray[Any], theirs: NDArray[Any]) -> str:
    """Tell order, sign and scale from other differences."""
    if compare(name, right, -theirs) != "different":
        return f"{name}: has the opposite sign"
    flat, other = right.reshape(-1), theirs.reshape(-1)
    if flat.size > 1 and compare(name, np.sort(flat), np.sort(other)) != "different":
        return f"{name}: has the right values in another order"
    square = float(flat @ flat)
    factor = float(flat @ other) / square if square else 0.0
    if factor and compare(name, flat * factor, other) != "different":
        values = f" ({other[0]:.4g}, right is {flat[0]:.4g})" if flat.size == 1 else ""
        return f"{name}: {factor:.4g} times the right value{'' if flat.size == 1 else 's'}{values}"
    shift = float((other - flat).mean())
    if flat.size > 1 and compare(name, flat + shift, other) != "different":
        return f"{name}: {shift:+.4g} from the right values everywhere"
    gap = float(np.abs(flat - other).max())
    return f"{name}: differs by up to {gap:.3g} (the right values reach {np.abs(flat).max():.3g})"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"numbers of shape {value.shape}"
    return str(value)[:200]


def departures(right: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Return the observations in which a solution departs, and whether all others agree in bits.

    An observation that is missing in one of them departs.
    """
    names = list(dict.fromkeys([*right, *theirs]))
    kinds = {
        name: compare_with_right(name, right[name], theirs[name])
        if name in right and name in theirs
        else "different"
        for name in names
    }
    departed = [name for name, kind in kinds.items() if kind == "different"]
    return departed, all(kind != "rounding" for kind in kinds.values())


def same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Tell whether two solutions were observed to do the same, within rounding."""
    return ours.keys() == theirs.keys() and all(
        compare(name, ours[name], theirs[name]) != "different" for name in ours
    )
