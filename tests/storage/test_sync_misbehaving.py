"""Synchronising over a network and with a store on their bad days: nothing lost, nothing twice, nothing deleted early.

What the bucket holds is read from the real server, past the proxy and without code of ours that sends or brings.
"""

import random
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from config.places import S3Place
from shared.disk import Disk
from shared.errors import StorageFailed, StorageRefused
from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.factory import object_store
from storage.holdings import holdings
from storage.removal import Remover
from storage.removed import RemovalRecord
from storage.retention import Rules, removable
from storage.sync import StorageSync, SyncOptions
from tests.misbehaving import Asked, Fault, Misbehaving, misbehaving, mixed
from tests.s3_servers import Bucket, s3_place
from tests.storage.captured import two_runs
from tests.storage.synced import refined, sums_of

NUMBERS = count()
LATER = datetime(2027, 1, 1, tzinfo=UTC)
PASSES_MAX = 12
PARTS_BYTES = 12 << 20  # of a file that goes up in three parts
UPWARD = [fault for fault in Fault if fault not in {Fault.SHORT_ANSWER, Fault.FLIPPED_ANSWER}]
DOWNWARD = [
    Fault.ERROR,
    Fault.SLOW_DOWN,
    Fault.RESET_ANSWER,
    Fault.CUT_ANSWER,
    Fault.SHORT_ANSWER,
    Fault.FLIPPED_ANSWER,
    Fault.SLOW,
]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with everything that an archive holds, one large file among it."""
    lake = two_runs(tmp_path_factory.mktemp("ready"))
    refined(lake)
    lake.quarantine.mkdir(parents=True, exist_ok=True)
    (lake.quarantine / "large.journal").write_bytes(random.Random(1).randbytes(PARTS_BYTES))
    return lake


@pytest.fixture
def bucket(ministack: str) -> Bucket:
    return Bucket(ministack, f"misbehaving/{next(NUMBERS)}")


@pytest.fixture
def proxy(ministack: str) -> Iterator[Misbehaving]:
    with misbehaving(ministack) as running:
        yield running


def through(proxy: Misbehaving, bucket: Bucket) -> ObjectStore:
    place = s3_place(proxy.url, prefix=bucket.prefix, attempts_max=2, timeout_s=5.0)
    return object_store(S3Place.model_validate(place).options(), root=Path())


def at_first(fault: Fault, times: int) -> Any:
    """The fault at the first requests that can suffer it, of each kind of request."""
    left: dict[str, int] = {}

    def rule(asked: Asked) -> Fault | None:
        kind = "listing" if asked.is_listing else f"{asked.method} {sorted(asked.query)}"
        left[kind] = left.get(kind, times) - 1
        return fault if left[kind] >= 0 else None

    return rule


def persistent(sync: StorageSync, direction: Any = "up") -> int:
    """Passes until one is complete; how many it took."""
    for number in range(1, PASSES_MAX + 1):
        with suppress(StorageFailed):
            if sync.run_once(direction).is_complete:
                return number
    raise AssertionError(f"not complete after {PASSES_MAX} passes")


@pytest.mark.parametrize("fault", UPWARD, ids=lambda fault: fault.name.lower())
def test_what_goes_up_is_there_whole_and_once(
    ready: Lake, tmp_path: Path, bucket: Bucket, proxy: Misbehaving, fault: Fault
) -> None:
    lake = copied(ready, tmp_path)
    proxy.rule = at_first(fault, 1 if fault is Fault.SKEWED else 3)  # after that one nothing goes on
    sync = StorageSync(lake, through(proxy, bucket))
    if fault is Fault.SKEWED:
        with pytest.raises(StorageRefused, match="clock"):
            sync.run_once("up")
    persistent(sync)
    assert proxy.done[fault]
    assert bucket.sums() == sums_of(lake)


@pytest.mark.parametrize("seed", range(4))
def test_a_day_of_everything(ready: Lake, tmp_path: Path, bucket: Bucket, proxy: Misbehaving, seed: int) -> None:
    lake = copied(ready, tmp_path)
    proxy.rule = mixed(seed, share=0.2)
    persistent(StorageSync(lake, through(proxy, bucket)))
    assert sum(proxy.done.values()) > 2
    proxy.rule = None
    assert bucket.sums() == sums_of(lake)
    assert StorageSync(lake, through(proxy, bucket)).run_once("up").uploaded_files == 0


@pytest.mark.parametrize("fault", DOWNWARD, ids=lambda fault: fault.name.lower())
def test_what_comes_down_is_what_is_there(
    ready: Lake, tmp_path: Path, bucket: Bucket, proxy: Misbehaving, fault: Fault
) -> None:
    StorageSync(copied(ready, tmp_path), through(proxy, bucket)).run_once("up")
    proxy.rule = at_first(fault, 3)
    restored = Lake.under(tmp_path / "restored")
    persistent(StorageSync(restored, through(proxy, bucket)), "down")
    assert proxy.done[fault]
    assert sums_of(restored) == bucket.sums()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_deleted_that_the_bucket_does_not_hold(
    ready: Lake, tmp_path: Path, bucket: Bucket, proxy: Misbehaving, seed: int
) -> None:
    lake = copied(ready, tmp_path)
    before = sums_of(lake)
    proxy.rule = mixed(seed, share=0.3)
    store = through(proxy, bucket)
    for _ in range(PASSES_MAX):
        with suppress(StorageFailed):
            StorageSync(lake, store).run_once("up")
        with suppress(StorageFailed):
            removed(lake, store)
        gone = before.keys() - sums_of(lake).keys()
        assert {key: crc32(bucket.content(key)) for key in gone} == {key: before[key] for key in gone}
    assert gone
    proxy.rule = None
    StorageSync(lake, store, SyncOptions(full_scan=True)).run_once("up")
    there = bucket.sums()
    assert {key: there.get(key) for key in before} == before


def removed(lake: Lake, store: ObjectStore) -> None:
    """Remove every old file that the archive proves to hold."""
    plan = removable(
        holdings(lake), Rules(days={"bronze": 1, "silver": 1, "gold": 1}), now=LATER, is_used=lambda _: True
    )
    with closing(RemovalRecord(lake, 1, disk=Disk(durable=False))) as record:
        Remover(lake, store, record, now_us=1, disk=Disk(durable=False)).carry_out(plan)


def copied(lake: Lake, folder: Path) -> Lake:
    """A lake of its own with the same files, as old as they were."""
    shutil.copytree(lake.raw.parent, folder / "lake")
    return Lake.under(folder / "lake")
