"""A proxy in front of an object store that does what networks and stores do on their bad days, by rule or by seed.

It asks the real server for everything that it does not spoil, so whatever is in the bucket was put there through it.
"""

import hashlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_SLOW_S = 0.3
_RESET = struct.pack("ii", 1, 0)  # close without waiting: the other side sees a reset
_NOT_PASSED_ON = {"connection", "transfer-encoding", "keep-alive", "content-length"}


class Fault(StrEnum):
    """What may be wrong with one request."""

    ERROR = "500"
    SLOW_DOWN = "503 SlowDown"
    RESET_UPLOAD = "reset in the middle of what is sent"
    RESET_ANSWER = "done, and reset in the middle of the answer"
    CUT_UPLOAD = "half of what is sent arrives"
    CUT_ANSWER = "half of what is announced comes"
    SHORT_ANSWER = "half comes, and is announced as all"
    FLIPPED_UPLOAD = "a byte of what is sent is another"
    FLIPPED_ANSWER = "a byte of what comes is another"
    LOST = "200, and nothing was stored"
    SLOW = "slow"
    SKEWED = "the clocks differ by hours"
    STALE = "the listing of a while ago"


@dataclass(frozen=True)
class Asked:
    """One request, as far as a rule needs it."""

    method: str
    path: str
    query: dict[str, list[str]]
    size_bytes: int

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "list-type" in self.query

    @property
    def stores(self) -> bool:
        """Whether it puts an object, a part of one, or its parts together."""
        return self.method == "PUT" or (self.method == "POST" and "uploadId" in self.query)


Rule = Callable[[Asked], Fault | None]


def suffers(asked: Asked, fault: Fault) -> bool:
    """Whether that can go wrong with a request."""
    match fault:
        case Fault.RESET_UPLOAD | Fault.CUT_UPLOAD:
            return asked.size_bytes > 1
        case Fault.FLIPPED_UPLOAD:
            return asked.stores and asked.size_bytes > 0
        case Fault.CUT_ANSWER:
            return asked.method == "GET"
        case Fault.SHORT_ANSWER | Fault.FLIPPED_ANSWER:
            return asked.method == "GET" and not asked.is_listing
        case Fault.LOST:
            return asked.stores
        case Fault.STALE:
            return asked.is_listing
    return True


def mixed(seed: int, *, share: float) -> Rule:
    """Every kind of fault, at this share of the requests."""
    rng, lock = random.Random(seed), threading.Lock()
    kinds = [fault for fault in Fault if fault is not Fault.SKEWED]  # a person has to act on that one

    def chosen(asked: Asked) -> Fault | None:
        with lock:
            return rng.choice([kind for kind in kinds if suffers(asked, kind)]) if rng.random() < share else None

    return chosen


class Misbehaving:
    """The running proxy. `rule` may be changed while it runs; None: it behaves."""

    def __init__(self, target: str, rule: Rule | None = None) -> None:
        self.rule, self.done, self.requests = rule, Counter[Fault](), Counter[str]()
        self.url = ""
        self.target = urlsplit(target).netloc
        self.listings: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}

    def fault(self, asked: Asked) -> Fault | None:
        """What to do with a request; a kind that it cannot suffer does nothing."""
        self.requests[asked.method] += 1
        found = self.rule(asked) if self.rule else None
        if found is None or not suffers(asked, found):
            return None
        self.done[found] += 1
        return found


@contextmanager
def misbehaving(target: str, rule: Rule | None = None) -> Iterator[Misbehaving]:
    """The proxy in front of `target`, running."""
    proxy = Misbehaving(target, rule)

    class Requests(_Requests):
        def __init__(self, *args: object) -> None:
            self.proxy = proxy
            super().__init__(*args)  # type: ignore[arg-type]

    with _Server(("127.0.0.1", 0), Requests) as server:
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that go away in the middle are what this is about."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Misbehaving

    def do_any(self) -> None:
        size_bytes = int(self.headers.get("Content-Length", 0))
        url = urlsplit(self.path)
        asked = Asked(self.command, url.path, parse_qs(url.query, keep_blank_values=True), size_bytes)
        fault = self.proxy.fault(asked)
        if fault is Fault.RESET_UPLOAD:
            self.rfile.read(size_bytes // 2)
            return self._reset()
        body = self.rfile.read(size_bytes)
        if fault is Fault.ERROR:
            return self._refuse(500, "InternalError")
        if fault is Fault.SLOW_DOWN:
            return self._refuse(503, "SlowDown")
        if fault is Fault.SKEWED:
            return self._refuse(403, "RequestTimeTooSkewed")
        if fault is Fault.LOST:
            return self._pretend(asked, body)
        if fault is Fault.SLOW:
            time.sleep(_SLOW_S)
        if fault is Fault.CUT_UPLOAD:
            body = body[: size_bytes // 2]
        if fault is Fault.FLIPPED_UPLOAD:
            body = _flipped(body)
        known = self.proxy.listings.get(self.path)
        status, headers, content = known if fault is Fault.STALE and known else self._ask(body)
        if asked.is_listing:
            self.proxy.listings[self.path] = known or (status, headers, content)
        return self._answer(status, headers, content, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the real server says."""
        connection = HTTPConnection(self.proxy.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        try:
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (HTTPException, OSError) as error:
            return 502, [], str(error).encode()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault | None) -> None:
        if fault is Fault.RESET_ANSWER and not content:
            return self._reset()
        if fault is Fault.FLIPPED_ANSWER and content:
            content = _flipped(content)
        if fault is Fault.SHORT_ANSWER:
            content = content[: len(content) // 2]
        self.send_response_only(status)
        length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        for name, value in headers:
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if fault in {Fault.RESET_ANSWER, Fault.CUT_ANSWER}:
            self.wfile.write(content[: len(content) // 2])
            if fault is Fault.RESET_ANSWER:
                return self._reset()
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(content)
        return None

    def _refuse(self, status: int, code: str) -> None:
        content = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self._answer(status, [("Content-Type", "application/xml")], content if self.command != "HEAD" else b"", None)

    def _pretend(self, asked: Asked, body: bytes) -> None:
        """Say that it is stored."""
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        headers = [("ETag", etag)]
        if crc32 := self.headers.get("x-amz-checksum-crc32"):
            headers.append(("x-amz-checksum-crc32", crc32))
        content = b""
        if asked.method == "POST":
            content = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>".encode()
            headers.append(("Content-Type", "application/xml"))
        self._answer(200, headers, content, None)

    def _reset(self) -> None:
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
