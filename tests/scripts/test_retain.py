"""`daedalus retain`: shows first, removes what was refined and synchronised, and the lake goes on without it."""

import shutil
import time
from pathlib import Path

import pytest
import yaml

from scripts import cli
from shared.partitioning import Lake
from storage.holdings import holdings
from storage.locks import hold
from storage.retention import NEVER
from tests.ingestion.writers.lake_rows import StepClock
from tests.s3_servers import s3_place
from tests.storage.captured import Capturing

DAY_NS = 86_400 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lake with a run of nine days ago, one of five days ago and one of now."""
    for days_ago, first in ((9, 1), (5, 11), (0, 21)):
        capture = Capturing(Lake.under(tmp_path), StepClock(time.time_ns() - days_ago * DAY_NS))
        capture.trades(first, first + 9)
        capture.stop()
    return tmp_path


def settings(root: Path, archive: dict[str, object] | None = None, **retention: object) -> Path:
    paths = {"raw_dir": "raw", "processed_dir": "processed", "state_dir": "state"}
    if archive is None:
        (root / "archive").mkdir(exist_ok=True)
        archive = {"type": "folder", "path": str(root / "archive")}
    off = {"enabled": False}
    told = {
        "storage": {"archive": archive, "paths": {name: str(root / folder) for name, folder in paths.items()}},
        "retention": retention or {"keep_days": 3},
        "etl": {"channels": {"ticker": off, "orderbook": off}, "candles": {"intervals": ["1m"]}},
        "logging": {"level": "error"},
    }
    (root / "config.yaml").write_text(yaml.safe_dump(told))
    return root / "config.yaml"


def command(file: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main([arguments[0], "--config", str(file), *arguments[1:]])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out + err


def bronze(root: Path) -> list[Path]:
    return [file.path for file in holdings(Lake.under(root)) if file.tier == "bronze" and file.channel not in NEVER]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_from_capture_to_removal_and_on(
    root: Path, kind: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    place = None
    if kind == "s3":
        place = s3_place(request.getfixturevalue("ministack"), prefix=f"retain-{time.time_ns()}")
    file = settings(root, place)
    files = bronze(root)
    code, out = command(file, "retain", "--delete", capsys=capsys)
    assert "not refined yet" in out
    assert (code, bronze(root)) == (0, files)  # nothing of it may go yet, which is as it should be

    assert command(file, "watch", "--once", capsys=capsys)[0] == 0
    code, out = command(file, "retain", "--delete", capsys=capsys)
    assert "not in the archive" in out
    assert (code, bronze(root)) == (1, files)

    assert command(file, "sync", capsys=capsys)[0] == 0
    code, out = command(file, "retain", capsys=capsys)
    assert (code, bronze(root)) == (0, files)
    assert "DRY RUN, nothing was removed: 2 files" in out
    code, out = command(file, "retain", "--delete", capsys=capsys)
    assert (code, len(bronze(root))) == (0, len(files) - 2)
    assert "removed: 2 files" in out
    assert "gaps" in out

    code, out = command(file, "check", capsys=capsys)
    assert code == 0, out
    assert "COMPLETE" in out
    assert "2 files of 2 days, 20 rows, are in" in out
    capture = Capturing(Lake.under(root), StepClock(time.time_ns()))
    capture.trades(31, 40)
    capture.stop()
    for again in (("watch", "--once"), ("sync",), ("sync", "--full-scan"), ("retain", "--delete"), ("check",)):
        code, out = command(file, *again, capsys=capsys)
        assert code == 0, out

    next(path for path in bronze(root)).unlink()
    code, out = command(file, "check", capsys=capsys)
    assert code == 1
    assert "is missing: 10 rows" in out


def test_what_is_in_no_archive_goes_only_when_told_so_twice(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings(root, {"type": "local"})
    assert command(file, "watch", "--once", capsys=capsys)[0] == 0
    files = bronze(root)
    for arguments, line in (
        ((), "storage.archive is local"),
        (("--delete", "--unverified"), "--unverified alone removes nothing more: add --yes-lose-data"),
        (("--delete", "--yes-lose-data"), "--yes-lose-data alone removes nothing more: add --unverified"),
    ):
        code, out = command(file, "retain", *arguments, capsys=capsys)
        assert (code, bronze(root)) == (2, files)
        assert line in out
    code, out = command(file, "retain", "--unverified", "--yes-lose-data", capsys=capsys)
    assert "2 of these files" in out
    assert "would exist nowhere" in out
    assert bronze(root) == files
    code, out = command(file, "retain", "--delete", "--unverified", "--yes-lose-data", capsys=capsys)
    assert (code, len(bronze(root))) == (0, len(files) - 2)
    code, out = command(file, "check", capsys=capsys)
    assert code == 0
    assert "were given up" in out
    assert "20 declared lost" in out


def test_above_the_cap_for_want_of_proof_is_trouble(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings(root, lake_max_gb=1e-9)
    command(file, "watch", "--once", capsys=capsys)
    code, out = command(file, "retain", capsys=capsys)
    assert code == 1
    assert "above retention.lake_max_gb" in out


def test_it_refuses_in_a_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings(root, silver_keep_days=None)
    assert "retention names no age and no size" in command(file, "retain", capsys=capsys)[1]
    file = settings(root)
    lock = hold(root / "state" / "maintenance.lock", hint="")
    code, out = command(file, "retain", capsys=capsys)
    lock.release()
    assert code == 2
    assert "in use by pid" in out
    shutil.rmtree(root / "archive")
    command(file, "watch", "--once", capsys=capsys)
    code, out = command(file, "retain", "--delete", capsys=capsys)
    assert code == 2
    assert "Mount or make it" in out
