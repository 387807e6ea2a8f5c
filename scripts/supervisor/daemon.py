"""The supervisor's loop: hear the children, look after them, tell systemd and the state file how they are."""

import os
import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path

from config.config import Settings, load_config
from scripts.health.service import HealthService
from scripts.supervisor.check import Check
from scripts.supervisor.children import Ear, end_leftovers
from scripts.supervisor.orders import STOP_ORDER, concerned, has_archive, last_pass, limits, orders
from scripts.supervisor.policy import next_to_stop
from scripts.supervisor.readings import Scale, explained, machine
from scripts.supervisor.state import SupervisorFile
from scripts.supervisor.ward import Ward
from shared.errors import DaedalusError
from shared.log import get_log
from shared.notify import READY, STOPPING, WATCHDOG, notify, reloading

_TICK_S = 0.25
_LOOK_S = 5.0
log = get_log("supervisor")


class Supervisor:
    """Keeps the children of the settings at work until it is told to stop."""

    def __init__(self, settings: Settings, file: Path, *, log_format: str | None = None) -> None:
        self._settings, self._file, self._log_format = settings, file, log_format
        self._health = HealthService(settings)
        self._state = SupervisorFile(settings.lake().state)
        self._ear, self._scale = Ear(), Scale()
        self._wards: dict[str, Ward] = {}
        self._new: tuple[Settings, Check] | None = None  # that are being judged
        self._is_stopping = self._is_asked_to_reload = False
        self._next_look_s = 0.0
        self._throttled_bits: int | None = None

    def run(self) -> None:
        """Return when every child has ended in its order after SIGTERM or SIGINT. SIGHUP reads the settings anew."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._ask_to_reload)
        stop_timeout_s = self._settings.supervisor.stop_timeout_s
        if leftovers := end_leftovers(self._state.read(), within_s=stop_timeout_s):
            log.warning("children of a killed supervisor were ended", pids=leftovers)
        self._arrange()
        self._health.start()
        notify(READY)
        try:
            self._tend(lambda: self._is_stopping)
            notify(STOPPING)
            self._health.stop()  # that children end now is no alarm
            self._forget_new()
            self._end_in_order()
        finally:
            self._health.stop()
            self._forget_new()
            self._ear.close()
        self._look()
        log.info("stopped")

    def _stop(self, *_: object) -> None:
        self._is_stopping = True

    def _ask_to_reload(self, *_: object) -> None:
        self._is_asked_to_reload = True

    def _tend(self, is_done: Callable[[], bool]) -> None:
        """Look after the children until done."""
        while not is_done():
            self._hear()
            for ward in self._wards.values():
                ward.attend(self._ear)
            if self._is_asked_to_reload and not self._is_stopping:
                self._begin_to_reload()
            if self._new and (problem := self._new[1].problem()) is not None:
                self._take_new(self._new[0], problem)
            if time.monotonic() >= self._next_look_s:
                self._look()

    def _hear(self) -> None:
        until_s = time.monotonic() + _TICK_S
        while (left_s := until_s - time.monotonic()) > 0 and (said := self._ear.hear(within_s=left_s)):
            pid, lines = said
            for ward in self._wards.values():
                if ward.pid == pid and ward.hear(lines):
                    notify(WATCHDOG)

    def _look(self) -> None:
        self._next_look_s = time.monotonic() + _LOOK_S
        for ward in self._wards.values():
            ward.weigh(self._scale)
        self._scale.forget_gone()
        found = machine(self._settings.lake().raw)
        if found.throttled_bits and found.throttled_bits != self._throttled_bits:
            log.warning("throttled", reasons=explained(found.throttled_bits), temperature_c=found.temperature_c)
        self._throttled_bits = found.throttled_bits
        self._state.write(os.getpid(), {name: ward.report() for name, ward in self._wards.items()}, found)
        collector = self._wards.get("ingest")
        if collector is None or collector.policy.is_final or collector.is_starting:
            notify(WATCHDOG)  # nobody is there who could tell of data
        notify("STATUS=" + ", ".join(f"{name} {ward.policy.state}" for name, ward in self._wards.items()))

    def _arrange(self, restarted: Collection[str] = ()) -> None:
        """Let exactly the children of the settings run."""
        wanted = orders(self._settings, self._file, log_format=self._log_format)
        if "sync" in self._settings.supervisor.children and "sync" not in wanted:
            log.info("sync is left out: storage.archive names no place to synchronise with")
        for name, ward in self._wards.items():
            if name not in wanted:
                ward.stop()
        for name, order in wanted.items():
            if name not in self._wards:
                self._wards[name] = Ward(order, limits(self._settings, name))
                continue
            ward = self._wards[name]
            ward.order, ward.policy.limits = order, limits(self._settings, name)
            ward.policy.wanted(time.monotonic())
            if name == "ingest":
                ward.read_anew()
            elif name in restarted:
                ward.restart()

    def _begin_to_reload(self) -> None:
        self._is_asked_to_reload = False
        notify(reloading())
        self._forget_new()
        try:  # now: the file may change while it is judged
            self._new = load_config(self._file), Check(self._file)
        except (DaedalusError, OSError) as error:
            self._refuse(error.line() if isinstance(error, DaedalusError) else str(error))

    def _take_new(self, settings: Settings, problem: str) -> None:
        self._forget_new()
        if problem:
            self._refuse(problem)
            return
        old, self._settings = self._settings, settings
        self._health.stop()
        self._health = HealthService(settings)
        self._health.start()
        self._arrange(concerned(old, settings))
        log.info("settings reloaded")
        notify(READY)

    def _refuse(self, problem: str) -> None:
        log.error("settings refused; the old ones stay", file=str(self._file), problem=problem)
        notify(READY)

    def _forget_new(self) -> None:
        if self._new:
            self._new[1].end()
        self._new = None

    def _end_in_order(self) -> None:
        def all_ended() -> bool:
            turn = next_to_stop({name: ward.policy.state for name, ward in self._wards.items()}, STOP_ORDER)
            for name in turn:
                self._wards[name].stop()
            return not turn

        self._tend(all_ended)
        if "sync" in self._wards and has_archive(self._settings):
            order = last_pass(self._settings, self._file, log_format=self._log_format)
            last = self._wards["sync"] = Ward(order, limits(self._settings, "sync"))
            last.attend(self._ear)
            last.policy.expect_end(time.monotonic())
            self._tend(lambda: last.policy.state == "off")
