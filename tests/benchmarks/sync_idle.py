"""A pass of `daedalus sync` with nothing to do, and one with one new file, over lakes of 100,000 files: time, requests.

The lakes have the same streams, runs and number of files, over 10, 100 and 1,000 days. Files of bronze and silver are
sparse, and noted in the ledger as sent; the logs that name them and the manifests are sent for real.
"""

import os
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from config.config import load_config
from scripts.sync import sync_options
from shared.disk import Disk
from shared.partitioning import Lake
from storage.factory import object_store
from storage.sync import StorageSync
from storage.sync.changes import Changes
from storage.sync.ledger import Ledger
from storage.sync.names import Stage
from storage.sync.plan import Remote, Selection
from tests.benchmarks.ingest import Line
from tests.benchmarks.sync_rivals import settings, sync_command, timed, write_log
from tests.misbehaving import Misbehaving, misbehaving
from tests.s3_servers import ministack_in

FILES = int(os.environ.get("DAEDALUS_BENCH_SYNC_FILES", "100000"))
DAYS, STREAMS, RUNS, PASSES = (10, 100, 1000), 10, 10, 20
FIRST, SIZE_BYTES = date(2023, 1, 1), 10_000


class Found(NamedTuple):
    """What passes over one lake took."""

    cpu_s: float
    """Of a pass with nothing to do, in a process that runs for months."""
    wall_s: float
    process_s: float
    """Of `daedalus sync` with nothing to do, start to end."""
    idle_requests: int
    new_requests: int
    """Of `daedalus sync` with one new file."""


def measure() -> list[Line]:
    """The lines for `make bench`."""
    with TemporaryDirectory() as folder, ministack_in(Path(folder)) as url, misbehaving(url) as counting:
        found = [_passes(Path(folder) / f"{days}-days", days, counting) for days in DAYS]
    first, last = found[0], found[-1]
    what, days = f"sync of {FILES:,} files", f"with {', '.join(f'{days:,}' for days in DAYS)} days"
    cpu, wall = (
        ", ".join(f"{seconds * 1000:.1f}" for seconds in column)
        for column in zip(*(each[:2] for each in found), strict=True)
    )
    process = ", ".join(f"{each.process_s:.1f}" for each in found)
    idle, new = (
        ", ".join(str(requests) for requests in column) for column in zip(*(each[3:] for each in found), strict=True)
    )
    ends = f"{DAYS[-1]:,} days / {DAYS[0]}"
    return [
        Line(
            f"{what}: CPU of a pass with nothing to do, {ends}",
            last.cpu_s / first.cpu_s,
            "<= 1.2",
            f"{cpu} ms {days}; {wall} ms of time, {process} s as a process",
        ),
        Line(
            f"{what}: requests of such a pass",
            float(max(each.idle_requests for each in found)),
            "<= 0",
            f"{idle} {days}",
        ),
        Line(
            f"{what}: requests with one new file, {ends}",
            last.new_requests / first.new_requests,
            "<= 1",
            f"{new} {days}",
        ),
    ]


def _passes(root: Path, days: int, counting: Misbehaving) -> Found:
    """A lake made, sent, looked at again, and again with a new file."""
    lake, config = Lake.under(root), settings(root, counting.url, prefix=root.name)
    paths = list(_made(lake, days))
    _note_as_sent(lake, config)
    assert timed(sync_command(config), {}).returncode == 0
    counting.requests.clear()
    run = timed(sync_command(config), {})
    assert run.returncode == 0
    idle_requests = counting.requests.total()
    cpu_s, wall_s = _pass_s(lake, config)
    assert counting.requests.total() == idle_requests
    new = paths[-1].replace(".parquet", "f.parquet")
    _make(lake.ready / new)
    write_log(lake, "20991231T000000Z-0001", {new: SIZE_BYTES})
    counting.requests.clear()
    assert timed(sync_command(config), {}).returncode == 0
    return Found(cpu_s, wall_s, run.wall_s, idle_requests, counting.requests.total())


def _pass_s(lake: Lake, config: Path) -> tuple[float, float]:
    """Seconds of the processor and of time: the best of some passes."""
    loaded = load_config(config)
    store = object_store(loaded.storage.archive.options(), root=lake.raw)
    syncing = StorageSync(lake, store, sync_options(loaded, Selection()))
    cpu_s, wall_s = [], []
    for _ in range(PASSES):
        began_cpu_s, began_s = time.process_time(), time.perf_counter()
        report = syncing.run_once()
        cpu_s.append(time.process_time() - began_cpu_s)
        wall_s.append(time.perf_counter() - began_s)
        assert report.uploaded_files == 0
    return min(cpu_s), min(wall_s)


def _made(lake: Lake, days: int) -> Iterator[str]:
    """Make a lake of `FILES` files, and give those of bronze; a stream has a file of silver a day, a run a log."""
    per_run: dict[str, dict[str, int]] = {}
    dates = [FIRST + timedelta(days=number) for number in range(days)]
    for day in dates:
        for stream in range(STREAMS):
            folder = f"exchange=kraken/symbol=S{stream}-USD/year={day.year}/month={day.month}/day={day.day}"
            _make(lake.processed / f"silver/trades/{folder}/trades_{day:%Y%m%d}.parquet")
    bronze = FILES - days * STREAMS
    for number in range(bronze):
        day, hour = dates[number * days // bronze], number % 4
        epoch = f"{FIRST:%Y%m%d}T0000{number * RUNS // bronze:02}Z-0001"
        folder = f"symbol=S{number % STREAMS}-USD/year={day.year}/month={day.month}/day={day.day}/hour={hour}"
        name = f"segment_{day:%Y%m%d}T{hour:02}_{number:06}_{epoch}.parquet"
        path = f"native/trades/exchange=kraken/{folder}/{name}"
        _make(lake.ready / path)
        per_run.setdefault(epoch, {})[path] = SIZE_BYTES
        yield path
    for epoch, sizes in per_run.items():
        write_log(lake, epoch, sizes)


def _make(path: Path) -> None:
    """A file that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(SIZE_BYTES)


def _note_as_sent(lake: Lake, config: Path) -> None:
    disk, archive = Disk(durable=False), sync_options(load_config(config), Selection()).archive
    folder = lake.state / "sync"
    disk.make_dirs(folder)
    ledger = Ledger.opened(folder / "ledger.sqlite", archive=archive, disk=disk)
    Changes(lake, ledger, held=folder / "held", disk=disk).look()
    with ledger.changing():
        for stage in (Stage.BRONZE, Stage.PROCESSED):
            waiting = ledger.planned(stage, Selection())
            ledger.record(
                Remote(key=each.key, size_bytes=each.size_bytes, version=each.version, etag="sent") for each in waiting
            )
    ledger.close()
