"""How numbers are written, everywhere the same."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as a percentage.

    >>> percent(0.87721), percent(None)
    ('87.72 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def percent_interval(ends: Sequence[float] | None, digits: int = 2) -> str:
    """Write an interval of shares.

    >>> percent_interval((0.8, 0.8513)), percent_interval(None)
    ('80.00 to 85.13 %', '–')
    """
    return "–" if ends is None else f"{100 * ends[0]:.{digits}f} to {percent(ends[1], digits)}"


def points(difference: float, *, sign: bool = True) -> str:
    """Write a difference of shares in percentage points.

    >>> points(0.0125), points(-0.002), points(0.002, sign=False)
    ('+1.25', '−0.20', '0.20')
    """
    text = f"{100 * difference:+.2f}" if sign else f"{100 * difference:.2f}"
    return text.replace("-", "−")


def points_interval(ends: Sequence[float]) -> str:
    """Write an interval of differences.

    >>> points_interval((-0.001, 0.02))
    '−0.10 to +2.00'
    """
    return " to ".join(map(points, ends))


def number(value: float | None, digits: int = 4) -> str:
    """Write a measured number with some significant digits.

    >>> number(0.0098768), number(12345.6), number(None), number(1e-7)
    ('0.009877', '12,346', '–', '1.000e-07')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e7):
        return f"{value:.{digits - 1}e}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    decimals = digits if value == 0 else digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{decimals}f}"


def loss(value: float | None) -> str:
    """Write a loss with four decimals, as training programs do.

    >>> loss(0.24936), loss(None)
    ('0.2494', 'not finite')
    """
    return "not finite" if value is None else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Write a time.

    >>> duration(0.53), duration(42.2), duration(312), duration(7260)
    ('0.5 s', '42 s', '5 min 12 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plural(count: int, noun: str) -> str:
    """Count things.

    >>> plural(1, "seed"), plural(1200, "trial")
    ('1 seed', '1,200 trials')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(count: int) -> str:
    """Say how often.

    >>> times(0), times(1), times(4)
    ('never', 'once', '4 times')
    """
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def capitalized(text: str) -> str:
    """Start a sentence.

    >>> capitalized("he and LeCun")
    'He and LeCun'
    """
    return text[:1].upper() + text[1:]
