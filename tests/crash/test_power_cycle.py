"""A rehearsal of bad months: supervisor and all its children at work, killed one by one and all at once.

At the end bronze, silver, gold and the bucket agree row for row with what the exchange made or gaps declare, and
no row is missing of days long over, which compaction has made into day files meanwhile.
`DAEDALUS_KILLS` is how often collectors are killed; here it is a fiftieth as often, at least 6 times.
`DAEDALUS_CRASH_SEED` says which child and which moment.
"""

import os
import random
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import psutil
import pytest
from pydantic import TypeAdapter

from config.places import Archive
from scripts.check import examine
from scripts.demo.evidence import read_evidence
from scripts.demo.folder import SYMBOLS
from scripts.demo.verdict import verdict
from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.factory import object_store
from storage.inspection import Scope
from tests.crash.test_watcher_sigkill import assert_equal, files, refine
from tests.crash_figures import Record
from tests.exchange_process import exchange_process
from tests.ingestion.collecting import bronze
from tests.s3_servers import s3_place
from tests.scripts.supervisor.running import Folder, Running, write_settings
from tests.storage.many_files import many_files, same, scanned
from tests.storage.synced import objects_of, sums_of

KILLS = max(6, int(os.environ.get("DAEDALUS_KILLS", "0")) // 50)
SEED = int(os.environ.get("DAEDALUS_CRASH_SEED", "1"))
CHILDREN = ("ingest", "watch", "sync", "compact")
VICTIMS = (*CHILDREN, "all at once", "the supervisor alone")
RATE = 400.0
OLD = "okx"  # of which there are days to compact, beside the exchange that is captured


def child_of(running: Running, name: str) -> psutil.Process | None:
    """A child that is there at this moment."""
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(running.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if process.cmdline()[4:5] == [name]:
                    return process
    return None


def kill(running: Running, victim: str) -> None:
    """SIGKILL to one child, to the supervisor, or to every process as a power cut would."""
    if victim in CHILDREN:
        running.until(lambda: child_of(running, victim))
        if found := child_of(running, victim):
            found.kill()
        return
    supervisor = psutil.Process(running.process.pid)
    below = supervisor.children(recursive=True) if victim == "all at once" else []
    supervisor.suspend()
    for process in (*below, supervisor):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    running.process.wait()


@pytest.mark.timeout(3 * 3600)
def test_bronze_silver_gold_and_bucket_agree_after_every_kind_of_death(
    tmp_path: Path, ministack: str, crash_figures: Record
) -> None:
    rng, place = random.Random(SEED), s3_place(ministack, prefix="power-cycle")
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(KILLS)]
    rng.shuffle(victims)
    old = scanned(many_files(tmp_path, exchange=OLD))
    with ExitStack() as market, ExitStack() as lives:
        url = market.enter_context(exchange_process(tmp_path, rate=RATE, seed=SEED))
        settings = write_settings(
            tmp_path, url, children=", ".join(CHILDREN), symbols=", ".join(SYMBOLS), archive=place
        )
        running, killed = lives.enter_context(Running(settings, tmp_path)), 0
        for victim in victims:
            collector = running.until_fed(after=killed)
            time.sleep(rng.uniform(0, 5))
            kill(running, victim)
            killed = 0 if victim in CHILDREN[1:] else collector
            if running.process.poll() is not None:
                running = lives.enter_context(Running(settings, tmp_path))
        running.until_fed(after=killed)
        running.until(lambda: not [*running.lake.ready.glob(f"*/*/exchange={OLD}/**/*.parquet")])
        running.until_heard_out(market.close)
        assert running.stop() == 0
    lake = Lake.under(tmp_path)
    assert_archived(object_store(TypeAdapter(Archive).validate_python(place).options(), root=tmp_path), lake)
    crash_figures(Counter({f"power cycle: kills of {victim}": victims.count(victim) for victim in set(victims)}))
    crash_figures(agreement(tmp_path, lake))
    bronze_alone = Lake(lake.raw, tmp_path / "none", tmp_path / "none")
    now = {name: rows.filter(exchange=OLD) for name, rows in scanned(bronze_alone).items()}
    assert same(old, {name: rows for name, rows in now.items() if rows.height})


def assert_archived(store: ObjectStore, lake: Lake) -> None:
    """The last pass left nothing to do: every byte of the lake is there, and besides only checkpoints of before."""
    here = {key: crc for key, crc in sums_of(lake).items() if not key.endswith(".tmp")}  # a write that was killed
    there = objects_of(store)
    assert {key: crc for key, crc in there.items() if key in here} == here
    newest = {key.rpartition("/")[0]: key for key in sorted(here)}
    for key in there.keys() - here.keys():
        assert key.endswith(".checkpoint")
        assert key < newest[key.rpartition("/")[0]], "an older one of a chain that goes on"


def agreement(root: Path, lake: Lake) -> Counter[str]:
    """Rows that were compared; bronze with the exchange, silver and gold with bronze and with one batch run."""
    assert not [path for folder in (lake.active, lake.staging) for path in folder.rglob("*") if path.is_file()]
    _, unproven, _ = examine(lake, Scope())
    assert unproven == []
    refine(root, lake, end_of_data=True)
    whole = read_evidence(Folder(root))
    others = pl.col("exchange") != OLD  # no exchange of ours made its trades
    evidence = replace(whole, silver=whole.silver.filter(others), bars=whole.bars.filter(others))
    assert verdict(evidence).problems == []
    once = Lake(lake.raw, root / "batch", root / "batch_state")
    refine(root, once, end_of_data=True)
    found = Counter(assert_equal(files(lake), files(once)))
    found["power cycle: trades made"] = evidence.sent.height
    found["power cycle: trades in bronze"] = bronze(lake).unique(["symbol", "trade_id"]).height
    return found
