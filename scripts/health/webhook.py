"""`Webhook`: tells one address by HTTP POST, in a thread of its own: nobody waits for it, and it gives up in the end.

The address may hold a token, so it is never logged, and neither is an error that might show it.
"""

import queue
import threading
import urllib.error
import urllib.request

import msgspec

from scripts.health.notices import Notice
from shared.log import get_log

_WAITING_MAX = 100
_PAUSES_S = (1.0, 5.0, 30.0, 120.0)  # between attempts; then a notice is given up
_AGAIN = {408, 425, 429}  # refusals that mean "later", as all from 500 on
_TIMEOUT_S = 10.0
log = get_log("webhook")


class _NotElsewhere(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without a word."""

    def redirect_request(self, *_: object) -> None:
        """Let the redirection be the answer."""


class Webhook:
    """Tells notices one after another until `close`."""

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S, pauses_s: tuple[float, ...] = _PAUSES_S) -> None:
        self._url, self._timeout_s, self._pauses_s = url, timeout_s, pauses_s
        self._opener = urllib.request.build_opener(_NotElsewhere())
        self._waiting: queue.Queue[Notice] = queue.Queue(_WAITING_MAX)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, notice: Notice) -> None:
        """Tell this soon; where too many wait already, it is only logged."""
        try:
            self._waiting.put_nowait(notice)
        except queue.Full:
            log.warning("not told: too many notices wait", alarm=notice.alarm, about=notice.event)

    def close(self, *, within_s: float = 2.0) -> None:
        """End the thread; what is under way has so long."""
        self._closing.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                notice = self._waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            self._deliver(notice)

    def _deliver(self, notice: Notice) -> None:
        body = msgspec.json.encode(notice)
        problem = ""
        for pause_s in (*self._pauses_s, None):
            problem, is_final = self._post(body)
            if not problem:
                return
            if is_final or pause_s is None or self._closing.wait(pause_s):
                break
        log.warning("the webhook was not told", alarm=notice.alarm, about=notice.event, reason=problem)

    def _post(self, body: bytes) -> tuple[str, bool]:
        """What went wrong, empty where nothing did, and whether it would again."""
        request = urllib.request.Request(  # noqa: S310 - the settings accept http and https alone
            self._url, data=body, headers={"Content-Type": "application/json", "User-Agent": "daedalus"}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return "", False
        except urllib.error.HTTPError as error:
            with error:
                return f"HTTP {error.code}", error.code < 500 and error.code not in _AGAIN
        except urllib.error.URLError as error:
            return type(error.reason).__name__, False
        except (OSError, ValueError) as error:  # a connection that broke; an answer that is none of HTTP
            return type(error).__name__, False
