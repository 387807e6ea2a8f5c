"""Kraken v2: what is asked for, what frames give, and that a book is never trusted beyond its checksum."""

import json
from decimal import Decimal
from itertools import chain
from typing import Any
from zlib import crc32

import pytest

from ingestion.exchanges.kraken import Kraken
from ingestion.exchanges.kraken_session import KrakenSession
from ingestion.exchanges.protocol import Break, Refused, Send, SessionOptions, Subscription
from ingestion.exchanges.wire_values import UNKNOWN_SYMBOL
from shared.errors import FrameMalformed
from shared.rows import Candle, L2Message, OrderBook, Reject, Ticker, Trade
from tests.conformance.sampling import DATA
from tests.levels import by_level

BTC, ETH = "BTC/USD", "ETH/USD"
SECOND_NS = 1_000_000_000
RECORDED_BOOK = DATA / "python-kraken-sdk" / "orderbook-v2.json"
XCHANGE = DATA / "xchange" / "xchange-kraken" / "kraken" / "dto" / "marketdata"
TIME = "2023-10-06T17:35:55.440295Z"


def stream(table: str, name: str = BTC) -> Subscription:
    return Subscription(table, name.replace("/", "-"), name)


def session(*streams: Subscription, **options: Any) -> KrakenSession:
    return Kraken(SessionOptions(**options)).session(streams)


def receive(of: KrakenSession, frame: str, mono_ns: int = 0) -> list[Any]:
    return list(of.receive(frame.encode(), 0, mono_ns))


def events(of: KrakenSession) -> list[Any]:
    happened, of.events = of.events, []
    return happened


def digits_crc(asks: list[tuple[str, str]], bids: list[tuple[str, str]]) -> int:
    """The documented rule on texts, without any code of the house."""
    best = chain(asks[:10], bids[:10])
    return crc32("".join(text.replace(".", "").lstrip("0") for level in best for text in level).encode())


def book_frame(
    kind: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]], checksum: object, name: str = BTC
) -> str:
    sides = [",".join(f'{{"price":{price},"qty":{size}}}' for price, size in side) for side in (bids, asks)]
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{name}","bids":[{sides[0]}],"asks":[{sides[1]}],'
        f'"checksum":{json.dumps(checksum)},"timestamp":"{TIME}"}}]}}'
    )


BIDS, ASKS = [("9.9", "1.00"), ("9.8", "2.50")], [("10.1", "3.00"), ("10.2", "0.40")]


def with_books(*names: str, **options: Any) -> KrakenSession:
    """A session whose books of these symbols are known."""
    of = session(*(stream(table, name) for name in names for table in ("l2", "orderbook")), **options)
    of.opening()
    for name in names:
        receive(of, book_frame("snapshot", BIDS, ASKS, digits_crc(ASKS, BIDS), name))
    assert not events(of)
    return of


@pytest.mark.skipif(not RECORDED_BOOK.exists(), reason="no recordings; set DAEDALUS_TEST_DATA")
def test_every_checksum_of_a_recorded_book_fits_and_its_rows_rebuild_it() -> None:
    """510 messages of depth 10. The reference keeps decimals by price; the rows are read by one who knows no depth."""
    content = json.loads(RECORDED_BOOK.read_text(), parse_float=Decimal)
    raw = json.loads(RECORDED_BOOK.read_text())
    of = session(stream("l2"), stream("orderbook"), orderbook_depth=10, orderbook_interval_ns=0)
    of.opening()
    receive(
        of, '{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD","depth":10},"success":true,"req_id":1}'
    )
    reference: dict[str, dict[Decimal, Decimal]] = {"bids": {}, "asks": {}}
    reader: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
    correct = 0
    for message, sent in zip([content["init"], *content["updates"]], [raw["init"], *raw["updates"]], strict=True):
        (book,) = message["data"]
        for side, levels in reference.items():
            for level in book[side]:
                levels[level["price"]] = level["qty"]
            kept = sorted((price for price, size in levels.items() if size), reverse=side == "bids")[:10]
            reference[side] = {price: levels[price] for price in kept}
        texts = {
            side: [(f"{price:.1f}", f"{size:.8f}") for price, size in levels.items()]
            for side, levels in reference.items()
        }
        assert digits_crc(texts["asks"], texts["bids"]) == book["checksum"]
        rows = receive(of, json.dumps(sent))
        assert not events(of)
        correct += 1
        for row in rows:
            if isinstance(row, L2Message):
                assert row.checksum == book["checksum"]
                for level in by_level(row):
                    reader[level.side][level.price] = level.size
        for side, name in (("bids", "bid"), ("asks", "ask")):
            wanted = {float(price): float(size) for price, size in reference[side].items()}
            assert {price: size for price, size in reader[name].items() if size} == wanted
        (snapshot,) = (row for row in rows if isinstance(row, OrderBook))
        assert snapshot.bids == [(float(p), float(q)) for p, q in reference["bids"].items()]
        assert snapshot.asks == [(float(p), float(q)) for p, q in reference["asks"].items()]
    assert correct == 510


def test_a_frame_per_channel_names_at_most_a_hundred_symbols_and_says_that_a_snapshot_is_wanted() -> None:
    names = [f"C{number}/USD" for number in range(101)]
    frames = [json.loads(frame) for frame in session(*(stream("trades", name) for name in names)).opening()]
    assert [len(frame["params"]["symbol"]) for frame in frames] == [100, 1]
    assert {frame["params"]["snapshot"] for frame in frames} == {True}
    assert len({frame["req_id"] for frame in frames}) == 2


@pytest.mark.parametrize(("wanted", "depth"), [(1, 10), (10, 10), (11, 25), (50, 100), (101, 500), (5000, 1000)])
def test_a_book_for_snapshots_is_of_the_smallest_depth_that_holds_them(wanted: int, depth: int) -> None:
    (frame,) = session(stream("orderbook"), orderbook_depth=wanted).opening()
    assert json.loads(frame)["params"] == {"channel": "book", "symbol": [BTC], "depth": depth, "snapshot": True}


def test_a_book_that_every_update_is_wanted_of_takes_the_place_of_a_shallow_one() -> None:
    of = session(stream("orderbook"), orderbook_depth=10)
    of.opening()
    of.want([stream("l2")])
    frames = [json.loads(frame) for frame in of.subscribe([stream("l2")])]
    assert [(frame["method"], frame["params"]["depth"]) for frame in frames] == [
        ("unsubscribe", 10),
        ("subscribe", 1000),
    ]
    of.forget([stream("l2")])
    assert of.unsubscribe([stream("l2")]) == []  # snapshots still need it
    of.forget([stream("orderbook")])
    (frame,) = of.unsubscribe([stream("orderbook")])
    assert json.loads(frame)["params"]["depth"] == 1000


def test_a_confirmation_is_one_symbols_and_a_refusal_names_its_stream() -> None:
    of = session(stream("trades"), stream("trades", ETH), stream("ticker"))
    numbers = {json.loads(frame)["params"]["channel"]: json.loads(frame)["req_id"] for frame in of.opening()}
    ok = {"method": "subscribe", "success": True, "result": {"channel": "trade", "symbol": BTC}}
    assert receive(of, json.dumps(ok)) == []
    assert of.unconfirmed == {stream("trades", ETH), stream("ticker")}
    no = {"method": "subscribe", "success": False, "error": "Currency pair not supported", "symbol": ETH}
    receive(of, json.dumps(no | {"req_id": numbers["trade"]}))
    assert events(of) == [Refused("Currency pair not supported", stream("trades", ETH))]
    no.pop("symbol")
    receive(of, json.dumps(no | {"req_id": numbers["ticker"]}))
    assert events(of) == [Refused("Currency pair not supported", stream("ticker"))]
    receive(of, json.dumps(no | {"req_id": numbers["trade"], "symbol": BTC}))  # which is confirmed
    assert not events(of)
    again = {"error": "Already subscribed to this symbol", "req_id": numbers["ticker"], "symbol": BTC}
    receive(of, json.dumps(no | again))
    assert of.unconfirmed == {stream("trades", ETH)}
    assert not events(of)
    receive(of, '{"Error":"Exceeded msg rate"}')
    assert events(of) == [Refused("Exceeded msg rate")]


def test_trades_are_the_takers_in_the_order_of_their_ids_and_keep_long_numbers_as_text() -> None:
    def one(number: int, price: str, size: str, side: str = "sell") -> str:
        return (
            f'{{"symbol":"BTC/USD","side":"{side}","price":{price},"qty":{size},"ord_type":"market","trade_id":{number},'
            f'"timestamp":"2023-10-06T17:35:55.123Z"}}'
        )

    of = session(stream("trades"), keep_info=True)
    data = ",".join([one(8, '"45283.5"', "1e-08"), one(7, "0.12345678901234567891", "0.00100000", "buy")])
    first, second = receive(of, f'{{"channel":"trade","type":"snapshot","data":[{data}]}}')
    assert isinstance(first, Trade)
    assert (first.symbol, first.trade_id, first.trade_seq, first.side, first.side_raw) == (
        "BTC-USD",
        "7",
        7,
        "buy",
        "buy",
    )
    assert (first.price, first.price_text) == (0.12345678901234568, "0.12345678901234567891")
    assert (first.amount, first.amount_text) == (0.001, None)
    assert first.timestamp == 1696613755123000
    assert '"price":0.12345678901234567891' in str(first.info_json)
    assert (second.trade_seq, second.price, second.amount) == (8, 45283.5, 1e-08)


@pytest.mark.parametrize("value", ["0", "-1", "1e400", '"NaN"', '"1_0"', "null", "{}", "true", '"\\u0661"', "1e15"])
@pytest.mark.parametrize("field", ["price", "qty"])
def test_a_trade_with_an_impossible_number_is_a_reject_and_the_next_one_a_row(field: str, value: str) -> None:
    good = {"symbol": BTC, "side": "buy", "price": 1, "qty": 1, "trade_id": 5, "timestamp": TIME}
    bad = json.dumps(good).replace(f'"{field}": 1', f'"{field}": {value}')
    rows = receive(
        session(stream("trades")), f'{{"channel":"trade","type":"update","data":[{bad},{json.dumps(good)}]}}'
    )
    assert [type(row) for row in rows] == [Reject, Trade]
    assert (rows[0].symbol, rows[0].row_id) == ("BTC-USD", "5")


def test_ticker_and_candle_by_hand() -> None:
    of = session(stream("ticker"), stream("candles"))
    (row,) = receive(
        of,
        '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":9.9,"bid_qty":1.00,"ask":10.1,"ask_qty":3,'
        '"last":10.0,"volume":7,"vwap":9.5,"low":9,"high":11,"change":-0.5,"change_pct":-4.76}]}',
    )
    assert row == Ticker("BTC-USD", None, 9.9, 10.1, 1.0, 3.0, 10.0, None, 11.0, 9.0, 10.0, 9.5, 7.0, None, -0.5, -4.76)
    (row,) = receive(
        of,
        '{"channel":"ohlc","type":"update","data":[{"symbol":"BTC/USD","open":1,"high":3,"low":0.5,"close":2,"trades":4,'
        '"volume":10.5,"vwap":1.5,"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":1}]}',
    )
    assert row == Candle("BTC-USD", 1696436700000000, 60, 1.0, 3.0, 0.5, 2.0, 10.5, trade_count=4)


def test_updates_of_one_price_apply_in_their_order_and_small_numbers_may_have_an_exponent() -> None:
    of = with_books(BTC)
    bids, asks = [("9.9", "0.10"), BIDS[1]], [("10.1", "0.01"), ASKS[1]]
    frame = book_frame("update", [("9.9", "7.00"), ("9.9", "0.10")], [("10.1", "1e-2")], digits_crc(asks, bids))
    message = receive(of, frame)[0]
    assert not events(of)
    assert (message.side, message.size) == (["bid", "bid", "ask"], [7.0, 0.1, 0.01])
    assert (message.is_snapshot, message.update_id, message.msg_seq) == (False, None, 2)
    assert message.timestamp == 1696613755440295


def test_a_level_that_falls_out_of_the_depth_is_removed_by_a_row() -> None:
    of = session(stream("l2"), stream("orderbook"))
    of.opening()
    receive(of, '{"method":"subscribe","success":true,"result":{"channel":"book","symbol":"BTC/USD","depth":10}}')
    bids = [(f"{price}.0", "1.0") for price in range(100, 90, -1)]
    receive(of, book_frame("snapshot", bids, [], digits_crc([], bids)))
    better = [("101.0", "2.0"), *bids[:9]]
    (message,) = receive(of, book_frame("update", [("101.0", "2.0")], [], digits_crc([], better)))
    assert not events(of)
    assert [(level.price, level.size, level.is_last) for level in by_level(message)] == [(101, 2, False), (91, 0, True)]


def test_a_missing_update_is_found_and_brings_that_one_book_anew_while_others_go_on() -> None:
    of = with_books(BTC, ETH, orderbook_interval_ns=0)
    bids = [("9.9", "5.00"), BIDS[1]]
    rows = receive(
        of, book_frame("update", [("9.8", "9.00")], [], digits_crc(ASKS, [("9.9", "1.00"), ("9.8", "1.00")]))
    )
    assert [type(row) for row in rows] == [L2Message]  # stored, and no snapshot of a wrong book
    broken, sent = events(of)
    assert isinstance(broken, Break)
    assert (broken.cause, broken.symbols, broken.tables) == ("checksum", ("BTC-USD",), ("l2", "orderbook"))
    assert isinstance(sent, Send)
    assert [(json.loads(f)["method"], json.loads(f)["params"]["symbol"]) for f in sent.frames] == [
        ("unsubscribe", [BTC]),
        ("subscribe", [BTC]),
    ]
    assert of.unconfirmed >= {stream("l2"), stream("orderbook")}
    rows = receive(of, book_frame("update", [("9.9", "5.00")], [], digits_crc(ASKS, bids), ETH))
    assert [type(row) for row in rows] == [L2Message, OrderBook]
    rows = receive(of, book_frame("update", [("9.9", "6.00")], [], 1))  # still on its way: stored, not judged
    assert [type(row) for row in rows] == [L2Message]
    assert not events(of)
    rows = receive(of, book_frame("snapshot", BIDS, ASKS, digits_crc(ASKS, BIDS)))
    assert [type(row) for row in rows] == [L2Message, OrderBook]
    assert not events(of)


def test_a_book_that_begins_empty_begins_with_its_first_levels() -> None:
    of = session(stream("l2"), stream("orderbook"), orderbook_interval_ns=0)
    of.opening()
    assert receive(of, book_frame("snapshot", [], [], 0)) == []
    rows = receive(of, book_frame("update", BIDS, ASKS, digits_crc(ASKS, BIDS)))
    assert [(type(row), getattr(row, "is_snapshot", None)) for row in rows] == [(L2Message, True), (OrderBook, None)]
    assert not events(of)
    assert receive(of, book_frame("snapshot", [], [], 0)) == []
    rows = receive(
        of, book_frame("update", BIDS[:1], ASKS, digits_crc(ASKS, BIDS))
    )  # one was lost: no book to begin with
    assert [(type(row), getattr(row, "is_snapshot", None)) for row in rows] == [(L2Message, False)]
    assert [type(event) for event in events(of)] == [Break, Send]


def test_an_impossible_level_is_a_reject_the_others_are_kept_and_the_book_is_lost() -> None:
    of = with_books(BTC)
    rows = receive(of, book_frame("update", [("9.9", "-1"), ("9.8", "4.00")], [('"x"', "1")], 0))
    assert [type(row) for row in rows] == [L2Message, Reject, Reject]
    assert (rows[0].price, rows[0].size) == ([9.8], [4.0])
    assert [type(event) for event in events(of)] == [Break, Send]


def test_a_book_that_fails_again_and_again_is_asked_for_ever_more_slowly() -> None:
    of = with_books(BTC)
    asked = []
    for tenth in range(300):
        receive(of, book_frame("snapshot", BIDS, ASKS, 1), tenth * SECOND_NS // 10)
        asked += [tenth / 10 for event in events(of) if isinstance(event, Send)]
    assert asked[0] == 0
    assert len(asked) < 8
    receive(of, book_frame("update", BIDS, [], 1), 400 * SECOND_NS)
    assert [type(event) for event in events(of)] == [Send]


@pytest.mark.parametrize("size", ["1e-999999999999999999998", "1e-400", "1e400", "1E999999999999999999999"])
def test_a_size_that_only_rounding_makes_zero_removes_nothing(size: str) -> None:
    assert [type(row) for row in receive(with_books(BTC), book_frame("update", [("9.9", size)], [], 0))] == [Reject]


def test_a_book_without_a_checksum_is_followed_and_not_judged() -> None:
    of = with_books(BTC)
    assert len(receive(of, book_frame("update", [("9.9", "8.00")], [], None))) == 1
    assert not events(of)


def test_what_was_not_asked_for_is_a_reject_and_what_was_given_up_is_silent() -> None:
    of = with_books(BTC)
    (row,) = receive(of, book_frame("update", BIDS, [], 0, ETH))
    assert isinstance(row, Reject)
    assert row.symbol == UNKNOWN_SYMBOL
    of.forget([stream("l2"), stream("orderbook")])
    assert receive(of, book_frame("update", BIDS, [], 0)) == []
    assert not events(of)


@pytest.mark.parametrize("frame", ['{"channel":"level3","data":[]}', '{"channel":"heartbeat"}', '{"method":"pong"}'])
def test_other_channels_say_nothing(frame: str) -> None:
    of = session(stream("trades"))
    assert receive(of, frame) == []
    assert not events(of)


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "{}", "pong", '{"channel":"trade"}', '{"channel":"book","type":"x"}', "\ud800"]
)
def test_what_is_no_message_of_kraken_is_malformed(frame: str) -> None:
    with pytest.raises(FrameMalformed):
        session(stream("trades")).receive(frame.encode(errors="surrogatepass"), 0, 0)


@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "BTCUSD", "BTC-USD", "", "BTC/US D"])
def test_what_is_no_spot_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(ValueError, match="spot symbol"):
        Kraken().raw_symbol(symbol)


def test_the_last_trade_by_rest() -> None:
    exchange = Kraken()
    assert exchange.look(stream("l2")).url == "https://api.kraken.com/0/public/Trades?pair=XBTUSD&count=1"
    body = {
        "error": [],
        "result": {"last": "5", "XXBTZUSD": [["1", "2", 1.5, "b", "l", "", 7], ["1", "2", 2.25, "b", "l", "", 8]]},
    }
    assert exchange.newest(stream("l2"), json.dumps(body).encode()) == (8, 2_250_000)
    assert exchange.newest(stream("l2"), b'{"error":[],"result":{"XXBTZUSD":[],"last":"5"}}') == (None, None)
    with pytest.raises(FrameMalformed, match="Rate limit"):
        exchange.newest(stream("l2"), b'{"error":["EAPI:Rate limit exceeded"]}')


@pytest.mark.skipif(not XCHANGE.exists(), reason="no recordings; set DAEDALUS_TEST_DATA")
def test_recorded_rest_documents() -> None:
    exchange = Kraken()
    newest = exchange.newest(stream("trades"), (XCHANGE / "example-trades-data.json").read_bytes())
    assert newest.trade_seq is None  # answers of that time had none
    wanted = [stream("trades", "BTC/USD"), stream("l2", "DOGE/BTC"), stream("l2", "NO/USD")]
    found = exchange.instruments((XCHANGE / "example-assetpairs-data.json").read_bytes(), wanted)
    pairs = json.loads((XCHANGE / "example-assetpairs-data.json").read_text())["result"].values()
    expected = {each["wsname"]: each for each in pairs if each.get("wsname") in {"XBT/USD", "XDG/XBT"}}
    assert {each.symbol for each in found} == {"BTC-USD", "DOGE-BTC"}
    for each in found:
        pair = expected[{"BTC-USD": "XBT/USD", "DOGE-BTC": "XDG/XBT"}[each.symbol]]
        assert each.tick_size == float(Decimal(1).scaleb(-pair["pair_decimals"]))
        assert each.lot_size == float(Decimal(1).scaleb(-pair["lot_decimals"]))
        assert (each.kind, each.raw_symbol) == ("spot", each.symbol.replace("-", "/"))
