"""One child under care: what it should be, what the rules say of it, and its process while it has one."""

import signal
import time
from typing import Any

from scripts.supervisor.children import Child, Ear, Order
from scripts.supervisor.policy import Action, ChildPolicy, Limits
from scripts.supervisor.readings import Scale, Weight
from scripts.supervisor.state import ChildState
from shared.clock import SystemClock
from shared.log import get_log
from shared.notify import READY, WATCHDOG

_SIGNALS = {Action.TERMINATE: signal.SIGTERM, Action.KILL: signal.SIGKILL}


class Ward:
    """Does what the policy decides, and tells it what has happened."""

    def __init__(self, order: Order, limits: Limits) -> None:
        self.order, self.policy = order, ChildPolicy(limits, now_s=time.monotonic())
        self._child: Child | None = None
        self._weight: Weight | None = None
        self._started_wall_ns: int | None = None
        self._fed_wall_ns: int | None = None
        self._reads_anew = False  # once it listens to SIGHUP: before that, the signal would end it
        self._log = get_log("supervisor").bind(child=order.name)

    @property
    def pid(self) -> int | None:
        """The process's number; None while there is none."""
        return self._child.pid if self._child else None

    @property
    def is_starting(self) -> bool:
        """Whether it runs and is not at work yet: it recovers what an earlier life left."""
        return self.policy.state == "running" and not self.policy.is_ready

    def attend(self, ear: Ear) -> None:
        """See whether it has ended, and do what is due."""
        now_s = time.monotonic()
        if self._child and (how := self._child.ended()) is not None:
            self._child = self._weight = None
            self.policy.ended(now_s, how)
            self._tell("ended", how=self.policy.last_exit, again_in_s=self.policy.waits_s(now_s))
        self._do(self.policy.decide(now_s), ear, now_s)

    def hear(self, lines: list[str]) -> bool:
        """Take what it said; whether it was that data comes in."""
        now_s = time.monotonic()
        if READY in lines:
            self.policy.ready(now_s)
            if self._reads_anew:
                self._reads_anew = False
                self.read_anew()
        if WATCHDOG in lines:
            self.policy.fed(now_s)
            self._fed_wall_ns = SystemClock.wall_ns()
        return WATCHDOG in lines

    def weigh(self, scale: Scale) -> None:
        """Look what it takes."""
        if self._child and (weight := scale.weigh(self._child.pid)):
            self._weight = weight
            if self.policy.weighed(weight.memory_mb):
                critical_mb = self.policy.limits.memory_critical_mb
                self._log.warning("much memory", memory_mb=weight.memory_mb, critical_mb=critical_mb)

    def read_anew(self) -> None:
        """Have it read its settings anew, as soon as it can."""
        if self._child and self.policy.is_ready:
            self._child.send(signal.SIGHUP)
        else:
            self._reads_anew = self._child is not None

    def stop(self) -> None:
        """End it for good."""
        self._signal(self.policy.stop(time.monotonic()))

    def restart(self) -> None:
        """Start it anew, in good order."""
        self._signal(self.policy.restart(time.monotonic()))

    def report(self) -> ChildState:
        """Its entry in state/supervisor.json."""
        return ChildState(
            pid=self.pid,
            state=self.policy.state,
            started_wall_ns=self._started_wall_ns if self._child else None,
            again_s=self.policy.waits_s(time.monotonic()),
            restarts=self.policy.restarts,
            last_exit=self.policy.last_exit,
            memory_mb=self._weight.memory_mb if self._weight else None,
            cpu_percent=self._weight.cpu_percent if self._weight else None,
            fed_wall_ns=self._fed_wall_ns,
        )

    def _do(self, action: Action | None, ear: Ear, now_s: float) -> None:
        if action is not Action.START:
            self._signal(action)
            return
        self._started_wall_ns, self._fed_wall_ns, self._reads_anew = SystemClock.wall_ns(), None, False
        self.policy.started(now_s)
        try:
            self._child = Child(self.order, ear, watchdog_s=self.policy.limits.stale_after_s)
        except OSError as error:  # no memory or no process left: later there may be
            self.policy.ended(now_s, f"not started: {error.strerror}")
            self._tell("ended", how=self.policy.last_exit, again_in_s=self.policy.waits_s(now_s))
        else:
            self._log.info("started", pid=self._child.pid)

    def _signal(self, action: Action | None) -> None:
        if action is not None and self._child:
            self._tell(f"gets {_SIGNALS[action].name}", reason=self.policy.reason)
            self._child.send(_SIGNALS[action])

    def _tell(self, event: str, **facts: Any) -> None:
        is_usual = self.policy.is_final or self.policy.state == "resting"
        (self._log.info if is_usual else self._log.warning)(event, **facts)
