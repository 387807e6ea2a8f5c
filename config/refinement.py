"""The section that says how bronze becomes silver and gold."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, Strict

from config.section import (
    Legacy,
    ListOf,
    Options,
    Section,
    StoredExchange,
    StoredSymbol,
    refuse,
)
from shared.exchange_facts import SideNames

Column: TypeAlias = Literal["exchange", "symbol", "year", "month", "day", "hour", "date"]
_DEPTHS = tuple(("exchange", "symbol", "year", "month", "day", "hour")[:depth] for depth in (4, 5, 6))


def _path_order(found: tuple[str, ...]) -> tuple[str, ...]:
    """The columns in the order of the path, with `date` spelt out."""
    wanted = {unit for name in found for unit in (("year", "month", "day") if name == "date" else (name,))}
    for depth in _DEPTHS:
        if wanted == set(depth):
            return depth
    raise refuse("exchange and symbol, then date (or year, month, day; without day, or with hour)")


class OldKeys(Section):
    """Keys of older files that are read and reported, and do nothing."""

    features: Legacy = None
    """Replaced by `etl.channels.<name>.processor_options`."""
    delete_after_processing: Legacy = None
    """Replaced by retention as a step of its own: every rebuild reads bronze, so processing deletes nothing."""


class Channel(OldKeys):
    """One kind of data on its way from bronze to silver."""

    enabled: bool = True
    """false: leave this kind in bronze."""
    partition_cols: Annotated[tuple[Column, ...], Strict(False), AfterValidator(_path_order)] = (
        "exchange",
        "symbol",
        "year",
        "month",
        "day",
    )
    """Folders of the silver table; `date` means year, month, day."""
    processor_options: Options = Field(default={})
    """Handed to the channel's transform; no secrets."""


class Orderbook(Channel):
    """Order books on their way from bronze to silver."""

    source: Literal["auto", "l2", "orderbook"] = "auto"
    """What features are made from: every change (l2), snapshots (orderbook), or auto: l2 where a stream has any."""


class Channels(Section):
    """The kinds of data that are refined."""

    trades: Channel = Channel()
    ticker: Channel = Channel()
    orderbook: Orderbook = Orderbook()


class BarSet(Section):
    """One kind of bars. Its parameters stand beside these keys; docs/bars.md lists them for each type."""

    # The builders of bars know their parameters, so they are not repeated here: the commands that make bars check them.
    model_config = ConfigDict(extra="allow")

    type: str
    """What closes a bar: time, tick, volume, dollar, one of the imbalance or run types, or streak."""
    symbols: ListOf[StoredSymbol] | None = None
    """Symbols to make these bars for; null: all."""
    exchanges: ListOf[StoredExchange] | None = None
    """Exchanges to make these bars for; null: all."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What stands beside the keys above, as written."""
        return dict(self.model_extra or {})


class Candles(Section):
    """Candles of the exchange's clock, for every stream that is refined."""

    intervals: ListOf[str] = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")
    """Lengths to keep. The finest is made of trades, each longer one of the next shorter that divides it; []: none."""


class Etl(OldKeys):
    """From bronze to silver and gold."""

    lateness_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How far behind the newest trade a row may arrive and still be taken in order."""
    poll_interval_s: Annotated[float, Field(ge=0.01, le=3600)] = 1.0
    """Pause between two looks for new segments."""
    checkpoint_keep_days: Annotated[int, Field(ge=1, le=3650)] = 7
    """Days whose checkpoints are kept, so that a rebuild starts near the damage."""
    side_convention: Mapping[StoredExchange, SideNames] = Field(default={})
    """Whose side an exchange's trades name: taker, maker or unknown; a change makes its silver and bars anew."""
    channels: Channels = Channels()
    candles: Candles = Candles()
    bars: Annotated[tuple[BarSet, ...], Strict(False)] = ()
    """The bar sets to make."""
