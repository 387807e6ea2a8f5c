"""Binance's REST documents: book snapshots, the newest trade, open interest, markets.

Source: github.com/binance/binance-spot-api-docs (rest-api.md), developers.binance.com (USD-M futures, market data).
"""

from collections.abc import Iterable, Mapping

import msgspec

from ingestion.exchanges.binance_rows import levels_message
from ingestion.exchanges.binance_wire import Int64, Levels
from ingestion.exchanges.protocol import Newest
from ingestion.exchanges.wire_values import not_negative, optional_number, unix_us
from shared.rows import Instrument, L2Message, OpenInterest

_PERPETUAL = "PERPETUAL"  # TRADIFI_PERPETUAL too


class _Depth(msgspec.Struct, rename={"version": "lastUpdateId"}):
    version: Int64
    bids: Levels
    asks: Levels
    T: Int64 | None = None  # futures


class _NewestTrade(msgspec.Struct, rename={"last_id": "l", "trade_id": "id"}):
    last_id: Int64 | None = None  # of an aggregate
    trade_id: Int64 | None = None
    T: Int64 | None = None
    time: Int64 | None = None


class _OpenInterest(msgspec.Struct, rename={"amount": "openInterest"}):
    amount: str
    time: Int64


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str | None = None
    step_size: str | None = None
    min_qty: str | None = None
    min_notional: str | None = None  # spot
    notional: str | None = None  # futures


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str | None = None
    base_asset: str | None = None
    quote_asset: str | None = None
    margin_asset: str | None = None
    contract_type: str | None = None
    filters: list[_Filter] = []


class _Symbols(msgspec.Struct):
    symbols: list[_Symbol]


_depth = msgspec.json.Decoder(_Depth, strict=False)
_trades = msgspec.json.Decoder(list[_NewestTrade])
_open_interest = msgspec.json.Decoder(_OpenInterest)
_symbols = msgspec.json.Decoder(_Symbols)


def snapshot(symbol: str, body: bytes, msg_seq: int) -> L2Message | None:
    """The book of a REST document as one message; None where it has no levels.

    Raises:
        ValueError, msgspec.MsgspecError: the document is no book, or an impossible one.
    """
    document = _depth.decode(body)
    moment = unix_us(document.T) if document.T else None
    return levels_message(symbol, moment, document.bids, document.asks, (msg_seq, document.version, None))


def newest(body: bytes) -> Newest:
    """The newest trade's id and time; Raises as `snapshot`."""
    trades = _trades.decode(body)
    if not trades:
        return Newest(None, None)
    trade = trades[-1]
    moment = trade.time if trade.T is None else trade.T
    return Newest(
        trade.trade_id if trade.last_id is None else trade.last_id, None if moment is None else unix_us(moment)
    )


def open_interest(symbol: str, body: bytes) -> OpenInterest:
    """What is open now, in the base currency; Raises as `snapshot`."""
    document = _open_interest.decode(body)
    return OpenInterest(symbol, unix_us(document.time), amount=not_negative(document.amount), is_polled=True)


def instruments(body: bytes, names: Mapping[str, str]) -> Iterable[Instrument]:
    """The markets in a document whose raw names are among `names` (to ours); Raises as `snapshot`."""
    for each in _symbols.decode(body).symbols:
        if each.symbol in names:
            yield _instrument(names[each.symbol], each)


def _instrument(symbol: str, market: _Symbol) -> Instrument:
    filters = {each.filter_type: each for each in market.filters}
    price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    cost = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    is_future = market.contract_type is not None
    kind = "spot" if not is_future else "perpetual" if _PERPETUAL in (market.contract_type or "") else "future"
    return Instrument(
        symbol,
        None,
        raw_symbol=market.symbol,
        kind=kind,
        base=market.base_asset,
        quote=market.quote_asset,
        settle=market.margin_asset,
        status=market.status,
        tick_size=optional_number(price.tick_size) if price else None,
        lot_size=optional_number(lot.step_size) if lot else None,
        amount_min=optional_number(lot.min_qty) if lot else None,
        cost_min=optional_number(cost.min_notional or cost.notional) if cost else None,
        contract_size=1.0 if is_future else None,
        is_inverse=False if is_future else None,
    )
