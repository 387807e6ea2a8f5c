"""`HealthService`: what the supervisor runs beside its children: metrics, notices of alarms, a line of statistics.

The line is written here and nowhere else, so that a log has one of them however many processes there are.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from config.config import Settings
from scripts.health.facts import Alarm, Health
from scripts.health.look import look
from scripts.health.metrics import Exposition
from scripts.health.notices import Notices
from scripts.health.verdict import limits_of, verdict
from scripts.health.webhook import Webhook
from shared.log import get_log

_LOOK_S = 15.0
_SERVE_AGAIN_S = 60.0
_STOP_WITHIN_S = 5.0
log = get_log("health")


class HealthService:
    """One thread that looks now and then, and a server that looks when it is asked. Trouble of theirs stops nothing."""

    def __init__(self, settings: Settings, *, look_s: float = _LOOK_S) -> None:
        self._lake, self._limits, self._health = settings.lake(), limits_of(settings), settings.health
        self._look_s = look_s
        self._notices = Notices()
        self._webhook: Webhook | None = None
        self._server: tuple[WSGIServer, threading.Thread] | None = None
        self._next_serve_s, self._problem = 0.0, ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def port(self) -> int | None:
        """Where metrics are served; None while they are not."""
        return self._server[0].server_port if self._server else None

    def start(self) -> None:
        """Begin; returns at once."""
        if self._health.webhook_url is not None:
            self._webhook = Webhook(self._health.webhook_url.get_secret_value())
        self._serve()
        self._thread.start()

    def stop(self) -> None:
        """End within some seconds; the port is free then."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_WITHIN_S)
        if self._webhook:
            self._webhook.close()
        if self._server:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(_STOP_WITHIN_S)
            self._server = None

    def _run(self) -> None:
        began_s = time.monotonic()
        next_look_s, next_line_s = began_s + self._look_s, began_s + self._health.statistics_interval_s
        while not self._stopping.wait(max(0.0, min(next_look_s, next_line_s) - time.monotonic())):
            now_s = time.monotonic()
            is_look, is_line = now_s >= next_look_s, now_s >= next_line_s
            next_look_s = now_s + self._look_s if is_look else next_look_s
            next_line_s = now_s + self._health.statistics_interval_s if is_line else next_line_s
            if self._server is None and now_s >= self._next_serve_s:
                self._serve()
            try:
                health, alarms = self._look()
                if is_look:  # and not when a line is due: two of them in a row are to be some time apart
                    self._tell(health, alarms)
                if is_line:
                    log.info("statistics", **statistics(health, alarms))
                self._problem = ""
            except Exception as error:  # who looks after others must not end by what it sees
                if repr(error) != self._problem:
                    log.exception("a look at the lake failed; it is tried again")
                self._problem = repr(error)

    def _look(self) -> tuple[Health, list[Alarm]]:
        health = look(self._lake, now_ns=time.time_ns())
        return health, verdict(health, self._limits)

    def _tell(self, health: Health, alarms: Sequence[Alarm]) -> None:
        for notice in self._notices.look(health, alarms):
            say = log.info if notice.event == "end" else log.error if notice.level == "critical" else log.warning
            say(f"alarm {notice.event}s", alarm=notice.alarm, what=notice.message)
            if self._webhook:
                self._webhook.tell(notice)

    def _serve(self) -> None:
        """Answer Prometheus, or say once why not; it is tried again."""
        if not self._health.metrics_address:
            return
        host, _, port = self._health.metrics_address.rpartition(":")
        registry, is_first = CollectorRegistry(auto_describe=False), not self._next_serve_s
        self._next_serve_s = time.monotonic() + _SERVE_AGAIN_S
        registry.register(Exposition(self._look))
        try:
            self._server = start_http_server(int(port), host.strip("[]"), registry)
        except OSError as error:
            if is_first:
                hint = "capture goes on; stop what uses the port, or set health.metrics_address"
                reason = (error.strerror or str(error)).lower()
                log.warning("no metrics", address=self._health.metrics_address, reason=reason, hint=hint)
        else:
            log.info("metrics", address=f"{host}:{self.port}")


def statistics(health: Health, alarms: Sequence[Alarm]) -> dict[str, Any]:
    """The fields of the line of statistics."""
    channels = [channel for feed in health.feeds for channel in feed.channels]
    is_live = health.queue_percent is not None
    facts: dict[str, Any] = {
        "rows": sum(channel.rows for channel in channels),
        "rows_per_s": round(sum(channel.rows_per_s or 0.0 for channel in channels), 1) if is_live else None,
        "feeds": len(health.feeds),
        "reconnects": sum(feed.reconnects for feed in health.feeds),
        "gaps_open": sum(channel.gaps_open for channel in channels),
        "queue_percent": health.queue_percent,
        "journals_waiting": health.journals.waiting,
        "watcher_files": health.watcher.files,
        "watcher_lag_s": round(health.watcher.lag_s, 1),
        "sync_files": health.archive.backlog_files if health.archive else None,
        "disk_free_gb": round(health.disk.free_bytes / 1e9, 2),
        "disk_days": None if health.disk.days_left is None else round(health.disk.days_left, 1),
        "memory_mb": {each.name: each.memory_mb for each in health.processes if each.memory_mb is not None},
        "alarms": sorted({alarm.name for alarm in alarms}),
    }
    return {name: value for name, value in facts.items() if value is not None}
