"""Kraken's rules, without a socket. Numbers are read as the digits on the wire."""

import json
from itertools import islice
from zlib import crc32

import pytest

from ingestion.simulator.events import Instrument, Level, Moment, Print, steps
from ingestion.simulator.kraken import KrakenVenue
from ingestion.simulator.kraken_frames import checksum
from ingestion.simulator.market import SeededMarket
from ingestion.simulator.state import VenueState

T = 1_700_000_000_000_001_000
BTC = Instrument("BTC-USD", 1, 8, 650_000)
# docs.kraken.com, "Book checksum" guide for v2
ASKS = """45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660
45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827"""
BIDS = """45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586
45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238"""


def levels(text):
    return [(steps(price, 1), steps(size, 8)) for price, size in (pair.split("/") for pair in text.split())]


def digits(frame):
    return json.loads(frame.data, parse_float=str, parse_int=str)


def ask(session, channel, *symbols, method="subscribe", **params):
    message = {"method": method, "params": {"channel": channel, "symbol": symbols, **params}, "req_id": 9}
    return session.receive(json.dumps(message).encode(), T)


def market():
    state = VenueState([BTC, Instrument("ETH-USD", 2, 8, 192_000)], has_book=True)
    return state, KrakenVenue(state)


def prints(first, last):
    return Moment(T, "BTC-USD", tuple(Print(number, 650_000, 100, T, True) for number in range(first, last + 1)))


def test_checksum_of_the_documentations_example():
    assert checksum(levels(BIDS), levels(ASKS), BTC) == 3310070434


def test_the_documentations_book_as_a_snapshot_frame_keeps_trailing_zeros():
    state, venue = market()
    sides = [Level(True, *pair) for pair in levels(BIDS)] + [Level(False, *pair) for pair in levels(ASKS)]
    state.apply(Moment(T, "BTC-USD", (), tuple(sides)))
    _, frame = ask(venue.session(), "book", "BTC/USD")
    assert b'{"price":45285.2,"qty":0.00100000}' in frame.data
    assert b'"checksum":3310070434' in frame.data


def test_status_comes_first_and_each_symbol_is_acknowledged():
    _, venue = market()
    session = venue.session()
    status = digits(session.open(T)[0])
    assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
    acks = [digits(frame) for frame in ask(session, "trade", "BTC/USD", "ETH/USD")]
    assert [(ack["method"], ack["success"], ack["result"]["symbol"], ack["req_id"]) for ack in acks] == [
        ("subscribe", True, "BTC/USD", "9"),
        ("subscribe", True, "ETH/USD", "9"),
    ]


@pytest.mark.parametrize("snapshot", [None, True, False])
def test_trade_snapshot_of_fifty_only_where_asked_for(snapshot):
    state, venue = market()
    state.apply(prints(1, 80))
    asked = {} if snapshot is None else {"snapshot": snapshot}
    _, *rest = ask(venue.session(), "trade", "BTC/USD", **asked)
    assert len(rest) == (1 if snapshot else 0)
    if snapshot:
        body = digits(rest[0])
        assert (body["channel"], body["type"]) == ("trade", "snapshot")
        assert [int(row["trade_id"]) for row in body["data"]] == list(range(31, 81))


def test_a_trade_shows_the_takers_side_and_microseconds():
    state, venue = market()
    session = venue.session()
    ask(session, "trade", "BTC/USD")
    moment = Moment(T, "BTC-USD", (Print(5, 650_001, 4_980, T, False),))
    state.apply(moment)
    assert digits(session.publish(moment)[0])["data"] == [
        {
            "symbol": "BTC/USD",
            "side": "sell",
            "price": "65000.1",
            "qty": "0.00004980",
            "ord_type": "market",
            "trade_id": "5",
            "timestamp": "2023-11-14T22:13:20.000001Z",
        }
    ]


@pytest.mark.parametrize(
    ("channel", "symbol", "params", "words"),
    [
        ("trade", "NO/USD", {}, "Currency pair not supported"),
        ("trade", "BTC-USD", {}, "Currency pair not supported"),
        ("gossip", "BTC/USD", {}, "channel"),
        ("book", "BTC/USD", {"depth": 11}, "depth"),
    ],
)
def test_refusals_say_so_and_carry_the_request_id(channel, symbol, params, words):
    _, venue = market()
    body = digits(ask(venue.session(), channel, symbol, **params)[0])
    assert (body["success"], body["req_id"]) == (False, "9")
    assert words in body["error"]


def test_subscribing_twice_and_unsubscribing_twice_are_refused():
    _, venue = market()
    session = venue.session()
    answers = [ask(session, "trade", "BTC/USD") for _ in range(2)]
    answers += [ask(session, "trade", "BTC/USD", method="unsubscribe") for _ in range(2)]
    assert [digits(answer[0])["success"] for answer in answers] == [True, False, True, False]
    assert not session.subscribed


def test_ping_is_answered_and_heartbeats_fill_only_silence():
    state, venue = market()
    session = venue.session()
    (pong,) = session.receive(b'{"method":"ping","req_id":3}', T)
    assert (digits(pong)["method"], digits(pong)["req_id"]) == ("pong", "3")
    session.tick(T)
    assert session.tick(T) == []  # nothing is subscribed
    ask(session, "trade", "BTC/USD")
    assert session.tick(T) == []  # it has just been answered
    assert digits(session.tick(T)[0]) == {"channel": "heartbeat"}
    moment = prints(1, 1)
    state.apply(moment)
    session.publish(moment)
    assert session.tick(T) == []


@pytest.mark.parametrize("depth", [10, 25, 100, 500, 1000])
def test_a_client_that_truncates_holds_the_checksummed_book_at_every_moment(depth):
    """The client knows only frames; the server knows only its whole book; the CRC32 compares them."""
    source = SeededMarket(seed=5, symbols=["ETH-USD"], rate=100)
    state = VenueState(source.traded_on("kraken"), has_book=True)
    venue = KrakenVenue(state)
    moments = source.moments("kraken", start_ns=T)
    state.apply(next(moments))
    session = venue.session()
    _, snapshot = ask(session, "book", "ETH/USD", depth=depth)
    sides = {"bids": {}, "asks": {}}
    follow(sides, snapshot, depth)
    count = 0
    for moment in islice(moments, 600):
        state.apply(moment)
        for frame in session.publish(moment):
            follow(sides, frame, depth)
            count += 1
    book = state.pairs["ETH-USD"].book
    assert sorted(sides["bids"].values()) == sorted(map(qty_text, top(book.bids, depth, reverse=True)))
    assert sorted(sides["asks"].values()) == sorted(map(qty_text, top(book.asks, depth, reverse=False)))
    assert count > 50


def top(side, depth, *, reverse):
    return [side[price] for price in sorted(side, reverse=reverse)[:depth]]


def qty_text(size):
    return f"{size // 10**8}.{size % 10**8:08d}"


def follow(sides, frame, depth):
    """What Kraken's guide tells a client to do, with an assertion on the checksum at its end."""
    body = digits(frame)["data"][0]
    for name, side in sides.items():
        for row in body[name]:
            if float(row["qty"]) == 0:
                side.pop(row["price"], None)
            else:
                side[row["price"]] = row["qty"]
        for price in sorted(side, key=float, reverse=name == "bids")[depth:]:
            del side[price]
    text = ""
    for name in ("asks", "bids"):
        for price in sorted(sides[name], key=float, reverse=name == "bids")[:10]:
            text += price.replace(".", "").lstrip("0") + sides[name][price].replace(".", "").lstrip("0")
    assert crc32(text.encode()) == int(body["checksum"])


def test_a_client_that_comes_later_is_sent_a_right_book_too():
    source = SeededMarket(seed=6, symbols=["BTC-USD"], rate=100)
    state = VenueState(source.traded_on("kraken"), has_book=True)
    venue = KrakenVenue(state)
    first, second = venue.session(), venue.session()
    moments = source.moments("kraken", start_ns=T)
    state.apply(next(moments))
    ask(first, "book", "BTC/USD")
    ask(first, "book", "BTC/USD", method="unsubscribe")
    for moment in islice(moments, 50):  # nobody listens: the view of depth 10 falls behind
        state.apply(moment)
    sides = {"bids": {}, "asks": {}}
    follow(sides, ask(second, "book", "BTC/USD")[1], 10)
    for moment in islice(moments, 200):
        state.apply(moment)
        for frame in second.publish(moment):
            follow(sides, frame, 10)


def test_instrument_snapshot_lists_precisions():
    _, venue = market()
    session = venue.session()
    frames = session.receive(b'{"method":"subscribe","params":{"channel":"instrument"}}', T)
    pair = digits(frames[1])["data"]["pairs"][0]
    assert (pair["symbol"], pair["price_precision"], pair["price_increment"]) == ("BTC/USD", "1", "0.1")
