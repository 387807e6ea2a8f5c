"""Bybit v5: topics, answers, books by `u`, tickers merged from their changes, and recorded frames."""

import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingestion.exchanges.bybit import Bybit
from ingestion.exchanges.bybit_session import BybitSession
from ingestion.exchanges.protocol import Newest, SessionOptions, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from ingestion.shards import plan_shards
from shared.errors import FrameMalformed
from shared.exchange_facts import taker_sides
from shared.partitioning import stored_symbol
from shared.rows import (
    Candle,
    Funding,
    Instrument,
    L2Message,
    Liquidation,
    OpenInterest,
    OrderBook,
    Reject,
    Ticker,
    Trade,
)
from tests.ingestion.exchanges.book_reading import Book, Stored, rebuilt

DATA = Path(os.environ.get("DAEDALUS_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}; set DAEDALUS_TEST_DATA")
BTC = "BTC-USDT_USDT"
EXACT = SessionOptions(orderbook_interval_ns=0)


def wanted(*tables: str, symbol: str = "BTC/USDT:USDT") -> list[Subscription]:
    return [Subscription(table, stored_symbol(symbol), Bybit().raw_symbol(symbol)) for table in tables]


def session(*tables: str, options: SessionOptions | None = None, symbol: str = "BTC/USDT:USDT") -> Stored:
    return Stored(Bybit(options).session(wanted(*tables, symbol=symbol)))


def frame(topic: str, data: Any, kind: str = "snapshot", **more: Any) -> bytes:
    return json.dumps(
        {"topic": topic, "type": kind, "ts": 1672304484978, "data": data} | more, separators=(",", ":")
    ).encode()


def book(
    number: int, bids: dict[str, str], asks: dict[str, str], kind: str = "delta", symbol: str = "BTCUSDT"
) -> bytes:
    data = {"s": symbol, "b": [*bids.items()], "a": [*asks.items()], "u": number, "seq": number * 7}
    return frame(f"orderbook.200.{symbol}", data, kind, cts=1672304484976)


def answer(request: bytes, *, success: bool = True, text: str = "") -> bytes:
    return json.dumps(
        {"success": success, "ret_msg": text, "op": "subscribe", "req_id": json.loads(request)["req_id"]}
    ).encode()


def test_trades_are_the_takers_and_prove_no_order() -> None:
    stored = session("trades")
    fill = {"T": 1784937600000, "s": "BTCUSDT", "S": "Buy", "v": "0.042", "p": "66985.50", "L": "PlusTick", "BT": False}
    stored.receive(
        frame(
            "publicTrade.BTCUSDT", [fill | {"i": "20f4-a"}, fill | {"i": "7", "S": "Sell"}, fill | {"i": "8", "p": "0"}]
        )
    )
    first, second, third = stored.rows
    assert first == Trade(BTC, 1784937600000000, "20f4-a", None, "buy", "Buy", 66985.5, 0.042)
    assert isinstance(second, Trade)
    assert (second.side, taker_sides("bybit")["Sell"]) == ("sell", "sell")
    assert isinstance(third, Reject)
    assert third.row_id == "8"


def test_requests_hold_ten_topics_and_a_refused_one_is_asked_for_again_topic_by_topic() -> None:
    streams = [each for n in range(11) for each in wanted("trades", symbol=f"C{n}/USDT")]
    stored = Stored(Bybit().session(streams))
    requests = stored.session.opening()
    assert [len(json.loads(each)["args"]) for each in requests] == [10, 1]
    stored.receive(answer(requests[1]))
    assert len(stored.session.unconfirmed) == 10
    stored.receive(answer(requests[0], success=False, text="Invalid symbol :[publicTrade.C3USDT]"))
    assert (stored.refusals, [len(json.loads(each)["args"]) for each in stored.sent]) == ([], [1] * 10)
    for request in list(stored.sent):
        is_bad = b"C3USDT" in request
        stored.receive(answer(request, success=not is_bad, text="Invalid symbol" if is_bad else ""))
    assert [(each.reason, each.subscription) for each in stored.refusals] == [
        ("Invalid symbol", wanted("trades", symbol="C3/USDT")[0])
    ]
    assert stored.session.unconfirmed == set()


def test_an_answer_without_a_number_is_for_the_oldest_request() -> None:
    stored = session("trades")
    stored.session.opening()
    stored.receive(b'{"success":true,"ret_msg":"subscribe","conn_id":"x","op":"subscribe"}')
    assert stored.session.unconfirmed == set()
    stored.receive(b'{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"","op":"ping"}')
    assert stored.rows == []


def test_topics_of_spot_and_linear() -> None:
    exchange = Bybit()
    assert exchange.endpoint(wanted("trades")[0]) == "wss://stream.bybit.com/v5/public/linear"
    assert exchange.endpoint(wanted("trades", symbol="BTC/USDT")[0]) == "wss://stream.bybit.com/v5/public/spot"
    linear, spot = exchange.session([]), exchange.session([])
    assert isinstance(linear, BybitSession)
    assert isinstance(spot, BybitSession)
    tables = ("ticker", "funding", "open_interest", "l2", "orderbook", "liquidations", "candles")
    named = json.loads(linear.subscribe(wanted(*tables))[0])["args"]
    assert named == ["tickers.BTCUSDT", "orderbook.200.BTCUSDT", "allLiquidation.BTCUSDT", "kline.1.BTCUSDT"]
    named = json.loads(spot.subscribe(wanted("ticker", "l2", "funding", symbol="BTC/USDT"))[0])["args"]
    assert named == ["tickers.BTCUSDT", "orderbook.1.BTCUSDT", "orderbook.200.BTCUSDT"]
    (refused,) = spot.events
    assert refused.subscription == wanted("funding", symbol="BTC/USDT")[0]  # type: ignore[union-attr]
    deep = Bybit(SessionOptions(orderbook_depth=500)).session(wanted("l2"))
    assert b"orderbook.1000.BTCUSDT" in deep.opening()[0]


def test_a_name_that_means_two_markets_is_carried_by_two_connections() -> None:
    streams = [
        *wanted("trades", "ticker"),
        *wanted("trades", symbol="BTC/USDT"),
        *wanted("trades", symbol="BTC/USDC:USDC"),
    ]
    shards = plan_shards(Bybit(), streams)
    carried = {shard.url.rpartition("/")[2]: {each.symbol for each in shard.subscriptions} for shard in shards}
    assert carried == {"linear": {BTC, "BTC-USDC_USDC"}, "spot": {"BTC-USDT"}}
    assert plan_shards(Bybit(), streams[:2], shards)[0].subscriptions == set(streams[:2])


def test_streams_that_are_given_up() -> None:
    stored = session("ticker", "funding", "trades")
    stored.session.forget(wanted("ticker"))
    assert stored.session.unsubscribe(wanted("ticker")) == []  # funding needs the topic still
    stored.session.forget(wanted("funding", "trades"))
    (request,) = stored.session.unsubscribe(wanted("funding", "trades"))
    assert sorted(json.loads(request)["args"]) == ["publicTrade.BTCUSDT", "tickers.BTCUSDT"]
    stored.receive(frame("tickers.BTCUSDT", {"symbol": "BTCUSDT", "lastPrice": "1"}))  # still under way
    assert stored.rows == []
    stored.receive(frame("tickers.XUSDT", {"symbol": "XUSDT", "lastPrice": "1"}))
    assert [row.symbol for row in stored.of(Reject)] == [UNKNOWN_SYMBOL]


def test_a_book_from_snapshot_and_deltas() -> None:
    stored = session("l2", "orderbook", options=EXACT)
    stored.receive(book(7, {"10": "1", "9": "2"}, {"11": "3"}, "snapshot"))
    stored.receive(book(8, {"10": "0"}, {"12": "4"}))
    assert [(row.update_id, row.prev_update_id) for row in stored.of(L2Message)] == [(7, None), (8, 7)]
    assert rebuilt(stored.rows, BTC)[0] == {"bid": {9.0: 2.0}, "ask": {11.0: 3.0, 12.0: 4.0}}
    assert stored.of(OrderBook)[-1].bids == [(9.0, 2.0)]
    assert stored.of(L2Message)[0].timestamp == 1672304484976000
    stored.receive(book(8, {"10": "5"}, {}))
    assert (stored.repeats, len(stored.of(L2Message))) == (1, 2)


def test_a_lost_message_is_one_break_of_one_symbol_and_a_new_subscription_of_it() -> None:
    streams = [each for name in ("BTC/USDT:USDT", "ETH/USDT:USDT") for each in wanted("l2", "orderbook", symbol=name)]
    stored = Stored(Bybit(EXACT).session(streams))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        stored.receive(book(1, {"10": "1"}, {"11": "3"}, "snapshot", symbol))
    stored.receive(book(3, {"9": "1"}, {}))
    stored.receive(book(4, {"8": "1"}, {}))  # nothing more is said of a book that is broken
    stored.receive(book(2, {"9": "7"}, {}, symbol="ETHUSDT"))
    (found,) = stored.breaks()
    assert (found.cause, found.symbols, found.evidence) == ("sequence_break", (BTC,), "u=2..2 missing")
    assert [json.loads(each)["op"] for each in stored.sent] == ["unsubscribe", "subscribe"]
    assert {json.loads(each)["args"][0] for each in stored.sent} == {"orderbook.200.BTCUSDT"}
    assert rebuilt(stored.rows, "ETH-USDT_USDT")[0] == {"bid": {10.0: 1.0, 9.0: 7.0}, "ask": {11.0: 3.0}}
    assert rebuilt(stored.rows, BTC)[0] is None
    assert len(stored.of(L2Message, BTC)) == 3  # stored all the same
    stored.receive(book(50, {"7": "1"}, {"8": "1"}, "snapshot"))
    stored.receive(book(51, {"7": "2"}, {}))
    assert rebuilt(stored.rows, BTC)[0] == {"bid": {7.0: 2.0}, "ask": {8.0: 1.0}}
    assert len(stored.breaks()) == 1


def test_a_book_that_begins_empty_begins_with_its_first_levels() -> None:
    stored = session("l2", "orderbook", options=EXACT)
    stored.receive(book(7, {}, {}, "snapshot"))
    stored.receive(book(8, {}, {}))
    assert stored.rows == []
    stored.receive(book(9, {"10": "1"}, {}))
    stored.receive(book(10, {}, {"11": "2"}))
    assert [row.is_snapshot for row in stored.of(L2Message)] == [True, False]
    assert rebuilt(stored.rows, BTC)[0] == {"bid": {10.0: 1.0}, "ask": {11.0: 2.0}}
    assert (stored.breaks(), len(stored.of(OrderBook))) == ([], 2)


@pytest.mark.parametrize(("number", "breaks"), [(1, 1), (9, 1), (8, 0), (7, 0)])
def test_a_snapshot_that_nobody_asked_for(number: int, breaks: int) -> None:
    """`u` 1 is a restart of the exchange's service; a jump says that there were messages between."""
    stored = session("l2")
    stored.receive(book(7, {"10": "1"}, {"11": "3"}, "snapshot"))
    stored.receive(book(number, {"9": "1"}, {"11": "3"}, "snapshot"))
    stored.receive(book(number + 1, {"9": "0"}, {}))
    assert (len(stored.breaks()), stored.sent) == (breaks, [])
    assert rebuilt(stored.rows, BTC)[0] == {"bid": {}, "ask": {11.0: 3.0}}


@given(
    st.lists(st.tuples(st.sampled_from(["8", "9"]), st.sampled_from(["0", "1", "2"])), min_size=1),
    st.sets(st.integers(1, 30)),
)
def test_the_book_is_the_true_one_whichever_messages_are_lost(changes: list[tuple[str, str]], lost: set[int]) -> None:
    stored = session("l2", "orderbook", options=EXACT)
    truth: Book = {"bid": {1.0: 1.0}, "ask": {11.0: 3.0}}
    books = {1: {"bid": {1.0: 1.0}, "ask": {11.0: 3.0}}}
    stored.receive(book(1, {"1": "1"}, {"11": "3"}, "snapshot"))
    came = 1
    for number, (price, size) in enumerate(changes, 2):
        truth["bid"][float(price)] = float(size)
        truth["bid"] = {level: amount for level, amount in truth["bid"].items() if amount}
        books[number] = {side: dict(levels) for side, levels in truth.items()}
        if number not in lost:
            stored.receive(book(number, {price: size}, {}))
            came += 1
        if stored.sent:  # the new subscription brings a snapshot
            stored.sent.clear()
            bids = {repr(level): repr(amount) for level, amount in truth["bid"].items()}
            stored.receive(book(number, bids, {"11": "3"}, "snapshot"))
            came += 1

    def check(seen: Book, version: int) -> None:
        assert seen == books[version]

    assert rebuilt(stored.rows, BTC, check)[0] is not None
    assert len(stored.of(L2Message)) == came


def test_an_impossible_level_refuses_the_message_and_the_next_one_shows_the_hole() -> None:
    stored = session("l2")
    stored.receive(book(7, {"10": "1"}, {"11": "3"}, "snapshot"))
    stored.receive(book(8, {"10": "nan"}, {}))
    assert (stored.malformed, stored.breaks()) == (1, [])
    stored.receive(book(9, {"10": "2"}, {}))
    assert len(stored.breaks()) == 1


def test_a_book_whose_snapshot_could_not_be_read_is_asked_for_again() -> None:
    stored = session("l2")
    for request in stored.session.opening():
        stored.receive(answer(request))
    stored.receive(book(7, {"10": "nan"}, {"11": "3"}, "snapshot"))
    stored.receive(book(8, {"10": "1"}, {}))
    stored.receive(book(9, {"10": "2"}, {}))
    assert [json.loads(request)["op"] for request in stored.sent] == ["unsubscribe", "subscribe"]


def test_linear_tickers_are_merged_and_each_table_has_a_row_where_it_changed() -> None:
    stored = session("ticker", "funding", "open_interest")
    whole = {"symbol": "BTCUSDT", "lastPrice": "17216.00", "prevPrice24h": "16926.50", "price24hPcnt": "0.017103"}
    whole |= {
        "highPrice24h": "17281.50",
        "lowPrice24h": "16915.00",
        "volume24h": "91705.276",
        "turnover24h": "1570383121.94",
    }
    whole |= {"bid1Price": "17215.50", "bid1Size": "84.489", "ask1Price": "17216.00", "ask1Size": "83.020"}
    whole |= {"markPrice": "17217.33", "indexPrice": "17227.36", "fundingRate": "-0.000212", "fundingIntervalHour": "8"}
    whole |= {"nextFundingTime": "1673280000000", "openInterest": "68744.761", "openInterestValue": "1183601235.91"}
    stored.receive(frame("tickers.BTCUSDT", whole))
    ticker = Ticker(
        BTC, 1672304484978000, 17215.5, 17216.0, 84.489, 83.02, 17216.0, 16926.5, 17281.5, 16915.0, 17216.0,
        base_volume=91705.276, quote_volume=1570383121.94, percentage=1.7103,
    )  # fmt: skip
    funding = Funding(BTC, 1672304484978000, -0.000212, None, 1673280000000000, 8.0, 17217.33, 17227.36)
    interest = OpenInterest(BTC, 1672304484978000, None, 68744.761, 1183601235.91, False)
    assert stored.rows == [ticker, funding, interest]
    stored.rows.clear()
    stored.receive(frame("tickers.BTCUSDT", {"symbol": "BTCUSDT", "bid1Price": "17215.60"}, "delta"))
    (row,) = stored.of(Ticker)
    assert (row.bid, row.bid_volume, row.ask, row.last) == (17215.6, 84.489, 17216.0, 17216.0)
    stored.receive(frame("tickers.BTCUSDT", {"symbol": "BTCUSDT", "openInterest": "5"}, "delta"))
    stored.receive(frame("tickers.BTCUSDT", {"symbol": "BTCUSDT", "markPrice": "17218"}, "delta"))
    assert [type(each) for each in stored.rows] == [Ticker, OpenInterest, Funding]
    assert (stored.rows[1].amount, stored.rows[2].rate) == (5.0, -0.000212)  # type: ignore[union-attr]


def test_candles_and_forced_closes() -> None:
    stored = session("candles", "liquidations")
    bar = {"start": 1672324800000, "end": 1672324859999, "interval": "1", "open": "16649.5", "close": "16677"}
    bar |= {"high": "16677", "low": "16608", "volume": "2.081", "turnover": "34666.4005", "confirm": True}
    stored.receive(frame("kline.1.BTCUSDT", [bar]))
    assert stored.rows == [
        Candle(BTC, 1672324800000000, 60, 16649.5, 16677.0, 16608.0, 16677.0, 2.081, 34666.4005, None, True)
    ]
    stored.rows.clear()
    closed = {"T": 1739502302929, "s": "BTCUSDT", "v": "20000", "p": "0.04499"}
    stored.receive(frame("allLiquidation.BTCUSDT", [closed | {"S": "Sell"}, closed | {"S": "Buy"}]))
    assert stored.rows == [  # `S` is the position's side: an order of the other side closes it
        Liquidation(BTC, 1739502302929000, "buy", "Sell", 0.04499, 20000.0),
        Liquidation(BTC, 1739502302929000, "sell", "Buy", 0.04499, 20000.0),
    ]


def test_rest_documents() -> None:
    exchange = Bybit()
    (linear,), (spot,) = wanted("trades"), wanted("trades", symbol="BTC/USDT")
    request = exchange.look(linear)
    assert request is not None
    assert request.url == "https://api.bybit.com/v5/market/recent-trade?category=linear&symbol=BTCUSDT&limit=1"
    body = b'{"retCode":0,"result":{"category":"linear","list":[{"execId":"a","time":"1784937600001"}]}}'
    assert exchange.newest(linear, body) == Newest(None, 1784937600001000)
    with pytest.raises(FrameMalformed):
        exchange.newest(linear, b'{"retCode":10001,"retMsg":"params error","result":{}}')
    market = {"symbol": "BTCUSDT", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT"}
    market |= {
        "priceFilter": {"tickSize": "0.01"},
        "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.00001", "minOrderAmt": "5"},
    }
    document = json.dumps({"result": {"category": "spot", "list": [market]}}).encode()
    assert exchange.instruments(document, [linear, spot]) == [
        Instrument("BTC-USDT", None, "BTCUSDT", "spot", "BTC", "USDT", None, "Trading", 0.01, 1e-6, 1e-5, 5.0)
    ]
    assert len(exchange.instruments_requests([linear, spot, *wanted("l2")])) == 2


@pytest.mark.parametrize(
    ("symbol", "raw"),
    [
        ("BTC/USDT", "BTCUSDT"),
        ("BTC/USDT:USDT", "BTCUSDT"),
        ("BTC/USDC:USDC", "BTCPERP"),
        ("ETH/BTC", "ETHBTC"),
        ("BTC/USD:BTC", None),
        ("BTC/USDT:USDC", None),
        ("BTC/USDT:USDT-261225", None),
    ],
)
def test_names(symbol: str, raw: str | None) -> None:
    if raw is None:
        with pytest.raises(ValueError, match="write it as"):
            Bybit().raw_symbol(symbol)
    else:
        assert Bybit().raw_symbol(symbol) == raw


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"topic":5}', b'{"topic":"tickers.B"}', b"\xff", b"pong"])
def test_what_is_no_message_is_malformed(text: bytes) -> None:
    stored = session("trades")
    stored.receive(text)
    assert stored.malformed == 1


def test_the_exchange_s_own_record_is_kept_where_that_is_set() -> None:
    stored = session("trades", options=SessionOptions(keep_info=True))
    fills = [
        {"T": 1, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "2", "i": str(n), "seq": n, "BT": True} for n in range(3)
    ]
    stored.receive(frame("publicTrade.BTCUSDT", fills))
    assert [json.loads(row.info_json) for row in stored.of(Trade)] == fills


@needs_data
@pytest.mark.parametrize(
    ("name", "quote", "settle", "count"),
    [("BYBIT.ws.1.0@cfcfe682.zst", "USDT", ":USDT", 198), ("BYBIT.ws.2.0@0f79187c.zst", "", "", 139)],
    ids=["linear", "spot"],
)
def test_recorded_best_prices(name: str, quote: str, settle: str, count: int) -> None:
    """`orderbook.1` repeats itself after three quiet seconds; a row is stored where something changed."""
    packed = (DATA / "cryptofeed" / "v2-history" / name).open("rb")
    lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8")
    frames = [line.split(": ", 1)[1].strip() for line in lines if line[0].isdigit()]
    documents = [each for each in map(json.loads, frames) if "topic" in each]
    assert len(documents) == count
    raws = sorted({each["data"]["s"] for each in documents})
    names = {raw: raw[:-4] + "/" + raw[-4:] + settle for raw in raws}
    streams = [each for raw in raws for each in wanted("ticker", symbol=names[raw])]
    stored = Stored(Bybit().session(streams))
    for text in frames:
        stored.receive(text.encode())
    assert stored.malformed == 0
    for raw in raws:
        expected: list[tuple[Decimal, ...]] = []
        for each in documents:
            if each["data"]["s"] == raw:
                (bid,), (ask,) = each["data"]["b"], each["data"]["a"]
                now = tuple(map(Decimal, (*bid, *ask)))
                expected += [now] if not expected or expected[-1] != now else []
        rows = stored.of(Ticker, stored_symbol(names[raw]))
        found = [tuple(Decimal(repr(n)) for n in (row.bid, row.bid_volume, row.ask, row.ask_volume)) for row in rows]
        assert found == expected
