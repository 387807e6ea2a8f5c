"""Coinbase's rules, without a socket."""

import json

import pytest

from ingestion.simulator.coinbase import LEVEL2_PRODUCTS_MAX, CoinbaseVenue
from ingestion.simulator.events import Instrument, Level, Moment, Print
from ingestion.simulator.state import VenueState

T = 1_786_309_538_504_360_000
SYMBOLS = ["BTC-USD", "ETH-USD", *(f"C{number}-USD" for number in range(20))]


def market():
    state = VenueState([Instrument(symbol, 2, 8, 6_500_000) for symbol in SYMBOLS], has_book=True)
    return state, CoinbaseVenue(state)


def ask(session, channel, *products, kind="subscribe"):
    message = json.dumps({"type": kind, "channel": channel, "product_ids": products})
    return [json.loads(frame.data) for frame in session.receive(message.encode(), T)]


def trade(trade_id, *, symbol="BTC-USD", taker_buys=True):
    return Moment(T, symbol, (Print(trade_id, 6_508_367, 218_600, T, taker_buys),))


def tell(state, session, moment):
    state.apply(moment)
    return [json.loads(frame.data) for frame in session.publish(moment)]


def test_one_sequence_counts_every_frame_of_every_channel():
    state, venue = market()
    session = venue.session()
    frames = ask(session, "heartbeats")
    frames += ask(session, "market_trades", "BTC-USD")
    frames += tell(state, session, trade(1))
    frames += [json.loads(frame.data) for frame in session.tick(T)]
    frames += ask(session, "level2", "BTC-USD")
    frames += ask(session, "market_trades", "BTC-USD", kind="unsubscribe")
    assert [frame["sequence_num"] for frame in frames] == list(range(len(frames)))
    assert [frame["channel"] for frame in frames] == [
        "subscriptions",
        "subscriptions",
        "market_trades",
        "heartbeats",
        "l2_data",
        "subscriptions",
        "subscriptions",
    ]


def test_two_connections_count_for_themselves():
    state, venue = market()
    one, two = venue.session(), venue.session()
    ask(one, "market_trades", "BTC-USD")
    ask(one, "heartbeats")
    ask(two, "market_trades", "BTC-USD")
    moment = trade(1)
    state.apply(moment)
    numbers = [json.loads(session.publish(moment)[0].data)["sequence_num"] for session in (one, two)]
    assert numbers == [2, 1]


def test_acknowledgements_are_cumulative_and_stand_behind_the_snapshot():
    state, venue = market()
    state.apply(trade(1))
    session = venue.session()
    snapshot, first = ask(session, "market_trades", "BTC-USD")
    assert snapshot["events"][0]["type"] == "snapshot"
    (second,) = ask(session, "ticker", "ETH-USD")
    (third,) = ask(session, "market_trades", "BTC-USD", kind="unsubscribe")
    assert first["events"] == [{"subscriptions": {"market_trades": ["BTC-USD"]}}]
    assert second["events"] == [{"subscriptions": {"market_trades": ["BTC-USD"], "ticker": ["ETH-USD"]}}]
    assert third["events"] == [{"subscriptions": {"ticker": ["ETH-USD"]}}]


def test_every_subscribe_is_answered_by_the_last_hundred_trades_newest_first():
    state, venue = market()
    for number in range(1, 151):
        state.apply(trade(number))
    session = venue.session()
    for _ in range(2):
        snapshot = ask(session, "market_trades", "BTC-USD")[0]["events"][0]
        assert snapshot["type"] == "snapshot"
        assert [int(row["trade_id"]) for row in snapshot["trades"]] == list(range(150, 50, -1))


@pytest.mark.parametrize(("taker_buys", "side"), [(True, "SELL"), (False, "BUY")])
def test_side_is_the_makers_and_numbers_are_shortest_texts(taker_buys, side):
    state, venue = market()
    session = venue.session()
    ask(session, "market_trades", "BTC-USD")
    (frame,) = tell(state, session, trade(7, taker_buys=taker_buys))
    assert frame["events"] == [
        {
            "type": "update",
            "trades": [
                {
                    "product_id": "BTC-USD",
                    "trade_id": "7",
                    "price": "65083.67",
                    "size": "0.002186",
                    "time": "2026-08-09T21:05:38.50436Z",
                    "side": side,
                }
            ],
        }
    ]


def test_a_sweep_shares_a_frame_newest_first():
    state, venue = market()
    session = venue.session()
    ask(session, "market_trades", "BTC-USD")
    prints = tuple(Print(number, 6_500_000 + number, 10, T, True) for number in (1, 2, 3))
    (frame,) = tell(state, session, Moment(T, "BTC-USD", prints))
    assert [row["trade_id"] for row in frame["events"][0]["trades"]] == ["3", "2", "1"]


def test_level2_answers_as_l2_data_snapshot_first_and_zero_removes():
    state, venue = market()
    state.apply(Moment(T, "BTC-USD", (), (Level(True, 100, 5), Level(True, 99, 6), Level(False, 101, 7))))
    session = venue.session()
    frames = ask(session, "level2", "BTC-USD")
    frames += tell(state, session, Moment(T, "BTC-USD", (), (Level(True, 100, 0), Level(False, 102, 9))))
    snapshot, _, update = frames
    assert (snapshot["channel"], snapshot["events"][0]["type"]) == ("l2_data", "snapshot")
    rows = [(row["side"], row["price_level"], row["new_quantity"]) for row in snapshot["events"][0]["updates"]]
    assert rows == [("bid", "1", "0.00000005"), ("bid", "0.99", "0.00000006"), ("offer", "1.01", "0.00000007")]
    assert update["events"][0]["type"] == "update"
    rows = [(row["side"], row["price_level"], row["new_quantity"]) for row in update["events"][0]["updates"]]
    assert rows == [("bid", "1", "0"), ("offer", "1.02", "0.00000009")]


def test_sixteen_level2_products_are_taken_and_a_seventeenth_refused():
    _, venue = market()
    session = venue.session()
    assert ask(session, "level2", *SYMBOLS[:LEVEL2_PRODUCTS_MAX])[-1]["channel"] == "subscriptions"
    (refusal,) = ask(session, "level2", SYMBOLS[LEVEL2_PRODUCTS_MAX])
    assert refusal == {"type": "error", "message": "too many L2 streams requested in a single session"}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"{", "parse"),
        (b'{"type":"subscribe","channel":"market_trades","product_ids":["NO-USD"]}', "NO-USD"),
        (b'{"type":"subscribe","channel":"gossip","product_ids":["BTC-USD"]}', "gossip"),
        (b'{"type":"shout","channel":"ticker"}', "shout"),
    ],
)
def test_refusals_are_error_frames_without_a_number(message, words):
    _, venue = market()
    (frame,) = venue.session().receive(message, T)
    body = json.loads(frame.data)
    assert set(body) == {"type", "message"}
    assert body["type"] == "error"
    assert words in body["message"]


def test_usdc_products_are_answered_as_usd():
    state, venue = market()
    session = venue.session()
    ask(session, "market_trades", "BTC-USDC")
    (frame,) = tell(state, session, trade(1))
    assert frame["events"][0]["trades"][0]["product_id"] == "BTC-USD"


def test_ticker_shows_the_touch():
    state, venue = market()
    session = venue.session()
    state.apply(Moment(T, "BTC-USD", (), (Level(True, 100, 5), Level(False, 102, 7))))
    ask(session, "ticker", "BTC-USD")
    (frame,) = tell(state, session, trade(1))
    ticker = frame["events"][0]["tickers"][0]
    assert (ticker["best_bid"], ticker["best_ask"], ticker["price"]) == ("1", "1.02", "65083.67")


def test_heartbeats_count_only_for_who_asked():
    _, venue = market()
    session = venue.session()
    assert session.tick(T) == []
    ask(session, "heartbeats")
    beats = [json.loads(session.tick(T)[0].data)["events"][0]["heartbeat_counter"] for _ in range(3)]
    assert beats == [1, 2, 3]
    assert not session.wants_market


def test_an_oversized_snapshot_is_over_ten_mebibytes_and_still_a_book():
    state, venue = market()
    state.apply(Moment(T, "BTC-USD", (), (Level(True, 100, 5), Level(False, 102, 7))))
    session = venue.session()
    session.oversize(1)
    message = json.dumps({"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]}).encode()
    frame = session.receive(message, T)[0]
    assert len(frame.data) > 10 * 1024 * 1024
    assert json.loads(frame.data)["events"][0]["type"] == "snapshot"
    assert len(session.receive(message, T)[0].data) < 10_000
