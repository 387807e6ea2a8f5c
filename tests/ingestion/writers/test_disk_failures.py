"""A disk that is full or broken, at every single write, sync, rename: capture ends with one clear error, the next start
has everything acknowledged, once."""

import errno
from itertools import count
from pathlib import Path

import pytest

from ingestion.writers.parquet_writer import WriterOptions
from ingestion.writers.segments import Segment, SegmentOptions
from shared.disk import Disk, translated
from shared.errors import DiskFull, LakeUnusable
from shared.partitioning import Lake
from storage.checksum import SummedFile
from storage.published import log_paths, read_log
from tests.crash_figures import Record
from tests.ingestion.writers.lake_rows import Feed, StepClock, ready_files, ready_rows, writer
from tests.ingestion.writers.lives import live
from tests.stepped_disk import FAILABLE, FailingDisk


def recover(lake: Lake, clock: StepClock, disk: Disk, *, run: int) -> bool:
    """A later start that collects nothing. False where the disk ended it."""
    clock.now_ns += 10**9
    w = None
    try:
        w = writer(lake, clock, run=run, disk=disk)
        w.close()
    except LakeUnusable:
        if w:
            w._lock.release()
        return False
    return True


def check(lake: Lake, acknowledged: set[int]) -> None:
    stored = ready_rows(lake)["trade_seq"].to_list() if ready_files(lake) else []
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
    logged = {entry.path for path in log_paths(lake) for entry in read_log(path)[0]}
    assert logged == {path.relative_to(lake.ready).as_posix() for path in ready_files(lake)}
    assert [path.name for path in (*lake.active.iterdir(), *lake.staging.iterdir())] == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("kind", FAILABLE)
def test_a_disk_that_fails_at_any_step_loses_no_acknowledged_row(
    tmp_path: Path, kind: str, error: int, crash_figures: Record
) -> None:
    """The n-th step of a kind fails, for every n: in a first life, then in the recovery that follows on it."""
    failures = 0
    for nth in count():
        lake, clock, acknowledged = Lake.under(tmp_path / str(nth)), StepClock(), set[int]()
        disk = FailingDisk(kind, nth, error, for_ever=error == errno.ENOSPC)
        lived = live(lake, clock, disk, acknowledged, ends=LakeUnusable)
        assert lived == (disk.failed == 0)
        again = FailingDisk(kind, nth // 2, error, for_ever=False)
        recover(lake, clock, again, run=1)
        failures += (disk.failed > 0) + again.failed
        assert recover(lake, clock, Disk(durable=False), run=2)
        check(lake, acknowledged)
        if lived:
            break
    assert nth > 0
    crash_figures({f"disk failures survived ({errno.errorcode[error]})": failures})


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("method", ["add", "finish"])
def test_a_disk_that_fails_while_parquet_is_written_loses_no_acknowledged_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, error: int
) -> None:
    real, seen = getattr(Segment, method), [0]
    for nth in range(4):
        lake, clock, acknowledged = Lake.under(tmp_path / str(nth)), StepClock(), set[int]()
        seen[0] = 0

        def failing(self: Segment, *args: object, at: int = nth, **names: object) -> None:
            seen[0] += 1
            if seen[0] == at + 1:
                with translated(self.path):
                    raise OSError(error, "injected")
            real(self, *args, **names)

        with monkeypatch.context() as patched:
            patched.setattr(Segment, method, failing)
            assert not live(lake, clock, Disk(durable=False), acknowledged, ends=LakeUnusable)
        assert acknowledged
        assert recover(lake, clock, Disk(durable=False), run=1)
        check(lake, acknowledged)


@pytest.mark.parametrize("raw_format", ["parquet", "ndjson"])
def test_a_disk_that_is_full_under_a_ready_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw_format: str
) -> None:
    lake, clock = Lake.under(tmp_path), StepClock()
    w = writer(lake, clock, options=WriterOptions(segments=SegmentOptions(raw_format=raw_format)))
    w.append(Feed(clock).captures(5))
    journal = w.rotate()
    assert journal

    def full(_: SummedFile, __: object) -> int:
        raise OSError(errno.ENOSPC, "injected")

    with monkeypatch.context() as patched:
        patched.setattr(SummedFile, "write", full)
        with pytest.raises(DiskFull):
            w.seal(journal)
    assert w.seal(journal).rows == 5
    w.close()
    assert len(ready_files(lake)) == 1
