"""A disk that rots what was committed, before its journal is let go: the journal gives it again."""

from pathlib import Path
from zlib import crc32

import pytest

from ingestion.writers.journal import COMMIT_SUFFIX
from ingestion.writers.seal import Sealer
from shared.disk import Disk
from shared.partitioning import Lake
from storage.published import PublishedLog, log_paths, read_log
from tests.ingestion.writers.lake_rows import Feed, StepClock, ready_files, ready_rows, writer
from tests.stepped_disk import DyingDisk, Killed


def died(lake: Lake, clock: StepClock, monkeypatch: pytest.MonkeyPatch, *, is_named: bool) -> None:
    """A life that ends behind its commit: before the files have their names, or before the log says so."""
    feed, w = Feed(clock), writer(lake, clock)
    w.append(feed.captures(5) + feed.captures(3, symbol="ETH-USD"))
    journal = w.rotate(reopen=False)
    assert journal

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(*((PublishedLog, "append", killed) if is_named else (Sealer, "publish", killed)))
        with pytest.raises(Killed):
            w.seal(journal)
    w.abandon()
    assert list(lake.active.glob(f"*{COMMIT_SUFFIX}"))
    clock.now_ns += 10**9


def rot(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def committed(lake: Lake) -> list[Path]:
    return sorted([*lake.staging.glob("*/*"), *lake.ready.glob("**/segment_*")])


def is_whole(lake: Lake) -> bool:
    entries = [entry for path in log_paths(lake) for entry in read_log(path)[0]]
    sums = {entry.path: entry.crc32 for entry in entries}
    there = {path.relative_to(lake.ready).as_posix(): crc32(path.read_bytes()) for path in ready_files(lake)}
    return sums == there and ready_rows(lake).height == 8


@pytest.mark.parametrize("is_named", [False, True], ids=["staged", "ready"])
def test_what_rotted_between_commit_and_publication_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    for number in range(3):  # each file, then both
        lake, clock = Lake.under(tmp_path / str(number)), StepClock()
        died(lake, clock, monkeypatch, is_named=is_named)
        for path in committed(lake)[number % 2 : number % 2 + 1] if number < 2 else committed(lake):
            rot(path)
        writer(lake, clock, run=1).close()
        assert is_whole(lake)
        assert not [*lake.active.iterdir(), *lake.staging.iterdir()]


@pytest.mark.parametrize("is_named", [False, True], ids=["staged", "ready"])
def test_a_kill_at_every_step_of_that_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    steps, lived = 0, False
    while not lived:
        lake, clock = Lake.under(tmp_path / str(steps)), StepClock()
        died(lake, clock, monkeypatch, is_named=is_named)
        for path in committed(lake):
            rot(path)
        try:
            writer(lake, clock, run=1, disk=DyingDisk(steps)).close()
            lived = True
        except Killed:
            clock.now_ns += 10**9
            writer(lake, clock, run=2, disk=Disk(durable=False)).close()
        assert is_whole(lake)
        steps += 1
    assert steps > 20


def test_what_its_journal_does_not_give_again_is_told_and_does_not_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, clock = Lake.under(tmp_path), StepClock()
    died(lake, clock, monkeypatch, is_named=False)
    (journal,) = lake.active.glob("*.journal")
    first, second = committed(lake)
    sound = second.read_bytes()
    rot(first)
    rotten = first.read_bytes()
    journal.write_bytes(journal.read_bytes()[:100])
    writer(lake, clock, run=1).close()
    assert sorted(path.read_bytes() for path in ready_files(lake)) == sorted([rotten, sound])
    assert "its journal does not give it again" in capsys.readouterr().out
