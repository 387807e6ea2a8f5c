"""A watcher whose bronze, silver or gold lie in a bucket gives what one gives that has everything on its own disk."""

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import polars as pl
import pytest
import yaml
from pydantic import TypeAdapter

from config.config import load_config
from config.places import Archive
from etl.core.executor import TransformExecutor
from scripts import cli
from scripts.elsewhere import refining
from scripts.watch import etl_options
from shared.clock import utc_from_us
from shared.disk import Disk
from shared.errors import LeaseHeld, StorageRefused
from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.compaction import Compactor, MadeOptions
from storage.compaction_plan import Rules, planned, survey
from storage.factory import object_store
from tests.ingestion.writers.lake_rows import StepClock
from tests.s3_servers import KEY_ID, SECRET, s3_place
from tests.storage.captured import HOUR_NS, Capturing
from tests.storage.synced import rows_of

NUMBERS = count()


class Machine:
    """One machine: its folders, its settings, and commands on it."""

    def __init__(self, root: Path, **storage: object) -> None:
        self.root, self.lake, self.file = root, Lake.under(root), root / "config.yaml"
        root.mkdir()
        off = {"enabled": False}
        paths = {f"{name}_dir": str(root / name) for name in ("raw", "processed", "state")}
        told = {
            "storage": {"paths": paths, **storage},
            "etl": {
                "channels": {"ticker": off, "orderbook": off},
                "candles": {"intervals": ["1m", "1h"]},
                "bars": [{"type": "tick", "threshold": 5}],
            },
            "sync": {"interval_s": 0.1},
            "logging": {"level": "error"},
        }
        self.file.write_text(yaml.safe_dump(told))

    def __call__(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as stopped:
            cli.main([arguments[0], "--config", str(self.file), *arguments[1:]])
        return int(stopped.value.code or 0)

    def rows(self) -> dict[str, list[dict[str, object]]]:
        return rows_of(self.lake)


class Collector(Machine):
    """A machine that captures and synchronises."""

    def __init__(self, root: Path, bucket: dict[str, object]) -> None:
        super().__init__(root, archive=bucket)
        self._clock, self._next = StepClock(), 1

    def capture(self, trades: int) -> None:
        run = Capturing(self.lake, self._clock)
        for _ in range(2):
            run.trades(self._next, self._next + trades - 1)
            run.seal()
            self._next += trades
            self._clock.now_ns += HOUR_NS // 2
        run.stop()
        self._clock.now_ns += HOUR_NS
        assert self("sync") == 0

    def compact(self) -> None:
        compactor = Compactor(self.lake, MadeOptions(), disk=Disk(durable=False))
        later = utc_from_us(self._clock.wall_ns() // 1000 + 10 * 86_400_000_000)
        for merge in planned(list(survey(self.lake)), Rules(now=later)):
            compactor.compact(merge)
        assert self("sync") == 0


@pytest.fixture
def bucket(ministack: str) -> dict[str, object]:
    """A place of its own in a bucket."""
    return s3_place(ministack, prefix=f"elsewhere/{next(NUMBERS)}-{time.time_ns()}")


@pytest.fixture
def collector(tmp_path: Path, bucket: dict[str, object]) -> Collector:
    found = Collector(tmp_path / "collector", bucket)
    found.capture(12)
    return found


def at_once(collector: Collector, folder: Path) -> dict[str, list[dict[str, object]]]:
    """What a watcher gives that has all bronze on its own disk, and was never stopped."""
    machine = Machine(folder)
    shutil.copytree(collector.lake.raw, machine.lake.raw)
    assert machine("watch", "--once") == 0
    return machine.rows()


def store_of(bucket: dict[str, object], tmp_path: Path) -> ObjectStore:
    place = TypeAdapter(Archive).validate_python(bucket)  # type: ignore[var-annotated]
    return object_store(place.options(), root=tmp_path)


def test_any_machine_goes_on_where_the_bucket_stands(
    tmp_path: Path, collector: Collector, bucket: dict[str, object]
) -> None:
    """Bronze, silver, gold and checkpoints in one bucket; three machines, one after another, each of them empty."""
    places = {"etl_storage_input": bucket, "etl_storage_output": bucket}
    for number in range(3):
        machine = Machine(tmp_path / f"refining-{number}", **places)
        assert machine("watch", "--once") == 0
        assert machine.rows() == at_once(collector, tmp_path / f"whole-{number}")
        if number == 1:
            collector.compact()
        collector.capture(9)
        assert machine("watch", "--once") == 0
    whole = at_once(collector, tmp_path / "whole")
    assert machine.rows() == whole
    reader = Machine(tmp_path / "reader", archive=bucket)
    assert reader("sync", "--direction", "down") == 0
    assert reader.rows() == whole
    assert reader("check") == 0


def test_a_watcher_at_work_follows_what_is_captured_and_compacted_meanwhile(
    tmp_path: Path, collector: Collector, bucket: dict[str, object]
) -> None:
    machine = Machine(tmp_path / "refining", etl_storage_input=bucket)
    settings = load_config(machine.file)
    with refining(settings, lambda: TransformExecutor(etl_options(settings))) as executor:
        executor.keep_on()
        for is_compacted in (False, False, True, False):
            executor.run()
            collector.capture(7)
            if is_compacted:  # before the hour's files were brought
                collector.compact()
        executor.run()
    assert machine.rows() == at_once(collector, tmp_path / "whole")
    assert machine("check") == 0


def test_collected_here_refined_into_a_bucket(tmp_path: Path, bucket: dict[str, object], ministack: str) -> None:
    """And read there, with nothing but Polars."""
    output = {**bucket, "prefix": f"{bucket['prefix']}-refined"}
    machine = Collector(tmp_path / "machine", bucket)
    machine.capture(12)
    told = yaml.safe_load(machine.file.read_text())
    told["storage"]["etl_storage_output"] = output
    machine.file.write_text(yaml.safe_dump(told))
    assert machine("watch", "--once") == 0
    assert not list(store_of(output, tmp_path).list("raw/"))
    read = pl.scan_parquet(
        f"s3://lake/{output['prefix']}/processed/silver/trades/**/*.parquet",
        storage_options={
            "aws_access_key_id": KEY_ID,
            "aws_secret_access_key": SECRET,
            "aws_region": "us-east-1",
            "aws_endpoint_url": ministack,
            "aws_allow_http": "true",
        },
        hive_partitioning=False,
    )
    here = pl.concat(
        pl.read_parquet(path, hive_partitioning=False) for path in machine.lake.silver("trades").rglob("*.parquet")
    )
    assert read.sort("ordinal").collect().to_dicts() == here.sort("ordinal").to_dicts()


def test_a_killed_watcher_is_followed_by_an_empty_machine(
    tmp_path: Path, collector: Collector, bucket: dict[str, object]
) -> None:
    places = {"etl_storage_input": bucket, "etl_storage_output": bucket}
    store = store_of(bucket, tmp_path)
    for number, is_reached in enumerate(
        (
            lambda: any(True for _ in store.list("processed/silver/")),
            lambda: any(True for _ in store.list("state/etl/trades/")),
        )
    ):
        machine = Machine(tmp_path / f"killed-{number}", **places)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "scripts.cli", "watch", "--config", str(machine.file)]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(is_reached, child)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        collector.capture(7)
    machine = Machine(tmp_path / "next", **places)
    assert machine("watch", "--once") == 0
    assert machine.rows() == at_once(collector, tmp_path / "whole")


def wait_for(is_reached: object, child: "subprocess.Popen[bytes]") -> None:
    assert callable(is_reached)
    while not is_reached():
        assert child.poll() is None, "the watcher ended by itself"
        time.sleep(0.05)


@pytest.fixture
def folder_machine(tmp_path: Path) -> Machine:
    (tmp_path / "nas").mkdir()
    machine = Machine(tmp_path / "here", etl_storage_output={"type": "folder", "path": str(tmp_path / "nas")})
    run = Capturing(machine.lake, StepClock())
    run.trades(1, 20)
    run.clock.now_ns += HOUR_NS
    run.trades(21, 22)
    run.stop()
    return machine


def test_of_two_watchers_with_one_output_the_second_is_told_who_is_at_work(
    tmp_path: Path, folder_machine: Machine
) -> None:
    other = Machine(tmp_path / "other", etl_storage_output={"type": "folder", "path": str(tmp_path / "nas")})
    settings = load_config(folder_machine.file)
    with refining(settings, lambda: TransformExecutor(etl_options(settings))) as executor:
        executor.run()
        theirs = load_config(other.file)
        with pytest.raises(LeaseHeld, match="daedalus watch"), refining(theirs, pytest.fail):  # type: ignore[arg-type]
            pass
    assert other("watch", "--once") == 0
    assert other.rows() == folder_machine.rows()


def test_a_machine_that_others_went_on_from_is_told_that_its_files_are_a_cache(
    tmp_path: Path, folder_machine: Machine
) -> None:
    assert folder_machine("watch", "--once") == 0
    other = Machine(tmp_path / "other", etl_storage_output={"type": "folder", "path": str(tmp_path / "nas")})
    shutil.copytree(folder_machine.lake.raw, other.lake.raw)
    run = Capturing(other.lake, StepClock(StepClock().wall_ns() + 3 * HOUR_NS))
    run.trades(23, 30)
    run.stop()
    assert other("watch", "--once") == 0
    for path in folder_machine.lake.silver("trades").rglob("*.parquet"):  # as of a run that was never sent
        pl.read_parquet(path, hive_partitioning=False).head(3).write_parquet(path)
    settings = load_config(folder_machine.file)
    with pytest.raises(StorageRefused, match="another watcher went on") as told, refining(settings, pytest.fail):  # type: ignore[arg-type]
        pass
    assert "move" in told.value.line()
    shutil.rmtree(folder_machine.lake.processed)
    shutil.rmtree(folder_machine.lake.state / "etl")
    shutil.copytree(other.lake.raw, folder_machine.lake.raw, dirs_exist_ok=True)
    assert folder_machine("watch", "--once") == 0
    assert folder_machine.rows() == other.rows()
