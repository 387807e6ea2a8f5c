"""Thresholds and intervals as a person writes them, to exact numbers."""

import math
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TypeAlias

Number: TypeAlias = int | float | Decimal | str
ADV_FRACTION = "adv_fraction"  # in place of a threshold: a part of the days before

_EXPONENT_MAX = 38  # more than any column can hold
_SECONDS_MAX = 3e11
_UNITS_US = {
    "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000,
}  # fmt: skip


def positive(value: Number, name: str) -> Decimal:
    """The exact decimal of a positive number; a float stands for its shortest text.

    Raises: ValueError.

    >>> positive(0.1, "threshold"), positive("1e6", "threshold")
    (Decimal('0.1'), Decimal('1E+6'))
    """
    number = _decimal(value, name)
    if not (number.is_finite() and number > 0):
        raise ValueError(f"{name} must be positive and finite, was {value!r}")
    return number


def finite(value: Number, name: str) -> Decimal:
    """The exact decimal of any finite number. Raises: ValueError."""
    number = _decimal(value, name)
    if not number.is_finite():
        raise ValueError(f"{name} must be finite, was {value!r}")
    return number


def whole(value: Number, name: str) -> int:
    """A whole number above 0 that a float64 holds. Raises: ValueError."""
    number = positive(value, name)
    if number != int(number) or number > 2**53:
        raise ValueError(f"{name} must be a whole number above 0, was {value!r}")
    return int(number)


def seconds(value: Number, name: str) -> float:
    """A positive number of seconds, of less than ten thousand years. Raises: ValueError."""
    number = float(positive(value, name))
    if not number < _SECONDS_MAX:
        raise ValueError(f"{name} must be less than {_SECONDS_MAX:g} seconds, was {value!r}")
    return number


def _decimal(value: Number, name: str) -> Decimal:
    if isinstance(value, bool):
        raise ValueError(f"{name} must be a number, was {value!r}")  # noqa: TRY004 - one kind of error for a bad value
    try:
        number = Decimal(repr(float(value)) if isinstance(value, float) else str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{name} must be a number, was {value!r}") from None
    if number.is_finite() and not number.is_zero() and not _fits(number):
        raise ValueError(f"{name} must have at most {_EXPONENT_MAX} digits, was {str(value)[:60]!r}")
    return number


def _fits(number: Decimal) -> bool:
    return -_EXPONENT_MAX <= number.adjusted() < _EXPONENT_MAX and len(number.as_tuple().digits) <= _EXPONENT_MAX


def plain(number: Decimal) -> str:
    """The one text of a number, without exponent and trailing zeros.

    >>> plain(Decimal("1E+6")), plain(Decimal("0.50"))
    ('1000000', '0.5')
    """
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def reached_from(threshold: Decimal | Fraction, scale: int) -> int:
    """The smallest whole number n with n / 10^scale >= threshold.

    >>> reached_from(Decimal("0.25"), 1)
    3
    """
    return math.ceil(Fraction(threshold) * Fraction(10) ** scale)


def interval_us(interval: Number) -> int:
    """The length in us of an interval: seconds, or text such as "500ms", "1m", "4h", "1d", "1w".

    Raises: ValueError.

    >>> interval_us(60) == interval_us("1m") == interval_us("60") == 60_000_000
    True
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*(ms|s|m|h|d|w)\s*", interval) if isinstance(interval, str) else None
    seconds_text, unit = match.groups() if match else (interval, "s")
    try:
        us = positive(seconds_text, "interval") * _UNITS_US[unit]
    except ValueError:
        raise ValueError(
            f"interval must be positive seconds or text such as '1m', '5m', '1h', '1d', '1w', was {interval!r}"
        ) from None
    if us != us.to_integral_value() or us >= 2**53:
        raise ValueError(f"interval must be whole microseconds, was {interval!r}")
    return int(us)


def seconds_text(us: int) -> str:
    """An interval in seconds, as bar sets are named.

    >>> seconds_text(60_000_000), seconds_text(500_000)
    ('60s', '0.5s')
    """
    return f"{plain(Decimal(us) / 1_000_000)}s"
