"""What Coinbase may send and the lake cannot hold becomes a reject, never a row that stops the sealing of others."""

import json
from typing import Any

import pytest

from ingestion.exchanges import coinbase_wire as coinbase
from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.protocol import Break, Send, SessionOptions, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from shared.errors import FrameMalformed
from shared.rows import L2Message, OrderBook, Reject, Row, Trade
from tests.levels import by_level

TIME = "2026-08-09T21:05:42.514318Z"


def trades_frame(sequence_num: int = 0, **changes: str) -> bytes:
    trade = {"trade_id": "7", "product_id": "BTC-USD", "price": "1", "size": "1", "time": TIME, "side": "BUY"}
    return frame("market_trades", {"type": "update", "trades": [trade | changes]}, sequence_num)


def frame(channel: str, event: dict[str, Any], sequence_num: int = 0) -> bytes:
    return json.dumps({"channel": channel, "sequence_num": sequence_num, "timestamp": TIME, "events": [event]}).encode()


def only(message: bytes) -> Row:
    (row,) = coinbase.decode(message).rows
    return row


@pytest.mark.parametrize("product", ["", ".", "..", "BTC/USD", "BTC:USD", "BTC USD", "a\0b", "Ä-USD", "A" * 300])
def test_a_product_that_cannot_name_a_partition_is_a_reject(product: str) -> None:
    update = {"side": "bid", "event_time": TIME, "price_level": "1", "new_quantity": "1"}
    frames = [
        trades_frame(product_id=product),
        frame("l2_data", {"type": "update", "product_id": product, "updates": [update, update]}),
    ]
    if product:  # a ticker without a product is nobody's and says nothing
        frames.append(frame("ticker", {"tickers": [{"product_id": product, "price": "1"}]}))
    for message in frames:
        row = only(message)
        assert isinstance(row, Reject)
        assert row.symbol == UNKNOWN_SYMBOL
        assert len(row.reason) < 200


@pytest.mark.parametrize("number", ["9" * 20, "-1", "1_0", " 7", "", "abc", "\u0661"])
def test_a_trade_id_that_is_no_int64_is_a_reject_with_that_id(number: str) -> None:
    row = only(trades_frame(trade_id=number))
    assert isinstance(row, Reject)
    assert (row.symbol, row.row_id) == ("BTC-USD", number)


@pytest.mark.parametrize("number", [2**63, -1, 10**30])
@pytest.mark.parametrize("channel", ["market_trades", "heartbeats"])
def test_a_sequence_number_that_is_no_int64_makes_the_frame_malformed(number: int, channel: str) -> None:
    with pytest.raises(FrameMalformed):
        coinbase.decode(trades_frame(number).replace(b"market_trades", channel.encode()))


@pytest.mark.parametrize("field", ["price", "size"])
@pytest.mark.parametrize("text", ["1_000.5", "\u0661", "1e400", ""])
def test_numbers_that_only_python_reads_are_rejects(field: str, text: str) -> None:
    assert isinstance(only(trades_frame(**{field: text})), Reject)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "+10000-01-01T00:00:00Z"])
def test_a_time_outside_the_calendar_is_a_reject(time: str) -> None:
    assert isinstance(only(trades_frame(time=time)), Reject)


def test_a_book_side_that_is_neither_is_a_reject_and_the_last_accepted_level_ends_the_event() -> None:
    level = {"event_time": TIME, "price_level": "1", "new_quantity": "1"}
    updates = [{"side": side, **level} for side in ("bid", "offer", "ask", "")]
    rows = coinbase.decode(frame("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": updates})).rows
    assert [type(row) for row in rows] == [L2Message, Reject, Reject]
    levels = [level for row in rows if isinstance(row, L2Message) for level in by_level(row)]
    assert [(level.side, level.is_last) for level in levels] == [("bid", False), ("ask", True)]


def test_a_candle_that_begins_after_the_calendar_is_a_reject() -> None:
    candle = {"product_id": "BTC-USD", "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1"}
    message = frame("candles", {"candles": [candle | {"start": "253402300800"}]})
    assert isinstance(only(message), Reject)
    assert not isinstance(only(message.replace(b"253402300800", b"253402300799")), Reject)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"products":[{"product_id":"BTC-USD","status":"\xed\xa0\x80"}]}'])
def test_a_document_of_products_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(FrameMalformed):
        Coinbase().instruments(body, [])


def test_a_common_trade_is_a_row() -> None:
    assert isinstance(only(trades_frame()), Trade)


def test_a_book_with_an_impossible_level_is_not_believed_until_it_has_come_anew() -> None:
    wanted = [Subscription(table, "BTC-USD", "BTC-USD") for table in ("l2", "orderbook")]
    session = Coinbase(SessionOptions(orderbook_interval_ns=0)).session(wanted)

    def received(number: int, kind: str, *levels: tuple[str, str, str]) -> tuple[list[type[Row]], list[type]]:
        updates = [
            {"side": side, "event_time": TIME, "price_level": price, "new_quantity": size}
            for side, price, size in levels
        ]
        event = {"type": kind, "product_id": "BTC-USD", "updates": updates}
        rows = session.receive(frame("l2_data", event, number), 1, 1)
        events, session.events = session.events, []
        return [type(row) for row in rows], [type(each) for each in events]

    whole = ("bid", "100", "1"), ("offer", "101", "1")
    assert received(0, "snapshot", *whole) == ([L2Message, OrderBook], [])
    assert received(1, "update", ("bid", "100", "0"), ("offer", "101", "-3")) == ([L2Message, Reject], [Break, Send])
    assert received(2, "update", ("bid", "99", "5")) == ([L2Message], [])
    assert received(3, "snapshot", *whole) == ([L2Message, OrderBook], [])
    assert received(4, "update", ("bid", "99", "5")) == ([L2Message, OrderBook], [])
