"""A real HTTP server that a webhook speaks to."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """Keeps what it was told. Answers with `codes`, the last one for ever; 0 closes the connection without a word."""

    def __init__(self, codes: Sequence[int] = (200,)) -> None:
        self.told: list[dict[str, Any]] = []
        self.requests = 0
        codes = list(codes)
        listener = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listener.requests += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = codes.pop(0) if len(codes) > 1 else codes[0]
                if code == 200:
                    listener.told.append(json.loads(body))
                if code == 0:
                    self.close_connection = True
                    return
                self.send_response(code)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T0/SECRET-TOKEN"


@contextmanager
def listening(codes: Sequence[int] = (200,)) -> Iterator[Listener]:
    listener = Listener(codes)
    thread = threading.Thread(target=listener.server.serve_forever)
    thread.start()
    try:
        yield listener
    finally:
        listener.server.shutdown()
        listener.server.server_close()
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    """Wait; the test's own time limit ends it."""
    while not condition():
        time.sleep(0.02)
