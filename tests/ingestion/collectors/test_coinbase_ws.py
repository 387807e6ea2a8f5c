"""The native collector against a local exchange that misbehaves: sent = stored + inside declared gaps, always."""

import asyncio
import time
from pathlib import Path

import polars as pl
import pytest

from ingestion.capture import Capture
from ingestion.collectors.coinbase_ws import CoinbaseOptions
from ingestion.pipeline import PipelineOptions
from ingestion.simulator import Fault, LocalExchange, SeededMarket, Timing
from shared.errors import ExchangeRefused, SettingsInvalid
from shared.partitioning import Lake
from tests.ingestion.collecting import QUICK, Run, bronze, coinbase_options, unsaid

FAST = SeededMarket(seed=3, symbols=["BTC-USD"], rate=2000, trade_share=0.5)
COUNT = 1000


async def collect(
    lake: Lake, *faults: Fault, tables: tuple[str, ...] = ("trades",), timing: Timing | None = None
) -> Run:
    """Collect `COUNT` frames from an exchange with these faults."""
    market = SeededMarket(seed=3, symbols=["BTC-USD"], rate=2000, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"], faults=faults, timing=timing or Timing()) as exchange:
        run = Run(lake)
        options = coinbase_options(exchange, "BTC-USD", tables=tables)
        struck = len([fault for fault in faults if fault.kind != "refuse"])

        def enough() -> bool:
            return run.inlet.statistics.frames >= COUNT and len(exchange.truth.faults) >= struck

        await run.coinbase(options, until=enough)
        made = {int(trade.id) for trade in exchange.truth.trades("coinbase", "BTC-USD")}
    last = bronze(lake)["trade_seq"].max()
    assert isinstance(last, int)
    assert unsaid(lake, {number for number in made if number <= last}, "BTC-USD") == set()
    return run


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.under(tmp_path)


async def test_every_trade_ticker_and_level_is_stored_once_and_in_order(lake: Lake) -> None:
    run = await collect(lake, tables=("trades", "ticker", "l2"))
    for table in ("trades", "ticker", "l2"):
        rows = bronze(lake, table)
        assert rows["seq"].to_list() == list(range(rows.height))
    assert bronze(lake, "gaps").height == 0
    trades = bronze(lake)
    assert trades["trade_seq"].is_sorted()
    assert trades["trade_seq"].n_unique() == trades.height
    assert set(zip(trades["side_raw"], trades["side"], strict=True)) == {("BUY", "sell"), ("SELL", "buy")}
    levels = bronze(lake, "l2")
    assert levels.filter("is_snapshot")["is_last"].sum() == 1
    assert run.inlet.statistics.sequence_breaks == 0


@pytest.mark.parametrize("kind", ["close", "abort"])
async def test_a_lost_connection_is_a_gap_row_with_its_ids(lake: Lake, kind: str) -> None:
    run = await collect(lake, Fault(kind=kind, at=300), Fault(kind=kind, at=200))  # type: ignore[arg-type]
    gaps = bronze(lake, "gaps")
    assert run.inlet.statistics.sessions >= 2
    assert set(gaps["cause"]) == {"disconnect"}
    for gap in gaps.iter_rows(named=True):
        lost = max(0, int(gap["next_id"]) - int(gap["prev_id"]) - 1)
        assert gap["rows_lost"] == lost
        assert gap["status"] == ("open" if lost else "filled")


async def test_a_missing_frame_is_a_sequence_break_with_the_ids_it_held(lake: Lake) -> None:
    run = await collect(lake, Fault(kind="drop", at=200, count=3, channel="market_trades"))
    assert run.inlet.statistics.sequence_breaks == 1
    (gap,) = bronze(lake, "gaps").to_dicts()
    assert (gap["cause"], gap["status"]) == ("sequence_break", "open")
    assert gap["rows_lost"] == int(gap["next_id"]) - int(gap["prev_id"]) - 1 > 0
    assert "sequence_num" in gap["evidence"]


async def test_frames_that_come_twice_or_swapped_lose_nothing(lake: Lake) -> None:
    run = await collect(
        lake,
        Fault(kind="duplicate", at=100, channel="market_trades"),
        Fault(kind="reorder", at=300, channel="market_trades"),
    )
    assert run.inlet.statistics.repeated_frames >= 2
    latest = bronze(lake, "gaps").sort("revision").unique("gap_id", keep="last")
    assert set(latest["status"]) == {"filled"}


async def test_a_malformed_frame_is_kept_and_what_it_held_is_a_gap(lake: Lake) -> None:
    await collect(lake, Fault(kind="malformed", at=150, channel="market_trades"))
    (reject,) = bronze(lake, "rejects").to_dicts()
    assert reject["symbol"] == "unknown"
    assert reject["payload"].startswith('{"channel":"market_trades"')
    assert bronze(lake, "gaps").filter(pl.col("status") == "open").height == 1


@pytest.mark.parametrize("price", ["-1", "NaN", "0", "inf"])
async def test_a_price_that_is_none_is_a_reject_and_no_trade(lake: Lake, price: str) -> None:
    await collect(lake, Fault(kind="bad_price", at=150, price=price))
    (reject,) = bronze(lake, "rejects").to_dicts()
    assert (reject["channel"], reject["symbol"]) == ("trades", "BTC-USD")
    assert "not a positive number" in reject["reason"]
    assert price in reject["payload"]
    assert bronze(lake)["price"].min() > 0  # type: ignore[operator]


async def test_silence_with_pongs_ends_the_connection(lake: Lake) -> None:
    run = await collect(lake, Fault(kind="stall", at=300, duration_s=30))
    assert set(bronze(lake, "gaps")["cause"]) == {"silence"}
    assert run.inlet.statistics.sessions >= 1


async def test_a_refused_connection_is_tried_again(lake: Lake) -> None:
    run = await collect(lake, Fault(kind="abort", at=200), Fault(kind="refuse", at=200, duration_s=0.5))
    assert run.inlet.statistics.frames >= COUNT
    assert run.inlet.statistics.sessions >= 1


async def test_a_snapshot_over_ten_mebibytes_is_captured_whole(lake: Lake) -> None:
    await collect(lake, Fault(kind="oversized", count=1), tables=("trades", "l2"))
    snapshot = bronze(lake, "l2").filter("is_snapshot")
    assert snapshot.height > 50_000
    assert snapshot["msg_seq"].n_unique() == 1


async def test_an_unknown_product_stops_the_first_session_with_one_line(lake: Lake) -> None:
    async with LocalExchange(FAST, venues=["coinbase"]) as exchange:
        with pytest.raises(ExchangeRefused) as error:
            await Run(lake).coinbase(coinbase_options(exchange, "NO-SUCH"), until=lambda: False)
    assert "NO-SUCH" in error.value.line()
    assert "symbols" in error.value.line()


async def test_a_restart_declares_what_passed_meanwhile(lake: Lake) -> None:
    """The second run's first rows prove, by their ids, what the pause cost."""
    market = SeededMarket(seed=3, symbols=["BTC-USD"], rate=2000, trade_share=0.5)
    async with LocalExchange(market, venues=["coinbase"]) as exchange:
        for number in range(2):
            run = Run(lake, number=number)
            options = coinbase_options(exchange, "BTC-USD")
            await run.coinbase(options, until=lambda run=run: run.inlet.statistics.rows >= 400)  # type: ignore[misc]
            await asyncio.sleep(0.5)
        made = {int(trade.id) for trade in exchange.truth.trades("coinbase", "BTC-USD")}
    last = bronze(lake)["trade_seq"].max()
    assert unsaid(lake, {number for number in made if number <= last}, "BTC-USD") == set()  # type: ignore[operator]
    restart = bronze(lake, "gaps").filter(pl.col("cause") == "restart")
    assert restart.height == 1
    assert restart["prev_seq"][0] is not None


async def test_a_full_queue_slows_the_socket_and_drops_nothing(lake: Lake) -> None:
    market = SeededMarket(seed=5, symbols=["BTC-USD"], rate=5000, trade_share=1.0)
    async with LocalExchange(market, venues=["coinbase"], timing=Timing(speed=0)) as exchange:
        options = PipelineOptions(flush_interval_s=0.05, journal_sync_s=0.1, queue_rows_max=50, batch_size=50)
        run = Run(lake, options=options)
        await run.coinbase(coinbase_options(exchange, "BTC-USD"), until=lambda: run.inlet.statistics.rows >= 5000)
        assert run.pipeline.statistics().queue.full_count > 0
    ids = bronze(lake)["trade_seq"].to_list()
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_no_attempts_left_is_one_line_that_names_the_setting(lake: Lake) -> None:
    options = CoinbaseOptions("ws://127.0.0.1:9/nobody", {"trades": ("BTC-USD",)})
    with pytest.raises(ExchangeRefused) as error:
        await Run(lake).coinbase(options, until=lambda: False, retry=QUICK.__class__(0.01, 0.02, 2))
    assert "max_reconnect_attempts" in error.value.line()


async def test_an_address_that_is_none_is_one_line_for_the_user(lake: Lake) -> None:
    options = CoinbaseOptions("https//nowhere", {"trades": ("BTC-USD",)})
    with pytest.raises(SettingsInvalid, match="no WebSocket address"):
        await Run(lake).coinbase(options, until=lambda: False)


async def test_a_queue_that_is_full_for_longer_than_the_timeout_is_no_silence(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalExchange(FAST, venues=["coinbase"]) as exchange:
        run = Run(lake, options=PipelineOptions(flush_interval_s=0.05, journal_sync_s=0.1, queue_rows_max=50))
        append, stuck = run.pipeline._writer.append, [True]

        def slow(captures: list[Capture]) -> None:
            if stuck and run.inlet.statistics.rows > 40:
                stuck.clear()
                time.sleep(1.5)
            append(captures)

        monkeypatch.setattr(run.pipeline._writer, "append", slow)
        options = CoinbaseOptions(exchange.coinbase_ws_url, {"trades": ("BTC-USD",)}, silence_timeout_s=0.4)
        await run.coinbase(options, until=lambda: run.inlet.statistics.rows >= 1000)
    assert not stuck
    assert run.inlet.statistics.sessions == 0
    assert bronze(lake, "gaps").height == 0
