"""`verdict`: what of a lake's health is wrong. Pure; each alarm in words that a person can act on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from config.config import Settings
from scripts.health.facts import Alarm, Health
from scripts.moments import lasted
from scripts.supervisor.orders import children_of, has_archive

_QUEUE_CRITICAL_PERCENT = 95.0
_DISK_CRITICAL_DAYS = 1.0
_SEAL_LAG_S_MAX = 900.0

ALARMS = {
    "capture": "capture does not run, or runs and says nothing",
    "feed_silent": "a feed has brought nothing for `health.message_age_max_s`",
    "rows_given_up": "the machine is too slow: rows are given up in the order of sacrifice, each inside a gap",
    "queue": "the queue is fuller than `health.queue_percent_max`; critical from 95 % on",
    "disk_full": "capture waits for room on the disk",
    "disk_filling": "the disk will be full within `health.disk_days_min`; critical: within a day. "
    "Not where `sync.delete_after_verify` and `retention` keep the lake small",
    "seal_late": "a closed journal has waited for 15 minutes to be sealed",
    "watcher": "the watcher does not run",
    "watcher_late": "published files wait for the watcher for `health.watcher_lag_max_s`",
    "sync": "synchronisation does not run",
    "sync_late": "the archive is `health.sync_lag_max_s` behind",
    "compaction": "`daedalus compact` could not do everything, or has not ended well for two intervals and an hour",
    "supervisor": "the supervisor was here and is gone, or says nothing",
    "memory": "a process holds more than `supervisor.memory_warning_mb`; critical: `supervisor.memory_critical_mb`",
    "temperature": "the processor is hotter than `health.temperature_max_c`",
    "throttled": "the machine slows itself down, or its power supply is too weak",
    "clock": "the machine's clock was set back: ages cannot be told until it has caught up",
    "state": "a file in `state` is damaged, or is none of ours",
}
"""What each alarm means; an alarm is about one feed or process where it names one."""

_WORDS = {
    "ingest": ("capture", "daedalus ingest"),
    "watch": ("the watcher", "daedalus watch"),
    "sync": ("synchronisation", "daedalus sync --mode continuous"),
    "supervisor": ("the supervisor", "daedalus supervise"),
}


@dataclass(frozen=True)
class Limits:
    """From where on something is wrong."""

    expected: frozenset[str]  # processes that should run
    message_age_s: float
    queue_percent: float
    watcher_lag_s: float
    sync_lag_s: float
    compaction_lag_s: float
    disk_days: float
    temperature_c: float
    memory_warning_mb: float
    memory_critical_mb: float


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings name."""
    health, supervisor = settings.health, settings.supervisor
    retention = settings.retention
    removes = retention.keep_days is not None or retention.lake_max_gb is not None
    stays_small = has_archive(settings) and settings.sync.delete_after_verify and removes
    return Limits(
        expected=frozenset(children_of(settings)),
        message_age_s=health.message_age_max_s,
        queue_percent=health.queue_percent_max,
        watcher_lag_s=health.watcher_lag_max_s,
        sync_lag_s=health.sync_lag_max_s,
        compaction_lag_s=2 * settings.compaction.interval_hours * 3600 + 3600,
        disk_days=0.0 if stays_small else health.disk_days_min,  # growth knows nothing of what is removed
        temperature_c=health.temperature_max_c,
        memory_warning_mb=supervisor.memory_warning_mb,
        memory_critical_mb=supervisor.memory_critical_mb,
    )


def verdict(health: Health, limits: Limits) -> list[Alarm]:
    """Everything that is wrong, the critical first; empty where all is well."""
    found = [*_capture(health, limits), *_disk(health, limits), *_refining(health, limits), *_machine(health, limits)]
    lines = [replace(alarm, text=" ".join(alarm.text.split())) for alarm in found]  # names are not all ours
    return sorted(lines, key=lambda alarm: alarm.level != "critical")


def _capture(health: Health, limits: Limits) -> Iterator[Alarm]:
    process = health.process("ingest")
    if "ingest" in limits.expected and process.state not in {"running", "starting"}:
        yield Alarm(name="capture", level="critical", text=_not_running(health, "ingest"))
    if process.state != "running":
        return
    for feed in health.feeds:
        age_s = process.up_s if feed.last_row_age_s is None else feed.last_row_age_s
        if age_s is not None and age_s > limits.message_age_s:
            since = (
                f"for {lasted(age_s)}"
                if feed.last_row_age_s is not None
                else f"since capture started {lasted(age_s)} ago"
            )
            text = (
                f"{feed.name} has brought nothing {since}: see why in the log of ingest, and whether the exchange is up"
            )
            yield Alarm(name="feed_silent", subject=feed.name, level="critical", text=text)
    if health.sacrifice_level:
        text = (
            f"rows are given up, order of sacrifice at level {health.sacrifice_level}: this machine is too slow for "
            "what it captures; stop other work on it, or name fewer symbols or channels"
        )
        yield Alarm(name="rows_given_up", level="critical", text=text)
    if (percent := health.queue_percent or 0.0) > limits.queue_percent:
        text = f"the queue is {percent:.0f} % full: the disk or the processor is too slow for what comes in"
        yield Alarm(name="queue", level=_worse(percent >= _QUEUE_CRITICAL_PERCENT), text=text)
    if health.journals.seal_lag_s > _SEAL_LAG_S_MAX:
        text = (
            f"{waiting(health.journals.waiting, 'closed journal')} to be sealed, the oldest for "
            f"{lasted(health.journals.seal_lag_s)}: nothing of it is lost; see the log of ingest"
        )
        yield Alarm(name="seal_late", level="warning", text=text)


def _disk(health: Health, limits: Limits) -> Iterator[Alarm]:
    free = f"{health.disk.free_bytes / 1e9:,.1f} GB free"
    if health.is_paused:
        text = f"capture waits for room on the disk, {free}: free some; it resumes by itself"
        yield Alarm(name="disk_full", level="critical", text=text)
    left = health.disk.days_left
    if left is not None and left < limits.disk_days:
        text = (
            f"the disk will be full in {lasted(left * 86_400)} at the present rate, {free}: remove what the archive "
            "holds with `daedalus retain`, or give it a larger disk"
        )
        yield Alarm(name="disk_filling", level=_worse(left < _DISK_CRITICAL_DAYS), text=text)


def _refining(health: Health, limits: Limits) -> Iterator[Alarm]:
    watcher, sync, supervisor = (health.process(name) for name in ("watch", "sync", "supervisor"))
    lag = health.watcher
    if "watch" in limits.expected:
        if not watcher.is_alive:
            yield Alarm(name="watcher", level="warning", text=_not_running(health, "watch"))
        if lag.lag_s > limits.watcher_lag_s:
            files = f"{'more than ' if lag.is_more else ''}{waiting(lag.files, 'published file')}"
            text = f"{files} for the watcher, the oldest for {lasted(lag.lag_s)}: see the log of watch"
            yield Alarm(name="watcher_late", level="warning", text=text)
    if "sync" in limits.expected:
        if not sync.is_alive:
            yield Alarm(name="sync", level="warning", text=_not_running(health, "sync"))
        yield from _archive(health, limits)
    if "compact" in limits.expected:
        yield from _compaction(health, limits)
    if supervisor.state in {"gone", "silent", "unreadable"}:
        yield Alarm(name="supervisor", level="warning", text=_not_running(health, "supervisor"))


def _archive(health: Health, limits: Limits) -> Iterator[Alarm]:
    archive = health.archive
    if archive is None:
        return
    age_s = archive.last_success_age_s
    if age_s is None:
        age_s = health.process("sync").up_s
    if age_s is None or age_s <= limits.sync_lag_s:
        return
    why = f"; the last problem: {archive.last_problem[:200]}" if archive.last_problem else ""
    files = f", {waiting(archive.backlog_files, 'file')}" if archive.backlog_files is not None else ""
    text = f"the archive is {lasted(age_s)} behind{files}{why}: nothing is removed here before it is there"
    yield Alarm(name="sync_late", level="warning", text=text)


def _compaction(health: Health, limits: Limits) -> Iterator[Alarm]:
    compaction = health.compaction
    if compaction is None:
        return
    age_s = compaction.last_success_age_s
    if age_s is None:
        age_s = health.process("supervisor").up_s
    if compaction.last_problem:
        text = f"compaction could not do everything: {compaction.last_problem[:300]}"
        yield Alarm(name="compaction", level="warning", text=text)
    elif age_s is not None and age_s > limits.compaction_lag_s and not health.process("compact").is_alive:
        text = f"compaction has not ended well for {lasted(age_s)}: small files gather; see the log of compact"
        yield Alarm(name="compaction", level="warning", text=text)


def _machine(health: Health, limits: Limits) -> Iterator[Alarm]:
    for process in health.processes:
        if (memory_mb := process.memory_mb or 0.0) > limits.memory_warning_mb:
            is_critical = memory_mb > limits.memory_critical_mb
            text = f"{process.name} holds {memory_mb:,.0f} MB of memory: a supervisor restarts it in good order"
            yield Alarm(name="memory", subject=process.name, level=_worse(is_critical), text=text)
    hot_c = health.machine.temperature_c
    if hot_c is not None and hot_c > limits.temperature_c:
        text = f"the processor is at {hot_c:.0f} °C: see to its cooling, it slows itself down"
        yield Alarm(name="temperature", level="warning", text=text)
    if health.machine.throttled:
        text = f"the machine says {health.machine.throttled}: check power supply, cable and cooling"
        yield Alarm(name="throttled", level="warning", text=text)
    if health.clock_back_s:
        text = (
            f"what processes say lies {lasted(health.clock_back_s)} in the future, so the clock was set back: "
            "ages here are not to be trusted until each has spoken again; check time synchronisation"
        )
        yield Alarm(name="clock", level="warning", text=text)
    for file, problem in health.problems.items():
        text = f"{file} {problem}: remove it; a process that runs writes it anew"
        yield Alarm(name="state", subject=file, level="warning", text=text)


def _not_running(health: Health, name: str) -> str:
    """Why a process counts as not running, since when, and how it is started."""
    process, (what, command) = health.process(name), _WORDS[name]
    since, start = lasted(process.said_age_s or 0.0), f"start it with `{command}`"
    if health.process("supervisor").state == "running":
        start = "the supervisor starts it again; its log says why it ended"
    match process.state:
        case "never":
            return f"{what} has never run here: {start}"
        case "unreadable":
            return f"{what}: what it says cannot be read, see below"
        case "silent":
            return (
                f"{what} (process {process.pid}) lives and has said nothing for {since}: see its log, then restart it"
            )
    return f"{what} (process {process.pid}) is gone; it last said something {since} ago: {start}"


def _worse(is_critical: bool) -> Literal["warning", "critical"]:
    return "critical" if is_critical else "warning"


def waiting(number: int, what: str) -> str:
    """How many of something wait.

    >>> waiting(1, "file"), waiting(1200, "file")
    ('1 file waits', '1,200 files wait')
    """
    return f"{number:,} {what} waits" if number == 1 else f"{number:,} {what}s wait"
