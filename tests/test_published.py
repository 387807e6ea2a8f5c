from pathlib import Path

from shared.disk import Disk
from shared.partitioning import Lake
from storage.published import PublishedLog, newest_tails, next_epoch, read_log

NOW_NS = 1_780_000_000_000_000_000


def test_runs_of_one_second_and_runs_after_a_clock_set_back_sort_in_the_order_they_began(tmp_path: Path) -> None:
    lake, disk = Lake.under(tmp_path), Disk(durable=False)
    disk.make_dirs(lake.published)
    epochs = []
    for wall_ns, entropy in ((NOW_NS, 0xFFFF), (NOW_NS, 0), (NOW_NS - 10**12, 7), (NOW_NS + 10**12, 1)):
        epochs.append(next_epoch(lake, wall_ns, entropy))
        PublishedLog(lake, epochs[-1], disk=disk).close()
    assert epochs == sorted(epochs)
    assert len({epoch[:16] for epoch in epochs}) == 4


def test_a_log_that_was_opened_and_never_written_does_not_hide_the_one_before(tmp_path: Path) -> None:
    lake, disk = Lake.under(tmp_path), Disk(durable=False)
    disk.make_dirs(lake.published)
    PublishedLog(lake, "20260101T000000Z-0000", disk=disk).close()
    (lake.published / "20260101T000001Z-0000.log").write_bytes(b'{"tails":[[')
    assert newest_tails(lake) == {}


def test_a_log_of_a_killed_run_is_no_larger_than_what_it_says(tmp_path: Path) -> None:
    """Consumers compare sizes to see what is new: a reserved tail would be read again at each poll."""
    lake, disk = Lake.under(tmp_path), Disk(durable=True)
    disk.make_dirs(lake.published)
    PublishedLog(lake, "20260101T000000Z-0000", disk=disk)  # never closed
    (path,) = lake.published.iterdir()
    assert read_log(path)[1] == path.stat().st_size


def test_zeroes_behind_the_last_line_are_not_read(tmp_path: Path) -> None:
    """A power cut may keep a file's length and not its last pages."""
    lake, disk = Lake.under(tmp_path), Disk(durable=False)
    disk.make_dirs(lake.published)
    PublishedLog(lake, "20260101T000000Z-0000", disk=disk).close()
    (path,) = lake.published.iterdir()
    whole = path.read_bytes()
    for torn in (bytes(4096) + b"rest of a line}]\n", b'[{"path": \x01\n[]\n'):
        path.write_bytes(whole + torn)
        assert read_log(path) == ([], len(whole))
    assert newest_tails(lake) == {}
