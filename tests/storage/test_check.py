"""`daedalus check`: a sound lake is complete, and every single thing that can be taken from it is missed by name."""

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.writers.journal import JournalReader
from scripts import cli
from scripts.check import examine
from shared.clock import utc_from_us
from shared.partitioning import Lake
from shared.rows import Stream
from storage.completeness import StreamSum
from storage.inspection import Scope
from tests.ingestion.writers.lake_rows import START_NS, StepClock
from tests.storage.captured import EXCHANGE, HOUR_NS, Capturing, two_runs

TRADES = Stream("native", EXCHANGE, "trades", "BTC-USD")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return two_runs(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def lake(sound: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(sound.raw, tmp_path / "raw")
    return Lake.under(tmp_path)


def files(lake: Lake, table: str = "trades", symbol: str = "BTC-USD") -> list[Path]:
    return sorted(lake.ready.glob(f"*/{table}/*/symbol={symbol}/**/*.parquet"))


def problems(lake: Lake, *, deep: bool = False) -> str:
    return "\n".join(examine(lake, Scope(), deep=deep)[1])


def account(sums: list[StreamSum], stream: Stream) -> StreamSum:
    (found,) = (each for each in sums if each.stream == stream)
    return found


def rewritten(path: Path, rows: pa.Table) -> None:
    """The file with other rows and the facts it had."""
    facts = pq.read_metadata(path).metadata
    pq.write_table(rows.replace_schema_metadata({**(rows.schema.metadata or {}), **facts}), path)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("raw_format", ["parquet", "ndjson"])
def test_a_sound_lake_is_complete_and_its_sums_are_those_of_the_story(
    tmp_path: Path, raw_format: str, *, deep: bool
) -> None:
    sums, found, looked = examine(two_runs(tmp_path, raw_format=raw_format), Scope(), deep=deep)
    assert found == []
    trades = account(sums, TRADES)
    assert (trades.runs, trades.stored, trades.rejected, trades.journalled) == (2, 10 + 4 + 2 + 17, 1, 0)
    assert (trades.declared, trades.ids_declared, trades.undeclared, trades.received) == (0, 3 + 3, 0, 34)
    assert [(hour.rows, hour.rejected) for _, hour in sorted(trades.hours.items())] == [(14, 1), (19, 0)]
    assert looked == len(list((tmp_path / "raw" / "ready").glob("**/segment_*")))


def test_a_deleted_file_is_named_and_so_are_its_rows(lake: Lake) -> None:
    gone = files(lake)[0]
    gone.unlink()
    said = problems(lake)
    assert f"{gone.relative_to(lake.ready).as_posix()} is missing: 10 rows" in said
    assert "seq 0..9 of" in said


def test_a_truncated_file_is_named(lake: Lake) -> None:
    cut = files(lake)[1]
    os.truncate(cut, cut.stat().st_size // 2)
    assert f"{cut.relative_to(lake.ready).as_posix()} cannot be read" in problems(lake)


def test_a_row_taken_out_of_a_file_is_named(lake: Lake) -> None:
    path = files(lake)[0]
    rows = pq.read_table(path, partitioning=None)
    rewritten(path, pa.concat_tables([rows.slice(0, 3), rows.slice(4)]))
    said = problems(lake)
    assert "is not as it was published: 9 rows instead of 10" in said
    assert "seq 3 of" in said
    assert "trade ids 4 are nowhere" in said


def test_an_altered_value_is_seen_by_size_or_hash(lake: Lake) -> None:
    path = files(lake)[0]
    rows = pq.read_table(path, partitioning=None)
    prices = rows.column("price").to_pylist()
    prices[3] += 1.0
    rewritten(path, rows.set_column(rows.schema.get_field_index("price"), rows.schema.field("price"), [prices]))
    assert "its rows do not give the published content hash" in problems(lake, deep=True)


def test_a_byte_that_no_row_shows_is_seen_by_the_bytes_as_they_were_sealed(lake: Lake) -> None:
    path = files(lake)[0]
    content = path.read_bytes()
    assert content.count(b"parquet-cpp-arrow") == 1  # who wrote it, which readers go by
    path.write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-arrov"))
    assert problems(lake) == ""
    name = path.relative_to(lake.ready).as_posix()
    assert f"{name} is not as it was published: its bytes are not those that were written" in problems(lake, deep=True)


def test_a_gap_row_taken_out_is_missed_twice_over(lake: Lake) -> None:
    for path in files(lake, "gaps"):
        rows = pq.read_table(path, partitioning=None)
        rewritten(path, rows.filter(pa.compute.not_equal(rows.column("cause"), "id_jump")))
    said = problems(lake)
    assert "gaps BTC-USD" in said
    assert "trade ids 11..13 are nowhere" in said


def test_without_its_gap_row_a_restart_is_not_proven(lake: Lake) -> None:
    for path in files(lake, "gaps"):
        rows = pq.read_table(path, partitioning=None)
        rewritten(path, rows.filter(pa.compute.not_equal(rows.column("cause"), "restart")))
    assert "no gap row tells what lies between" in problems(lake)


def test_a_run_that_is_gone_with_its_log_is_missed_by_the_run_after_it(lake: Lake) -> None:
    log = min(lake.published.glob("*.log"))
    epoch = log.stem
    for path in [log, *lake.ready.glob(f"**/*{epoch}*")]:
        path.unlink()
    assert f"seq 0..15 of {epoch} are nowhere (native {EXCHANGE} trades BTC-USD)" in problems(lake)


def test_a_copy_of_a_file_is_named(lake: Lake) -> None:
    path = files(lake)[0]
    copy = path.with_name(path.name.replace("_000000_", "_000009_"))
    shutil.copy(path, copy)
    assert f"{copy.relative_to(lake.ready).as_posix()} is published nowhere" in problems(lake)


def test_rows_that_are_published_twice_are_counted(lake: Lake) -> None:
    log = min(lake.published.glob("*.log"))
    line = log.read_bytes().splitlines()[1]
    path = files(lake)[0]
    copy = path.with_name(path.name.replace("_000000_", "_000009_"))
    shutil.copy(path, copy)
    with log.open("ab") as file:
        file.write(line.replace(b"_000000_", b"_000009_") + b"\n")
    assert "10 rows stored twice (native coinbaseadvanced trades BTC-USD)" in problems(lake)


def test_a_line_that_stands_twice_after_a_crash_is_no_row_twice(lake: Lake) -> None:
    log = min(lake.published.glob("*.log"))
    with log.open("ab") as file:
        file.write(log.read_bytes().splitlines()[1] + b"\n")
    assert problems(lake) == ""


def test_rows_of_an_open_journal_are_named_as_such(tmp_path: Path) -> None:
    lake, clock = Lake.under(tmp_path), StepClock()
    run = Capturing(lake, clock)
    run.trades(1, 10)
    run.seal()
    run.trades(14, 20)
    run.writer.sync()
    sums, found, _ = examine(lake, Scope())
    assert found == []
    trades = account(sums, TRADES)
    assert (trades.stored, trades.journalled, trades.received) == (10, 7, 17)
    run.stop()
    trades = account(examine(lake, Scope())[0], TRADES)
    assert (trades.stored, trades.journalled, trades.ids_declared) == (17, 0, 3)


def test_rows_that_a_damaged_journal_lost_are_declared_before_and_after_the_next_start(tmp_path: Path) -> None:
    lake, clock = Lake.under(tmp_path), StepClock()
    run = Capturing(lake, clock)
    run.trades(1, 6)
    run.writer.sync()
    (journal,) = lake.active.glob("*.journal")
    run.writer.abandon()
    data = bytearray(journal.read_bytes())
    frames = [at for at in range(len(data)) if data[at : at + 4] == b"FRM2"]
    data[frames[4] + 60 : frames[4] + 64] = bytes(4)  # header, start, trades 1, 2, and this is 3
    journal.write_bytes(data)
    second = Capturing(lake, clock)
    assert account(examine(lake, Scope())[0], TRADES).declared == 1
    second.rows([declared.gap for commit in second.writer.recovered.damaged for declared in commit.gaps])
    second.trades(7, 9)
    second.writer.forget_damage()
    second.stop()
    sums, found, _ = examine(lake, Scope())
    assert (account(sums, TRADES).declared, account(sums, TRADES).stored) == (1, 8)
    assert found == ["trade ids 3 are nowhere (native coinbaseadvanced trades BTC-USD)"]


def test_only_what_is_asked_is_looked_at(sound: Lake) -> None:
    everything = examine(sound, Scope())[2]
    second_hour = utc_from_us((START_NS + HOUR_NS) // 1000)
    sums, found, looked = examine(sound, Scope(since=second_hour))
    assert found == []
    assert looked < everything
    assert account(sums, TRADES).stored == 19
    sums, found, looked = examine(sound, Scope(until=second_hour.replace(minute=0, second=0)))
    assert found == []
    assert account(sums, TRADES).stored == 14
    assert examine(sound, Scope(symbols=("ETH-USD",)))[0][0].stream.symbol == "ETH-USD"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_file_but_one_that_says_nothing_is_missed(sound: Lake, data: st.DataObject) -> None:
    every = sorted(sound.ready.glob("**/*.parquet"))
    path = data.draw(st.sampled_from(every))
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        assert path.relative_to(sound.ready).as_posix() in problems(sound)
    finally:
        aside.rename(path)
    assert problems(sound) == ""


def command(lake: Lake, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    file = lake.raw.parent / "config.yaml"
    root = lake.raw.parent
    paths = f'raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"'
    file.write_text(f"storage: {{paths: {{{paths}}}}}\n")
    with pytest.raises(SystemExit) as stopped:
        cli.main([arguments[0], "--config", str(file), *arguments[1:]])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out + err


def test_the_command_ends_with_its_verdict(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = command(lake, "check", "--hours", capsys=capsys)
    assert code == 0
    assert out.splitlines()[-1].startswith("COMPLETE: ")
    files(lake)[0].unlink()
    code, out = command(lake, "check", capsys=capsys)
    assert code == 1
    assert out.splitlines()[-1].startswith("NOT PROVEN: native/trades/")
    code, out = command(lake, "check", "--json", capsys=capsys)
    assert code == 1
    assert json.loads(out)["complete"] is False
    assert command(lake, "check", "--since", "yesterday", capsys=capsys)[0] == 2


def test_an_empty_lake_proves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = command(Lake.under(tmp_path), "check", capsys=capsys)
    assert code == 1
    ready = Lake.under(tmp_path).ready
    assert out == f"NOT PROVEN: there is nothing to prove: {ready} has no published file of what was asked for\n"


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_gaps_are_written_for_other_programs(lake: Lake, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = lake.raw.parent / f"gaps.{form}"
    code, _ = command(lake, "gaps", "--format", form, "--output", str(where), capsys=capsys)
    assert code == 0
    read = {"csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet}[form]
    rows = read(where)
    jump = rows.filter(pl.col("cause") == "id_jump").to_dicts()
    assert [(row["prev_id"], row["next_id"], row["rows_lost"]) for row in jump] in ([("10", "14", 3)], [(10, 14, 3)])
    assert rows["gap_id"].n_unique() == rows.height


def test_gaps_are_listed_for_a_person(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = command(lake, "gaps", capsys=capsys)
    assert code == 0
    assert "10..14" in out
    assert "no end yet" in out  # ETH never spoke again
    assert "rows of starts, connections and the like are not shown (--all)" in out.splitlines()[-1]
    _, every = command(lake, "gaps", "--all", capsys=capsys)
    assert every.count(" start ") == 2
    _, one = command(lake, "gaps", "--cause", "id_jump", capsys=capsys)
    assert one.splitlines()[-1].startswith("1 gap: 1 open; 3 rows lost.")
    assert command(lake, "gaps", "--cause", "none", capsys=capsys)[0] == 2
    _, none = command(lake, "gaps", "--symbol", "ETH/USD", "--channel", "ticker", capsys=capsys)
    assert none == "No gaps.\n"


def test_gaps_of_an_empty_lake_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = command(Lake.under(tmp_path), "gaps", capsys=capsys)
    assert (code, out) == (0, "No gaps: nothing has been published in this lake yet.\n")


def test_a_gap_in_an_open_journal_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake.under(tmp_path)
    run = Capturing(lake, StepClock())
    run.trades(1, 3)
    run.trades(7, 8)
    run.writer.sync()
    _, out = command(lake, "gaps", capsys=capsys)
    assert "3..7" in out
    assert sum(
        kind.name == "gaps" for path in lake.active.glob("*.journal") for kind, _ in JournalReader(path).batches()
    )
    run.stop()


def test_a_gap_without_an_end_is_listed_however_old_its_file_is(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = command(lake, "gaps", "--since", "1h", "--symbol", "ETH-USD", capsys=capsys)
    assert code == 0
    assert "no end yet" in out  # the lake's files are months old, and ETH never spoke again


def test_a_name_that_the_lake_does_not_have_is_no_good_news(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    for option, name in (("--symbol", "BTC-USDX"), ("--exchange", "krakn"), ("--channel", "market_trades")):
        code, out = command(lake, "gaps", option, name, capsys=capsys)
        assert code == 2
        assert f"{name!r} in this lake; there are " in out
        code, out = command(lake, "check", option, name, capsys=capsys)
        assert code == 1
        assert out.splitlines()[-1].startswith("NOT PROVEN: no ")
    both = ("--symbol", "BTC-USD", "--symbol", "BTC-USDX")
    assert command(lake, "check", *both, capsys=capsys)[0] == 1


@pytest.mark.parametrize(
    "period", [("--since", "2999-01-01"), ("--since", "1h", "--until", "2h"), ("--since", "999999999999d")]
)
@pytest.mark.parametrize("name", ["check", "gaps"])
def test_a_period_without_time_is_refused(
    lake: Lake, name: str, period: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(lake, name, *period, capsys=capsys)[0] == 2


@pytest.mark.parametrize("place", [".", "native", "native/trades/exchange=kraken", "native/trades/notes/deep/er"])
def test_a_file_where_nothing_of_ours_belongs_is_named(lake: Lake, place: str) -> None:
    folder = lake.ready / place
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(files(lake)[0], folder / "alien.parquet")
    assert "alien.parquet is published nowhere" in problems(lake)


def test_gaps_that_cannot_be_written_are_one_line(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("table", "csv", "json", "parquet"):
        where = lake.raw / "no-such-folder" / "gaps"
        code, out = command(lake, "gaps", "--format", form, "--output", str(where), capsys=capsys)
        assert code == 2
        assert f"error: {where}: cannot be written" in out


def test_a_gap_that_a_restart_tells_again_stands_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake, clock = Lake.under(tmp_path), StepClock()
    first = Capturing(lake, clock)
    first.trades(1, 3)
    first.interrupt("disconnect")
    first.stop()  # the disconnect is written without an end
    second = Capturing(lake, clock)
    second.trades(7, 8)
    second.stop()
    code, out = command(lake, "gaps", capsys=capsys)
    assert code == 0
    assert "3..7" in out
    assert "no end yet" not in out
    _, every = command(lake, "gaps", "--all", capsys=capsys)
    assert every.count("no end yet") == 1
