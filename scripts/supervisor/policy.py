"""When a child is started, ended and killed: pure rules. The shell tells what happened and does what is decided."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

State: TypeAlias = Literal["waiting", "running", "stopping", "resting", "off"]
START_S_MAX = 3600.0  # a recovery may read gigabytes from a slow card; one that was killed would only begin again
_STEADY = 10  # times a pause; a child that did well for so long is thought well again
_PATIENCE_MAX = 8  # times `stale_after_s`
_FIRST_REST_S_MAX = 600.0  # recovery and the watcher's first look after a start have the machine for themselves
_DONE = {"code 0", "code 1"}  # 1: all was done that could be, and something is left that another try would leave too
_WARN_AGAIN = 0.9  # of the warning level; below it, the next warning is news


class Action(Enum):
    """What is to be done with a process."""

    START = "start"
    TERMINATE = "terminate"
    KILL = "kill"


@dataclass(frozen=True)
class Limits:
    """How long to wait, and how much to let pass. From the settings section `supervisor`."""

    restart_delay_s: float
    restart_delay_max_s: float
    stop_timeout_s: float
    memory_warning_mb: float
    memory_critical_mb: float
    stale_after_s: float | None  # None: this child does not tell how fresh its data is
    rest_s: float | None = None  # of a child that does one thing and ends, until it does it again; None: it never ends


class ChildPolicy:
    """One child's state. All times are monotonic seconds; `decide` is asked again and again.

    A child that ends is started anew after a pause that doubles with each end, up to a bound. One whose data stays away
    is ended too, and then the patience doubles, up to eight times: a market may be quiet and a network down for
    hours, and what a first restart has not mended, another one seldom does. One that has done what it does rests.
    """

    def __init__(self, limits: Limits, *, now_s: float) -> None:
        self.limits = limits
        self.state: State = "waiting" if limits.rest_s is None else "resting"
        self.restarts = 0
        self.last_exit: str | None = None
        self.is_ready = False
        self.fed_s: float | None = None
        self._start_s = now_s + min(_FIRST_REST_S_MAX, limits.rest_s or 0.0)  # may be started, then when it was
        self._asked_s = 0.0  # to stop
        self.reason = ""  # of a stop that we asked for
        self.is_final = False
        self._ends = 0  # in a row
        self._stales = 0  # in a row
        self._steady_s = now_s  # since when data has come without too long a pause
        self._memory_mb = 0.0
        self._is_warned = False

    def decide(self, now_s: float) -> Action | None:
        """What to do now."""
        match self.state:
            case "waiting" | "resting" if now_s >= self._start_s:
                return Action.START
            case "running" if reason := self._trouble(now_s):
                self._stales += self._is_stale(now_s)
                self._ask(reason, now_s)
                return Action.TERMINATE
            case "stopping" if now_s - self._asked_s >= self.limits.stop_timeout_s:
                self._asked_s = now_s  # one that cannot even be killed waits for its disk: once more later
                return Action.KILL
        return None

    def started(self, now_s: float) -> None:
        """A process was started."""
        self.state, self._start_s, self._steady_s = "running", now_s, now_s
        self.is_ready, self.fed_s, self._memory_mb, self._is_warned = False, None, 0.0, False

    def ready(self, now_s: float) -> None:
        """It is at work."""
        if not self.is_ready:
            self.is_ready, self.fed_s = True, now_s

    def fed(self, now_s: float) -> None:
        """It has stored data, or need not."""
        stale_after_s = self.limits.stale_after_s or 0.0
        if self.fed_s is None or now_s - self.fed_s > stale_after_s:
            self._steady_s = now_s
        if now_s - self._steady_s >= _STEADY * self._patience_s:
            self._stales = 0
        self.fed_s = now_s

    def weighed(self, memory_mb: float) -> bool:
        """Take what it holds of memory; whether that is worth a warning."""
        self._memory_mb = memory_mb
        is_much = memory_mb >= self.limits.memory_warning_mb * (_WARN_AGAIN if self._is_warned else 1.0)
        is_news, self._is_warned = is_much and not self._is_warned, is_much
        return is_news

    def stop(self, now_s: float) -> Action | None:
        """End it for good."""
        self.is_final = True
        return self._end("asked to stop", now_s)

    def wanted(self, now_s: float) -> None:
        """It is to run after all, where it was to end for good."""
        self.is_final = False
        if self.state == "off":
            self.state, self._start_s = "waiting", now_s

    def expect_end(self, now_s: float) -> None:
        """It has one thing to do, and ends by itself, or is killed like any that is to stop."""
        self.is_final = True
        if self.state == "running":
            self._ask("", now_s)
        elif self.state == "waiting":
            self.state = "off"

    def restart(self, now_s: float) -> Action | None:
        """End it in good order, to be started anew at once."""
        self._ends = -1  # that end is no failure
        return self._end("its settings changed", now_s)

    def ended(self, now_s: float, how: str) -> None:
        """The process is gone."""
        self.last_exit = f"{how} ({self.reason})" if self.reason else how
        is_done = self.limits.rest_s is not None and self.last_exit in _DONE
        lived_s, self.reason, self.is_ready, self.fed_s = now_s - self._start_s, "", False, None
        if self.is_final:
            self.state = "off"
            return
        if is_done:
            self.state, self._start_s, self._ends = "resting", now_s + (self.limits.rest_s or 0.0), 0
            return
        if lived_s >= _STEADY * self.limits.restart_delay_max_s:
            self._ends = min(self._ends, 0)
        delay_s = 0.0
        if self._ends >= 0:
            delay_s = min(self.limits.restart_delay_max_s, self.limits.restart_delay_s * 2.0 ** min(self._ends, 30))
        self._ends += 1
        self.restarts += 1
        self.state, self._start_s = "waiting", now_s + delay_s

    def waits_s(self, now_s: float) -> float | None:
        """How long until it is started, where it waits for that."""
        return round(max(0.0, self._start_s - now_s), 1) if self.state in ("waiting", "resting") else None

    @property
    def _patience_s(self) -> float:
        return (self.limits.stale_after_s or 0.0) * min(_PATIENCE_MAX, 2.0 ** min(self._stales, 30))

    def _trouble(self, now_s: float) -> str:
        """Why a running child should be ended; empty where it should not."""
        if self._memory_mb >= self.limits.memory_critical_mb:
            return f"{self._memory_mb:,.0f} MB of memory, critical is {self.limits.memory_critical_mb:,.0f}"
        if self._is_stale(now_s):
            return f"no new data for {self._patience_s:,.0f} s"
        if self.limits.stale_after_s is not None and self.fed_s is None and now_s - self._start_s >= START_S_MAX:
            return f"not at work {START_S_MAX:,.0f} s after its start"
        return ""

    def _is_stale(self, now_s: float) -> bool:
        return (
            self.limits.stale_after_s is not None and self.fed_s is not None and now_s - self.fed_s >= self._patience_s
        )

    def _end(self, reason: str, now_s: float) -> Action | None:
        if self.state == "running":
            self._ask(reason, now_s)
            return Action.TERMINATE
        if self.state in ("waiting", "resting"):
            self.state, self._start_s = ("off" if self.is_final else "waiting"), now_s
        return None

    def _ask(self, reason: str, now_s: float) -> None:
        self.state, self._asked_s, self.reason = "stopping", now_s, reason


def next_to_stop(states: dict[str, State], order: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Those whose turn it is to end: the first group of `order` that is not gone as a whole; empty when all are.

    >>> next_to_stop({"ingest": "off", "watch": "running"}, (("ingest", "compact"), ("watch",), ("sync",)))
    ('watch',)
    """
    for group in order:
        if alive := tuple(name for name in group if states.get(name, "off") != "off"):
            return alive
    return ()
