"""Recordings played again: every frame, every trade, nothing changed."""

import gzip
import json
from decimal import Decimal
from functools import partial

import pytest
import websockets
import zstandard

from ingestion.simulator import Fault, LocalExchange, RecordedFrames, Timing, TradeTape, open_recording
from ingestion.simulator.tape import _csv_rows
from shared.errors import InputUnreadable

# A saturated websockets client reads no close frame; it need not wait 10 s for one.
connect = partial(websockets.connect, close_timeout=0.2)

FAST = Timing(speed=0, settle_s=0.02)
COINBASE = "cryptofeed/v3-branch/COINBASE.jsonl.zst"
CSV = "questdb-sample-datasets/btc_trades.older-version.csv"
HFT = "hftbacktest/spot/ethusdt_20240808.gz"


def recording(recordings, name):
    path = recordings / name
    if not path.exists():
        pytest.skip(f"no recording {path}")
    return path


async def coinbase(url, *products):
    ws = await connect(url, max_size=None)
    message = {"type": "subscribe", "channel": "market_trades", "product_ids": products}
    await ws.send(json.dumps(message))
    return ws


def trades_of(frames):
    return [
        row
        for frame in frames
        if frame["channel"] == "market_trades"
        for event in frame["events"]
        for row in event["trades"]
    ]


async def test_recorded_frames_arrive_verbatim_and_hold_279_trades(recordings):
    path = recording(recordings, COINBASE)
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        lines = stream.read().splitlines()
    recorded = [entry["data"] for entry in map(json.loads, lines) if entry["t"] == "recv"]
    async with LocalExchange(open_recording(path), timing=FAST) as exchange:
        async with await coinbase(exchange.coinbase_ws_url, "BTC-USD") as ws:
            frames = [await ws.recv() for _ in range(1030)]
            await exchange.exhausted.wait()
        assert frames == recorded
        for symbol, first, last in (
            ("BTC-USD", 1068571991, 1068572137),
            ("ETH-USD", 833140679, 833140810),
        ):
            made = [int(trade.id) for trade in exchange.truth.trades("coinbase", symbol)]
            assert made == list(range(first, last + 1))
        rows = {(row["product_id"], row["trade_id"]): row for row in trades_of(map(json.loads, frames))}
        assert len(rows) == exchange.truth.count() == 279
        for symbol in exchange.truth.symbols("coinbase"):
            for made in exchange.truth.trades("coinbase", symbol):
                row = rows[symbol, made.id]
                assert (made.price, made.size, made.time) == (row["price"], row["size"], row["time"])
                assert made.taker == {"BUY": "sell", "SELL": "buy"}[row["side"]]


async def test_a_reconnect_gets_a_snapshot_and_the_rest_renumbered(recordings):
    source = open_recording(recording(recordings, COINBASE))
    async with LocalExchange(source, timing=FAST, faults=[Fault(kind="close", at=400)]) as exchange:
        async with await coinbase(exchange.coinbase_ws_url, "BTC-USD", "ETH-USD") as ws:
            before = [json.loads(await ws.recv()) for _ in range(400)]
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
        after = []
        async with await coinbase(exchange.coinbase_ws_url, "BTC-USD", "ETH-USD") as ws:
            # The last recorded frame is known by its time stamp.
            while not after or after[-1]["timestamp"] != "2026-08-09T21:06:12.892314374Z":
                after.append(json.loads(await ws.recv()))
            await exchange.exhausted.wait()
        assert [frame["sequence_num"] for frame in after] == list(range(len(after)))
        assert [len(frame["events"][0]["trades"]) for frame in after[:2]] == [100, 100]
        ids = {(row["product_id"], row["trade_id"]) for row in trades_of([*before, *after])}
        assert len(ids) == 279


async def test_a_csv_tape_is_printed_fill_by_fill_at_coinbase(recordings):
    path = recording(recordings, CSV)
    rows = []
    async with LocalExchange(TradeTape(path), timing=FAST) as exchange:
        async with await coinbase(exchange.coinbase_ws_url, "BTC-USD") as ws:
            while len(rows) < 13_197:
                rows += reversed(trades_of([json.loads(await ws.recv())]))
            await exchange.exhausted.wait()
        assert exchange.truth.count("coinbase") == 13_197
    assert [int(row["trade_id"]) for row in rows] == list(range(1, 13_198))
    for row, recorded in zip(rows, _csv_rows(path), strict=True):
        assert (Decimal(row["price"]), Decimal(row["size"])) == (Decimal(recorded.price), Decimal(recorded.size))
        assert row["side"] == ("SELL" if recorded.taker_buys else "BUY")
    assert rows[0]["time"] == "2023-09-05T16:00:01.281719Z"
    assert any("E-5" in recorded.size for recorded in _csv_rows(path))


async def test_a_binance_tape_is_printed_fill_by_fill_at_kraken(recordings):
    path = recording(recordings, HFT)
    rows = []
    async with LocalExchange(open_recording(path), timing=FAST) as exchange, connect(exchange.kraken_ws_url) as ws:
        params = {"channel": "trade", "symbol": ["ETH/USDT"]}
        await ws.send(json.dumps({"method": "subscribe", "params": params}))
        while len(rows) < 6106:
            body = json.loads(await ws.recv())
            rows += body["data"] if body.get("channel") == "trade" else []
        await exchange.exhausted.wait()
    assert [row["trade_id"] for row in rows] == list(range(rows[0]["trade_id"], rows[0]["trade_id"] + 6106))
    assert (rows[0]["trade_id"], rows[0]["price"], rows[0]["qty"], rows[0]["side"]) == (
        1520538925,
        2683.8,
        0.002,
        "sell",
    )


HEADER = '"symbol","side","price","amount","timestamp"\n'
GOOD = '"BTC-USD","sell",25741.02,7.7696E-4,"2023-09-05T16:00:01.281719Z"\n'


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        "time,price\n1,2\n",
        HEADER + GOOD + '"BTC-USD","sell",25741.02\n',
        HEADER + GOOD + GOOD.replace("sell", "ANY"),
        HEADER + GOOD + GOOD.replace("25741.02", "nan"),
        HEADER + GOOD + GOOD.replace("25741.02", "-1"),
        HEADER + GOOD + GOOD.replace("7.7696E-4", "much"),
        HEADER + GOOD + GOOD.replace("2023-09-05T", "yesterday "),
        HEADER + GOOD + GOOD.replace("719Z", "719"),
        HEADER + GOOD + '"BTC-USD\n',
    ],
)
def test_a_spoiled_csv_tape_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "tape.csv"
    path.write_text(text)
    with pytest.raises(InputUnreadable, match=r"tape\.csv") as refusal:
        open_recording(path)
    assert "\n" not in refusal.value.line()


FRAME = (
    b'1 {"stream":"ethusdt@trade","data":{"s":"ETHUSDT","t":1,"p":"2683.80","q":"0.002","T":1723161255611,"m":true}}\n'
)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"", mtime=0),
        gzip.compress(FRAME, mtime=0)[:-10],
        gzip.compress(FRAME.replace(b'"t":1', b'"t":"x"'), mtime=0),
        gzip.compress(FRAME.replace(b"ETHUSDT", b"NOSUCH"), mtime=0),
        zstandard.compress(b""),
        zstandard.compress(b'{"t":"recv","ts":1.0,"data":"{"}\n'),
        zstandard.compress(b"plain text\n"),
        zstandard.compress(b'{"t":"recv","ts":1.0,"data":"{}"}\n' * 100)[:20],
        b"\x00\xff\x00\xff" * 10,
    ],
)
def test_spoiled_frames_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "frames"
    path.write_bytes(content)
    with pytest.raises(InputUnreadable, match="frames") as refusal:
        open_recording(path)
    assert "\n" not in refusal.value.line()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputUnreadable, match="No such file"):
        open_recording(tmp_path / "none")
    with pytest.raises(InputUnreadable, match="No such file"):
        RecordedFrames(tmp_path / "none")
