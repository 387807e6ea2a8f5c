"""Faults: as texts, on frames without a socket, and on real connections."""

import asyncio
import json
from functools import partial

import pytest
import websockets

from ingestion.simulator import Fault, LocalExchange, SeededMarket, Timing, parse_fault
from ingestion.simulator.faults import KINDS, FaultPlan, Gate
from ingestion.simulator.session import Frame

# A saturated websockets client reads no close frame; it need not wait 10 s for one.
connect = partial(websockets.connect, close_timeout=0.2)

FRAMES = [Frame("trade" if number % 2 else "book", b"frame-%d" % number) for number in range(1, 9)]


def sent(*faults):
    gate = Gate(FaultPlan(faults), "kraken")
    return [frame.data.decode() for given in FRAMES for frame in gate.admit(given, elapsed_s=0)[0]]


def named(*numbers):
    return [f"frame-{number}" for number in numbers]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("close@500", Fault(kind="close", at=500)),
        ("close@500:1000", Fault(kind="close", at=500, code=1000)),
        ("stall@2000:3s", Fault(kind="stall", at=2000, duration_s=3.0)),
        ("kraken:stall@1.5s:0.2", Fault(kind="stall", at_s=1.5, duration_s=0.2, venue="kraken")),
        ("drop@7:3#market_trades", Fault(kind="drop", at=7, count=3, channel="market_trades")),
        ("bad_price@9:NaN", Fault(kind="bad_price", at=9, price="NaN")),
        ("refuse", Fault(kind="refuse")),
        ("oversized:2", Fault(kind="oversized", count=2)),
    ],
)
def test_a_fault_is_read_from_text(text, expected):
    assert parse_fault(text) == expected


@pytest.mark.parametrize("text", ["", "explode@5", "close@", "close@x", "drop@5:many", "abort@5:3", "binance:close@5"])
def test_nonsense_is_no_fault(text):
    with pytest.raises(ValueError, match=r"fault|:"):
        parse_fault(text)


def test_faults_on_frames():
    assert sent() == named(1, 2, 3, 4, 5, 6, 7, 8)
    assert sent(Fault(kind="drop", at=3)) == named(1, 2, 4, 5, 6, 7, 8)
    assert sent(Fault(kind="drop", at=3, count=3)) == named(1, 2, 6, 7, 8)
    assert sent(Fault(kind="drop", at=2, channel="trade", count=2)) == named(1, 2, 4, 6, 7, 8)
    assert sent(Fault(kind="duplicate", at=2)) == named(1, 2, 2, 3, 4, 5, 6, 7, 8)
    assert sent(Fault(kind="reorder", at=4)) == named(1, 2, 3, 5, 4, 6, 7, 8)
    assert sent(Fault(kind="malformed", at=2)) == ["frame-1", "fra", *named(3, 4, 5, 6, 7, 8)]
    assert sent(Fault(kind="drop", at=2, venue="coinbase")) == named(1, 2, 3, 4, 5, 6, 7, 8)


def test_a_fault_strikes_once_and_commands_follow_their_frame():
    plan = FaultPlan((Fault(kind="close", at=2), Fault(kind="drop", at=1)))
    one, two = Gate(plan, "kraken"), Gate(plan, "kraken")
    assert one.admit(FRAMES[0], elapsed_s=0)[0] == []
    assert one.commands(elapsed_s=0) == []
    one.admit(FRAMES[1], elapsed_s=0)
    assert [fault.kind for fault in one.commands(elapsed_s=0)] == ["close"]
    assert two.admit(FRAMES[0], elapsed_s=0)[0] == [FRAMES[0]]
    assert plan.pending == []


def exchange(*faults, **options):
    source = SeededMarket(seed=1, symbols=["BTC-USD"], rate=1000, trade_share=1.0)
    return LocalExchange(source, timing=Timing(speed=0, settle_s=0.02, **options), faults=faults)


async def listen(url, count, *, channel="market_trades", max_size=None):
    """The first `count` frames of a new connection."""
    async with connect(url, max_size=max_size) as ws:
        await ws.send(json.dumps({"type": "subscribe", "channel": channel, "product_ids": ["BTC-USD"]}))
        return [await ws.recv() for _ in range(count)]


def numbers(frames):
    return [json.loads(frame)["sequence_num"] for frame in frames]


async def test_drop_duplicate_and_reorder_show_in_the_sequence_numbers():
    faults = [parse_fault(text) for text in ("drop@5", "duplicate@9", "reorder@13")]
    async with exchange(*faults) as local:
        frames = await listen(local.coinbase_ws_url, 16)
        assert numbers(frames) == [0, 1, 2, 3, 5, 6, 7, 8, 8, 9, 10, 11, 13, 12, 14, 15]
        assert [fault.kind for _, fault in local.truth.faults] == ["drop", "duplicate", "reorder"]


async def test_a_malformed_frame_is_half_a_frame():
    async with exchange(Fault(kind="malformed", at=4)) as local:
        frames = await listen(local.coinbase_ws_url, 6)
    with pytest.raises(json.JSONDecodeError):
        json.loads(frames[3])
    assert numbers(frames[:3] + frames[4:]) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("price", ["-1", "NaN"])
async def test_a_bad_price_is_numbered_but_never_happened(price):
    async with exchange(Fault(kind="bad_price", at=3, price=price)) as local:
        frames = [json.loads(frame) for frame in await listen(local.coinbase_ws_url, 1000)]
        trades = [row for frame in frames for event in frame["events"] for row in event.get("trades", ())]
        (bad,) = [row for row in trades if row["price"] == price]
        assert bad["trade_id"] == "0"
        assert [frame["sequence_num"] for frame in frames] == list(range(1000))
        assert "0" not in {made.id for made in local.truth.trades("coinbase", "BTC-USD")}


@pytest.mark.parametrize("kind", ["close", "abort"])
async def test_a_cut_connection_can_come_back_and_loses_nothing_of_the_truth(kind):
    async with exchange(Fault(kind=kind, at=50, code=1012)) as local:
        with pytest.raises(websockets.ConnectionClosed) as cut:
            await listen(local.coinbase_ws_url, 51)
        assert (cut.value.rcvd.code if cut.value.rcvd else None) == (1012 if kind == "close" else None)
        again = await listen(local.coinbase_ws_url, 5)
        assert numbers(again) == [0, 1, 2, 3, 4]
        snapshot = json.loads(again[0])["events"][0]
        assert (snapshot["type"], len(snapshot["trades"])) == ("snapshot", 100)
        made = {row.id: row for row in local.truth.trades("coinbase", "BTC/USD")}
        assert all(made[row["trade_id"]].price == row["price"] for row in snapshot["trades"])


async def test_a_stall_holds_frames_back_and_loses_none():
    async with exchange(Fault(kind="stall", at=5, duration_s=0.2)) as local:
        assert numbers(await listen(local.coinbase_ws_url, 2000)) == list(range(2000))
        assert [fault.kind for _, fault in local.truth.faults] == ["stall"]


async def test_an_oversized_snapshot_is_too_big_for_ten_mebibytes():
    async with exchange(Fault(kind="oversized")) as local:
        async with connect(local.coinbase_ws_url, max_size=10 << 20) as ws:
            await ws.send('{"type":"subscribe","channel":"heartbeats"}')
            await ws.recv()
            await ws.send('{"type":"subscribe","channel":"level2","product_ids":["BTC-USD"]}')
            with pytest.raises(websockets.ConnectionClosed) as cut:
                await ws.recv()
        assert cut.value.sent.code == 1009


async def test_refused_connections_are_taken_again_later():
    async with exchange() as local:
        local.inject(Fault(kind="refuse", duration_s=0.2))
        with pytest.raises(websockets.InvalidStatus) as refused:
            await listen(local.coinbase_ws_url, 1)
        assert refused.value.response.status_code == 503
        while True:
            try:
                await listen(local.coinbase_ws_url, 1)
                break
            except websockets.InvalidStatus:
                await asyncio.sleep(0.02)


async def test_a_fault_injected_while_nothing_flows_strikes_at_once():
    async with exchange() as local, connect(local.coinbase_ws_url) as ws:
        await ws.send('{"type":"subscribe","channel":"heartbeats"}')
        await ws.recv()
        local.inject(Fault(kind="close", code=1000))
        with pytest.raises(websockets.ConnectionClosedOK):
            await ws.recv()


async def test_a_fault_by_the_clock_needs_no_frames():
    async with exchange(Fault(kind="close", at_s=0.05, code=1013), heartbeat_s=0.02) as local:
        with pytest.raises(websockets.ConnectionClosedError) as cut:
            async with connect(local.coinbase_ws_url) as ws:
                await ws.recv()
        assert cut.value.rcvd.code == 1013


def test_every_kind_is_documented():
    assert all(f"    {kind} " in Fault.__doc__ for kind in KINDS)
