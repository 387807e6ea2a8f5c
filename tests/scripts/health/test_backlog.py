"""How far the watcher is behind, and when the disk will be full."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.health import backlog
from scripts.health.backlog import Publication, days_left, growth_bytes_per_day, publications, watcher_lag
from shared.clock import us_from_utc
from shared.partitioning import Lake
from storage.published import Published, Tail, read_log, started_at

EPOCH = "20260609T120000Z-0a0b"
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake.under(tmp_path)
    found.published.mkdir(parents=True)
    return found


def at(seconds: float, epoch: str = EPOCH) -> int:
    """A moment after the beginning of a run, in microseconds."""
    return us_from_utc(started_at(Path(epoch))) + round(seconds * 1e6)


def entry(capture_us: int, *, size_bytes: int = 1000) -> Published:
    tail = Tail(EPOCH, 9, capture_us)
    return Published("p", "native", "kraken", "trades", "BTC-USD", EPOCH, 10, size_bytes, 0, 9, "h", tail)


def write(lake: Lake, lines: list[list[Published]], *, epoch: str = EPOCH, tail: bytes = b"") -> Path:
    path = lake.published / f"{epoch}.log"
    encoded = [b'{"tails":[]}', *map(msgspec.json.encode, lines)]
    path.write_bytes(b"".join(line + b"\n" for line in encoded) + tail)
    return path


def test_nothing_published(lake: Lake) -> None:
    found = watcher_lag(lake, {}, now_us=at(0))
    assert (found.is_any, found.files, found.lag_s) == (False, 0, 0.0)
    assert publications(lake, now_us=at(0)) == []


def test_what_is_behind_the_positions_waits(lake: Lake) -> None:
    path = write(lake, [[entry(at(10))], [entry(at(70)), entry(at(75))]])
    everything = watcher_lag(lake, {}, now_us=at(100))
    assert (everything.files, everything.lag_s, everything.is_more) == (3, 90.0, False)
    _, first_line = read_log(path, bytes_about=path.read_bytes().index(b"\n[") + 1)
    rest = watcher_lag(lake, {path.name: first_line}, now_us=at(100))
    assert (rest.files, rest.lag_s) == (2, 30.0)
    nothing = watcher_lag(lake, {path.name: path.stat().st_size}, now_us=at(100))
    assert (nothing.files, nothing.lag_s) == (0, 0.0)


def test_what_recovery_published_waits_since_the_recovery(lake: Lake) -> None:
    write(lake, [[entry(at(-100_000))]])
    assert watcher_lag(lake, {}, now_us=at(5)).lag_s == 5.0


def test_a_torn_line_and_a_foreign_file_are_passed_over(lake: Lake) -> None:
    write(lake, [[entry(at(10))]], tail=b'[{"path":"half')
    (lake.published / "notes.log").write_text("buy milk\n")
    (lake.published / "20260609T130000Z-0000.log").mkdir()
    assert watcher_lag(lake, {}, now_us=at(20)).files == 1
    assert publications(lake, now_us=at(20)) == [Publication(at(10), 1000)]


def test_a_long_log_is_counted_in_part(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "_READ_BYTES_MAX", 2_000)
    monkeypatch.setattr(backlog, "_TAIL_BYTES_MAX", 2_000)
    write(lake, [[entry(at(second))] for second in range(100)])
    found = watcher_lag(lake, {}, now_us=at(200))
    assert 0 < found.files < 100
    assert found.is_more
    assert found.lag_s == 200.0
    newest = publications(lake, now_us=at(200))
    assert 0 < len(newest) < 100
    assert newest[-1] == Publication(at(99), 1000)


def test_growth_is_that_of_the_days_that_are_known() -> None:
    now_us = 100 * DAY_US
    hourly = [Publication(now_us - hour * HOUR_US, 1000) for hour in range(1, 200)]
    assert growth_bytes_per_day(hourly, now_us=now_us) == pytest.approx(24_000)
    assert growth_bytes_per_day(hourly[:30], now_us=now_us) == pytest.approx(24_000)
    assert growth_bytes_per_day(hourly[100:], now_us=now_us) is None  # nothing of late
    assert growth_bytes_per_day([Publication(now_us - HOUR_US // 2, 1000)], now_us=now_us) is None


def test_a_pause_in_capture_slows_the_growth() -> None:
    now_us = 100 * DAY_US
    before = [Publication(now_us - 2 * DAY_US - hour * HOUR_US, 1000) for hour in range(240)]
    assert growth_bytes_per_day(before, now_us=now_us) == pytest.approx(25_000 / 3)


@given(
    free=st.integers(0, 10**15), reserve=st.integers(0, 10**12), growth=st.none() | st.just(0.0) | st.floats(1, 1e15)
)
def test_days_left_are_never_below_nothing(free: int, reserve: int, growth: float | None) -> None:
    left = days_left(free, reserve_bytes=reserve, growth_bytes_per_day=growth)
    if not growth:
        assert left is None
    else:
        assert left is not None
        assert left >= 0
        if free > reserve:  # what is then free is the reserve
            assert free - left * growth == pytest.approx(reserve, rel=1e-9, abs=1)
        else:
            assert left == 0
