"""What a market does, exchange by exchange the same: prints, level changes and the texts for them.

Prices and sizes are whole numbers of the instrument's smallest steps, so no float ever touches a number
that is sent. A symbol is `BTC-USD` here; Kraken's `BTC/USD` is made where Kraken's frames are made.
"""

import time
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, Protocol


class Instrument(NamedTuple):
    """One traded pair and its smallest steps, as counts of decimals."""

    symbol: str
    price_decimals: int
    size_decimals: int
    first_price: int = 0  # in steps of 10**-price_decimals; where a seeded market begins

    @property
    def base_asset(self) -> str:
        """The currency that sizes count."""
        return self.symbol.partition("-")[0]

    @property
    def quote_asset(self) -> str:
        """The currency that prices count."""
        return self.symbol.partition("-")[2]


class Print(NamedTuple):
    """One taker fill. `taker_buys` is the aggressor; what a venue calls `side` is its own matter."""

    trade_id: int
    price: int
    size: int
    ts_ns: int
    taker_buys: bool


class Level(NamedTuple):
    """A book level's new total size; 0 removes it."""

    is_bid: bool
    price: int
    size: int


class Verbatim(NamedTuple):
    """A recorded frame: its bytes as received, and where its sequence number stands in them."""

    channel: str
    frame: bytes
    head: bytes  # up to and with `"sequence_num":`
    tail: bytes  # from behind the number
    sequence: int


class Moment(NamedTuple):
    """Everything that happens to one symbol at one time; at most one frame per channel comes of it."""

    ts_ns: int
    symbol: str
    prints: tuple[Print, ...] = ()
    levels: tuple[Level, ...] = ()
    verbatim: Verbatim | None = None
    resets_book: bool = False  # `levels` is the whole book, what stood before is void


class Source(Protocol):
    """A market's future, made once per venue."""

    @property
    def has_book(self) -> bool:
        """Whether resting orders are known."""

    @property
    def is_live(self) -> bool:
        """Whether its times are today's; a replay keeps its recorded times."""

    def traded_on(self, venue: str) -> tuple[Instrument, ...]:
        """What trades at `venue`; empty where the source has nothing for it."""

    def moments(self, venue: str, *, start_ns: int) -> Iterator[Moment]:
        """The moments in time order. `start_ns` is when a live market begins; a replay ignores it."""


class Book:
    """The resting sizes of one symbol, both sides sorted."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def apply(self, level: Level) -> None:
        """Set or remove one level."""
        side = self.bids if level.is_bid else self.asks
        if level.size:
            side[level.price] = level.size
        else:
            side.pop(level.price, None)

    def clear(self) -> None:
        """Forget every level."""
        self.bids.clear()
        self.asks.clear()

    def top(self, depth: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best `depth` (price, size) of bids, then of asks, each from the touch outwards."""
        bids = sorted(self.bids, reverse=True)[:depth]
        asks = sorted(self.asks)[:depth]
        return [(price, self.bids[price]) for price in bids], [(price, self.asks[price]) for price in asks]

    def touch(self) -> tuple[int, int] | None:
        """Best bid and best ask, or None where a side is empty."""
        if not self.bids or not self.asks:
            return None
        return max(self.bids), min(self.asks)


def steps(text: str, decimals: int) -> int:
    """The number a decimal text means, in steps of 10**-decimals.

    >>> steps("3.844E-5", 8), steps("65083.6", 2)
    (3844, 6508360)

    Raises:
        ValueError: not a finite number, or finer than the step.
    """
    try:
        scaled = Decimal(text).scaleb(decimals)
        whole = int(scaled)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{text!r} is not a number") from error
    if whole != scaled:
        raise ValueError(f"{text!r} has more than {decimals} decimals")
    return whole


def decimals_of(text: str) -> int:
    """How many decimals a text needs.

    >>> decimals_of("3.844E-5"), decimals_of("12.50"), decimals_of("100")
    (8, 1, 0)

    Raises:
        ValueError: not a finite number.
    """
    try:
        number = Decimal(text)
    except ArithmeticError as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a number")
    return max(0, -int(number.normalize().as_tuple().exponent))


def padded(value: int, decimals: int) -> str:
    """The decimal text with every decimal written, as Kraken prints book numbers.

    >>> padded(100000, 8), padded(-5, 1), padded(7, 0)
    ('0.00100000', '-0.5', '7')
    """
    if decimals == 0:
        return str(value)
    if value < 0:
        return "-" + padded(-value, decimals)
    digits = str(value).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


@lru_cache(maxsize=65_536)
def plain(value: int, decimals: int) -> str:
    """The shortest decimal text, as Coinbase prints it.

    >>> plain(6506250, 2), plain(3844, 8), plain(100, 2)
    ('65062.5', '0.00003844', '1')
    """
    text = padded(value, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


@lru_cache(maxsize=1024)
def _second(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch_s))


def stamp_us(ts_ns: int) -> str:
    """RFC 3339 with microseconds, trailing zeros cut: Coinbase prints `05:38.50436Z`.

    >>> stamp_us(1_786_309_538_504_360_000), stamp_us(1_000_000_000)
    ('2026-08-09T21:05:38.50436Z', '1970-01-01T00:00:01Z')
    """
    return _stamp(ts_ns, 6, cut_zeros=True)


def stamp_us_full(ts_ns: int) -> str:
    """RFC 3339 with all six digits of the microseconds, as Kraken prints them."""
    return _stamp(ts_ns, 6, cut_zeros=False)


def stamp_ns(ts_ns: int) -> str:
    """RFC 3339 with nanoseconds, trailing zeros cut."""
    return _stamp(ts_ns, 9, cut_zeros=True)


def _stamp(ts_ns: int, digits: int, *, cut_zeros: bool) -> str:
    seconds, nanos = divmod(ts_ns, 1_000_000_000)
    fraction = f"{nanos:09d}"[:digits]
    if cut_zeros:
        fraction = fraction.rstrip("0")
    return f"{_second(seconds)}.{fraction}Z" if fraction else f"{_second(seconds)}Z"
