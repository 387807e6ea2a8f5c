"""OKX v5's data as rows, of every channel but the books.

Sizes of derivatives are contracts, and stay so: what a contract is worth stands in the instruments (`contract_size`),
and a stream must not change its unit because that document came late. Candles and tickers give volumes in the base
currency too, and those are taken.

Source: okx.com/docs-v5, WebSocket channels tickers, trades, trades-all, candle1m, funding-rate, liquidation-orders and
open-interest, as of August 2026; recorded frames of 2022-05-13.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ingestion.exchanges.okx_wire import EXCHANGE_NAME, Envelope, is_spot, ms_us, reject, text_of
from ingestion.exchanges.wire_values import (
    EXACT_TEXT_MAX,
    inexact_text,
    not_negative,
    optional_number,
    positive,
    trade_number,
)
from shared.errors import FrameMalformed
from shared.exchange_facts import taker_sides
from shared.rows import Candle, Funding, Liquidation, OpenInterest, Row, Ticker, Trade

CANDLE_S = 60
_TAKER_SIDE = taker_sides(EXCHANGE_NAME)


class _Trade(msgspec.Struct, rename="camel", gc=False):
    inst_id: str
    trade_id: str
    px: msgspec.Raw
    sz: msgspec.Raw
    side: str
    ts: str
    count: str | None = None
    source: str | None = None


class _Ticker(msgspec.Struct, rename="camel", gc=False):
    inst_id: str
    ts: str
    inst_type: str = ""
    last: str | None = None
    bid_px: str | None = None
    bid_sz: str | None = None
    ask_px: str | None = None
    ask_sz: str | None = None
    open24h: str | None = None
    high24h: str | None = None
    low24h: str | None = None
    vol24h: str | None = None
    vol_ccy24h: str | None = msgspec.field(default=None, name="volCcy24h")


class _Candle(msgspec.Struct, array_like=True, gc=False):
    ts: str
    open: str
    high: str
    low: str
    close: str
    volume: str  # of derivatives in contracts
    volume_currency: str | None = None  # quote of spot, base of derivatives
    volume_quote: str | None = None
    confirm: str | None = None


class _Funding(msgspec.Struct, rename="camel", gc=False):
    inst_id: str
    ts: str
    funding_rate: str | None = None
    next_funding_rate: str | None = None
    funding_time: str | None = None
    next_funding_time: str | None = None


class _Liquidated(msgspec.Struct, rename="camel", gc=False):
    ts: str
    side: str = ""
    pos_side: str = ""
    bk_px: str | None = None
    sz: str | None = None


class _Liquidation(msgspec.Struct, rename="camel", gc=False):
    inst_id: str
    details: list[_Liquidated]


class _OpenInterest(msgspec.Struct, rename="camel", gc=False):
    inst_id: str
    ts: str
    oi: str | None = None
    oi_ccy: str | None = None
    oi_usd: str | None = None


def rows_of(envelope: Envelope, names: Mapping[str, str], *, keep_info: bool) -> list[Row] | None:
    """The rows of every channel but the books, oldest first; None for a channel that is not known here.

    `names` are the wanted symbols: OKX's -> ours. What cannot be a row is a reject; a liquidation of a symbol that is
    not wanted is left out, because they are subscribed for a whole kind of instruments.

    Raises:
        FrameMalformed: the data is not what the channel promises.
    """
    arg = envelope.arg
    assert arg is not None
    reader = _READERS.get(arg.channel)
    if reader is None:
        return None
    decoder, row = reader
    try:
        records = decoder.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrameMalformed(EXCHANGE_NAME, f"{arg.channel}: {error}") from error
    rows: list[Row] = []
    for record in records:
        inst_id = getattr(record, "inst_id", arg.inst_id)
        symbol = names.get(inst_id)
        if symbol is not None:
            rows += row(record, symbol, inst_id, keep_info)
        elif not isinstance(record, _Liquidation):
            rows.append(reject(None, _TABLES[arg.channel], f"instId {inst_id[:80]!r} is not subscribed", record))
    return rows


def _trades(trade: _Trade, symbol: str, inst_id: str, keep_info: bool) -> list[Row]:
    try:
        price_text, size_text = text_of(trade.px), text_of(trade.sz)
        price, amount = positive(price_text), positive(size_text)
        row = Trade(
            symbol,
            ms_us(trade.ts),
            trade.trade_id,
            trade_number(trade.trade_id),
            _TAKER_SIDE.get(trade.side),
            trade.side,
            price,
            amount,
            inexact_text(price_text, price) if len(price_text) > EXACT_TEXT_MAX else None,
            inexact_text(size_text, amount) if len(size_text) > EXACT_TEXT_MAX else None,
            None,
            msgspec.json.encode(trade).decode() if keep_info else None,
        )
    except ValueError as error:
        return [reject(symbol, "trades", str(error), trade, trade.trade_id[:80])]
    return [row]


def _ticker(ticker: _Ticker, symbol: str, inst_id: str, keep_info: bool) -> list[Row]:
    try:
        moment = ms_us(ticker.ts)
    except ValueError as error:
        return [reject(symbol, "ticker", str(error), ticker)]
    spot, last = is_spot(inst_id), optional_number(ticker.last)
    row = Ticker(
        symbol,
        moment,
        bid=optional_number(ticker.bid_px),
        ask=optional_number(ticker.ask_px),
        bid_volume=optional_number(ticker.bid_sz),
        ask_volume=optional_number(ticker.ask_sz),
        last=last,
        open=optional_number(ticker.open24h),
        high=optional_number(ticker.high24h),
        low=optional_number(ticker.low24h),
        close=last,
        base_volume=optional_number(ticker.vol24h if spot else ticker.vol_ccy24h),
        quote_volume=optional_number(ticker.vol_ccy24h) if spot else None,
        info_json=msgspec.json.encode(ticker).decode() if keep_info else None,
    )
    return [row]


def _candle(candle: _Candle, symbol: str, inst_id: str, keep_info: bool) -> list[Row]:
    try:
        prices = positive(candle.open), positive(candle.high), positive(candle.low), positive(candle.close)
        volume = not_negative(candle.volume if is_spot(inst_id) else candle.volume_currency or "")
        quote = optional_number(candle.volume_quote)
        closed = None if candle.confirm is None else candle.confirm == "1"
        row = Candle(symbol, ms_us(candle.ts), CANDLE_S, *prices, volume, quote_volume=quote, is_closed=closed)
    except ValueError as error:
        return [reject(symbol, "candles", str(error), candle)]
    return [row]


def _funding(funding: _Funding, symbol: str, inst_id: str, keep_info: bool) -> list[Row]:
    try:
        moment = ms_us(funding.ts)
        settles_at = ms_us(funding.funding_time) if funding.funding_time else None
        after = ms_us(funding.next_funding_time) if funding.next_funding_time else None
    except ValueError as error:
        return [reject(symbol, "funding", str(error), funding)]
    row = Funding(
        symbol,
        moment,
        rate=optional_number(funding.funding_rate),
        next_rate=optional_number(funding.next_funding_rate),
        settles_at=settles_at,
        interval_hours=None if after is None or settles_at is None else (after - settles_at) / 3_600_000_000,
        info_json=msgspec.json.encode(funding).decode() if keep_info else None,
    )
    return [row]


def _liquidations(liquidation: _Liquidation, symbol: str, inst_id: str, keep_info: bool) -> list[Row]:
    rows: list[Row] = []
    for each in liquidation.details:
        try:
            moment = ms_us(each.ts)
        except ValueError as error:
            rows.append(reject(symbol, "liquidations", str(error), each))
            continue
        info = msgspec.json.encode(each).decode() if keep_info else None
        price, amount = optional_number(each.bk_px), optional_number(each.sz)
        rows.append(Liquidation(symbol, moment, _TAKER_SIDE.get(each.side), each.side, price, amount, info_json=info))
    return rows


def _open_interest(interest: _OpenInterest, symbol: str, inst_id: str, keep_info: bool) -> list[Row]:
    try:
        moment = ms_us(interest.ts)
    except ValueError as error:
        return [reject(symbol, "open_interest", str(error), interest)]
    contracts, amount, value = (optional_number(each) for each in (interest.oi, interest.oi_ccy, interest.oi_usd))
    return [OpenInterest(symbol, moment, contracts=contracts, amount=amount, value=value)]


_Reader = tuple[msgspec.json.Decoder[Any], Callable[[Any, str, str, bool], list[Row]]]
_READERS: dict[str, _Reader] = {
    "trades-all": (msgspec.json.Decoder(list[_Trade]), _trades),
    "trades": (msgspec.json.Decoder(list[_Trade]), _trades),
    "tickers": (msgspec.json.Decoder(list[_Ticker]), _ticker),
    "candle1m": (msgspec.json.Decoder(list[_Candle]), _candle),
    "funding-rate": (msgspec.json.Decoder(list[_Funding]), _funding),
    "liquidation-orders": (msgspec.json.Decoder(list[_Liquidation]), _liquidations),
    "open-interest": (msgspec.json.Decoder(list[_OpenInterest]), _open_interest),
}
_TABLES = {"trades-all": "trades", "trades": "trades", "tickers": "ticker", "candle1m": "candles"}
_TABLES |= {"funding-rate": "funding", "open-interest": "open_interest"}
