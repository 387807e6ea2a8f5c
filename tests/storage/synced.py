"""Lakes to synchronise, and an independent look at whether an archive holds them. For tests."""

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import polars as pl
import pytest

from etl.core.executor import TransformExecutor
from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.sync import StorageSync
from storage.sync.ledger import Ledger
from storage.sync.plan import Remote
from tests.stepped_disk import Killed

ETL = {"candles": ["1m", "1h"], "bars": [{"type": "tick", "threshold": 5}]}


def refined(lake: Lake) -> None:
    """Bring silver and gold up to bronze, as the watcher does."""
    executor = TransformExecutor.from_config({"lake": lake, **ETL})
    try:
        executor.run()
    finally:
        executor.close()


def killed_before_its_note(lake: Lake, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """Synchronise and die when something below `prefix` has arrived, and the ledger does not know it yet."""
    record = Ledger.record

    def killed(ledger: Ledger, found: Iterable[Remote]) -> None:
        found = list(found)
        if any(each.key.startswith(prefix) for each in found):
            raise Killed
        record(ledger, found)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", killed)
        with pytest.raises(Killed):
            StorageSync(lake, store).run_once()
    assert any(key.startswith(prefix) for key in objects_of(store))


def files_of(lake: Lake) -> dict[str, Path]:
    """Every file that an archive is to hold, by key; found by a walk over all of the lake."""
    roots = (lake.raw, lake.processed, lake.state / "etl")
    found = [path for root in roots for path in root.rglob("*") if path.is_file()]
    kept = ("raw/ready/", "raw/daily/", "raw/published/", "raw/quarantine/", "processed/", "state/etl/")
    keys = {lake.key_of(path): path for path in found}
    return {
        key: path
        for key, path in keys.items()
        if key.startswith(kept) and "/staging/" not in key and not key.endswith((".lock", ".owner"))
    }


def content_of(store: ObjectStore, key: str) -> bytes:
    with store.get(key) as content:
        return content.read()


def objects_of(store: ObjectStore) -> dict[str, int]:
    """The CRC-32 of every object but manifests and leases, by key."""
    keys = [info.key for info in store.list() if not info.key.startswith(("manifests/", "leases/"))]
    return {key: crc32(content_of(store, key)) for key in keys}


def sums_of(lake: Lake) -> dict[str, int]:
    """The CRC-32 of every file that an archive is to hold, by key."""
    return {key: crc32(path.read_bytes()) for key, path in files_of(lake).items()}


def rows_of(lake: Lake) -> dict[str, list[dict[str, object]]]:
    """Rows of every output of the lake, by stream's folder, as dictionaries."""
    found: dict[str, list[pl.DataFrame]] = {}
    for path in sorted(lake.processed.rglob("year=*/**/*.parquet")):
        folder = path.relative_to(lake.processed).as_posix().partition("/year=")[0]
        found.setdefault(folder, []).append(pl.read_parquet(path, hive_partitioning=False))
    return {folder: pl.concat(parts).to_dicts() for folder, parts in found.items()}
