"""`daedalus sync` of an hour's files, small and large, beside rclone, `aws s3 sync` and s5cmd: process start to end.

All send the same random files to a ministack of their own, begun anew for each run, in turns; the best of some runs
counts. Ours also checks each file where it arrived, and leaves a log, a ledger and a manifest.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import msgspec
import yaml
from botocore.config import Config

from shared.partitioning import Lake
from storage.published import Published, Tail
from tests.benchmarks.ingest import Line
from tests.s3_servers import KEY_ID, SECRET, ministack_in

ROOT = Path(__file__).parents[2]
PEERS = Path(os.environ.get("DAEDALUS_BENCH_SYNC_BIN") or ROOT / ".bench-sync-venv/bin")
OURS, ROUNDS = "daedalus sync", int(os.environ.get("DAEDALUS_BENCH_SYNC_ROUNDS", "3"))
SHAPES = {"1,000 x 1 MB": (1000, 1_000_000), "10 x 100 MB": (10, 100_000_000)}
EPOCH = "20260609T000000Z-0001"
# A process of its own starts the contender: a child's largest memory is never below that of who started it.
_TIMED = """
import json, os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps({"wall_s": time.perf_counter() - began, "cpu_s": used.ru_utime + used.ru_stime,
                  "memory_mb": used.ru_maxrss / 1024, "returncode": child.returncode}))
"""


class Run(msgspec.Struct):
    """What one process took."""

    wall_s: float
    cpu_s: float
    memory_mb: float
    returncode: int


def measure() -> list[Line]:
    """The lines for `make bench`."""
    return [line for shape in SHAPES for line in _lines(shape, _race(shape))]


def settings(root: Path, url: str, *, prefix: str = "") -> Path:
    """The settings of a lake at `root` whose archive is at `url`."""
    paths = {"raw_dir": f"{root}/raw", "processed_dir": f"{root}/processed", "state_dir": f"{root}/state"}
    keys = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    place = {"type": "s3", "bucket": "lake", "prefix": prefix, "endpoint_url": url, "addressing": "path", **keys}
    file = root.parent / f"{root.name}.yaml"
    file.write_text(yaml.safe_dump({"storage": {"paths": paths, "archive": place}, "logging": {"level": "error"}}))
    file.chmod(0o600)
    return file


def sync_command(config: Path) -> list[str]:
    """`daedalus sync`, one pass."""
    return [sys.executable, "-m", "scripts.cli", "sync", "-c", str(config)]


def timed(command: list[str], environment: Mapping[str, str]) -> Run:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _TIMED, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Run)


def write_log(lake: Lake, epoch: str, sizes: Mapping[str, int]) -> None:
    """The log of a run that published these files of trades, named as below `ready`."""
    lake.published.mkdir(parents=True, exist_ok=True)
    with (lake.published / f"{epoch}.log").open("wb") as log:
        log.write(b'{"tails":[]}\n')
        for number, (path, size_bytes) in enumerate(sizes.items()):
            symbol = path.partition("symbol=")[2].partition("/")[0]
            tail = Tail(epoch, number, 1)
            entry = Published(
                path, "native", "kraken", "trades", symbol, epoch, 1, size_bytes, number, number, f"{number:032x}", tail
            )
            log.write(msgspec.json.encode([entry]) + b"\n")


def _race(shape: str) -> dict[str, list[Run]]:
    """The runs of each contender that is here."""
    files, size_bytes = SHAPES[shape]
    runs: dict[str, list[Run]] = {}
    with TemporaryDirectory() as folder:
        lake = _made(Path(folder) / "lake", files, size_bytes)
        (Path(folder) / "none").touch()  # the settings of the others
        for _ in range(ROUNDS):
            for name in (OURS, "rclone", "aws s3 sync", "s5cmd"):
                with TemporaryDirectory(dir=folder) as served, ministack_in(Path(served)) as url:
                    shutil.rmtree(lake.state, ignore_errors=True)
                    if command := _command(name, lake, url, Path(folder)):
                        run = timed(*command)
                        assert run.returncode == 0, f"{name} ended with {run.returncode}"
                        assert _stored(url) == (files, files * size_bytes), f"{name} did not send everything"
                        runs.setdefault(name, []).append(run)
    return runs


def _made(root: Path, files: int, size_bytes: int) -> Lake:
    """A lake of that many files of ten streams, of random bytes."""
    lake, sizes = Lake.under(root), {}
    for number in range(files):
        hour, day = number // 10 % 24, "year=2026/month=6/day=9"
        stream = f"native/trades/exchange=kraken/symbol=S{number % 10}-USD"
        path = f"{stream}/{day}/hour={hour}/segment_20260609T{hour:02}_{number:06}_{EPOCH}.parquet"
        (lake.ready / path).parent.mkdir(parents=True, exist_ok=True)
        (lake.ready / path).write_bytes(os.urandom(size_bytes))
        sizes[path] = size_bytes
    write_log(lake, EPOCH, sizes)
    return lake


def _command(name: str, lake: Lake, url: str, folder: Path) -> tuple[list[str], dict[str, str]] | None:
    """What is run, and its environment; None where it is not installed."""
    if name == OURS:
        return sync_command(settings(lake.raw.parent, url)), {}
    source, target = str(lake.ready), "lake/raw/ready"
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
    keys |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": str(folder / "none")}
    if name == "rclone":
        program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        own = ["--transfers", "8", "--s3-provider", "Other", "--s3-endpoint", url, "--s3-env-auth"]
        command = ["sync", *own, "--s3-no-check-bucket", source, f":s3:{target}"]
        keys["RCLONE_CONFIG"] = str(folder / "none")
    elif name == "s5cmd":
        program = shutil.which("s5cmd", path=str(PEERS))
        command = ["--endpoint-url", url, "sync", f"{source}/", f"s3://{target}/"]
    else:
        program = shutil.which("aws", path=str(PEERS))
        command = ["--endpoint-url", url, "s3", "sync", "--only-show-errors", source, f"s3://{target}"]
    return ([program, *command], keys) if program else None


def _stored(url: str) -> tuple[int, int]:
    """How many files are in the bucket, and their bytes."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="lake")
    found = [each["Size"] for page in pages for each in page.get("Contents", ()) if each["Key"].endswith(".parquet")]
    return len(found), sum(found)


def _lines(shape: str, runs: dict[str, list[Run]]) -> list[Line]:
    best = {name: min(run.wall_s for run in found) for name, found in runs.items()}
    rivals = {name: seconds for name, seconds in best.items() if name != OURS}
    lines = []
    for name in ("rclone", "aws s3 sync", "s5cmd"):
        is_fastest = name in rivals and rivals[name] == min(rivals.values())
        ratio = best[OURS] / rivals[name] if name in rivals else None
        detail = f"{_said(runs[OURS])}; {_said(runs[name])}" if name in rivals else "not installed"
        lines.append(Line(f"{shape}: {OURS} / {name}", ratio, "<= 1.1" if is_fastest else "", detail))
    memory = {name: max(run.memory_mb for run in found) for name, found in runs.items()}
    told = ", ".join(f"{name} {memory_mb:.0f}" for name, memory_mb in memory.items() if name != OURS)
    return [*lines, Line(f"{shape}: {OURS}, MB of memory", memory[OURS], "<= 200", told)]


def _said(runs: list[Run]) -> str:
    """Seconds, the best first, and of the processor."""
    return "/".join(f"{seconds:.1f}" for seconds in sorted(run.wall_s for run in runs)) + (
        f" s (CPU {min(run.cpu_s for run in runs):.1f})"
    )
