"""Exact arithmetic: a float stands for its shortest decimal text; a division by exactly zero is none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

NS = 1_000_000_000
DAY_NS = 86_400 * NS


def exact(number: float) -> Fraction:
    return Fraction(repr(float(number)))


def as_float(number: Fraction | None) -> float | None:
    return None if number is None else float(number)


def ratio(above: Fraction, below: Fraction) -> float | None:
    return None if below == 0 else float(above / below)


def log_ratio(now: Fraction, before: Fraction) -> float:
    """ln(now / before), without the cancellation of a ratio that is nearly one."""
    return math.log1p(float(now / before - 1))


def seconds_ns(seconds: float) -> int:
    return int(exact(seconds) * NS)


def plain(number: float) -> str:
    """The number in a column's name: `1000`, not `1000.0`."""
    return str(int(number)) if number == int(number) else repr(float(number))


@dataclass(frozen=True)
class Line:
    """A least-squares line."""

    slope: Fraction
    t: float | None
    r2: float | None


def fitted(x: Sequence[Fraction], y: Sequence[Fraction], *, with_intercept: bool = True) -> Line | None:
    """Ordinary least squares of y on x; none where x does not vary (without intercept: is all zero)."""
    n = len(x)
    if n == 0:
        return None
    mean_x, mean_y = (sum(x) / Fraction(n), sum(y) / Fraction(n)) if with_intercept else (Fraction(0), Fraction(0))
    sxx = sum(((a - mean_x) ** 2 for a in x), Fraction(0))
    sxy = sum(((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)), Fraction(0))
    syy = sum(((b - mean_y) ** 2 for b in y), Fraction(0))
    if sxx == 0:
        return None
    slope = sxy / sxx
    residual = syy - slope * sxy
    free = n - (2 if with_intercept else 1)
    t = None
    if free > 0 and residual != 0:
        t = float(slope) / math.sqrt(residual / free / sxx)
    return Line(slope, t, None if syy == 0 else float(1 - residual / syy))
