"""OKX v5: what is asked for, what frames give, and that every book message must follow on the one before."""

import io
import json
from decimal import Decimal
from itertools import zip_longest
from typing import Any
from zlib import crc32

import pytest
import zstandard

from ingestion.exchanges.okx import Okx
from ingestion.exchanges.okx_session import OkxSession
from ingestion.exchanges.protocol import Break, Leaving, Refused, Repeated, Send, SessionOptions, Subscription
from shared.errors import FrameMalformed
from shared.partitioning import stored_symbol
from shared.rows import Candle, Funding, L2Message, Liquidation, OpenInterest, OrderBook, Reject, Ticker, Trade
from tests.conformance.sampling import DATA
from tests.levels import by_level

SPOT, SWAP, DATED = "BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC-220527"
RECORDING = DATA / "cryptofeed" / "v3-branch" / "OKX.jsonl.zst"
RECORDED = {"BTC/USDT": "BTC-USDT", "UNI/USD:UNI": "UNI-USD-SWAP", "BTC/USD:BTC-220527": "BTC-USD-220527"}
SECOND_NS = 1_000_000_000
needs_recording = pytest.mark.skipif(not RECORDING.exists(), reason="no recordings; set DAEDALUS_TEST_DATA")


def stream(table: str, name: str = SPOT) -> Subscription:
    return Subscription(table, stored_symbol(name), Okx().raw_symbol(name))


def session(*streams: Subscription, **options: Any) -> OkxSession:
    return Okx(SessionOptions(**options)).session(streams)


def receive(of: OkxSession, frame: str, mono_ns: int = 0) -> list[Any]:
    return list(of.receive(frame.encode(), 0, mono_ns))


def data(channel: str, records: object, inst_id: str = "BTC-USDT", **more: object) -> str:
    return json.dumps({"arg": {"channel": channel, "instId": inst_id}, **more, "data": records})


def events(of: OkxSession) -> list[Any]:
    happened, of.events = of.events, []
    return happened


def book(
    seq_id: int | None, previous: int | None, bids: list[Any], asks: list[Any], *, action: str = "update", **more: Any
) -> str:
    numbers = {} if seq_id is None else {"seqId": seq_id, "prevSeqId": previous}
    record = {"asks": asks, "bids": bids, "ts": "1597026383085", "checksum": 0} | numbers
    inst_id = more.pop("inst_id", "BTC-USDT")
    return data("books", [record | more], inst_id, action=action)


BIDS, ASKS = [["9.9", "1", "0", "1"], ["9.8", "2", "0", "1"]], [["10.1", "3", "0", "1"]]


def with_books(*names: str, **options: Any) -> OkxSession:
    of = session(*(stream(table, name) for name in names for table in ("l2", "orderbook")), **options)
    of.opening()
    for name in names:
        receive(of, book(10, -1, BIDS, ASKS, action="snapshot", inst_id=Okx().raw_symbol(name)))
    assert not events(of)
    return of


def recorded(kind: str) -> list[dict[str, Any]]:
    text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(RECORDING.open("rb")))
    return [line for line in map(json.loads, text) if line["t"] == kind]


def signed_crc(bids: dict[str, str], asks: dict[str, str]) -> int:
    """The rule that was documented until 2026, on texts, without any code of the house."""
    best_bids = sorted(bids, key=Decimal, reverse=True)[:25]
    best_asks = sorted(asks, key=Decimal)[:25]
    parts = []
    for bid, ask in zip_longest(best_bids, best_asks):
        parts += [f"{bid}:{bids[bid]}"] if bid is not None else []
        parts += [f"{ask}:{asks[ask]}"] if ask is not None else []
    value = crc32(":".join(parts).encode())
    return value - 2**32 if value >= 2**31 else value


@needs_recording
def test_every_checksum_of_the_recorded_books_fits_and_their_rows_rebuild_them() -> None:
    """3 snapshots and 287 updates of a spot pair, an inverse perpetual and a dated future."""
    of = session(*(stream(table, name) for name in RECORDED for table in ("l2", "orderbook")), orderbook_interval_ns=0)
    books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    reader: dict[str, dict[str, dict[float, float]]] = {}
    correct = 0
    for line in recorded("recv"):
        message = json.loads(line["data"])
        if message.get("arg", {}).get("channel") != "books" or "data" not in message:
            continue
        inst_id, (record,) = message["arg"]["instId"], message["data"]
        if message["action"] == "snapshot":
            books[inst_id] = ({}, {})
        for side, levels in zip(books[inst_id], (record["bids"], record["asks"]), strict=True):
            for price, size, *_ in levels:
                side[price] = size
                if Decimal(size) == 0:
                    del side[price]
        assert signed_crc(*books[inst_id]) == record["checksum"]
        rows = receive(of, line["data"])
        assert not events(of)
        correct += 1
        (changes, snapshot) = rows
        symbol = next(stored_symbol(name) for name, raw in RECORDED.items() if raw == inst_id)
        assert (changes.symbol, snapshot.symbol) == (symbol, symbol)
        assert changes.checksum == record["checksum"] % 2**32
        if changes.is_snapshot:
            reader[inst_id] = {"bid": {}, "ask": {}}
        for level in by_level(changes):
            reader[inst_id][level.side][level.price] = level.size
        for name, texts in zip(("bid", "ask"), books[inst_id], strict=True):
            kept = {price: size for price, size in reader[inst_id][name].items() if size}
            assert kept == {float(price): float(size) for price, size in texts.items()}
        assert snapshot.best_bid == max(float(price) for price in books[inst_id][0])
    assert correct == 290


@needs_recording
def test_a_lost_update_of_a_recorded_book_is_found_by_the_checksum_of_the_next() -> None:
    of = session(stream("l2"), stream("orderbook"))
    frames = [line["data"] for line in recorded("recv") if '"books","instId":"BTC-USDT"},"action"' in line["data"]]
    for frame in [*frames[:10], *frames[11:20]]:
        receive(of, frame)
    broken, sent = events(of)
    assert (broken.cause, broken.symbols) == ("checksum", ("BTC-USDT",))
    assert isinstance(sent, Send)


@needs_recording
def test_recorded_trades_and_tickers_field_by_field() -> None:
    """Trades of that time came one by one through `trades`; 74 of them, whose ids have no hole."""
    of = session(*(stream(table, name) for name in RECORDED for table in ("trades", "ticker")))
    trades: list[Trade] = []
    tickers = 0
    for line in recorded("recv"):
        message = json.loads(line["data"])
        channel = message.get("arg", {}).get("channel")
        if "data" not in message or channel == "books":
            continue
        (record,) = message["data"]
        (row,) = receive(of, line["data"])
        assert row.timestamp == int(record["ts"]) * 1000
        assert of.symbols[record["instId"]] == row.symbol
        if channel == "trades":
            assert (row.trade_id, row.side, row.side_raw) == (record["tradeId"], record["side"], record["side"])
            assert (Decimal(str(row.price)), Decimal(str(row.amount))) == (Decimal(record["px"]), Decimal(record["sz"]))
            trades.append(row)
        else:
            is_spot = record["instType"] == "SPOT"
            tickers += 1
            assert row == Ticker(
                row.symbol,
                int(record["ts"]) * 1000,
                *(float(record[key]) for key in ("bidPx", "askPx", "bidSz", "askSz", "last")),
                *(float(record[key]) for key in ("open24h", "high24h", "low24h", "last")),
                base_volume=float(record["vol24h" if is_spot else "volCcy24h"]),
                quote_volume=float(record["volCcy24h"]) if is_spot else None,
            )
    assert (len(trades), tickers) == (74, 28)
    ids = [row.trade_seq for row in trades if row.symbol == "BTC-USDT"]
    assert ids == list(range(338476307, 338476376))


@needs_recording
def test_recorded_instruments() -> None:
    """A contract of the inverse perpetual is 10 USD, of the dated future 100 USD."""
    exchange, wanted = Okx(), [stream("l2", name) for name in RECORDED]
    found = {}
    for line in recorded("http"):
        found |= {row.symbol: row for row in exchange.instruments(line["data"].encode(), wanted)}
    assert found.keys() == {stored_symbol(name) for name in RECORDED}
    spot, swap, dated = (found[stored_symbol(name)] for name in RECORDED)
    assert (spot.kind, spot.base, spot.quote, spot.contract_size, spot.is_inverse) == (
        "spot",
        "BTC",
        "USDT",
        None,
        None,
    )
    assert (spot.tick_size, spot.lot_size, spot.amount_min, spot.status) == (0.1, 1e-08, 1e-05, "live")
    assert (swap.kind, swap.base, swap.quote, swap.settle) == ("perpetual", "UNI", "USD", "UNI")
    assert (swap.contract_size, swap.is_inverse) == (10.0, True)
    assert (dated.kind, dated.contract_size, dated.is_inverse) == ("future", 100.0, True)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        (SPOT, "BTC-USDT"),
        (SWAP, "BTC-USDT-SWAP"),
        ("BTC/USD:BTC", "BTC-USD-SWAP"),
        (DATED, "BTC-USD-220527"),
        ("BTC/USD:BTC-220527-30000-C", "BTC-USD-220527-30000-C"),
    ],
)
def test_names(name: str, raw: str) -> None:
    assert Okx().raw_symbol(name) == raw


@pytest.mark.parametrize("name", ["BTC-USDT", "BTC/USDT:ETH", "BTC/USDT:", "", "BTC/USDT:USDT-2205", "B C/USDT"])
def test_what_is_no_symbol_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no symbol of OKX"):
        Okx().raw_symbol(name)


def test_fills_and_candles_have_an_endpoint_of_their_own() -> None:
    exchange = Okx()
    assert exchange.endpoint(stream("trades")) == "wss://ws.okx.com:8443/ws/v5/business"
    assert exchange.endpoint(stream("candles")) == "wss://ws.okx.com:8443/ws/v5/business"
    assert exchange.endpoint(stream("l2")) == "wss://ws.okx.com:8443/ws/v5/public"
    assert Okx(SessionOptions(ws_url="ws://127.0.0.1:1")).endpoint(stream("ticker")) == "ws://127.0.0.1:1/public"


def test_one_request_holds_many_streams_and_liquidations_are_asked_for_by_kind() -> None:
    streams = [stream("liquidations", name) for name in (SWAP, "ETH/USDT:USDT", DATED)]
    (frame,) = session(*streams, stream("l2"), stream("orderbook")).opening()
    assert sorted(json.loads(frame)["args"], key=str) == [
        {"channel": "books", "instId": "BTC-USDT"},
        {"channel": "liquidation-orders", "instType": "FUTURES"},
        {"channel": "liquidation-orders", "instType": "SWAP"},
    ]
    frames = session(*(stream("trades", f"C{number}/USDT") for number in range(205))).opening()
    assert [len(json.loads(each)["args"]) for each in frames] == [100, 100, 5]
    assert all(len(each) < 64 * 1024 for each in frames)


def test_what_another_stream_still_needs_is_not_given_up() -> None:
    of = session(
        stream("l2"), stream("orderbook"), stream("liquidations", SWAP), stream("liquidations", "ETH/USDT:USDT")
    )
    less = [stream("orderbook"), stream("liquidations", SWAP)]
    of.forget(less)
    assert of.unsubscribe(less) == []
    rest = sorted(of.wanted)
    of.forget(rest)
    assert len(json.loads(of.unsubscribe(rest)[0])["args"]) == 2


def test_confirmations_and_refusals() -> None:
    of = session(stream("trades"), stream("trades", "NO/USDT"), stream("liquidations", SWAP), stream("ticker"))
    (frame,) = of.opening()
    receive(of, '{"event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"},"connId":"a"}')
    receive(of, '{"event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"},"connId":"a"}')
    assert of.unconfirmed == {stream("trades", "NO/USDT"), stream("ticker")}
    text = "Wrong URL or channel:trades-all,instId:NO-USDT doesn't exist."
    receive(of, json.dumps({"event": "error", "code": "60018", "msg": text, "connId": "a"}))
    assert events(of) == [Refused(f"60018 {text}", stream("trades", "NO/USDT"))]
    text = "channel:trades-all,instId:BTC-USDT doesn't exist"  # but is confirmed
    receive(of, json.dumps({"event": "error", "code": "60018", "msg": text}))
    assert not events(of)
    receive(of, json.dumps({"event": "error", "code": "60014", "msg": "Requests too frequent", "connId": "a"}))
    assert events(of) == [Refused("60014 Requests too frequent")]
    receive(of, json.dumps({"event": "error", "code": "60012", "msg": "Invalid", "id": json.loads(frame)["id"]}))
    assert {event.subscription for event in events(of)} == of.unconfirmed


def test_an_announced_end_and_text_pongs() -> None:
    of = session(stream("trades"))
    assert receive(of, "pong") == []
    assert not events(of)
    receive(of, '{"event":"notice","code":"64008","msg":"The connection will soon be closed.","connId":"a4d3ae55"}')
    assert events(of) == [Leaving("64008 The connection will soon be closed.")]


def test_fills_keep_long_numbers_as_text_and_contracts_stay_contracts() -> None:
    """The size of a swap's fill is 12 contracts, whatever one is worth."""
    of = session(stream("trades"), stream("trades", SWAP), keep_info=True)
    fill = {
        "instId": "BTC-USDT-SWAP",
        "tradeId": "7",
        "px": "0.12345678901234567891",
        "sz": "12",
        "side": "sell",
        "ts": "1",
    }
    Okx().instruments(b'{"code":"0","data":[]}', [stream("trades", SWAP)])
    (row,) = receive(of, data("trades-all", [fill], "BTC-USDT-SWAP"))
    assert (row.symbol, row.amount, row.cost, row.timestamp) == ("BTC-USDT_USDT", 12.0, None, 1000)
    assert (row.price, row.price_text) == (0.12345678901234568, "0.12345678901234567891")
    assert (row.side, row.trade_seq) == ("sell", 7)
    assert json.loads(row.info_json)["px"] == fill["px"]


@pytest.mark.parametrize(("px", "value"), [('"1e-8"', 1e-08), ("42219.9", 42219.9), ("1", 1.0), ('"1E5"', 1e5)])
def test_numbers_may_come_as_texts_floats_integers_and_exponents(px: str, value: float) -> None:
    fill = '{"instId":"BTC-USDT","tradeId":"7","px":PX,"sz":"1","side":"buy","ts":"1"}'.replace("PX", px)
    (row,) = receive(session(stream("trades")), f'{{"arg":{{"channel":"trades-all"}},"data":[{fill}]}}')
    assert row.price == value


@pytest.mark.parametrize(
    "change", [{"px": "0"}, {"sz": "NaN"}, {"px": None}, {"tradeId": "x"}, {"ts": "-5"}, {"px": "1_0"}]
)
def test_an_impossible_fill_is_a_reject_and_the_next_one_a_row(change: dict[str, Any]) -> None:
    good = {"instId": "BTC-USDT", "tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": "1"}
    rows = receive(session(stream("trades")), data("trades-all", [good | change, good]))
    assert [type(row) for row in rows] == [Reject, Trade]


def test_candles_funding_liquidations_and_open_interest_by_hand() -> None:
    names = ("candles", "funding", "liquidations", "open_interest")
    of = session(*(stream(table, SWAP) for table in names), stream("candles"))
    candle = ["1629993600000", "42500", "48199.9", "41006.1", "41006.1", "3587", "35.87", "1666741.5", "1"]
    start = 1629993600000000
    prices = (42500.0, 48199.9, 41006.1, 41006.1)
    (row,) = receive(of, data("candle1m", [candle], "BTC-USDT-SWAP"))
    assert row == Candle("BTC-USDT_USDT", start, 60, *prices, 35.87, quote_volume=1666741.5, is_closed=True)
    (row,) = receive(of, data("candle1m", [[*candle[:6], "7", "7", "0"]]))
    assert row == Candle("BTC-USDT", start, 60, *prices, 3587.0, quote_volume=7.0, is_closed=False)
    funding = {"instId": "BTC-USDT-SWAP", "fundingRate": "-0.0001", "nextFundingRate": "", "ts": "1700724675402"}
    funding |= {"fundingTime": "1700726400000", "nextFundingTime": "1700740800000"}
    (row,) = receive(of, data("funding-rate", [funding], "BTC-USDT-SWAP"))
    assert row == Funding("BTC-USDT_USDT", 1700724675402000, -0.0001, None, 1700726400000000, 4.0)
    closed = [{"side": "sell", "posSide": "long", "bkPx": "42000.5", "sz": "3", "ts": "1692266434010"}]
    records = [{"instId": "IOST-USDT-SWAP", "details": closed}, {"instId": "BTC-USDT-SWAP", "details": closed}]
    frame = {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": records}
    (row,) = receive(of, json.dumps(frame))  # of what is not wanted nothing is kept
    assert row == Liquidation("BTC-USDT_USDT", 1692266434010000, "sell", "sell", 42000.5, 3.0)
    interest = {
        "instId": "BTC-USDT-SWAP",
        "oi": "2216113.01",
        "oiCcy": "22161.1301",
        "oiUsd": "1939251795.5",
        "ts": "1",
    }
    (row,) = receive(of, data("open-interest", [interest], "BTC-USDT-SWAP"))
    assert row == OpenInterest("BTC-USDT_USDT", 1000, 2216113.01, 22161.1301, 1939251795.5)


def test_the_documented_chain_with_a_keep_alive_and_a_reset_of_the_numbers() -> None:
    of = with_books(SPOT)
    message = receive(of, book(15, 10, [["9.9", "5", "0", "1"]], []))[0]
    assert (message.update_id, message.prev_update_id, message.is_snapshot, message.msg_seq) == (15, 10, False, 2)
    assert receive(of, book(15, 15, [], [])) == []
    assert len(receive(of, book(3, 15, [["9.9", "6", "0", "1"]], []))) == 1
    assert len(receive(of, book(5, 3, [["9.9", "7", "0", "1"]], []))) == 1
    assert not events(of)


def test_a_missing_update_brings_that_one_book_anew_while_others_go_on() -> None:
    of = with_books(SPOT, SWAP, orderbook_interval_ns=0)
    rows = receive(of, book(20, 15, [["9.9", "5", "0", "1"]], []))
    assert [type(row) for row in rows] == [L2Message]  # stored, and no snapshot of a wrong book
    broken, sent = events(of)
    assert broken == Break(
        "sequence_break", "prevSeqId 15 does not follow on seqId 10", ("BTC-USDT",), ("l2", "orderbook")
    )
    assert [json.loads(frame)["op"] for frame in sent.frames] == ["unsubscribe", "subscribe"]
    assert [json.loads(frame)["args"] for frame in sent.frames] == [[{"channel": "books", "instId": "BTC-USDT"}]] * 2
    rows = receive(of, book(11, 10, [["9.9", "5", "0", "1"]], [], inst_id="BTC-USDT-SWAP"))
    assert [type(row) for row in rows] == [L2Message, OrderBook]
    assert len(receive(of, book(30, 25, [["9.9", "5", "0", "1"]], []))) == 1  # on its way: stored, not judged
    assert not events(of)
    rows = receive(of, book(40, -1, BIDS, ASKS, action="snapshot"))
    assert [type(row) for row in rows] == [L2Message, OrderBook]
    assert (rows[0].update_id, rows[0].prev_update_id) == (40, None)
    assert len(receive(of, book(41, 40, [["9.9", "5", "0", "1"]], []))) == 2
    assert not events(of)


def test_a_book_that_begins_empty_begins_with_its_first_levels() -> None:
    of = session(stream("l2"), stream("orderbook"), orderbook_interval_ns=0)
    assert receive(of, book(10, -1, [], [], action="snapshot")) == []
    assert receive(of, book(10, 10, [], [])) == []
    rows = receive(of, book(11, 10, [["9.9", "5"]], []))
    assert [type(row) for row in rows] == [L2Message, OrderBook]
    assert (rows[0].is_snapshot, rows[1].bids, rows[1].asks) == (True, [(9.9, 5.0)], [])
    assert not receive(of, book(12, 11, [["9.8", "5"]], []))[0].is_snapshot
    assert not events(of)


def test_a_snapshot_that_cannot_be_trusted_begins_no_book() -> None:
    of = session(stream("l2"), stream("orderbook"), orderbook_interval_ns=0)
    rows = receive(of, book(10, -1, [["9.9", "5"], ["9.8", "x"]], [], action="snapshot"))
    assert [type(row) for row in rows] == [L2Message, Reject]
    assert not rows[0].is_snapshot
    assert [type(event) for event in events(of)] == [Break, Send]
    receive(of, book(10, -1, [], [], action="snapshot"))
    rows = receive(of, book(20, 15, [["9.9", "5"]], []))  # 11 to 15 are missing
    assert not rows[0].is_snapshot
    assert [type(event) for event in events(of)] == [Break]  # asked for a moment ago


def test_a_snapshot_that_was_lost_is_asked_for_when_an_update_shows_it() -> None:
    of = session(stream("l2"))
    of.opening()
    receive(of, '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}')
    with pytest.raises(FrameMalformed):
        receive(of, book(10, -1, BIDS, ASKS, action="snapshot")[:-5])
    receive(of, book(11, 10, BIDS, ASKS))
    assert [type(event) for event in events(of)] == [Send]
    receive(of, book(12, 11, BIDS, ASKS))
    assert not events(of)  # it is on its way


def test_a_message_that_came_again_is_counted_and_not_stored() -> None:
    of = with_books(SPOT)
    receive(of, book(15, 10, [["9.9", "5", "0", "1"]], []))
    receive(of, book(17, 15, [["9.9", "6", "0", "1"]], []))
    for old in (book(17, 15, [["9.9", "6", "0", "1"]], []), book(15, 10, [["9.9", "5", "0", "1"]], [])):
        assert receive(of, old) == []
        assert events(of) == [Repeated()]
    assert len(receive(of, book(18, 17, [["9.9", "7", "0", "1"]], []))) == 1
    assert not events(of)


def test_an_impossible_level_is_a_reject_the_others_are_kept_and_the_book_is_lost() -> None:
    of = with_books(SPOT)
    rows = receive(of, book(11, 10, [["9.9", "-1", "0", "1"], ["9.8", 4], ["x", "1"], []], [None]))
    assert [type(row) for row in rows] == [L2Message, Reject, Reject, Reject, Reject]
    assert (rows[0].price, rows[0].size) == ([9.8], [4.0])
    assert [type(event) for event in events(of)] == [Break, Send]


def test_a_checksum_of_zero_is_none_and_another_must_fit() -> None:
    bids, asks = {"9.9": "1", "9.8": "2"}, {"10.1": "3"}
    of = session(stream("l2"))
    receive(of, book(10, -1, BIDS, ASKS, action="snapshot", checksum=signed_crc(bids, asks)))
    receive(of, book(11, 10, [["9.9", "5"]], [], checksum=signed_crc(bids | {"9.9": "5"}, asks)))
    receive(of, book(12, 11, [["9.9", "6"]], [], checksum=0))
    assert not events(of)
    receive(of, book(13, 12, [["9.9", "7"]], [], checksum=1))
    assert [event.cause for event in events(of) if isinstance(event, Break)] == ["checksum"]
    of = with_books(SPOT)  # its snapshot had no checksum, so its levels have no texts to check one with
    receive(of, book(11, 10, [["9.9", "7"]], [], checksum=1))
    assert not events(of)


def test_unknown_channels_say_nothing_and_what_was_not_asked_for_is_a_reject() -> None:
    of = with_books(SPOT)
    assert receive(of, data("bbo-tbt", [{}])) == []
    assert receive(of, '{"event":"channel-conn-count","channel":"orders","connCount":"2"}') == []
    for frame in (data("tickers", [{"instId": "X-Y", "ts": "1"}], "X-Y"), book(1, -1, BIDS, [], inst_id="X-Y")):
        assert [type(row) for row in receive(of, frame)] == [Reject]
    of.forget(sorted(of.wanted))
    assert receive(of, book(99, 98, BIDS, ASKS)) == []
    assert not events(of)


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "{}", "ping", '{"arg":{"channel":"books","instId":"BTC-USDT"},"data":[]}', data("tickers", [{}])],
)
def test_what_is_no_message_of_okx_is_malformed(frame: str) -> None:
    with pytest.raises(FrameMalformed):
        receive(with_books(SPOT), frame)


def test_looks_by_rest() -> None:
    exchange = Okx()
    urls = {table: exchange.look(stream(table, SWAP)) for table in exchange.profile.channels}
    base = "https://www.okx.com/api/v5"
    assert urls["liquidations"] is None
    assert urls["l2"] is not None
    assert urls["l2"].url == f"{base}/market/trades?instId=BTC-USDT-SWAP&limit=1"
    assert urls["open_interest"] is not None
    assert urls["open_interest"].url == f"{base}/public/open-interest?instType=SWAP&instId=BTC-USDT-SWAP"
    body = b'{"code":"0","data":[{"tradeId":"8","ts":"1654161646974"},{"tradeId":"7","ts":"1654161646000"}]}'
    assert exchange.newest(stream("trades"), body) == (8, 1654161646974000)
    assert exchange.newest(stream("funding", SWAP), b'{"code":"0","data":[{"ts":"5"}]}') == (None, 5000)
    assert exchange.newest(stream("trades"), b'{"code":"0","data":[]}') == (None, None)
    with pytest.raises(FrameMalformed, match="50011"):
        exchange.newest(stream("trades"), b'{"code":"50011","msg":"Too Many Requests","data":[]}')


def test_instruments_are_asked_for_by_kind() -> None:
    wanted = [stream("l2"), stream("l2", SWAP), stream("l2", DATED), stream("trades", "BTC/USD:BTC-220527-30000-C")]
    urls = [request.url.rpartition("?")[2] for request in Okx().instruments_requests(wanted)]
    assert urls == ["instType=FUTURES", "instType=OPTION&instFamily=BTC-USD", "instType=SPOT", "instType=SWAP"]
