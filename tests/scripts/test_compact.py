"""`daedalus compact` at the prompt: what it prints, refuses, and leaves alone."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.cli import main
from shared.partitioning import Lake
from storage.lake import scan
from storage.locks import hold, maintenance_lock
from tests.small_disk import small_disk  # noqa: F401
from tests.storage.captured import two_runs
from tests.storage.many_files import files, many_files


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return many_files(tmp_path_factory.mktemp("original"), hours=2, files_an_hour=2, rows=2)


@pytest.fixture
def lake(original: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(original.raw, tmp_path / "raw")
    return configured(tmp_path)


def configured(folder: Path) -> Lake:
    paths = ", ".join(f'{name}_dir: "{folder}/{name}"' for name in ("raw", "processed", "state"))
    (folder / "config.yaml").write_text(f"storage: {{paths: {{{paths}}}}}\n")
    return Lake.under(folder)


def compact(lake: Lake, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    """The exit code, and what was printed."""
    with pytest.raises(SystemExit) as ended:
        main(["compact", "--config", str(lake.raw.parent / "config.yaml"), *more])
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, [line.rstrip() for line in (said.out + said.err).splitlines()]


def test_a_dry_run_tells_and_touches_nothing_a_run_does_it_and_another_has_nothing_to_do(lake, capsys):
    before = files(lake)
    code, lines = compact(lake, capsys, "--dry-run")
    assert (code, files(lake)) == (0, before)
    assert lines[-1] == f"{len(before):,} files would become 10"
    assert [line.split()[:3] for line in lines[1:-1]] == [
        ["gaps", "8", "5"], ["rejects", "2", "2"], ["ticker", "4", "1"], ["trades", "8", "2"],
    ]  # fmt: skip
    assert not lake.state.exists()
    code, lines = compact(lake, capsys, "--measure")
    assert code == 0
    assert lines[-2] == f"{len(before):,} files became 10"
    assert lines[-1].startswith("ticker of coinbaseadvanced BTC-USD on 2026-05-28, two columns: ")
    assert lines[-1].endswith(" ms after")
    assert compact(lake, capsys) == (0, ["nothing to compact: no day that is over has files in ready"])


def test_only_what_is_named_is_compacted_and_a_strange_name_is_refused(lake, capsys):
    _, lines = compact(lake, capsys, "--table", "trades", "--symbol", "ETH/USD", "--min-file-count", "4")
    assert lines[-1] == "4 files became 1"
    _, lines = compact(lake, capsys, "--table", "rejects", "--min-file-count", "2")
    assert lines[-1].startswith("nothing to compact")
    code, lines = compact(lake, capsys, "--table", "trade")
    assert code == 2
    assert lines[0].startswith("error: no table 'trade' in this lake; there are gaps, rejects, ticker, trades.")


def test_a_damaged_file_is_a_line_and_everything_else_is_done(lake, capsys):
    path = min(lake.ready.glob("*/trades/*/symbol=ETH-USD/*/*/*/*/*"))
    path.write_bytes(path.read_bytes()[:-9])
    code, lines = compact(lake, capsys)
    assert code == 1
    assert [line for line in lines if str(path) in line and "`daedalus check --deep`" in line]
    assert len([name for name in files(lake) if name.startswith("ready/")]) == 4


def test_a_query_reads_days_and_hours_each_row_once(original, lake, capsys):
    compact(lake, capsys, "--symbol", "BTC-USD")
    shutil.copytree(original.ready, lake.ready, dirs_exist_ok=True)  # brought back, and standing there twice
    with pytest.raises(SystemExit):
        main(["query", "select count(*) from trades", "--csv", "-c", str(lake.raw.parent / "config.yaml")])
    assert capsys.readouterr().out.splitlines()[1] == str(scan(original, "trades").collect().height)


def test_two_at_once_are_told_who_is_at_work(lake, capsys):
    lake.state.mkdir()
    held = hold(maintenance_lock(lake), hint="")
    code, lines = compact(lake, capsys)
    held.release()
    assert code == 2
    assert "in use by pid" in lines[0]
    assert files(lake)


def test_ndjson_stays_and_is_counted(tmp_path, capsys):
    lake = configured(tmp_path)
    two_runs(tmp_path, raw_format="ndjson")
    before = files(lake)
    assert compact(lake, capsys) == (
        0,
        [f"{len(before)} NDJSON files stay as they are", "nothing to compact: no day that is over has files in ready"],
    )
    assert files(lake) == before


def test_a_lake_that_cannot_be_written_is_one_line(original, small_disk, capsys):  # noqa: F811
    shutil.copytree(original.raw, small_disk / "raw")
    lake = configured(small_disk)
    before = files(lake)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, lines = compact(lake, capsys)
    assert code == 2
    assert len(lines) == 1
    assert "the filesystem is read-only" in lines[0]
    assert files(lake) == before
