"""What the executor is told, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

from etl.features.options import FeatureOptions
from shared.disk import Disk
from shared.exchange_facts import SideNames
from shared.filters import FilterSpec as FilterSpec
from shared.partitioning import Lake


class StreamKey(NamedTuple):
    """What transforms run over: one symbol of one exchange."""

    exchange: str
    symbol: str


@dataclass(frozen=True)
class BarSet:
    """One bar type with its parameters, and the streams it is built for."""

    type: str
    params: Mapping[str, Any]
    where: FilterSpec = field(default_factory=FilterSpec)

    def __post_init__(self) -> None:
        """Refuse what `where` cannot mean."""
        _names_streams_only(self.where)


@dataclass(frozen=True)
class FeatureConfig:
    """Which features are made beside bars, from what, and how."""

    trades: bool = False
    ticker: bool = False
    orderbook: bool = False  # and the bars of books
    books_from: str = "auto"  # l2, orderbook, or auto: l2 where a stream has any
    options: FeatureOptions = FeatureOptions()  # noqa: RUF009 - frozen
    ticker_unit: str = "day"  # deepest partition: month, day or hour
    orderbook_unit: str = "day"

    def __post_init__(self) -> None:
        """Refuse a table that holds no books."""
        if self.books_from not in ("auto", "l2", "orderbook"):
            raise ValueError(f"books_from must be auto, l2 or orderbook, was {self.books_from!r}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The choice that plain values make; `options` are those of `FeatureOptions`, by name.

        Raises: ValueError for a key or an option that does not exist, or a value that it cannot have.
        """
        known = [each.name for each in fields(cls)]
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"unknown keys {unknown} of features; there are {known}")
        return cls(**{**given, "options": FeatureOptions.of(given.get("options", {}))})

    @property
    def book_tables(self) -> tuple[str, ...]:
        """Bronze tables that books are read from, the one that is used where a stream has both first."""
        if not self.orderbook:
            return ()
        return ("l2", "orderbook") if self.books_from == "auto" else (self.books_from,)

    @property
    def tables(self) -> frozenset[str]:
        """Bronze tables that silver and gold are made from; one file of one of them, gaps apart, begins a stream."""
        return frozenset({"trades", "gaps", *self.book_tables, *(("ticker",) if self.ticker else ())})


@dataclass(frozen=True)
class EtlOptions:
    """Everything a stream's run depends on besides its input; picklable, so that runs can go to other processes."""

    lake: Lake
    lateness_s: float = 10.0
    candles: tuple[str, ...] = ()  # intervals of the ladder, for every stream
    bars: tuple[BarSet, ...] = ()
    trades: Mapping[str, Any] = field(default_factory=dict)  # further options of the trades transform
    side_convention: Mapping[str, SideNames] = field(default_factory=dict)  # by exchange; else shared.exchange_facts
    features: FeatureConfig = FeatureConfig()
    silver_unit: str = "day"  # deepest partition of silver tables: month, day or hour
    checkpoint_keep_days: int = 7
    disk: Disk = field(default_factory=Disk)
    rows_per_step: int = 250_000  # read at once, by whole journals: it bounds the memory of a run and a rebuild
    only: FilterSpec = field(default_factory=FilterSpec)

    def __post_init__(self) -> None:
        """Refuse what `only` cannot mean."""
        _names_streams_only(self.only)


def _names_streams_only(where: FilterSpec) -> None:
    if where.has_times:
        raise ValueError(f"a run takes whole streams, or its output would have holes; was told {where}")
