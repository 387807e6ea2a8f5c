"""`daedalus compact` at the prompt: what it prints, refuses, and leaves alone."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from scripts.cli import main
from scripts.compact_state import ended_by_signals
from shared.partitioning import Lake
from storage.compaction import Compactor
from storage.compaction_log import Compacted
from storage.compaction_plan import Merge
from storage.compaction_state import CompactionState
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


def said_of(lake: Lake) -> CompactionState:
    return msgspec.json.decode((lake.state / "compaction.json").read_bytes(), type=CompactionState)


def test_a_run_says_what_came_of_it(lake, capsys):
    path = min(lake.ready.glob("*/ticker/*/symbol=BTC-USD/*/*/*/*/*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    compact(lake, capsys)
    said = said_of(lake)
    assert (said.pid, said.is_running, said.last_success_wall_ns) == (os.getpid(), False, None)
    assert str(path) in (said.last_problem or "")
    path.write_bytes(whole)
    compact(lake, capsys)
    well = said_of(lake)
    assert (well.files, well.made_files, well.rows) == (4, 1, scan(lake, "ticker").collect().height)
    assert (well.last_success_wall_ns or 0) > (well.last_problem_wall_ns or 0) > 0
    compact(lake, capsys, "--table", "ticker")
    assert said_of(lake) == well, "a part of the lake is not the lake"


def test_what_ends_a_run_is_its_problem(lake, capsys, monkeypatch):
    monkeypatch.setattr("storage.compaction.disk_usage", lambda _: shutil.disk_usage("/")._replace(free=0))
    code, (line,) = compact(lake, capsys)
    said = said_of(lake)
    assert (code, line, said.is_running) == (2, f"error: {said.last_problem}", False)
    assert "0 MB free" in (said.last_problem or "")


def test_a_bug_that_ends_a_run_is_its_problem_too(lake, capsys, monkeypatch):
    """Its exit code is that of a run that refused something; the supervisor does not try such a one again at once."""

    def broken(*_: object) -> Compacted:
        raise ValueError("of ours")

    monkeypatch.setattr(Compactor, "compact", broken)
    with pytest.raises(ValueError, match="of ours"):
        main(["compact", "--config", str(lake.raw.parent / "config.yaml")])
    said = said_of(lake)
    assert (said.last_problem, said.is_running) == ("ValueError: of ours", False)


def test_for_a_service_it_is_a_line_of_the_log(lake, capsys):
    before = len(files(lake))
    code, (line,) = compact(lake, capsys, "--log-format", "json")
    said = json.loads(line)
    assert (code, said["event"], said["files_before"], said["files_after"]) == (0, "compacted", before, 10)
    code, (line,) = compact(lake, capsys, "--log-format", "json")
    assert (code, json.loads(line)["event"]) == (0, "nothing to compact")
    path = min(lake.daily.glob("*/trades/*/*/*/*/*/*"))
    shutil.copytree(path.parent, lake.ready / path.parent.relative_to(lake.daily) / "hour=22")
    path.write_bytes(b"nonsense")
    code, lines = compact(lake, capsys, "--log-format", "json")
    assert code == 1
    assert [json.loads(line)["event"] for line in lines] == ["not compacted", "nothing to compact"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_asks_it_to_end_is_heard_and_who_asks_twice_need_not_wait(number):
    before = signal.getsignal(number)
    with ended_by_signals() as check:
        check()
        os.kill(os.getpid(), number)
        assert signal.getsignal(number) is before
        with pytest.raises(KeyboardInterrupt):
            check()
    with ended_by_signals() as check:
        check()
    assert signal.getsignal(number) is before


def test_a_run_that_is_asked_to_end_has_neither_done_its_work_nor_failed(lake, capsys, monkeypatch):
    made = Compactor.compact

    def asked_then(compactor: Compactor, merge: Merge) -> Compacted:
        os.kill(os.getpid(), signal.SIGTERM)
        return made(compactor, merge)

    monkeypatch.setattr(Compactor, "compact", asked_then)
    code, lines = compact(lake, capsys)
    said = said_of(lake)
    assert (code, lines) == (130, [])
    assert (said.is_running, said.last_success_wall_ns, said.last_problem) == (False, None, None)
    assert not [path for path in lake.staging.rglob("*") if path.is_file()]


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
