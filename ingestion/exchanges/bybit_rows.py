"""Bybit v5's messages as rows."""

import msgspec

from ingestion.exchanges.bybit_wire import EXCHANGE, BookMessage, BybitKline, BybitLiquidation, BybitTrade, TickerFields
from ingestion.exchanges.wire_values import (
    EXACT_TEXT_MAX,
    inexact_text,
    not_negative,
    optional_number,
    positive,
    possible_levels,
    unix_us,
)
from shared.exchange_facts import taker_sides
from shared.rows import Candle, Funding, L2Message, Liquidation, OpenInterest, Reject, Row, Ticker, Trade

_TAKER_SIDE = taker_sides(EXCHANGE)
_CLOSING_SIDE = {"Buy": "sell", "Sell": "buy"}  # the position's side -> that of the order which closes it
_INTERVAL_S = {"1": 60}
_TICKER_FIELDS = frozenset(
    {
        "last_price",
        "price24h_pcnt",
        "prev_price24h",
        "high_price24h",
        "low_price24h",
        "volume24h",
        "turnover24h",
        "bid1_price",
        "bid1_size",
        "ask1_price",
        "ask1_size",
    }
)
_FUNDING_FIELDS = frozenset({"funding_rate", "next_funding_time", "funding_interval_hour", "mark_price", "index_price"})
_OPEN_INTEREST_FIELDS = frozenset({"open_interest", "open_interest_value"})


def trade_row(symbol: str, trade: BybitTrade) -> Row:
    """A fill, or a `Reject` in its place."""
    price_text, amount_text = trade.p, trade.v
    try:
        price, amount = positive(price_text), positive(amount_text)
        return Trade(
            symbol,
            unix_us(trade.T),
            trade.i,
            None,
            _TAKER_SIDE.get(trade.S),
            trade.S,
            price,
            amount,
            inexact_text(price_text, price) if len(price_text) > EXACT_TEXT_MAX else None,
            inexact_text(amount_text, amount) if len(amount_text) > EXACT_TEXT_MAX else None,
        )
    except ValueError as error:
        payload = msgspec.json.encode(trade).decode()
        return Reject(symbol, None, "trades", str(error), payload, row_id=trade.i)


def liquidation_row(symbol: str, closed: BybitLiquidation) -> Row:
    """A forced close at its bankruptcy price, or a `Reject` in its place."""
    try:
        side = _CLOSING_SIDE.get(closed.S)
        return Liquidation(symbol, unix_us(closed.T), side, closed.S, positive(closed.p), positive(closed.v))
    except ValueError as error:
        return Reject(symbol, None, "liquidations", str(error), msgspec.json.encode(closed).decode())


def candle_row(symbol: str, bar: BybitKline) -> Row:
    """A bar, or a `Reject` in its place."""
    try:
        if bar.interval not in _INTERVAL_S:
            raise ValueError(f"interval {bar.interval[:20]!r} was not asked for")
        prices = positive(bar.open), positive(bar.high), positive(bar.low), positive(bar.close)
        volumes = not_negative(bar.volume), not_negative(bar.turnover)
        interval_s = _INTERVAL_S[bar.interval]
        return Candle(symbol, unix_us(bar.start), interval_s, *prices, *volumes, is_closed=bar.confirm)
    except ValueError as error:
        return Reject(symbol, None, "candles", str(error), msgspec.json.encode(bar).decode())


def book_message(symbol: str, message: BookMessage, msg_seq: int) -> L2Message | None:
    """The levels as one book message; None where there are none.

    Raises:
        ValueError: a level is impossible. Half of a message would make a wrong book, so none of it is taken.
    """
    book = message.data
    if not book.b and not book.a:
        return None
    prices, sizes = map(list, zip(*book.b, *book.a, strict=True))
    if not possible_levels(prices, sizes):
        raise ValueError(f"{symbol}: a level's price or size is impossible")
    sides = ["bid"] * len(book.b) + ["ask"] * len(book.a)
    is_snapshot = message.type == "snapshot"
    moment = unix_us(message.cts or message.ts)
    prev_id = None if is_snapshot else book.u - 1
    return L2Message(symbol, moment, msg_seq, is_snapshot, sides, prices, sizes, book.u, prev_id)


class TickerState:
    """What is known of one market, from its last snapshot and every change since."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._texts: dict[str, str] = {}

    def set_best(self, moment_us: int, book: BookMessage) -> list[Row]:
        """The best bid and ask where the ticker itself does not have them; a row where they changed."""
        best = self._texts.copy()
        for side, levels in (("bid1", book.data.b), ("ask1", book.data.a)):
            if levels:
                best |= {f"{side}_price": repr(levels[0][0]), f"{side}_size": repr(levels[0][1])}
        if best == self._texts:
            return []
        self._texts = best
        return [self._ticker(moment_us)]

    def update(self, moment_us: int, fields: TickerFields, *, is_snapshot: bool, tables: set[str]) -> list[Row]:
        """The rows, among these tables, of what a message says that was not known, or was otherwise."""
        texts = {name: text for name in TickerFields.__struct_fields__ if (text := getattr(fields, name)) is not None}
        if is_snapshot:
            kept = {name: text for name, text in self._texts.items() if name.startswith(("bid1", "ask1"))}
            changed, self._texts = set(texts), {**kept, **texts}
        else:
            changed = set(texts)
            self._texts |= texts
        rows: list[Row] = []
        if "ticker" in tables and changed & _TICKER_FIELDS:
            rows.append(self._ticker(moment_us))
        if "funding" in tables and changed & _FUNDING_FIELDS:
            rows.append(self._funding(moment_us))
        if "open_interest" in tables and changed & _OPEN_INTEREST_FIELDS:
            amount, value = self._number("open_interest"), self._number("open_interest_value")
            rows.append(OpenInterest(self._symbol, moment_us, amount=amount, value=value))
        return rows

    def _number(self, name: str) -> float | None:
        return optional_number(self._texts.get(name))

    def _ticker(self, moment_us: int) -> Ticker:
        last, before, fraction = (
            self._number("last_price"),
            self._number("prev_price24h"),
            self._number("price24h_pcnt"),
        )
        return Ticker(
            self._symbol,
            moment_us,
            bid=self._number("bid1_price"),
            ask=self._number("ask1_price"),
            bid_volume=self._number("bid1_size"),
            ask_volume=self._number("ask1_size"),
            last=last,
            open=before,
            high=self._number("high_price24h"),
            low=self._number("low_price24h"),
            close=last,
            base_volume=self._number("volume24h"),
            quote_volume=self._number("turnover24h"),
            percentage=None if fraction is None else round(fraction * 100, 10),
        )

    def _funding(self, moment_us: int) -> Funding:
        settles = self._texts.get("next_funding_time", "")
        return Funding(
            self._symbol,
            moment_us,
            self._number("funding_rate"),
            settles_at=unix_us(int(settles)) if settles.isascii() and settles.isdecimal() and settles != "0" else None,
            interval_hours=self._number("funding_interval_hour"),
            mark_price=self._number("mark_price"),
            index_price=self._number("index_price"),
        )
