"""Which part of a lake is meant: streams by name, and a time by the units of its partitions or from and until."""

from dataclasses import dataclass
from datetime import UTC, datetime

from shared.partitioning import UNITS, stored_exchange, stored_symbol, unit_span

_BOUNDS = {"month": (1, 12), "day": (1, 31), "hour": (0, 23)}


@dataclass(frozen=True)
class FilterSpec:
    """What is wanted; what is not said is not filtered. Symbols and exchanges in any accepted form.

    Times are those that a table is laid out by: of bronze `capture_ts` (of REST and CSV rows `timestamp`), of silver
    trades `tape_ts`, of bars and candles `time_start`, of other tables `timestamp`; always UTC. Where such times go
    back, as those of bars may by a moment, a row counts at the latest time before it.

    Raises: ValueError: a unit out of its bounds, a time without a zone, or no time between `since` and `until`.

    >>> one_day = FilterSpec(symbols=("BTC/USD", "ETH/USD"), year=2026, month=6, day=9)
    >>> one_day.covers(2026, 6), one_day.covers(2026, 6, 10)
    (True, False)
    """

    exchanges: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    year: int | None = None
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    since: datetime | None = None
    until: datetime | None = None  # the first moment that is not wanted

    def __post_init__(self) -> None:
        """Bring names into the form they have in the lake."""
        object.__setattr__(self, "exchanges", tuple(stored_exchange(name) for name in self.exchanges))
        object.__setattr__(self, "symbols", tuple(stored_symbol(name) for name in self.symbols))
        for unit, (low, high) in _BOUNDS.items():
            value = getattr(self, unit)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{unit} must be {low} to {high}, was {value}")
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} {moment} has no time zone: give it one, as datetime(..., tzinfo=UTC)")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(f"since {self.since} is not before until {self.until}")

    def allows(self, key: tuple[str, str]) -> bool:
        """Whether a stream, (exchange, symbol) as in the lake, is wanted.

        >>> FilterSpec(exchanges=("coinbase",)).allows(("coinbaseadvanced", "BTC-USD"))
        True
        """
        exchange, symbol = key
        return self.names("exchange", exchange) and self.names("symbol", symbol)

    def names(self, key: str, value: str) -> bool:
        """Whether partitions `exchange=<value>` or `symbol=<value>` are wanted."""
        wanted = {"exchange": self.exchanges, "symbol": self.symbols}[key]
        return not wanted or value in wanted

    def covers(self, *units: int) -> bool:
        """Whether a year, a month, a day or an hour, as (2026, 6, 9), can hold a moment that is wanted."""
        asked = (getattr(self, unit) for unit in UNITS)
        if any(want is not None and want != unit for want, unit in zip(asked, units, strict=False)):
            return False
        start, end = unit_span(units)
        return (self.since is None or end > self.since) and (self.until is None or start < self.until)

    @property
    def has_times(self) -> bool:
        """Whether not all times are wanted."""
        return any(getattr(self, name) is not None for name in (*UNITS, "since", "until"))

    def __str__(self) -> str:
        """In words, for a message.

        >>> print(FilterSpec(exchanges=("kraken",), year=2026, since=datetime(2026, 6, 9, tzinfo=UTC)))
        exchange kraken, year 2026, since 2026-06-09 00:00:00 UTC
        """
        parts = [
            f"{name} {' or '.join(of)}" for name, of in (("exchange", self.exchanges), ("symbol", self.symbols)) if of
        ]
        parts += [f"{unit} {getattr(self, unit)}" for unit in UNITS if getattr(self, unit) is not None]
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None:
                parts.append(f"{name} {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        return ", ".join(parts) or "anything"
