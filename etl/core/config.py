"""What the executor is told, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.disk import Disk
from shared.exchange_facts import SideNames
from shared.partitioning import Lake, stored_exchange, stored_symbol


class StreamKey(NamedTuple):
    """What transforms run over: one symbol of one exchange."""

    exchange: str
    symbol: str


@dataclass(frozen=True)
class FilterSpec:
    """Which streams to run; what is not said is not filtered. Symbols and exchanges in any accepted form."""

    exchanges: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring names into the form they have in the lake."""
        object.__setattr__(self, "exchanges", tuple(stored_exchange(name) for name in self.exchanges))
        object.__setattr__(self, "symbols", tuple(stored_symbol(name) for name in self.symbols))

    def allows(self, key: StreamKey) -> bool:
        """Whether a stream is wanted.

        >>> FilterSpec(exchanges=("coinbase",)).allows(StreamKey("coinbaseadvanced", "BTC-USD"))
        True
        """
        return (not self.exchanges or key.exchange in self.exchanges) and (
            not self.symbols or key.symbol in self.symbols
        )


@dataclass(frozen=True)
class BarSet:
    """One bar type with its parameters, and the streams it is built for."""

    type: str
    params: Mapping[str, Any]
    where: FilterSpec = FilterSpec()


@dataclass(frozen=True)
class EtlOptions:
    """Everything a stream's run depends on besides its input; picklable, so that runs can go to other processes."""

    lake: Lake
    lateness_s: float = 10.0
    candles: tuple[str, ...] = ()  # intervals of the ladder, for every stream
    bars: tuple[BarSet, ...] = ()
    trades: Mapping[str, Any] = field(default_factory=dict)  # further options of the trades transform
    side_convention: Mapping[str, SideNames] = field(default_factory=dict)  # by exchange; else shared.exchange_facts
    silver_unit: str = "day"  # deepest partition of silver tables: month, day or hour
    checkpoint_keep_days: int = 7
    disk: Disk = field(default_factory=Disk)
    rows_per_step: int = 250_000  # read at once, by whole journals: it bounds the memory of a run and a rebuild
    only: FilterSpec = field(default_factory=FilterSpec)
