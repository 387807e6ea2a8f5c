"""Stored frames decoded again: a broken decoder's capture becomes exactly what an honest one would have stored."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.continuity import Feed
from ingestion.exchanges.catalog import native_exchanges
from ingestion.exchanges.coinbase import Coinbase, CoinbaseSession
from ingestion.exchanges.kraken_session import KrakenSession
from ingestion.exchanges.protocol import Exchange, Session, SessionOptions, Subscription
from ingestion.inlet import Inlet
from ingestion.redecoding import Replay, ReplayReport
from ingestion.simulator import Fault, LocalExchange, SeededMarket
from shared.partitioning import Lake, stored_symbol
from shared.rows import Gap, Row
from storage.frames import Stamped, frame_files, published, read_frames
from tests.ingestion.collecting import QUICK, Run, bronze
from tests.ingestion.recording import BrokenDecoder, in_streams, redecoded, stored

SYMBOLS = ("BTC/USD", "ETH/USD")
TABLES = ("trades", "ticker", "l2", "orderbook")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.under(tmp_path / "lake")


def exchange_at(local: LocalExchange, kind: type[Exchange]) -> Exchange:
    if kind.profile.name == "kraken":
        return kind(SessionOptions(ws_url=local.kraken_ws_url, rest_url=local.kraken_rest_url))
    rest_url = f"{local.coinbase_rest_url}/api/v3/brokerage/market"
    return kind(SessionOptions(ws_url=local.coinbase_ws_url, rest_url=rest_url, orderbook_interval_ns=50_000_000))


def wanted(exchange: Exchange) -> NativeOptions:
    streams = [
        Subscription(table, stored_symbol(symbol), exchange.raw_symbol(symbol))
        for table in TABLES
        for symbol in SYMBOLS
    ]
    return NativeOptions(exchange, tuple(streams), 5.0, store_frames=True)


async def capture(
    lake: Lake, options: NativeOptions, until: Callable[[NativeCollector, Inlet], bool], *, number: int = 0
) -> Inlet:
    """Collect until the condition holds, then stop in order."""
    run = Run(lake, number=number)
    inlet = run.pipeline.inlet("native", options.exchange.profile.name)
    run.pipeline._inlets[:] = [inlet]
    collector = NativeCollector(options, inlet, QUICK)
    running = asyncio.create_task(run.pipeline.run([collector]))
    async with asyncio.timeout(60):
        while not until(collector, inlet):
            assert not running.done(), running.result()
            await asyncio.sleep(0.01)
    run.pipeline.stop()
    await running
    return inlet


def market() -> SeededMarket:
    return SeededMarket(seed=5, symbols=["BTC-USD", "ETH-USD"], rate=800, trade_share=0.4)


@pytest.mark.parametrize(
    ("name", "session"), [("coinbaseadvanced", CoinbaseSession), ("kraken", KrakenSession)], ids=["coinbase", "kraken"]
)
async def test_what_a_broken_decoder_spoilt_is_repaired_row_by_row(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, session: type[Session]
) -> None:
    faults = [
        Fault(kind="abort", at=400),
        Fault(kind="malformed", at=150, channel="market_trades"),
        Fault(kind="half_utf8", at=200),
        Fault(kind="drop", at=300, count=2),
    ]
    with pytest.MonkeyPatch.context() as patch:
        broken = BrokenDecoder(patch, session)
        async with LocalExchange(market(), venues=[name.removesuffix("advanced")], faults=faults) as local:
            inlet = await capture(
                lake,
                wanted(exchange_at(local, native_exchanges()[name])),
                lambda _, inlet: inlet.statistics.frames >= 1500 and inlet.statistics.sessions >= 1,
            )
    assert inlet.statistics.frames == bronze(lake, "frames").filter(direction="received").height
    said = await asyncio.to_thread(redecoded, capsys, lake, tmp_path, name, "--output", str(tmp_path / "again"))
    again = Lake.under(tmp_path / "again")
    for table in (*TABLES, "rejects"):
        assert stored(again, table) == in_streams(broken.honest.get(table, [])), table
    assert said["replay"] == {"received": inlet.statistics.frames, "missing": 0, "undecodable": 0, "unanswered": 0}
    found = said["tables"]
    assert found["trades"]["equal"] == found["trades"]["missing"] == found["ticker"]["equal"] == 0
    assert found["trades"]["changed"] > 0
    assert found["ticker"]["new"] == len(broken.honest["ticker"])
    assert found["l2"]["changed"] > 0
    assert found["rejects"]["missing"] > 0
    assert {"disconnect", "sequence_break" if name == "coinbaseadvanced" else "disconnect"} <= set(
        bronze(again, "gaps")["cause"]
    )


@pytest.mark.parametrize("name", ["coinbaseadvanced", "kraken"])
async def test_an_honest_capture_decodes_to_itself_over_replaced_connections_and_runs(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    base = native_exchanges()[name]
    limits = replace(base.profile.limits, lifetime_s=3.0, connections_per_minute=600, messages_per_s=100)
    short = type("Short", (base,), {"profile": replace(base.profile, limits=limits)})
    async with LocalExchange(market(), venues=[name.removesuffix("advanced")]) as local:
        options = wanted(exchange_at(local, short))

        def rotated(collector: NativeCollector, inlet: Inlet) -> bool:
            return sum(line["rotations"] for line in collector.report()) >= 2

        await capture(lake, options, rotated)
        await capture(lake, options, lambda _, inlet: inlet.statistics.frames >= 500, number=1)
    said = await asyncio.to_thread(redecoded, capsys, lake, tmp_path, name, "--dry-run")
    for table in TABLES:
        found = said["tables"][table]
        assert found["equal"] > 0, table
        assert found["changed"] == found["new"] == found["missing"] == 0, (table, found)


async def test_a_snapshot_over_ten_mebibytes_survives(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalExchange(market(), venues=["coinbase"], faults=[Fault(kind="oversized", count=1)]) as local:
        options = wanted(exchange_at(local, native_exchanges()["coinbaseadvanced"]))
        await capture(lake, options, lambda _, inlet: inlet.statistics.frames >= 300)
    assert max(map(len, bronze(lake, "frames")["payload"].to_list())) > 10 << 20
    args = ("--output", str(tmp_path / "again"), "--table", "l2", "--symbol", "BTC/USD")
    said = await asyncio.to_thread(redecoded, capsys, lake, tmp_path, "coinbase", *args)
    assert set(said["tables"]) == {"l2"}
    assert said["tables"]["l2"]["equal"] > 0
    again = stored(Lake.under(tmp_path / "again"), "l2")
    assert again == [row for row in stored(lake, "l2") if row[1] == "BTC-USD"]


async def test_without_the_setting_no_frame_is_stored(lake: Lake) -> None:
    async with LocalExchange(market(), venues=["coinbase"]) as local:
        options = wanted(exchange_at(local, native_exchanges()["coinbaseadvanced"]))
        await capture(lake, replace(options, store_frames=False), lambda _, inlet: inlet.statistics.frames >= 300)
    assert bronze(lake, "trades").height > 0
    assert bronze(lake, "frames").height == 0


async def test_streams_that_come_and_go_while_it_runs_are_followed(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalExchange(market(), venues=["kraken"]) as local:
        both = wanted(exchange_at(local, native_exchanges()["kraken"]))
        one = replace(both, subscriptions=tuple(each for each in both.subscriptions if each.symbol == "BTC-USD"))
        steps = iter([(300, one), (700, both), (1100, one)])
        due = [next(steps)]

        def changed(collector: NativeCollector, inlet: Inlet) -> bool:
            if due and inlet.statistics.frames >= due[0][0]:
                collector.change(due.pop()[1])
                due.extend([step] if (step := next(steps, None)) else [])
            return inlet.statistics.frames >= 1300

        await capture(lake, both, changed)
    said = await asyncio.to_thread(redecoded, capsys, lake, tmp_path, "kraken", "--dry-run")
    assert {row[1] for row in stored(lake, "trades")} == {"BTC-USD", "ETH-USD"}
    for table in TABLES:
        found = said["tables"][table]
        assert found["equal"] > 0, table
        assert found["changed"] == found["new"] == found["missing"] == 0, (table, found)


async def test_frames_that_are_not_stored_are_counted_and_make_a_gap(lake: Lake) -> None:
    async with LocalExchange(market(), venues=["coinbase"]) as local:
        options = wanted(exchange_at(local, native_exchanges()["coinbaseadvanced"]))
        await capture(lake, options, lambda _, inlet: inlet.statistics.frames >= 400)
    (entries,) = frame_files(published(lake, "coinbaseadvanced"), since=None, until=None).runs.values()
    frames = list(read_frames(lake, entries))
    thinned = [each for each in frames if not (each.frame.direction == "received" and 100 <= each.frame.number < 110)]

    def replayed(some: list[Stamped]) -> tuple[ReplayReport, list[Row]]:
        replay = Replay(Coinbase, Feed("native", "coinbaseadvanced", "20260101T000000Z-0000"))
        captures = [capture for each in some for capture in replay.take(*each)]
        return replay.report, [row for each in [*captures, *replay.end()] for row in each.rows]

    whole, rows = replayed(frames)
    assert (whole.missing, whole.undecodable) == (0, 0)
    assert not any(isinstance(row, Gap) for row in rows)
    report, rows = replayed(thinned)
    assert (report.missing, report.received) == (10, whole.received - 10)
    gaps = [row for row in rows if isinstance(row, Gap)]
    assert {"overflow"} <= {gap.cause for gap in gaps}
    assert {gap.channel for gap in gaps} >= {"l2", "trades"}
    report, rows = replayed([each for each in frames if each.frame.direction == "received"])
    assert report.undecodable == report.received == whole.received
    assert rows == []
