"""Values as exchanges write them: decimal texts and UTC times, read exactly."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from shared.clock import us_from_utc
from shared.partitioning import stored_symbol

WIRE_NUMBER_MAX = 1e15  # no price or size of a market is larger; also stops "inf"
UNKNOWN_SYMBOL = "unknown"  # whose row it would have been cannot be told
SYMBOL_CHARS_MAX = 64
SECONDS_MAX = 253_402_300_800  # the year 10000
ID_DIGITS_MAX = 18  # any number this short is an int64
_MICROSECONDS_MIN = 10**14  # a number of milliseconds is smaller until the year 5138
_CALENDAR_END_US = 253_402_300_800_000_000  # the year 10000
EXACT_TEXT_MAX = 15  # texts this short survive the way through float64 whatever they say


def positive(text: str) -> float:
    """A price or size that must be above zero; `ValueError` says what is wrong with any other.

    >>> positive("0.001")
    0.001
    >>> positive("NaN")
    Traceback (most recent call last):
    ValueError: 'NaN' is not a positive number
    >>> positive("1_000.5")  # a number to Python alone
    Traceback (most recent call last):
    ValueError: '1_000.5' is not a positive number
    """
    value = float(text)
    if not 0 < value < WIRE_NUMBER_MAX or "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is not a positive number")
    return value


def not_negative(text: str) -> float:
    """A size that may be zero; `ValueError` for any other."""
    value = float(text)
    if not 0 <= value < WIRE_NUMBER_MAX or "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is not zero or a positive number")
    return value


def possible_levels(prices: list[float], sizes: list[float]) -> bool:
    """Whether there are levels and every price is positive, every size not negative, none of them absurd.

    >>> possible_levels([2.0, 1.0], [0.0, 3.0]), possible_levels([2.0], [float("nan")]), possible_levels([], [])
    (True, False, False)
    """
    if not prices or not min(prices) > 0 or not min(sizes) >= 0:
        return False
    return sum(prices) < WIRE_NUMBER_MAX and sum(sizes) < WIRE_NUMBER_MAX  # no sum with a nan is less


def optional_number(text: str | None) -> float | None:
    """A number that may be absent or empty; what is no finite number is absent too (it decides nothing)."""
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    if value is None or text is None or "_" in text or not text.isascii():
        return None
    return value if abs(value) < WIRE_NUMBER_MAX else None


def trade_number(text: str) -> int:
    """A trade's id as the integer it is; `ValueError` for what is none, or none that the lake's int64 can hold."""
    if len(text) > ID_DIGITS_MAX or not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text[:40]!r} is not a trade's number")
    return int(text)


@lru_cache(maxsize=4096)
def is_plain_symbol(symbol: str) -> bool:
    """Whether a symbol can name a partition as it stands, so that no row of it can stop the sealing of all others.

    >>> is_plain_symbol("BTC-USD"), is_plain_symbol("BTC/USD"), is_plain_symbol("..")
    (True, False, False)
    """
    try:
        return len(symbol) <= SYMBOL_CHARS_MAX and stored_symbol(symbol) == symbol
    except ValueError:
        return False


def inexact_text(text: str, value: float) -> str | None:
    """The text itself where float64 cannot give it back, None in the usual case that it can.

    >>> inexact_text("65083.67", 65083.67), inexact_text("0.12345678901234567", 0.12345678901234567)
    (None, '0.12345678901234567')
    """
    if len(text) <= EXACT_TEXT_MAX or Decimal(repr(value)) == Decimal(text):
        return None
    return text


def seconds_us(text: str) -> int:
    """Microseconds of a time in whole seconds since 1970; `ValueError` for none, or none before the year 10000.

    >>> seconds_us("1786309500")
    1786309500000000
    """
    seconds = trade_number(text)
    if seconds >= SECONDS_MAX:
        raise ValueError(f"{text!r} is not a time in seconds")
    return seconds * 1_000_000


def utc_us(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time; finer digits are cut off, as the lake stores microseconds.

    >>> utc_us("2026-08-09T21:05:42.514318Z"), utc_us("2026-08-09T21:05:42Z"), utc_us("2026-08-09T21:05:42.5Z")
    (1786309542514318, 1786309542000000, 1786309542500000)
    """
    if len(text) == 27 and text[26] == "Z":
        return _second_us(text[:19]) + int(text[20:26])
    if text[-1:] != "Z":
        try:
            return us_from_utc(datetime.fromisoformat(text).astimezone(UTC))
        except OverflowError as error:  # the first and last hours that a calendar knows, seen from elsewhere
            raise ValueError(f"{text!r} is no time in UTC") from error
    return _second_us(text[:19]) + int((text[20:-1] + "000000")[:6])


def unix_us(number: int) -> int:
    """Microseconds since 1970 of a time in milliseconds or microseconds, told apart by size; `ValueError` for none.

    >>> unix_us(1723161255611), unix_us(1723161255611042)
    (1723161255611000, 1723161255611042)
    """
    us = number if number >= _MICROSECONDS_MIN else number * 1000
    if not 0 <= us < _CALENDAR_END_US:
        raise ValueError(f"{number} is no time in milliseconds or microseconds")
    return us


@lru_cache(maxsize=1024)
def _second_us(text: str) -> int:
    return _minute_us(text[:16]) + int(text[17:19]) * 1_000_000


@lru_cache(maxsize=64)
def _minute_us(text: str) -> int:
    return us_from_utc(datetime.fromisoformat(text).replace(tzinfo=UTC))
