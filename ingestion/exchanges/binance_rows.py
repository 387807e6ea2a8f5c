"""Binance's stream messages as rows."""

from typing import Any

import msgspec

from ingestion.exchanges.binance_wire import (
    BestEvent,
    CandleEvent,
    DepthEvent,
    FundingEvent,
    Levels,
    LiquidationEvent,
    MarketEvent,
    TickerEvent,
    TradeEvent,
)
from ingestion.exchanges.wire_values import (
    EXACT_TEXT_MAX,
    inexact_text,
    not_negative,
    optional_number,
    positive,
    possible_levels,
    unix_us,
)
from shared.rows import Candle, Funding, L2Message, Liquidation, Reject, Row, Ticker, Trade

_INTERVAL_S = {"1m": 60}
_ORDER_SIDE = {"BUY": "buy", "SELL": "sell"}


def book_message(symbol: str, event: DepthEvent, msg_seq: int) -> L2Message | None:
    """The event as one book message; None where nothing changed.

    Raises:
        ValueError: a level is impossible. Half of a message would make a wrong book, so none of it is taken.
    """
    prev_id = event.U - 1 if event.pu is None else event.pu
    moment = unix_us(event.E if event.T is None else event.T)
    return levels_message(symbol, moment, event.b, event.a, (msg_seq, event.u, prev_id))


def levels_message(
    symbol: str, moment: int | None, bids: Levels, asks: Levels, numbers: tuple[int, int, int | None]
) -> L2Message | None:
    """Levels as one book message, None where there are none.

    `numbers` are those of the frame, of the version that it makes, and of the one before (None: a snapshot).

    Raises:
        ValueError: a level is impossible.
    """
    msg_seq, update_id, prev_update_id = numbers
    if not bids and not asks:
        return None
    prices, sizes = map(list, zip(*bids, *asks, strict=True))
    if not possible_levels(prices, sizes):
        raise ValueError(f"{symbol}: a level's price or size is impossible")
    sides = ["bid"] * len(bids) + ["ask"] * len(asks)
    return L2Message(symbol, moment, msg_seq, prev_update_id is None, sides, prices, sizes, update_id, prev_update_id)


def market_row(symbol: str, event: MarketEvent) -> Row:
    """The row of everything but a book; a `Reject` in its place where a value is impossible."""
    table, make = _ROW_OF[type(event)]
    try:
        return make(symbol, event)  # type: ignore[no-any-return]
    except ValueError as error:
        row_id = str(event.t) if isinstance(event, TradeEvent) else None
        return Reject(symbol, None, table, str(error), msgspec.json.encode(event).decode(), row_id=row_id)


def _trade(symbol: str, event: TradeEvent) -> Row:
    if event.X == "NA":  # the id is spent all the same: as a reject that names it, it leaves no hole
        raise ValueError("no trade: the exchange used up this id without one")
    price_text, amount_text = event.p, event.q
    price, amount = positive(price_text), positive(amount_text)
    side = "sell" if event.m else "buy"
    return Trade(
        symbol,
        unix_us(event.T),
        str(event.t),
        event.t,
        side,
        side,
        price,
        amount,
        inexact_text(price_text, price) if len(price_text) > EXACT_TEXT_MAX else None,
        inexact_text(amount_text, amount) if len(amount_text) > EXACT_TEXT_MAX else None,
    )


def _ticker(symbol: str, event: TickerEvent) -> Row:
    last = optional_number(event.c)
    return Ticker(
        symbol,
        unix_us(event.E),
        bid=optional_number(event.b),
        ask=optional_number(event.a),
        bid_volume=optional_number(event.B),
        ask_volume=optional_number(event.A),
        last=last,
        open=optional_number(event.o),
        high=optional_number(event.h),
        low=optional_number(event.low),
        close=last,
        vwap=optional_number(event.w),
        base_volume=optional_number(event.v),
        quote_volume=optional_number(event.q),
        change=optional_number(event.p),
        percentage=optional_number(event.P),
    )


def _best(symbol: str, event: BestEvent) -> Row:
    return Ticker(
        symbol,
        None if event.T is None else unix_us(event.T),
        bid=positive(event.b),
        ask=positive(event.a),
        bid_volume=not_negative(event.B),
        ask_volume=not_negative(event.A),
    )


def _candle(symbol: str, event: CandleEvent) -> Row:
    bar = event.k
    if bar.i not in _INTERVAL_S:
        raise ValueError(f"interval {bar.i[:20]!r} was not asked for")
    prices = positive(bar.o), positive(bar.h), positive(bar.low), positive(bar.c)
    volumes = not_negative(bar.v), not_negative(bar.q)
    return Candle(symbol, unix_us(bar.t), _INTERVAL_S[bar.i], *prices, *volumes, bar.n, bar.x)


def _funding(symbol: str, event: FundingEvent) -> Row:
    return Funding(
        symbol,
        unix_us(event.E),
        optional_number(event.r),
        settles_at=unix_us(event.T) if event.T else None,
        mark_price=positive(event.p),
        index_price=optional_number(event.i),
    )


def _liquidation(symbol: str, event: LiquidationEvent) -> Row:
    order = event.o
    closed = optional_number(order.z) or positive(order.q)  # all that was to be closed, where it does not say
    average = optional_number(order.ap) or None
    side = _ORDER_SIDE.get(order.S)
    return Liquidation(symbol, unix_us(order.T), side, order.S, positive(order.p), closed, average)


_ROW_OF: dict[type[Any], tuple[str, Any]] = {
    TradeEvent: ("trades", _trade),
    TickerEvent: ("ticker", _ticker),
    BestEvent: ("ticker", _best),
    CandleEvent: ("candles", _candle),
    FundingEvent: ("funding", _funding),
    LiquidationEvent: ("liquidations", _liquidation),
}
