"""What is planned is what can hold what is wanted: nothing else is listed or opened, whatever the layout."""

import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.core.config import BarSet, EtlOptions, FilterSpec
from shared.errors import InputUnreadable
from shared.partitioning import Lake, Partition
from storage.lake import plan, scan, tables

FIRST = datetime(2025, 12, 30, tzinfo=UTC)
HOURS = [FIRST + timedelta(hours=hour) for hour in (0, 1, 23, 24, 30, 47, 48, 71, 72, 73, 24 * 40, 24 * 40 + 5)]
STREAMS = [("kraken", "BTC-USD"), ("kraken", "ETH-USD"), ("coinbaseadvanced", "BTC-USD")]
LAYOUTS = {  # table: unit of the folders, unit of the files, the time they are laid out by
    "trades": ("hour", "hour", "capture_ts"),
    "silver_trades": ("day", "hour", "tape_ts"),
    "silver_orderbook": ("hour", "hour", "timestamp"),
    "silver_ticker": ("month", "hour", "timestamp"),
    "bars": ("month", "day", "time_start"),
    "gold_candles": ("month", "month", "time_start"),
}
DAY = timedelta(days=1)
LABELS = {"hour": "%Y%m%dT%H", "day": "%Y%m%d", "month": "%Y%m"}

_listed: list[str] = []


@sys.addaudithook
def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"os.scandir", "os.listdir"}:
        _listed.append(str(arguments[0]))


def folder_of(lake: Lake, table: str) -> Path:
    if table == "bars":
        return lake.bars("tick-100")
    if table == "gold_candles":
        return lake.candles("1h")
    return lake.silver(table.removeprefix("silver_")) if "silver" in table else lake.ready / "native" / table


def moments(hour: datetime) -> list[datetime]:
    return [hour, hour + timedelta(minutes=30), hour + timedelta(hours=1, microseconds=-1)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three rows in each of these hours."""
    lake = Lake.under(tmp_path_factory.mktemp("lake"))
    for table, (folder_unit, file_unit, clock) in LAYOUTS.items():
        stem = {"trades": "segment", "gold_candles": "candles"}.get(table, table.removeprefix("silver_"))
        for exchange, symbol in STREAMS:
            files: dict[Path, list[datetime]] = {}
            for hour in HOURS:
                partition = Partition.of_us(exchange, symbol, round(hour.timestamp() * 1e6), unit=folder_unit)
                folder, more = folder_of(lake, table) / partition.path(), ""
                if stem == "segment":
                    more = "_000001_20251230T000000Z-aaaa"
                else:
                    folder = Path(str(folder).replace("/year=", "/r7/year="))  # rows of it were replaced
                name = f"{stem}_{hour:{LABELS[file_unit]}}{more}.parquet"
                files.setdefault(folder / name, []).extend(moments(hour))
            for path, times in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                frame = pl.DataFrame({"exchange": exchange, "symbol": symbol, clock: times})
                if table == "trades":
                    frame = frame.with_columns(timestamp=pl.col(clock) - timedelta(hours=7), origin=pl.lit("ws"))
                frame.write_parquet(path)
    return lake


def all_rows() -> list[tuple[str, str, datetime]]:
    return [(*stream, moment) for stream in STREAMS for hour in HOURS for moment in moments(hour)]


def is_wanted(where: FilterSpec, exchange: str, symbol: str, moment: datetime) -> bool:
    units = {unit: getattr(where, unit) for unit in ("year", "month", "day", "hour")}
    return (
        (not where.exchanges or exchange in where.exchanges)
        and (not where.symbols or symbol in where.symbols)
        and all(value is None or getattr(moment, unit) == value for unit, value in units.items())
        and (where.since is None or moment >= where.since)
        and (where.until is None or moment < where.until)
    )


TIMES = st.sampled_from([at + timedelta(microseconds=us) for hour in HOURS for at in moments(hour) for us in (0, 1)])
FILTERS = st.builds(
    lambda bounds, **more: FilterSpec(since=bounds[0], until=bounds[1], **more),
    st.tuples(st.none() | TIMES, st.none() | TIMES).filter(lambda pair: None in pair or pair[0] < pair[1]),
    exchanges=st.sampled_from([(), ("kraken",), ("coinbase", "kraken")]),
    symbols=st.sampled_from([(), ("BTC/USD",), ("BTC-USD", "ETH-USD")]),
    year=st.none() | st.sampled_from([2025, 2026]),
    month=st.none() | st.sampled_from([1, 12]),
    day=st.none() | st.sampled_from([1, 30, 31]),
    hour=st.none() | st.sampled_from([0, 1, 23]),
)


def hour_may_hold(where: FilterSpec, exchange: str, symbol: str, hour: datetime) -> bool:
    """Whether any moment of an hour is wanted."""
    begun = replace(where, since=None, until=None)
    return (
        is_wanted(begun, exchange, symbol, hour)
        and (where.since is None or hour + timedelta(hours=1) > where.since)
        and (where.until is None or hour < where.until)
    )


def relative(lake: Lake, table: str, path: Path) -> str:
    return path.relative_to(folder_of(lake, table)).as_posix()


@settings(deadline=None)
@given(table=st.sampled_from(sorted(LAYOUTS)), where=FILTERS)
def test_what_is_wanted_is_read_and_nothing_else_is_planned(lake, table, where):
    wanted = sorted(row for row in all_rows() if is_wanted(where, *row))
    _, file_unit, clock = LAYOUTS[table]
    paths = plan(lake, table, where)
    if paths:
        frame = scan(lake, table, where).select("exchange", "symbol", clock).collect()
        assert sorted(frame.rows()) == wanted
    else:
        assert wanted == []
    if file_unit == "hour":
        hours = [(*stream, hour) for stream in STREAMS for hour in HOURS]
        assert len(paths) == sum(hour_may_hold(where, *hour) for hour in hours)


@pytest.mark.parametrize("table", sorted(set(LAYOUTS) - {"gold_candles"}))
def test_a_day_of_one_symbol_opens_its_own_files_and_lists_its_own_folders(lake, table, tmp_path):
    where = FilterSpec(("kraken",), ("BTC-USD",), year=2025, month=12, day=31)
    from_until = replace(where, year=None, month=None, day=None, since=FIRST + DAY, until=FIRST + 2 * DAY)
    planned = plan(lake, table, where)
    assert planned == plan(lake, table, from_until)
    assert len(planned) == (1 if table == "bars" else 3)
    copy = Lake.under(tmp_path)
    shutil.copytree(lake.processed, copy.processed)
    shutil.copytree(lake.raw, copy.raw)
    mine = {relative(lake, table, path) for path in planned}
    for path in folder_of(copy, table).rglob("*.parquet"):
        if relative(copy, table, path) not in mine:
            path.write_bytes(b"whoever opens this fails")
    for asked in (where, from_until):
        _listed.clear()
        rows = scan(copy, table, asked).collect()
        below = {folder for folder in _listed if "symbol=" in folder}
        assert len(rows) == 9
        assert all("exchange=kraken" in folder and "symbol=BTC-USD" in folder for folder in below)
        parts = {part for folder in below for part in Path(folder).parts if part.startswith(("month=", "day="))}
        assert parts <= {"month=12", "day=31"}
        replaced = 0 if table == "trades" else 1  # its folder r7
        assert len(below) <= 4 + replaced + (3 if "hour" in LAYOUTS[table][0] else 0)


def test_files_of_a_stream_come_in_the_order_of_time(lake):
    files = plan(lake, "silver_ticker", FilterSpec(("kraken",), ("BTC-USD",)))
    assert [path.stem.split("_")[1][:11] for path in files] == [f"{hour:%Y%m%dT%H}" for hour in HOURS]


def test_a_bar_that_begins_before_the_bar_before_it_is_found_once(tmp_path):
    lake, midnight = Lake.under(tmp_path), FIRST + DAY
    starts = [[midnight - DAY / 2], [midnight, midnight - timedelta(seconds=1), midnight + DAY / 2]]
    for times in starts:
        folder = lake.bars("tick-100") / Partition("kraken", "BTC-USD", 2025, 12).path()
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"time_start": times}).write_parquet(folder / f"bars_{times[0]:%Y%m%d}.parquet")
    days = [FilterSpec(since=FIRST + day * DAY, until=FIRST + (day + 1) * DAY) for day in range(2)]
    assert [scan(lake, "bars", day).collect()["time_start"].to_list() for day in days] == starts
    assert scan(lake, "bars", FilterSpec(day=31)).collect()["time_start"].to_list() == starts[1]


def test_further_partitions_are_keys(lake):
    assert len(plan(lake, "bars", bar_set="tick-100")) == len(plan(lake, "bars"))
    assert plan(lake, "bars", bar_set="tick-7") == []
    with pytest.raises(ValueError, match=r"trades has no partitions by 'bar_set'; .* it has: none"):
        plan(lake, "trades", bar_set="tick-100")


def test_what_is_not_there_is_told(lake):
    with pytest.raises(InputUnreadable) as refusal:
        plan(lake, "trade")
    assert refusal.value.line() == (
        "there is no table 'trade' in this lake. Tables are: bars, gold_candles, silver_orderbook, silver_ticker, "
        "silver_trades, trades"
    )
    with pytest.raises(InputUnreadable, match=r"bars has no file for symbol SOL-USD, since 2026-01-01 .*, bar_set x"):
        scan(lake, "bars", FilterSpec(symbols=("SOL/USD",), since=datetime(2026, 1, 1, tzinfo=UTC)), bar_set="x")


def test_what_is_not_finished_is_no_part_of_a_table(lake):
    folder = lake.bars("any").parent / ".bar_set=x.building-7" / "exchange=kraken" / "symbol=X"
    folder.mkdir(parents=True)
    (folder / "bars_20260101.parquet").write_bytes(b"half")
    assert not [path for path in plan(lake, "bars") if "building" in str(path)]
    shutil.rmtree(folder.parents[1])


def test_the_tables_are_named(lake):
    names = [table.name for table in tables(lake)]
    assert names == ["trades", "silver_orderbook", "silver_ticker", "silver_trades", "bars", "gold_candles"]
    ((bronze,),) = (table.patterns for table in tables(lake) if table.name == "trades")
    assert len(pl.scan_parquet(bronze).collect()) == len(all_rows())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"month": 13}, "month must be 1 to 12, was 13"),
        ({"hour": 24}, "hour must be 0 to 23, was 24"),
        ({"since": datetime(2026, 1, 1)}, "since 2026-01-01 00:00:00 has no time zone"),
        ({"since": FIRST, "until": FIRST}, "is not before until"),
        ({"symbols": ("a b",)}, "cannot name a partition"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        FilterSpec(**spec)


def test_a_run_takes_whole_streams(tmp_path):
    where = FilterSpec(symbols=("BTC-USD",), year=2026)
    for make in (lambda: EtlOptions(Lake.under(tmp_path), only=where), lambda: BarSet("tick", {}, where)):
        with pytest.raises(ValueError, match="a run takes whole streams"):
            make()
