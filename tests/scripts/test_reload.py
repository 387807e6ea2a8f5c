"""What native settings become, which are refused in one line, and what a changed file does while capture runs."""

import asyncio
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest
from structlog.testing import capture_logs

from config.config import Settings, load_config
from ingestion.collectors.native_collector import NativeOptions
from ingestion.heartbeat import FeedStatistics
from ingestion.simulator import LocalExchange, SeededMarket
from scripts.capture_plan import plan_collectors
from scripts.ingest import build_pipeline
from scripts.reload import Capture, restarts
from shared.errors import SettingsInvalid
from shared.partitioning import Lake
from tests.ingestion.collecting import bronze


def settings(folder: Path, text: str) -> Settings:
    file = folder / "config.yaml"
    paths = f"{{paths: {{raw_dir: {folder}/raw, processed_dir: {folder}/p, state_dir: {folder}/s}}}}"
    file.write_text(f"{text}\nstorage: {paths}\n")
    return load_config(file, environment={})


def planned(folder: Path, text: str) -> NativeOptions:
    (plan,) = plan_collectors(settings(folder, text))
    assert isinstance(plan.options, NativeOptions)
    return plan.options


def test_null_means_the_symbols_an_empty_list_means_off(tmp_path: Path) -> None:
    channels = "{ticker: [], orderbook: null, l2: [BTC/USD]}"
    options = planned(
        tmp_path, f"native: {{exchanges: {{kraken: {{symbols: [BTC/USD, ETH/USD], channels: {channels}}}}}}}"
    )
    assert sorted((each.table, each.symbol) for each in options.subscriptions) == [
        ("l2", "BTC-USD"),
        ("orderbook", "BTC-USD"),
        ("orderbook", "ETH-USD"),
        ("trades", "BTC-USD"),
        ("trades", "ETH-USD"),
    ]


@pytest.mark.parametrize("text", ["coinbase: {symbols: [BTC-USD]", "native: {exchanges: {kraken: {symbols: [BTC/USD]"])
def test_one_cap_holds_for_every_depth(tmp_path: Path, text: str) -> None:
    closing = "}" * text.count("{")
    whole = f"{text}, orderbook_depth: 500, orderbook_interval_ms: 250{closing}\ningestion: {{max_orderbook_depth: 20}}"
    chosen = planned(tmp_path, whole).exchange.options
    assert (chosen.orderbook_depth, chosen.orderbook_interval_ns) == (20, 250_000_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("native: {exchanges: {krakn: {symbols: [BTC/USD]}}}", ("native.exchanges.krakn", "kraken", "okx")),
        (
            "native: {exchanges: {kraken: {symbols: [BTC/USD], channels: {funding: [BTC/USD]}}}}",
            ("native.exchanges.kraken.channels.funding", "it has trades"),
        ),
        (
            "coinbase: {symbols: [BTC-USD]}\nnative: {exchanges: {coinbaseadvanced: {symbols: [ETH/USD]}}}",
            ("coinbase and native.exchanges.coinbaseadvanced are one exchange",),
        ),
        (
            "native: {exchanges: {coinbase: {symbols: [A/USD]}, coinbaseadvanced: {symbols: [B/USD]}}}",
            ("native.exchanges.coinbase and native.exchanges.coinbaseadvanced are one exchange",),
        ),
    ],
)
def test_what_cannot_be_collected_is_refused_in_one_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(SettingsInvalid) as error:
        plan_collectors(settings(tmp_path, text))
    for word in words:
        assert word in error.value.line()


def test_only_what_waits_for_a_restart_is_named(tmp_path: Path) -> None:
    before = settings(tmp_path, "coinbase: {symbols: [BTC-USD]}")
    after = settings(
        tmp_path,
        "coinbase: {symbols: [ETH-USD]}\nnative: {exchanges: {kraken: {symbols: [BTC/USD]}}}\n"
        "ingestion: {batch_size: 5, max_orderbook_depth: 5}\netl: {lateness_s: 3}\nlogging: {level: debug}",
    )
    assert restarts(before, after) == ["ingestion.batch_size", "logging.level"]
    assert restarts(before, before) == []


async def test_exchanges_come_and_go_and_a_refused_file_changes_nothing(tmp_path: Path) -> None:
    market = SeededMarket(seed=21, symbols=["BTC-USD"], rate=200, trade_share=0.5)
    async with LocalExchange(market) as exchange:
        rest_url = f"{exchange.coinbase_rest_url}/api/v3/brokerage/market"
        coinbase = f"coinbase: {{symbols: [BTC-USD], ws_url: '{exchange.coinbase_ws_url}', rest_url: '{rest_url}'}}\n"
        kraken = (
            f"native: {{exchanges: {{kraken: {{symbols: [BTC/USD], ws_url: '{exchange.kraken_ws_url}', "
            f"rest_url: '{exchange.kraken_rest_url}/0/public'}}}}}}\n"
        )
        first = settings(tmp_path, coinbase)
        pipeline, asked = build_pipeline(first), asyncio.Event()
        capture = Capture(pipeline, first, plan_collectors(first))
        running = asyncio.create_task(pipeline.run(capture.collectors))
        following = asyncio.create_task(capture.follow(tmp_path / "config.yaml", asked))

        def rows(feed: str) -> int:
            return pipeline.statistics().feeds.get(feed, FeedStatistics()).rows

        async def until_rows(feed: str) -> None:
            wanted = rows(feed) + 50
            async with asyncio.timeout(30):
                while rows(feed) < wanted:
                    await asyncio.sleep(0.02)

        with capture_logs() as lines:
            await until_rows("native:coinbaseadvanced")
            settings(tmp_path, coinbase + kraken)
            asked.set()
            await until_rows("native:kraken")
            (tmp_path / "config.yaml").write_text("coinbase: {symbol: x, enabled: 5}")
            asked.set()
            async with asyncio.timeout(30):
                while not any("refused" in line["event"] for line in lines):
                    await asyncio.sleep(0.02)
            await until_rows("native:coinbaseadvanced")
            connections = pipeline.statistics().connections
            settings(tmp_path, kraken)
            asked.set()
            async with asyncio.timeout(30):
                while "native:coinbaseadvanced" in pipeline.statistics().connections:
                    await asyncio.sleep(0.02)
            await until_rows("native:kraken")
        following.cancel()
        pipeline.stop()
        await running
    assert [each["connection"] for each in connections["native:coinbaseadvanced"]] == [1]
    assert [each["connection"] for each in connections["native:kraken"]] == [1]
    (refused,) = [line for line in lines if "refused" in line["event"]]
    assert "\n" not in refused["problem"]


async def test_what_had_ended_is_started_anew_by_the_next_reload(tmp_path: Path) -> None:
    """The first reload is asked for before capture is at work: it is done when it is."""
    market = SeededMarket(seed=21, symbols=["BTC-USD"], rate=200, trade_share=0.5)
    async with LocalExchange(market) as exchange:
        rest_url = f"{exchange.coinbase_rest_url}/api/v3/brokerage/market"
        coinbase = f"coinbase: {{symbols: [BTC-USD], ws_url: '{exchange.coinbase_ws_url}', rest_url: '{rest_url}'}}\n"
        ingestion = "ingestion: {max_reconnect_attempts: 1, reconnect_delay: 0.01}\n"

        def text(kraken_ws_url: str) -> str:
            kraken = f"kraken: {{symbols: [BTC/USD], ws_url: '{kraken_ws_url}', rest_url: 'http://127.0.0.1:9'}}"
            return f"{coinbase}native: {{exchanges: {{{kraken}}}}}\n{ingestion}"

        first = settings(tmp_path, coinbase + ingestion)
        pipeline, asked = build_pipeline(first), asyncio.Event()
        capture = Capture(pipeline, first, plan_collectors(first))
        running = asyncio.create_task(pipeline.run(capture.collectors))
        following = asyncio.create_task(capture.follow(tmp_path / "config.yaml", asked))
        with capture_logs() as lines:
            for url, sign in (("ws://127.0.0.1:9", "the others go on"), (exchange.kraken_ws_url, "reloaded")):
                lines.clear()
                settings(tmp_path, text(url))
                asked.set()
                async with asyncio.timeout(30):
                    while not any(sign in line["event"] for line in lines):
                        await asyncio.sleep(0.02)
            async with asyncio.timeout(30):
                while pipeline.statistics().feeds["native:kraken"].rows < 20:
                    await asyncio.sleep(0.02)
        following.cancel()
        pipeline.stop()
        await running


async def test_an_exchange_through_ccxt_begins_anew_with_other_symbols_whatever_ccxt_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, failures = ccxt.pro.kraken.describe, iter([None, KeyError("quote"), None])
    monkeypatch.setattr(ccxt.pro.kraken, "describe", lambda self: own(self) | {"rateLimit": 1})
    load_markets = ccxt.pro.kraken.load_markets

    async def failing(self: Any, *args: Any) -> Any:
        if failure := next(failures, None):
            raise failure
        return await load_markets(self, *args)

    monkeypatch.setattr(ccxt.pro.kraken, "load_markets", failing)
    market = SeededMarket(seed=22, symbols=["BTC-USD", "ETH-USD"], rate=400, trade_share=0.5)
    async with LocalExchange(market, venues=("kraken",)) as exchange:

        def text(symbol: str) -> str:
            urls = f"{{public: '{exchange.kraken_rest_url}', ws: '{exchange.kraken_ws_url}'}}"
            entry = f"{{channels: {{watchTrades: [{symbol}]}}, urls: {urls}}}"
            return f"ccxt: {{exchanges: {{kraken: {entry}}}}}\ningestion: {{reconnect_delay: 0.01}}"

        first = settings(tmp_path, text("BTC/USD"))
        pipeline, asked = build_pipeline(first), asyncio.Event()
        capture = Capture(pipeline, first, plan_collectors(first))
        running = asyncio.create_task(pipeline.run(capture.collectors))
        following = asyncio.create_task(capture.follow(tmp_path / "config.yaml", asked))

        async def until_rows() -> None:
            async with asyncio.timeout(30):
                while pipeline.statistics().feeds.get("ccxt:kraken", FeedStatistics()).rows < 20:
                    await asyncio.sleep(0.02)

        await until_rows()
        settings(tmp_path, text("ETH/USD"))
        (before,) = capture.collectors
        asked.set()
        async with asyncio.timeout(30):
            while capture.collectors == [before]:
                await asyncio.sleep(0.02)
        await until_rows()
        following.cancel()
        pipeline.stop()
        await running
    assert next(failures, "all raised") == "all raised"
    assert set(bronze(Lake.under(tmp_path), "trades")["symbol"]) == {"BTC-USD", "ETH-USD"}
