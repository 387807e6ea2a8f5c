"""`daedalus sync` as a person types it: what it says, what it refuses in one line, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from pydantic import TypeAdapter

from config.places import Archive
from shared.partitioning import Lake
from storage.factory import object_store
from storage.locks import hold, sync_lock
from tests.s3_servers import KEY_ID, SECRET, answering, free_port, s3_place
from tests.small_disk import small_disk
from tests.storage.captured import two_runs
from tests.storage.synced import objects_of, sums_of

__all__ = ["small_disk"]
ROOT = Path(__file__).parents[2]


def settings(folder, archive, *, root=None, **sections):
    root = root or folder / "lake"
    paths = {"raw_dir": f"{root}/raw", "processed_dir": f"{root}/processed", "state_dir": f"{root}/state"}
    storage = {"paths": paths} | ({"archive": archive} if archive else {})
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"storage": storage, **sections}))
    path.chmod(0o600)
    return str(path)


def daedalus(*args):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", *args], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert SECRET not in done.stdout + done.stderr
    assert KEY_ID not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def refused(*args):
    """The one line of a command that ends with exit code 2."""
    done = daedalus(*args)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def folder_of(tmp_path):
    (tmp_path / "archive").mkdir(exist_ok=True)
    return {"type": "folder", "path": str(tmp_path / "archive")}


def store_of(place):
    return object_store(TypeAdapter(Archive).validate_python(place).options(), root=Path())


def test_a_lake_goes_up_and_comes_down(tmp_path, ministack):
    lake = two_runs(tmp_path / "lake")
    place = s3_place(ministack, prefix="cli")
    config = settings(tmp_path, place)
    shown = daedalus("sync", "-c", config, "--dry-run")
    assert f"{len(sums_of(lake)):,} files" in shown.stdout
    assert "nothing was written" in shown.stdout
    done = daedalus("sync", "-c", config)
    assert done.returncode == 0
    assert f"s3://lake/cli: {len(sums_of(lake)):,} files sent" in done.stdout
    assert objects_of(store_of(place)) == sums_of(lake)
    state = json.loads((lake.state / "sync.json").read_text())
    assert state["uploaded_files_total"] == len(sums_of(lake))
    assert state["backlog_files"] == 0
    assert state["is_running"] is False
    assert state["last_problem"] is None
    (tmp_path / "new").mkdir()
    back = settings(tmp_path / "new", place)
    shown = daedalus("sync", "-c", back, "--direction", "down", "--dry-run")
    assert f"to bring from s3://lake/cli: {len(sums_of(lake)):,} files" in shown.stdout
    assert not (tmp_path / "new" / "lake").exists()
    assert daedalus("sync", "-c", back, "--direction", "down").returncode == 0
    assert sums_of(Lake.under(tmp_path / "new" / "lake")) == sums_of(lake)


def test_the_bucket_is_read_as_the_lake_is(tmp_path, ministack):
    lake = two_runs(tmp_path / "lake")
    daedalus("sync", "-c", settings(tmp_path, s3_place(ministack, prefix="polars")))
    options = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "aws_region": "us-east-1"}
    options |= {"aws_endpoint_url": ministack, "aws_allow_http": "true", "aws_virtual_hosted_style_request": "false"}
    pattern = "raw/ready/*/trades/**/*.parquet"
    there = pl.scan_parquet(f"s3://lake/polars/{pattern}", storage_options=options, hive_partitioning=False).collect()
    here = pl.read_parquet(lake.raw.parent / pattern, hive_partitioning=False)
    assert there.sort("epoch", "seq", "symbol").equals(here.sort("epoch", "seq", "symbol"))


def test_without_an_archive(tmp_path):
    assert "storage.archive" in refused("sync", "-c", settings(tmp_path, None))


def test_a_disk_that_is_not_mounted(tmp_path):
    two_runs(tmp_path / "lake")
    line = refused("sync", "-c", settings(tmp_path, {"type": "folder", "path": str(tmp_path / "usb")}))
    assert "no such folder" in line


def test_a_bucket_that_is_not_there(tmp_path, ministack):
    two_runs(tmp_path / "lake")
    assert "error: s3://nowhere: no such bucket" in refused(
        "sync", "-c", settings(tmp_path, s3_place(ministack, bucket="nowhere"))
    )


def test_a_wrong_secret(tmp_path, rclone):
    two_runs(tmp_path / "lake")
    config = settings(tmp_path, s3_place(rclone, secret_access_key="wrong-and-not-to-be-shown"))
    line = refused("sync", "-c", config)
    assert "secret key does not belong" in line
    assert "wrong-and" not in line


def test_no_network(tmp_path):
    two_runs(tmp_path / "lake")
    place = s3_place(f"http://127.0.0.1:{free_port()}", attempts_max=1)
    assert "no answer" in refused("sync", "-c", settings(tmp_path, place))


def test_a_clock_that_is_off(tmp_path):
    def answer(request):
        body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
        request.send_response(403)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    two_runs(tmp_path / "lake")
    with answering(answer) as url:
        assert "clock" in refused("sync", "-c", settings(tmp_path, s3_place(url)))


def test_two_syncers_of_a_lake(tmp_path):
    lake = two_runs(tmp_path / "lake")
    (lake.state / "sync").mkdir()
    lock = hold(sync_lock(lake), hint="x")
    line = refused("sync", "-c", settings(tmp_path, folder_of(tmp_path)))
    lock.release()
    assert f"in use by pid {os.getpid()}" in line
    assert "One syncer per lake" in line


def test_an_unknown_table_and_days_without_deletion(tmp_path):
    config = settings(tmp_path, folder_of(tmp_path))
    assert "no table 'trade'" in refused("sync", "-c", config, "--channels", "trade")
    assert "--delete-after-verify" in refused("sync", "-c", config, "--keep-days", "3")


def test_a_disk_that_gets_full_and_one_that_is_read_only(tmp_path, small_disk):
    lake = two_runs(tmp_path / "lake")
    (lake.quarantine).mkdir(parents=True)
    (lake.quarantine / "large.journal").write_bytes(os.urandom(6 << 20))
    assert daedalus("sync", "-c", settings(tmp_path, folder_of(tmp_path))).returncode == 0
    back = settings(tmp_path, folder_of(tmp_path), root=small_disk / "lake")
    assert "the disk is full" in refused("sync", "-c", back, "--direction", "down")
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    assert daedalus("sync", "-c", back, "--direction", "down").returncode == 0
    assert sums_of(Lake.under(small_disk / "lake")) == sums_of(lake)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "read-only" in refused("sync", "-c", back)


def test_sigterm_ends_a_slow_upload_in_order_and_the_next_pass_goes_on(tmp_path):
    lake = two_runs(tmp_path / "lake")
    config = settings(tmp_path, folder_of(tmp_path))
    command = [sys.executable, "-m", "scripts.cli", "sync", "-c", config]
    slow = subprocess.Popen(
        [*command, "--mode", "continuous", "--bandwidth-limit", "0.01"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    state = lake.state / "sync.json"
    deadline_s = time.monotonic() + 120
    while not state.exists() or not json.loads(state.read_text())["backlog_files"]:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    time.sleep(1)
    slow.send_signal(signal.SIGTERM)
    _, said = slow.communicate(timeout=60)
    assert slow.returncode == 0, said
    assert "Traceback" not in said
    assert json.loads(state.read_text())["is_running"] is False
    assert len(objects_of(store_of(folder_of(tmp_path)))) < len(sums_of(lake))
    assert daedalus("sync", "-c", config).returncode == 0
    assert objects_of(store_of(folder_of(tmp_path))) == sums_of(lake)


def test_one_pass_that_is_interrupted_says_what_is_left(tmp_path):
    lake = two_runs(tmp_path / "lake")
    config = settings(tmp_path, folder_of(tmp_path))
    command = [sys.executable, "-m", "scripts.cli", "sync", "-c", config, "--bandwidth-limit", "0.01"]
    slow = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 120
    while not list((tmp_path / "archive").glob("leases/*")):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    slow.send_signal(signal.SIGINT)
    out, said = slow.communicate(timeout=60)
    assert slow.returncode == 130, said
    assert "Traceback" not in said
    left = json.loads((lake.state / "sync.json").read_text())["backlog_files"]
    assert f"STOPPED: {len(sums_of(lake)) - left:,} files sent" in out
    assert f"; {left:,} files still to do\n" in out


def test_each_direction_tells_of_itself_alone(tmp_path):
    lake = two_runs(tmp_path / "lake")
    assert "brought" not in daedalus("sync", "-c", settings(tmp_path, folder_of(tmp_path))).stdout
    back = settings(tmp_path, folder_of(tmp_path), root=tmp_path / "new")
    assert daedalus("sync", "-c", back, "--direction", "down").stdout.startswith(
        f"{tmp_path}/archive: {len(sums_of(lake)):,} files brought ("
    )
    assert (
        daedalus("sync", "-c", back, "--direction", "down").stdout == f"{tmp_path}/archive: 0 files brought (0 bytes)\n"
    )


def test_a_lake_with_nothing_in_it_is_said_to_be_empty(tmp_path):
    """The folders of the settings may be wrong ones, and nothing to do must not sound like all is safe."""
    config = settings(tmp_path, folder_of(tmp_path), root=tmp_path / "wrong")
    for options in ([], ["--dry-run"]):
        done = daedalus("sync", "-c", config, *options)
        assert done.returncode == 0
        assert done.stdout.endswith(f"; nothing was ever published in {tmp_path}/wrong/raw\n")


def test_options_that_do_nothing_together_are_refused(tmp_path):
    config = settings(tmp_path, folder_of(tmp_path))
    line = refused("sync", "-c", config, "--delete-after-verify", "--direction", "down")
    assert "--direction up" in line
    assert "--mode continuous" in refused("sync", "-c", config, "--interval", "5")


def test_what_may_go_goes_after_it_was_sent(tmp_path):
    lake = two_runs(tmp_path / "lake")
    config = settings(tmp_path, folder_of(tmp_path), etl={"channels": {"trades": {"enabled": False}}})
    before = sums_of(lake)
    done = daedalus("sync", "-c", config, "--delete-after-verify", "--keep-days", "1")
    assert done.returncode == 0, done.stderr
    assert "removed:" in done.stdout
    gone = before.keys() - sums_of(lake).keys()
    assert gone, done.stdout
    assert objects_of(store_of(folder_of(tmp_path))).keys() >= before.keys()
    assert daedalus("sync", "-c", config).returncode == 0
    assert objects_of(store_of(folder_of(tmp_path))).keys() == {*sums_of(lake), *gone}


@pytest.mark.parametrize("field", ["secret_access_key", "access_key_id"])
def test_secrets_stay_out_of_what_is_kept(tmp_path, ministack, field):
    lake = two_runs(tmp_path / "lake")
    place = s3_place(ministack, prefix=f"secret-{field}")
    assert daedalus("sync", "-c", settings(tmp_path, place)).returncode == 0
    kept = [path for path in lake.state.rglob("*") if path.is_file()]
    assert {"ledger.sqlite", "sync.json"} <= {path.name for path in kept}
    assert [path for path in kept if place[field].encode() in path.read_bytes()] == []
