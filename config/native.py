"""The section of exchanges that are captured by their own WebSocket protocol."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from config.section import CcxtSymbol, ListOf, RestAddress, Section, WebSocketAddress, refuse

_BOOK_DEPTH = Annotated[int, Field(ge=1, le=5000)]
_MILLISECONDS = Annotated[int, Field(ge=0, le=3_600_000)]
ON_BY_DEFAULT = ("trades", "ticker", "l2")


class NativeChannels(Section):
    """Which symbols each table of a native exchange records."""

    trades: ListOf[CcxtSymbol] | None = None
    """Every trade. null: `symbols`; []: off; or a list of its own."""
    ticker: ListOf[CcxtSymbol] | None = None
    """The exchange's running summary. null: `symbols`, where the exchange has it; []: off; or a list."""
    l2: ListOf[CcxtSymbol] | None = None
    """Every change of the order book. null: `symbols`; []: off; or a list of its own."""
    orderbook: ListOf[CcxtSymbol] | None = ()
    """Snapshots of the best levels, see `orderbook_depth`. null: `symbols`; []: off; or a list of its own."""
    candles: ListOf[CcxtSymbol] | None = ()
    """The exchange's own candles. null: `symbols`; []: off; or a list of its own."""
    funding: ListOf[CcxtSymbol] | None = ()
    """Funding rates of perpetuals. null: `symbols`; []: off; or a list of its own."""
    liquidations: ListOf[CcxtSymbol] | None = ()
    """Forced orders of perpetuals. null: `symbols`; []: off; or a list of its own."""
    open_interest: ListOf[CcxtSymbol] | None = ()
    """Open contracts; polled where there is no stream. null: `symbols`; []: off; or a list of its own."""


class NativeExchange(Section):
    """One exchange over its own WebSocket."""

    enabled: bool = True
    """false: capture nothing here, whatever the lists say."""
    symbols: ListOf[CcxtSymbol] = ()
    """Symbols in the unified form: BTC/USD, and BTC/USDT:USDT for a perpetual settled in USDT."""
    channels: NativeChannels = NativeChannels()
    orderbook_depth: _BOOK_DEPTH = 50
    """Levels per side that an order book snapshot keeps."""
    orderbook_interval_ms: _MILLISECONDS = 1000
    """Least time between two snapshots of one book; 0: one with every change."""
    poll_interval_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """How often a table without a stream is asked for, per symbol."""
    ws_url: WebSocketAddress | None = None
    """In place of the exchange's own; a local simulator's address goes here."""
    rest_url: RestAddress | None = None
    """In place of the exchange's own."""
    silence_timeout_s: Annotated[float, Field(ge=0.1, le=3600)] | None = None
    """Reconnect after this long without any message; null: what suits the exchange."""

    @property
    def chosen(self) -> dict[str, tuple[str, ...] | None]:
        """Table -> symbols; None where `symbols` are meant, as far as the exchange has that table."""
        if not self.enabled:
            return {}
        lists = {name: getattr(self.channels, name) for name in type(self.channels).model_fields}
        return {name: own for name, own in lists.items() if own is None or own}

    @property
    def subscriptions(self) -> dict[str, tuple[str, ...]]:
        """Table -> symbols, only what is on; the exchange is not asked whether it has it."""
        chosen = {name: self.symbols if own is None else own for name, own in self.chosen.items()}
        return {name: symbols for name, symbols in chosen.items() if symbols}


def _known_form(found: Mapping[str, NativeExchange]) -> Mapping[str, NativeExchange]:
    for name in found:
        if not (name.isascii() and name.isalnum() and name == name.lower()):
            raise refuse(f"exchange names such as kraken or binanceusdm, not {name!r}")
    return found


class Native(Section):
    """Exchanges captured over their own WebSocket, each by a module of its own."""

    exchanges: Annotated[Mapping[str, NativeExchange], AfterValidator(_known_form)] = {}
    """One entry per exchange; `docs/exchanges.md` lists them."""
