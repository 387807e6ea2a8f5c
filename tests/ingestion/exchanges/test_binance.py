"""What is asked of Binance, what it answers, and what its REST documents say."""

import json
from typing import Any

import pytest

from ingestion.exchanges.binance import Binance
from ingestion.exchanges.binance_session import BinanceSession
from ingestion.exchanges.binanceus import BinanceUs
from ingestion.exchanges.binanceusdm import BinanceUsdm
from ingestion.exchanges.protocol import Exchange, Leaving, Newest, SessionOptions, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from shared.errors import FrameMalformed
from shared.exchange_facts import taker_sides
from shared.rows import Funding, Instrument, L2Message, Liquidation, OpenInterest, OrderBook, Reject, Ticker, Trade
from tests.ingestion.exchanges.book_reading import Stored

ETH = "ETH-USDT"
TRADE = {"e": "trade", "E": 1723161255612, "s": "ETHUSDT", "t": 7, "p": "1", "q": "2", "T": 1723161255611, "m": True}


def wanted(*tables: str, symbol: str = ETH) -> list[Subscription]:
    return [Subscription(table, symbol, symbol.split("_")[0].replace("-", "")) for table in tables]


def stream(name: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"stream": name, "data": data}, separators=(",", ":")).encode()


def trade(**changes: Any) -> bytes:
    return stream("ethusdt@trade", TRADE | changes)


def only(exchange: Exchange, frame: bytes, *tables: str) -> Any:
    (row,) = exchange.session(wanted(*(tables or ("trades",)))).receive(frame, 0, 0)
    return row


def opened(exchange: Exchange, *tables: str) -> tuple[BinanceSession, list[dict[str, Any]]]:
    session = exchange.session(wanted(*tables))
    assert isinstance(session, BinanceSession)
    return session, [json.loads(frame) for frame in session.opening()]


def test_what_is_acknowledged_is_confirmed_by_the_request_s_number() -> None:
    session, requests = opened(Binance(), "trades", "l2", "orderbook", "ticker", "candles")
    (request,) = requests
    assert request["method"] == "SUBSCRIBE"
    assert sorted(request["params"]) == [
        "ethusdt@depth@100ms",  # carries two tables, and is named once
        "ethusdt@kline_1m",
        "ethusdt@ticker",
        "ethusdt@trade",
    ]
    session.receive(b'{"result":null,"id":4711}', 0, 0)
    assert session.unconfirmed == session.wanted
    session.receive(json.dumps({"result": None, "id": request["id"]}).encode(), 0, 0)
    assert session.unconfirmed == set()


@pytest.mark.parametrize(
    "answer", [{"error": {"code": 2, "msg": "Invalid request"}}, {"code": 2, "msg": "Invalid request"}]
)
def test_what_is_refused_is_refused_stream_by_stream(answer: dict[str, Any]) -> None:
    session, requests = opened(Binance(), "trades", "ticker")
    stored = Stored(session)
    stored.receive(json.dumps(answer | {"id": requests[0]["id"]}).encode())
    assert {each.subscription for each in stored.refusals} == set(wanted("trades", "ticker"))
    assert {each.reason for each in stored.refusals} == {"Invalid request (2)"}
    assert session.unconfirmed == set()
    stored.receive(json.dumps({"error": {"code": 3, "msg": "Too many"}}).encode())
    assert stored.refusals[-1].subscription is None


@pytest.mark.parametrize(
    "frame", [b'{"e":"serverShutdown","E":1}', b'{"stream":"x","data":{"e":"serverShutdown","E":1}}']
)
def test_an_announced_shutdown_is_passed_on(frame: bytes) -> None:
    session = Binance().session(wanted("trades"))
    assert session.receive(frame, 0, 0) == []
    assert session.events == [Leaving("serverShutdown")]


def test_streams_that_are_given_up() -> None:
    session, _ = opened(Binance(), "trades", "l2", "orderbook")
    session.forget(wanted("orderbook"))
    assert session.unsubscribe(wanted("orderbook")) == []  # l2 needs the stream still
    session.forget(wanted("l2", "trades"))
    (frame,) = session.unsubscribe(wanted("l2", "trades"))
    assert sorted(json.loads(frame)["params"]) == ["ethusdt@depth@100ms", "ethusdt@trade"]
    assert session.receive(trade(), 0, 0) == []  # still under way
    session.want(wanted("trades"))
    assert [row.trade_id for row in session.receive(trade(), 0, 0)] == ["7"]


def test_what_was_never_asked_for_is_a_reject_without_a_symbol() -> None:
    row = only(Binance(), trade(s="XRPUSDT"))
    assert isinstance(row, Reject)
    assert row.symbol == UNKNOWN_SYMBOL


@pytest.mark.parametrize(("factor", "expected"), [(1, 1723161255611000), (1000, 1723161255611000)])
def test_times_in_milliseconds_and_in_microseconds_are_the_same(factor: int, expected: int) -> None:
    assert only(Binance(), trade(T=1723161255611 * factor)).timestamp == expected


@pytest.mark.parametrize(("buyer_is_maker", "side"), [(True, "sell"), (False, "buy")])
@pytest.mark.parametrize(
    "exchange", [Binance(), BinanceUs(), BinanceUsdm()], ids=["binance", "binanceus", "binanceusdm"]
)
def test_the_taker_s_side_is_the_one_that_silver_finds(exchange: Exchange, buyer_is_maker: bool, side: str) -> None:
    row = only(exchange, trade(m=buyer_is_maker))
    assert (row.side, taker_sides(exchange.profile.name)[row.side_raw]) == (side, side)


@pytest.mark.parametrize("change", [{"p": "0"}, {"q": "-1"}, {"p": "1_0"}, {"q": "nan"}, {"T": 10**18}])
def test_an_impossible_trade_is_a_reject_that_names_its_id(change: dict[str, Any]) -> None:
    row = only(Binance(), trade(**change))
    assert isinstance(row, Reject)
    assert (row.symbol, row.channel, row.row_id) == (ETH, "trades", "7")


def test_an_id_that_is_spent_without_a_trade_is_a_reject_that_names_it() -> None:
    row = only(BinanceUsdm(), trade(p="0", q="0", X="NA", st=1))
    assert isinstance(row, Reject)
    assert (row.row_id, "no trade" in row.reason) == ("7", True)


@pytest.mark.parametrize("change", [{"t": 2**63}, {"t": "7"}, {"p": 1.5}, {"T": -1}, {"m": "yes"}, {"s": None}])
def test_a_trade_of_another_shape_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(FrameMalformed):
        Binance().session(wanted("trades")).receive(trade(**change), 0, 0)


@pytest.mark.parametrize(
    "frame", [b"", b"[]", b"{}", b"null", b'{"stream":5}', b"\xff", b'{"stream":"a@trade"}', b"pong"]
)
def test_what_is_no_message_is_malformed(frame: bytes) -> None:
    with pytest.raises(FrameMalformed):
        Binance().session(wanted("trades")).receive(frame, 0, 0)


def test_messages_are_read_however_they_are_spaced_and_ordered() -> None:
    text = json.dumps({"data": TRADE, "stream": "ethusdt@trade"}, indent=1).encode()
    assert only(Binance(), text) == only(Binance(), trade())


def test_a_text_that_float64_cannot_hold_is_kept() -> None:
    row = only(Binance(), trade(p="0.12345678901234567"))
    assert (row.price_text, row.amount_text) == ("0.12345678901234567", None)


def test_the_ticker_has_both_sides_on_spot_and_on_futures() -> None:
    day = {"e": "24hrTicker", "E": 1723161255612, "s": "ETHUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "3"}
    day |= {"c": "1.55", "o": "1", "h": "2", "l": "0.5", "w": "1.2", "v": "10", "q": "12", "p": "0.55", "P": "55.0"}
    assert only(Binance(), stream("ethusdt@ticker", day), "ticker") == Ticker(
        ETH, 1723161255612000, 1.5, 1.6, 2.0, 3.0, 1.55, 1.0, 2.0, 0.5, 1.55, 1.2, 10.0, 12.0, 0.55, 55.0
    )
    best = {"e": "bookTicker", "u": 1, "s": "ETHUSDT", "b": "1.5", "B": "2", "a": "1.6", "A": "0", "T": 5, "E": 6}
    row = only(BinanceUsdm(), stream("ethusdt@bookTicker", best), "ticker")
    assert row == Ticker(ETH, 5000, 1.5, 1.6, 2.0, 0.0)


def test_funding_and_liquidations_of_futures() -> None:
    mark = {
        "e": "markPriceUpdate",
        "E": 1562305380000,
        "s": "ETHUSDT",
        "p": "11794.15",
        "P": "11784.6",
        "i": "11784.62",
    }
    row = only(BinanceUsdm(), stream("ethusdt@markPrice@1s", mark | {"r": "0.00038167", "T": 1562306400000}), "funding")
    assert row == Funding(
        ETH, 1562305380000000, 0.00038167, None, 1562306400000000, None, 11794.15, 11784.62, is_polled=False
    )
    assert only(BinanceUsdm(), stream("ethusdt@markPrice@1s", mark | {"r": "", "T": 0}), "funding").settles_at is None
    order = {"s": "ETHUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "2049.1", "p": "0.0711500", "ap": "0.0722187"}
    order |= {"X": "FILLED", "l": "245.9", "z": "2049.0", "T": 1791091026103, "ps": "ETHUSDT", "st": 1}
    forced = stream("ethusdt@forceOrder", {"e": "forceOrder", "E": 1791091027107, "o": order})
    row = only(BinanceUsdm(), forced, "liquidations")
    assert row == Liquidation(ETH, 1791091026103000, "sell", "SELL", 0.07115, 2049.0, 0.0722187)


def test_open_interest_is_polled_and_says_so() -> None:
    exchange = BinanceUsdm()
    (subscription,) = wanted("open_interest")
    request = exchange.polls(subscription)
    assert request is not None
    assert request.url == "https://fapi.binance.com/fapi/v1/openInterest?symbol=ETHUSDT"
    body = b'{"openInterest":"10659.509","symbol":"ETHUSDT","time":1589437530011}'
    assert exchange.polled(subscription, body) == [OpenInterest(ETH, 1589437530011000, None, 10659.509, None, True)]
    with pytest.raises(FrameMalformed):
        exchange.polled(subscription, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert exchange.polls(wanted("trades")[0]) is None
    session, requests = opened(exchange, "open_interest")
    assert (requests, session.unconfirmed) == ([], set())


def test_addresses() -> None:
    (subscription,) = wanted("trades")
    assert Binance().endpoint(subscription) == "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"
    assert BinanceUs().endpoint(subscription) == "wss://stream.binance.us:9443/stream"
    local = BinanceUsdm(SessionOptions(ws_url="ws://127.0.0.1:1", rest_url="http://127.0.0.1:2"))
    paths = {table: local.endpoint(wanted(table)[0]) for table in local.profile.channels}
    assert {table for table, path in paths.items() if path == "ws://127.0.0.1:1/public/stream"} == {
        "trades",
        "ticker",
        "l2",
        "orderbook",
    }
    assert set(paths.values()) == {"ws://127.0.0.1:1/public/stream", "ws://127.0.0.1:1/market/stream"}
    request = local.look(subscription)
    assert request is not None
    assert request.url == "http://127.0.0.1:2/fapi/v1/trades?symbol=ETHUSDT&limit=1"
    assert local.look(wanted("liquidations")[0]) is None


@pytest.mark.parametrize(
    ("exchange", "symbol", "raw"),
    [
        (Binance(), "BTC/USDT", "BTCUSDT"),
        (Binance(), "1000SATS/FDUSD", "1000SATSFDUSD"),
        (Binance(), "BTC/USDT:USDT", None),
        (BinanceUsdm(), "BTC/USDT:USDT", "BTCUSDT"),
        (BinanceUsdm(), "BTC/USDC:USDC", "BTCUSDC"),
        (BinanceUsdm(), "BTC/USDT:USDT-261225", "BTCUSDT_261225"),
        (BinanceUsdm(), "BTC/USDT", None),
        (BinanceUsdm(), "BTC/USD:BTC", None),
    ],
)
def test_names(exchange: Exchange, symbol: str, raw: str | None) -> None:
    if raw is None:
        with pytest.raises(ValueError, match="write it as"):
            exchange.raw_symbol(symbol)
    else:
        assert exchange.raw_symbol(symbol) == raw


def test_the_newest_trade_by_rest() -> None:
    (subscription,) = wanted("trades")
    aggregate = b'[{"a":26129,"p":"0.01","q":"4.7","f":27781,"l":27785,"T":1498793709153,"m":true,"M":true}]'
    assert Binance().newest(subscription, aggregate) == Newest(27785, 1498793709153000)
    single = b'[{"id":28457,"price":"4.0","qty":"12","quoteQty":"48","time":1499865549590,"isBuyerMaker":true}]'
    assert BinanceUsdm().newest(subscription, single) == Newest(28457, 1499865549590000)
    assert Binance().newest(subscription, b"[]") == Newest(None, None)
    with pytest.raises(FrameMalformed):
        Binance().newest(subscription, b'{"code":-1121,"msg":"Invalid symbol."}')


def test_markets_by_rest() -> None:
    market = {"symbol": "ETHUSDT", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "USDT", "filters": []}
    market["filters"] = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00010000", "maxQty": "9000", "stepSize": "0.00020000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ]
    body = json.dumps({"symbols": [{"symbol": "BTCUSDT"}, market]}).encode()
    assert Binance().instruments(body, wanted("trades")) == [
        Instrument(ETH, None, "ETHUSDT", "spot", "ETH", "USDT", None, "TRADING", 0.01, 0.0002, 0.0001, 5.0)
    ]
    market |= {"contractType": "PERPETUAL", "marginAsset": "USDT"}
    market["filters"][2] = {"filterType": "MIN_NOTIONAL", "notional": "20"}
    body = json.dumps({"symbols": [market]}).encode()
    assert BinanceUsdm().instruments(body, wanted("trades")) == [
        Instrument(
            ETH, None, "ETHUSDT", "perpetual", "ETH", "USDT", "USDT", "TRADING", 0.01, 0.0002, 0.0001, 20.0, 1.0, False
        )
    ]
    (request,) = Binance().instruments_requests(wanted("trades", "l2"))
    assert request.url == "https://api.binance.com/api/v3/exchangeInfo?symbols=%5B%22ETHUSDT%22%5D"


def test_a_book_that_is_wanted_anew_is_fetched_and_the_stream_goes_on() -> None:
    stored = Stored(Binance(SessionOptions(orderbook_interval_ns=0)).session(wanted("l2", "orderbook")))
    first = {"e": "depthUpdate", "E": 5, "s": "ETHUSDT", "U": 2, "u": 3, "b": [["1", "2"]], "a": [["3", "1"]]}
    stored.receive(stream("ethusdt@depth@100ms", first))
    book = b'{"lastUpdateId":2,"bids":[["1","1"]],"asks":[["3","1"]]}'
    stored.answer(book)
    assert [row.nonce for row in stored.of(OrderBook)] == [2, 3]
    assert stored.session.resync(ETH) == []
    stored.settle()
    stored.receive(stream("ethusdt@depth@100ms", first | {"U": 4, "u": 5}))
    assert (len(stored.requests), len(stored.of(L2Message))) == (1, 2)
    stored.answer(book.replace(b":2", b":4"))
    assert [row.nonce for row in stored.of(OrderBook)] == [2, 3, 4, 5]
    assert stored.session.resync("BTC-USDT") == []
    assert stored.session.events == []


def test_trades_are_rows_whoever_else_is_malformed() -> None:
    stored = Stored(Binance().session(wanted("trades")))
    for frame in (trade(), b"{", trade(t=8)):
        stored.receive(frame)
    assert [row.trade_seq for row in stored.of(Trade)] == [7, 8]
    assert stored.malformed == 1
