"""Real S3 servers on loopback: ministack, rclone's, and one that answers as a test says.

No server that can be had here checks everything. ministack honours conditions and refuses wrong checksums, but takes
any credentials and any clock. rclone checks signatures, but ignores conditions (it overwrites), keeps a declared CRC-32
without a look at the content, and answers a range with status 200.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from zlib import crc32

import boto3
import pytest
from botocore.config import Config

KEY_ID, SECRET = "AKIDHIDDENHIDDEN", "hunter2-do-not-show-this-secret"
STARTS_WITHIN_S = 60


def s3_place(url: str, **more: object) -> dict[str, object]:
    """An S3 place of the settings file, with bounds that let a test fail soon."""
    keys = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    quick = {"part_mb": 5, "attempts_max": 2, "timeout_s": 20.0}
    return {"type": "s3", "bucket": "lake", "endpoint_url": url, "addressing": "path", **keys, **quick, **more}


@contextmanager
def ministack_in(folder: Path) -> Iterator[str]:
    """The address of a ministack with the empty bucket `lake`, whose files are in `folder`."""
    port = free_port()
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3"}
    own |= {"S3_PERSIST": "1", "S3_DATA_DIR": str(folder / "s3")}
    with _running([sys.executable, "-m", "ministack"], port=port, log=folder / "log", environment=own) as url:
        _make_bucket(f"{url}/lake")
        yield url


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ministack with the bucket `lake`."""
    with ministack_in(tmp_path_factory.mktemp("ministack")) as url:
        yield url


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of rclone's S3 server with the bucket `lake`, for `KEY_ID` and `SECRET` alone."""
    folder, port = tmp_path_factory.mktemp("rclone"), free_port()
    (folder / "served" / "lake").mkdir(parents=True)
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    address = f"127.0.0.1:{port}"
    command = [program, "serve", "s3", "--addr", address, "--auth-key", f"{KEY_ID},{SECRET}", str(folder / "served")]
    own = {"RCLONE_CONFIG": str(folder / "none.conf")}
    with _running(command, port=port, log=folder / "log", environment=own) as url:
        yield url


class Bucket:
    """What a server holds below a prefix of the bucket `lake`, read by boto3 alone."""

    def __init__(self, url: str, prefix: str) -> None:
        self.prefix = prefix
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )

    def contents(self) -> dict[str, bytes]:
        """Every object, by its key below the prefix."""
        found = self._pages("list_objects_v2", "Contents")
        return {key: self.content(key) for key in (each["Key"].removeprefix(f"{self.prefix}/") for each in found)}

    def content(self, key: str) -> bytes:
        """One object."""
        with closing(self._client.get_object(Bucket="lake", Key=f"{self.prefix}/{key}")["Body"]) as body:
            return bytes(body.read())

    def sums(self) -> dict[str, int]:
        """The CRC-32 of every object but manifests and leases."""
        contents = self.contents()
        return {key: crc32(contents[key]) for key in contents if not key.startswith(("manifests/", "leases/"))}

    def unfinished(self) -> list[str]:
        """The keys of uploads in parts that were begun and not ended."""
        return [each["Key"] for each in self._pages("list_multipart_uploads", "Uploads")]

    def _pages(self, verb: str, name: str) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator(verb).paginate(Bucket="lake", Prefix=f"{self.prefix}/"):
            yield from page.get(name, ())


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The address of a server that answers every request as `answer` says, its body read."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Requests) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], *, port: int, log: Path, environment: dict[str, str]) -> Iterator[str]:
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not _listens(port):
            if child.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[-1]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _make_bucket(url: str) -> None:
    with urlopen(Request(url, method="PUT")) as answer:
        assert answer.status == 200
