"""Silver order books are, however polls, kills and late trades fall, what one plain run over all rows gives."""

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.core.config import BarSet, EtlOptions, FeatureConfig
from etl.core.executor import TransformExecutor
from etl.features import given
from etl.features.book_bars import BookBars
from etl.features.options import FeatureOptions
from etl.features.stateful import StatefulFeatureProcessor
from etl.transforms.orderbook import BOOK_COLUMNS
from shared.disk import Disk
from shared.partitioning import Lake
from shared.rows import L2Message, OrderBook, Row, Trade
from shared.tables import table
from tests.etl.core.book_rows import messages, snapshots
from tests.etl.core.test_streams import Recorder, cut, market, silver_of, tables
from tests.ingestion.writers.lake_rows import START_NS
from tests.stepped_disk import DyingDisk, Killed

OPTIONS = FeatureOptions(
    max_levels=4,
    ofi_levels=2,
    horizons=(5, 60),
    spread_regime_window=30,
    kyle_lambda_window=60,
    bar_durations=(10, 3600),
)
LATENESS_S = 5


def moments_us(rng: random.Random, until_us: int) -> Iterator[int]:
    """Times from the beginning on, often several at once."""
    us = START_NS // 1000 + 17
    while us < until_us:
        us += rng.choice((0, 100_000, 300_000, 400_000, 900_000))
        yield us


def day(seed: int, *, exchange: str = "kraken", trades: int = 120, table: str = "orderbook") -> list[Row]:
    """Trades and books as they happened."""
    traded = market(seed, exchange=exchange, trades=trades)
    rng = random.Random(seed)
    moments = list(moments_us(rng, (traded[-1].timestamp or 0) + 3_000_000))
    shown = {"orderbook": snapshots, "l2": messages}[table](rng, moments)
    rows, reached = [], 0
    for book in shown:
        reached = max(reached, book.timestamp or 0)
        rows.append((reached, book))
    return [row for _, row in sorted([*((t.timestamp or 0, t) for t in traded), *rows], key=lambda pair: pair[0])]


def options(lake: Lake, disk: Disk | None = None, features: FeatureOptions = OPTIONS) -> EtlOptions:
    return EtlOptions(
        lake,
        lateness_s=LATENESS_S,
        bars=(BarSet("tick", {"threshold": 7}),),
        features=FeatureConfig(trades=True, orderbook=True, options=features),
        disk=disk or Disk(durable=False),
        rows_per_step=40,
    )


def run(
    lake: Lake, *, end_of_data: bool = False, disk: Disk | None = None, features: FeatureOptions = OPTIONS
) -> dict[str, int]:
    """One look of the watcher; what it counted of the books."""
    executor = TransformExecutor(options(lake, disk, features))
    try:
        results = executor.run(end_of_data=end_of_data)
    finally:
        executor.close()
    return dict(results[0].counts.get("orderbook", {})) if results else {}


def stored(lake: Lake, table: str = "orderbook") -> pl.DataFrame:
    files = sorted(lake.silver(table).glob("**/*.parquet"))
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]) if files else pl.DataFrame()


def bronze(lake: Lake, table: str = "orderbook") -> pl.DataFrame:
    """The books of a lake as they arrived, with `gap_before`."""
    rows = pl.read_parquet(list(lake.ready.glob(f"*/{table}/**/*.parquet")), hive_partitioning=False)
    rows = rows.sort("epoch", "seq").with_columns(gap_before=pl.lit(value=False))
    gaps = lake.ready.glob("*/gaps/**/*.parquet")
    for gap in [row for path in gaps for row in pl.read_parquet(path, hive_partitioning=False).to_dicts()]:
        if gap["channel"] == table and gap["end_ts"]:
            behind = (pl.col("epoch") == gap["epoch"]) & (pl.col("capture_ts") >= gap["capture_ts"])
            rows = rows.with_columns(gap_before=pl.col("gap_before") | (behind & behind.cum_sum().eq(1)))
    return rows


def plain(lake: Lake, *, features: FeatureOptions = OPTIONS, table: str = "orderbook") -> pl.DataFrame:
    """All books of a lake and its silver trades, in one go."""
    given = silver_of(lake).with_columns(timestamp="tape_ts") if any(lake.silver("trades").rglob("*.parquet")) else None
    processor = StatefulFeatureProcessor(**msgspec.structs.asdict(features))
    return pl.concat([processor.update(bronze(lake, table), given), processor.flush()])


def assert_as_plain(lake: Lake, *, features: FeatureOptions = OPTIONS, table: str = "orderbook") -> None:
    """Rows of silver are those of a plain run, bit by bit, numbered and in the file of their hour."""
    found, expected = stored(lake), plain(lake, features=features, table=table)
    assert stored(lake, "trade_features").height == stored(lake, "trades").height
    assert found["ordinal"].to_list() == list(range(expected.height))
    assert_frame_equal(found.select(expected.columns), expected, check_exact=True)
    given = msgspec.structs.asdict(features)
    for seconds in features.bar_durations:
        maker = BookBars(bar_duration_sec=seconds, **given)
        bars = pl.concat([maker.update(expected), maker.flush()])
        files = sorted(lake.book_bars(seconds).glob("**/*.parquet"))
        found = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files])
        assert_frame_equal(found.select(bars.columns), bars, check_exact=True)
    assert expected["mid_price"].drop_nulls().len() > 1


def at_once(lake: Lake, folder: Path, features: FeatureOptions = OPTIONS) -> Lake:
    """The same bronze, refined in one uninterrupted run."""
    other = Lake(lake.raw, folder / "at_once", folder / "at_once_state")
    run(other, end_of_data=True, features=features)
    return other


EVENTS = {
    "orderbook": ("crossed", "one_sided", "duplicates", "out_of_order", "gaps", "trades"),
    "l2": ("crossed", "sequence_breaks", "untrusted_messages", "out_of_order", "gaps", "trades"),
}


@pytest.mark.parametrize("exchange", ["kraken", "bitfinex"])
@pytest.mark.parametrize("interval_s", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("table", ["orderbook", "l2"])
def test_one_run_gives_what_a_plain_run_gives(tmp_path: Path, exchange: str, interval_s: float, table: str) -> None:
    lake, features = Lake.under(tmp_path), msgspec.structs.replace(OPTIONS, hf_emit_interval=interval_s)
    recorder = Recorder(lake, exchange)
    rows = day(1, exchange=exchange, table=table)
    recorder.record(cut(rows[:180], random.Random(1)))
    recorder.record(cut(rows[180:], random.Random(2)))
    counts = run(lake, end_of_data=True, features=features)
    assert_as_plain(lake, features=features, table=table)
    assert counts["rows"] == stored(lake).height
    assert [name for name in EVENTS[table] if not counts[name]] == []


@pytest.mark.parametrize(("exchange", "table"), [("kraken", "orderbook"), ("bitfinex", "orderbook"), ("kraken", "l2")])
@pytest.mark.parametrize("seed", range(4))
def test_polls_restarts_and_late_trades_change_nothing(tmp_path: Path, exchange: str, table: str, seed: int) -> None:
    """Bit by bit and file by file; also where the end of the data was declared and was not the end."""
    rng, lake = random.Random(seed), Lake.under(tmp_path)
    recorder, rows = Recorder(lake, exchange), day(seed, exchange=exchange, table=table)
    late = [row for row in rows if isinstance(row, Trade) and rng.random() < 0.04]
    on_time = [row for row in rows if row not in late]
    for journals in cut(on_time, rng):
        back = [late.pop(rng.randrange(len(late))) for _ in range(rng.randint(0, 2)) if late]
        recorder.record([*(cut(journals, rng) if len(journals) > 6 else [journals]), back])
        run(lake, end_of_data=rng.random() < 0.2)
    recorder.record([late, rows[:30]])
    run(lake)
    run(lake, end_of_data=True)
    assert_as_plain(lake, table=table)
    assert tables(lake) == tables(at_once(lake, tmp_path))


def test_a_kill_at_every_step_of_a_run_changes_nothing(tmp_path: Path) -> None:
    """Also of a run that has to go back for a late trade."""
    rows = day(3, trades=30)
    late = [row for row in rows if isinstance(row, Trade)][9]
    rest = [row for row in rows if row is not late]
    before, expected = Lake.under(tmp_path / "before"), None
    recorder = Recorder(before, "kraken")
    recorder.record([rest[: len(rest) // 2]])
    run(before)
    recorder.record([[*rest[len(rest) // 2 :], late]])
    for steps in count():
        lake = Lake.under(shutil.copytree(tmp_path / "before", tmp_path / str(steps)))
        try:
            run(lake, disk=DyingDisk(steps))
            lived = True
        except Killed:
            lived = False
        run(lake, end_of_data=True)
        if expected is None:
            assert_as_plain(lake)
            expected = tables(lake)
        assert tables(lake) == expected, f"after a kill at step {steps}"
        if lived:
            break
    assert steps > 30


def test_a_late_trade_that_silver_only_appends_goes_into_the_row_that_was_made_without_it(tmp_path: Path) -> None:
    """Silver had no reason to go back: the trade comes after all others. The books had gone on."""
    rows, lake = day(4), Lake.under(tmp_path)
    last = [row for row in rows if isinstance(row, Trade)][-1]
    recorder = Recorder(lake, "kraken")
    recorder.record([[row for row in rows if row is not last]])
    recorder.record([[msgspec.structs.replace(at(0), timestamp=(last.timestamp or 0) + 60_000_000)]])
    run(lake)
    had = stored(lake)["trade_count"].sum() if "trade_count" in stored(lake).columns else None
    recorder.record([[last]])
    run(lake)
    run(lake, end_of_data=True)
    assert_as_plain(lake)
    if had is not None:
        assert stored(lake)["trade_count"].sum() == had + 1


def test_books_of_a_quiet_market_do_not_wait_for_the_next_trade(tmp_path: Path) -> None:
    rows = [row for row in day(5) if isinstance(row, OrderBook)]
    trade = Trade("BTC-USD", START_NS // 1000 + 40_000, "1", 1, "buy", "buy", 100.0, 1.0)
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([[trade, *rows]])
    run(lake)
    reached_us = max(row.timestamp or 0 for row in rows)
    last = stored(lake)["timestamp"].dt.timestamp("us")[-1]
    assert reached_us - last < (LATENESS_S + 6) * 10**6
    assert silver_of(lake).height == 1
    run(lake, end_of_data=True)
    assert_as_plain(lake)


def at(seconds: float, *, price: float | None = None) -> OrderBook | Trade:
    """A book, or a trade at a price, so long after the beginning."""
    us = START_NS // 1000 + round(seconds * 1e6)
    if price is not None:
        number = round(seconds * 1000)  # ids rise with time, so that what comes late may be one that was missing
        return Trade("BTC-USD", us, str(number), number, "buy", "buy", price, 1.0)
    size = 1 + seconds % 3
    return OrderBook("BTC-USD", us, None, 99.5, size, 100.5, 2.0, [(99.5, size)], [(100.5, 2.0)])


def test_the_row_that_an_end_closes_has_the_trades_behind_its_last_book(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record(
        [[at(0.1), at(0.2, price=100.0), at(1.1), at(1.7, price=101.0), at(2.5, price=99.0)]]
    )
    counts = run(lake, end_of_data=True)
    assert counts["trades"] == 2
    assert stored(lake)["known_at"].dt.timestamp("us")[-1] == START_NS // 1000 + 1_700_000
    assert_as_plain(lake)


def test_books_alone_go_on_after_an_end_that_was_none(tmp_path: Path) -> None:
    """In the second that the end had closed."""
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([[at(0.1), at(0.2, price=100.0), at(3.1)]])
    run(lake, end_of_data=True)
    recorder.record([[at(3.3), at(8.1), at(9.5)]])
    run(lake)
    run(lake, end_of_data=True)
    assert_as_plain(lake)


def test_books_without_trades_and_trades_without_books(tmp_path: Path) -> None:
    rows = day(6)
    only_books, only_trades = Lake.under(tmp_path / "books"), Lake.under(tmp_path / "trades")
    for lake, kind in ((only_books, OrderBook), (only_trades, Trade)):
        recorder = Recorder(lake, "kraken")
        own = [row for row in rows if isinstance(row, kind)]
        recorder.record([own[:50]])
        run(lake)
        recorder.record([own[50:]])
        run(lake)
        run(lake, end_of_data=True)
    assert_as_plain(only_books)
    assert silver_of(only_trades).height == 120
    assert not stored(only_trades).height


def test_trades_of_a_day_without_books_are_passed_over(tmp_path: Path) -> None:
    """They need not fit into memory. Those of the last day before a book count."""
    rows, lake = day(7), Lake.under(tmp_path)
    shown = [row for row in rows if isinstance(row, OrderBook)]
    day_us, begin_us = 86_400_000_000, shown[0].timestamp or 0
    old = [
        Trade("BTC-USD", begin_us - back_us, str(n + 1), n + 1, "buy", "buy", 100.0, 1.0)
        for n, back_us in enumerate((3 * day_us, day_us + 1, day_us, 10**6))
    ]
    recorder = Recorder(lake, "kraken")
    recorder.record([old, shown])
    counts = run(lake, end_of_data=True)
    assert counts["trades"] == 2
    assert silver_of(lake).height == 4


def test_books_that_are_switched_on_later_are_made_from_the_beginning(tmp_path: Path) -> None:
    """Of streams without trades too, which were no streams before."""
    rows, lake = day(8), Lake.under(tmp_path)
    Recorder(lake, "kraken").record([rows])
    Recorder(lake, "bitfinex").record([[row for row in rows if isinstance(row, OrderBook)]])
    without = TransformExecutor(EtlOptions(lake, disk=Disk(durable=False)))
    assert [result.key.exchange for result in without.run()] == ["kraken"]
    without.close()
    run(lake, end_of_data=True)
    assert set(stored(lake)["exchange"]) == {"kraken", "bitfinex"}


def test_the_first_message_of_l2_makes_every_row_anew_and_snapshots_can_be_asked_for(tmp_path: Path) -> None:
    """The order flow of snapshots and of messages are different numbers, which stand in no table together."""
    lake = Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([day(12)[:100]])
    run(lake)
    assert set(stored(lake)["ofi_source"]) == {"snapshot"}
    recorder.record([[row for row in day(12, table="l2") if isinstance(row, L2Message)]])
    run(lake)
    assert set(stored(lake)["ofi_source"]) == {"event"}
    run(lake, end_of_data=True)
    assert_as_plain(lake, table="l2")
    for books_from in ("l2", "orderbook"):
        features = FeatureConfig(orderbook=True, options=OPTIONS, books_from=books_from)
        executor = TransformExecutor(replace(options(lake), features=features))
        executor.run(end_of_data=True)
        executor.close()
        assert_as_plain(lake, table=books_from)


def test_every_column_of_bronze_that_messages_are_read_by_is_given() -> None:
    read = set(given.Changes._fields) & set(table("l2").ready_schema.names)
    assert "checksum" in read
    assert read <= set(BOOK_COLUMNS["l2"])


def test_an_executor_of_plain_values_makes_features(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([day(15)])
    asked = {"orderbook": True, "books_from": "orderbook", "options": {"max_levels": 4, "ofi_levels": 2}}
    executor = TransformExecutor.from_config({"root": tmp_path, "features": asked})
    executor.run(end_of_data=True)
    executor.close()
    assert "bid_price_L3" in stored(lake).columns
    assert "bid_price_L4" not in stored(lake).columns
    with pytest.raises(ValueError, match=r"max_level is not an option of features: did you mean max_levels\?"):
        TransformExecutor.from_config({"root": tmp_path, "features": {"options": {"max_level": 4}}})
    with pytest.raises(ValueError, match=r"unknown keys.*'book'.*'books_from'"):
        TransformExecutor.from_config({"root": tmp_path, "features": {"book": True}})
    with pytest.raises(ValueError, match="books_from must be auto, l2 or orderbook, was 'trades'"):
        TransformExecutor.from_config({"root": tmp_path, "features": {"books_from": "trades"}})


def test_native_books_are_used_before_those_of_ccxt(tmp_path: Path) -> None:
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken", source="ccxt").record([day(13)])
    run(lake)
    assert stored(lake).height > 20
    Recorder(lake, "kraken").record([[row for row in day(14) if isinstance(row, OrderBook)][:50]])
    run(lake, end_of_data=True)
    assert 10 < stored(lake)["n_updates"].sum() + stored(lake)["n_crossed"].sum() <= 50


def test_other_options_make_every_row_anew(tmp_path: Path) -> None:
    rows, lake = day(9), Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    recorder.record([rows[:150]])
    run(lake)
    other = msgspec.structs.replace(OPTIONS, max_levels=5, hf_emit_interval=2.0)
    recorder.record([rows[150:]])
    run(lake, features=other)
    run(lake, end_of_data=True, features=other)
    assert_as_plain(lake, features=other)
    assert tables(lake) == tables(at_once(lake, tmp_path, other))


def test_books_of_an_earlier_run_that_come_later_are_put_where_they_belong(tmp_path: Path) -> None:
    """As when a lake's bronze arrives from another place in another order."""
    rows, lake = day(10), Lake.under(tmp_path)
    recorder = Recorder(lake, "kraken")
    alone = [row for row in rows[100:200] if isinstance(row, OrderBook)]  # no trade of theirs sends silver back
    parts: Sequence[list[Row]] = (rows[:100], alone, rows[200:])
    for part in parts:
        recorder.record([part])
    logs = sorted(path for path in lake.ready.parent.rglob("*") if path.suffix in (".log", ".jsonl", ".published"))
    assert len(logs) == 3, logs
    aside = logs[1].with_suffix(".aside")
    logs[1].rename(aside)
    run(lake)
    had = stored(lake)
    assert had.height > 20
    aside.rename(logs[1])
    run(lake)
    assert stored(lake).height > had.height
    run(lake, end_of_data=True)
    assert_as_plain(lake)
    assert tables(lake) == tables(at_once(lake, tmp_path))


def test_a_time_far_ahead_of_its_capture_is_none_and_freezes_nothing(tmp_path: Path) -> None:
    rows, lake = day(11), Lake.under(tmp_path)
    place = next(n for n, row in enumerate(rows) if isinstance(row, OrderBook) and n > 50)
    rows[place] = msgspec.structs.replace(rows[place], timestamp=START_NS // 1000 + 10**14)
    Recorder(lake, "kraken").record([rows], until_ns=START_NS)
    run(lake)
    assert stored(lake).height > 20
    assert stored(lake)["timestamp"].max().timestamp() < START_NS / 1e9 + 10**4  # type: ignore[union-attr]
