"""Native collectors against an exchange that lies: what was soundly sent is stored, the rest is a reject or a declared
gap, and no gap is false."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion.collectors.native_collector import NativeCollector, NativeOptions
from ingestion.exchanges.coinbase import Coinbase
from ingestion.exchanges.kraken import Kraken
from ingestion.exchanges.protocol import SessionOptions, Subscription
from ingestion.simulator import Fault, LocalExchange, SeededMarket
from ingestion.simulator.truth import AlteredFrame
from shared.partitioning import Lake
from shared.rows import ALL
from tests.crash_figures import Record
from tests.ingestion.collecting import QUICK, Run, bronze

SYMBOLS = ("BTC-USD", "ETH-USD")
TABLES = ("trades", "ticker", "l2")
SILENCE_S = 0.6
AFTER_FRAMES = 400  # the fault has struck, and life has gone on
LAKE_NAME = {"coinbase": "coinbaseadvanced", "kraken": "kraken"}
TRADE_CHANNEL = {"coinbase": "market_trades", "kraken": "trade"}


@dataclass
class Told:
    """What an exchange made and sent, and what is stored of it."""

    venue: str
    lake: Lake
    made: dict[str, dict[int, Any]]
    altered: list[AlteredFrame]
    sessions: int
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def rows(self, table: str) -> pl.DataFrame:
        if table not in self.tables:
            self.tables[table] = bronze(self.lake, table)
        return self.tables[table]

    def gaps(self, channel: str | None = None) -> list[dict[str, Any]]:
        """The latest revision of each gap of a stream; what concerns the whole collector is none."""
        rows = self.rows("gaps")
        if not rows.height:
            return []
        rows = rows.filter(pl.col("channel") != ALL)
        latest = rows.sort("revision").unique("gap_id", keep="last")
        return [gap for gap in latest.to_dicts() if channel in (None, gap["channel"])]

    def rejects(self) -> list[dict[str, Any]]:
        rows = self.rows("rejects")
        return rows.to_dicts() if rows.height else []

    def sent(self) -> Mapping[tuple[str, int], tuple[str, str]]:
        """Price and size, as texts, of the trades in altered frames, by symbol and id."""
        found = {}
        for frame in self.altered:
            if frame.channel == TRADE_CHANNEL[self.venue]:
                for record in re.findall(r'\{[^{}]*"trade_id"[^{}]*\}', frame.sent):
                    number = re.search(r'"trade_id":"?(\d+)', record)
                    price, size = (
                        re.search(rf'"{name}":"?([0-9.Ee+-]+)', record) for name in ("price", "(?:size|qty)")
                    )
                    symbol = re.search(r'"(?:product_id|symbol)":"([^"]+)"', record)
                    if number and symbol and price and size:
                        found[symbol[1].replace("/", "-"), int(number[1])] = price[1], size[1]
        return found


def subscriptions(venue: str, tables: tuple[str, ...]) -> tuple[Subscription, ...]:
    raw = {symbol: symbol.replace("-", "/") if venue == "kraken" else symbol for symbol in SYMBOLS}
    return tuple(Subscription(table, symbol, raw[symbol]) for table in tables for symbol in SYMBOLS)


async def listen(
    folder: Path, *faults: Fault, venue: str = "coinbase", tables: tuple[str, ...] = TABLES, frames: int = AFTER_FRAMES
) -> Told:
    """Collect until every fault has struck and some hundred frames have come since."""
    lake = Lake.under(folder)
    market = SeededMarket(seed=5, symbols=SYMBOLS, rate=2000, trade_share=0.4)
    async with LocalExchange(market, venues=[venue], faults=faults) as exchange:
        kind = Kraken if venue == "kraken" else Coinbase
        url = exchange.kraken_ws_url if venue == "kraken" else exchange.coinbase_ws_url
        rest = f"{exchange.coinbase_rest_url}/api/v3/brokerage/market"
        if venue == "kraken":
            rest = f"{exchange.kraken_rest_url}/0/public"
        native = kind(SessionOptions(ws_url=url, rest_url=rest))
        options = NativeOptions(native, subscriptions(venue, tables), SILENCE_S)
        run = Run(lake)
        inlet = run.pipeline.inlet("native", LAKE_NAME[venue])
        running = asyncio.create_task(run.pipeline.run([NativeCollector(options, inlet, QUICK)]))
        since: int | None = None
        async with asyncio.timeout(60):
            while not running.done() and (since is None or inlet.statistics.frames < since + frames):
                if since is None and len(exchange.truth.faults) >= len(faults):
                    since = inlet.statistics.frames
                await asyncio.sleep(0.01)
        run.pipeline.stop()
        await running
        made = {symbol: {int(t.id): t for t in exchange.truth.trades(venue, symbol)} for symbol in SYMBOLS}
        return Told(venue, lake, made, [frame for _, frame in exchange.truth.altered], inlet.statistics.sessions)


def judge(told: Told, *, twice: bool = False) -> int:
    """Every trade made is stored with the values sent, rejected by its id, or inside a gap; the number of gaps.

    `twice` says that the exchange may have sent a trade more than once: by a reconnect's snapshot or as its lie.
    """
    sent, count = told.sent(), 0
    trades = told.rows("trades")
    for symbol in SYMBOLS:
        made, rows = told.made[symbol], trades.filter(pl.col("symbol") == symbol)
        stored = set(rows["trade_seq"])
        assert twice or len(stored) == rows.height
        columns = ("trade_seq", "price", "amount", "price_text", "amount_text", "side")
        for number, price, amount, price_text, amount_text, side in rows.select(columns).iter_rows():
            texts = sent.get((symbol, number), (made[number].price, made[number].size))
            assert (price, amount) == tuple(map(float, texts))
            assert side == made[number].taker
            assert price_text in (None, texts[0])
            assert amount_text in (None, texts[1])
        rejected = {int(each["row_id"]) for each in told.rejects() if each["symbol"] == symbol and each["row_id"]}
        declared = set[int]()
        for gap in told.gaps("trades"):
            if gap["prev_id"] is None or gap["next_id"] is None:  # no trade had come yet, or none came any more
                assert gap["rows_lost"] is None
            elif gap["symbol"] == symbol and gap["status"] == "open":
                ids = set(range(int(gap["prev_id"]) + 1, int(gap["next_id"])))
                assert ids
                assert len(ids) == gap["rows_lost"]
                declared |= ids
                count += 1
        reach = {number for number in made if min(stored) <= number <= max(stored)}
        assert declared == reach - stored - rejected, "declared is what is missing, and nothing else"
    for table in TABLES:
        rows = told.rows(table)
        if rows.height:
            runs = rows.group_by("symbol").agg(pl.len(), pl.n_unique("seq").alias("once"), pl.max("seq").alias("top"))
            assert all(length == once == top + 1 for _, length, once, top in runs.iter_rows())
    return count


CHANNELS = {"coinbase": ("market_trades", "l2_data"), "kraken": ("trade", "book")}
BOTH = pytest.mark.parametrize("venue", ["coinbase", "kraken"])
PLACE = pytest.mark.parametrize("place", [0, 1], ids=["trades", "book"])


@BOTH
@pytest.mark.parametrize("at", [0, 1500], ids=["from the start", "later"])
async def test_a_connection_that_says_nothing_any_more_is_left(tmp_path: Path, venue: str, at: int) -> None:
    told = await listen(tmp_path, Fault(kind="mute", at=at, count=10**9), venue=venue, frames=1500)
    assert judge(told, twice=True) >= (0 if at == 0 else 1)
    assert {gap["cause"] for gap in told.gaps()} == {"silence"}, "also where no row had come: it was subscribed"
    assert told.sessions >= 1


@BOTH
async def test_a_symbol_that_is_kept_quiet_is_found_by_its_ids(tmp_path: Path, venue: str) -> None:
    fault = Fault(kind="mute", at=200, symbol="BTC-USD", count=300)
    told = await listen(tmp_path, fault, venue=venue, frames=900)
    assert judge(told) >= 1
    assert {gap["symbol"] for gap in told.gaps("trades")} == {"BTC-USD"}
    assert {gap["symbol"] for gap in told.gaps()} == {"BTC-USD"}, "the other symbol is not accused"
    if venue == "kraken":  # a checksum finds what the book lost; Coinbase's own sequence was not broken
        assert {gap["cause"] for gap in told.gaps("l2")} == {"checksum"}


@PLACE
@BOTH
async def test_dropped_frames_are_found(tmp_path: Path, venue: str, place: int) -> None:
    count = 40 if (venue, place) == ("kraken", 1) else 3  # a checksum sees the best ten levels alone
    told = await listen(tmp_path, Fault(kind="drop", at=200, count=count, channel=CHANNELS[venue][place]), venue=venue)
    assert (judge(told) > 0) == (place == 0)
    causes = {gap["cause"] for gap in told.gaps()}
    if venue == "coinbase":
        assert causes == {"sequence_break"}
    else:
        assert causes == ({"id_jump"} if place == 0 else {"checksum"})


@PLACE
@BOTH
@pytest.mark.parametrize("kind", ["duplicate", "reorder"])
async def test_frames_that_come_twice_or_swapped_cost_no_trade(
    tmp_path: Path, venue: str, place: int, kind: Any
) -> None:
    told = await listen(tmp_path, Fault(kind=kind, at=200, channel=CHANNELS[venue][place]), venue=venue)
    assert judge(told, twice=kind == "duplicate") == 0
    assert {gap["status"] for gap in told.gaps("trades")} <= {"filled"}


@BOTH
async def test_half_a_websocket_frame_and_then_nothing(tmp_path: Path, venue: str) -> None:
    told = await listen(tmp_path, Fault(kind="half_frame", at=1500, duration_s=5.0), venue=venue, frames=1500)
    judge(told, twice=True)
    assert told.sessions >= 1
    assert {gap["cause"] for gap in told.gaps()} == {"silence"}


@PLACE
@BOTH
@pytest.mark.parametrize("kind", ["half_utf8", "malformed"])
async def test_half_a_character_and_half_a_frame_are_rejects(tmp_path: Path, venue: str, place: int, kind: Any) -> None:
    told = await listen(tmp_path, Fault(kind=kind, at=200, channel=CHANNELS[venue][place]), venue=venue)
    (reject,) = told.rejects()
    (frame,) = told.altered
    assert reject["payload"] == frame.sent
    assert (judge(told) > 0) == (place == 0)
    assert told.gaps(), "its loss is declared"


@BOTH
async def test_a_frame_of_20_mib_is_read(tmp_path: Path, venue: str) -> None:
    told = await listen(tmp_path, Fault(kind="huge", at=200, channel=TRADE_CHANNEL[venue]), venue=venue)
    assert judge(told) == 0
    assert told.gaps() == told.rejects() == []


async def test_a_book_of_more_than_10_mib_is_read(tmp_path: Path) -> None:
    told = await listen(tmp_path, Fault(kind="oversized"))
    assert judge(told) == 0
    snapshots = told.rows("l2").filter("is_snapshot").group_by("symbol", "msg_seq").len()
    assert snapshots["len"].max() > 50_000  # type: ignore[operator]
    assert told.gaps() == told.rejects() == []


@PLACE
@BOTH
@pytest.mark.parametrize("kind", ["strings", "floats", "exponents", "digits"])
async def test_numbers_in_other_clothes_are_read_or_rejected_and_never_bent(
    tmp_path: Path, venue: str, place: int, kind: Any
) -> None:
    told = await listen(tmp_path, Fault(kind=kind, at=200, channel=CHANNELS[venue][place]), venue=venue)
    gaps = judge(told)
    (frame,) = told.altered
    rejected = [each for each in told.rejects() if each["payload"] == frame.sent]
    if place == 0:
        ids = set(told.sent())
        stored = ids & set(told.rows("trades").select("symbol", "trade_seq").iter_rows())
        assert stored == (set() if rejected else ids)
        assert (gaps > 0) == bool(rejected)
        (symbol,) = {symbol for symbol, _ in ids}
        altered = pl.col("trade_seq").is_in([number for _, number in ids]) & (pl.col("symbol") == symbol)
        assert kind != "digits" or rejected or told.rows("trades").filter(altered)["price_text"].null_count() == 0
    elif not rejected and venue == "coinbase":
        message = json.loads(frame.sent)
        (event,) = message["events"]
        number = pl.col("msg_seq") == message["sequence_num"]
        levels = told.rows("l2").filter(number & (pl.col("symbol") == event["product_id"]))
        wanted = [(float(u["price_level"]), float(u["new_quantity"])) for u in event["updates"]]
        assert list(levels.select("price", "size").iter_rows()) == wanted


async def test_a_wrong_checksum_breaks_that_book_alone_and_begins_it_anew(tmp_path: Path) -> None:
    told = await listen(tmp_path, Fault(kind="bad_checksum", at=200, channel="book"), venue="kraken", frames=2500)
    assert judge(told) == 0
    assert {gap["cause"] for gap in told.gaps()} == {"checksum"}
    (symbol,) = {gap["symbol"] for gap in told.gaps()}
    (frame,) = told.altered
    assert symbol.replace("-", "/") in frame.sent
    snapshots = told.rows("l2").filter("is_snapshot").group_by("symbol").agg(pl.n_unique("msg_seq"))
    assert dict(snapshots.iter_rows()) == {each: 2 if each == symbol else 1 for each in SYMBOLS}


async def test_a_crossed_book_is_stored_as_it_was_sent(tmp_path: Path) -> None:
    told = await listen(tmp_path, Fault(kind="crossed", at=200, channel="l2_data"))
    assert judge(told) == 0
    assert told.gaps() == told.rejects() == []
    (frame,) = told.altered
    message = json.loads(frame.sent)
    (event,) = message["events"]
    rows = told.rows("l2").filter(pl.col("msg_seq") == message["sequence_num"])
    first = event["updates"][0]
    assert rows.select("side", "price", "size").row(0) == (
        "bid",
        float(first["price_level"]),
        float(first["new_quantity"]),
    )


@BOTH
async def test_all_lies_at_once(tmp_path: Path, venue: str, crash_figures: Record) -> None:
    trade, book = CHANNELS[venue]
    kinds = ("drop", "malformed", "half_utf8", "floats", "strings", "exponents", "digits", "duplicate", "reorder")
    lies = [
        Fault(kind=kind, at=100 + 37 * number, channel=(trade, book)[number % 2], every=211)  # type: ignore[arg-type]
        for number, kind in enumerate(kinds)
    ]
    told = await listen(tmp_path, *lies, venue=venue, frames=4000)
    gaps = judge(told, twice=True)
    crash_figures({"lies told in one run": len(told.altered), "gaps of trades they left, each true": gaps})
    assert len(told.altered) > 20
