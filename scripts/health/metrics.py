"""What Prometheus is told: every metric declared once, with the function that reads it of a lake's health."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from scripts.health.facts import Alarm, Archive, Channel, Compaction, Feed, Health
from scripts.health.verdict import ALARMS

Sample: TypeAlias = tuple[tuple[str, ...], float | None]  # label values; a sample that is not known is left out
Look: TypeAlias = Callable[[], tuple[Health, Sequence[Alarm]]]
Kind: TypeAlias = Literal["gauge", "counter"]
_DAY_S = 86_400.0
_FEED = ("exchange", "source")
_CHANNEL = (*_FEED, "table")
_LEVELS = ("warning", "critical")


class Metric(NamedTuple):
    """One metric: its name as Prometheus shows it, and where its samples come from."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...]
    samples: Callable[[Health], Iterable[Sample]]


class Exposition(Collector):
    """Metrics of a fresh look at each scrape; those of what does not run are left out, and not repeated."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """One family for each metric, and one for the alarms."""
        health, alarms = self._look()
        for metric in METRICS:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in metric.samples(health):
                if value is not None:
                    family.add_metric(labels, value)
            yield family
        yield _alarms(alarms)


def _alarms(alarms: Sequence[Alarm]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(ALARM.name, ALARM.meaning, labels=ALARM.labels)
    for name in ALARMS:
        for level in _LEVELS:
            family.add_metric((name, level), sum((each.name, each.level) == (name, level) for each in alarms))
    return family


def _gauge(name: str, meaning: str, value: Callable[[Health], float | None]) -> Metric:
    return Metric(f"daedalus_{name}", "gauge", meaning, (), lambda health: [((), value(health))])


def _of_feeds(name: str, kind: Kind, meaning: str, value: Callable[[Feed], float]) -> Metric:
    def samples(health: Health) -> Iterator[Sample]:
        for feed in health.feeds:
            yield _of(feed), value(feed)

    return Metric(f"daedalus_{name}", kind, meaning, _FEED, samples)


def _of_channels(name: str, kind: Kind, meaning: str, value: Callable[[Channel], float | None]) -> Metric:
    def samples(health: Health) -> Iterator[Sample]:
        for feed in health.feeds:
            for channel in feed.channels:
                yield (*_of(feed), channel.table), value(channel)

    return Metric(f"daedalus_{name}", kind, meaning, _CHANNEL, samples)


def _of(feed: Feed) -> tuple[str, str]:
    source, _, exchange = feed.name.partition(":")
    return exchange, source


def _up(health: Health) -> Iterator[Sample]:
    return (((each.name,), each.state == "running") for each in health.processes if each.state != "resting")


def _started(health: Health) -> Iterator[Sample]:
    now_s = health.wall_ns / 1e9
    return (((each.name,), None if each.up_s is None else now_s - each.up_s) for each in health.processes)


def _memory(health: Health) -> Iterator[Sample]:
    return (((each.name,), None if each.memory_mb is None else each.memory_mb * 2**20) for each in health.processes)


def _restarts(health: Health) -> Iterator[Sample]:
    return (((each.name,), each.restarts) for each in health.processes)


def _growth(health: Health) -> float | None:
    growth = health.disk.growth_bytes_per_day
    return None if growth is None else growth / _DAY_S


def _of_archive(name: str, kind: Kind, meaning: str, value: Callable[[Archive], float | None]) -> Metric:
    def samples(health: Health) -> Iterator[Sample]:
        if health.archive is not None:
            yield (), value(health.archive)

    return Metric(f"daedalus_sync_{name}", kind, meaning, (), samples)


def _of_compaction(name: str, meaning: str, value: Callable[[Compaction], float | None]) -> Metric:
    def samples(health: Health) -> Iterator[Sample]:
        if health.compaction is not None:
            yield (), value(health.compaction)

    return Metric(f"daedalus_compaction_{name}", "gauge", meaning, (), samples)


METRICS = (
    Metric("daedalus_up", "gauge", "1 where the process runs and says so; none where it rests", ("process",), _up),
    Metric("daedalus_start_time_seconds", "gauge", "when it started, seconds since 1970", ("process",), _started),
    Metric("daedalus_resident_memory_bytes", "gauge", "memory that it holds", ("process",), _memory),
    Metric("daedalus_restarts_total", "counter", "how often the supervisor started it anew", ("process",), _restarts),
    _of_channels("rows_total", "counter", "rows received since capture started", lambda it: it.rows),
    _of_channels("message_age_seconds", "gauge", "since the last row of any symbol", lambda it: it.last_row_age_s),
    _of_channels("streams", "gauge", "symbols", lambda it: it.streams),
    _of_channels(
        "streams_interrupted", "gauge", "symbols without a row since an interruption", lambda it: it.interrupted
    ),
    _of_channels("gaps_open", "gauge", "gaps of this run that nothing has filled", lambda it: it.gaps_open),
    _of_feeds(
        "reconnects_total",
        "counter",
        "connections that ended since capture started, attempts that failed included",
        lambda it: it.reconnects,
    ),
    _of_feeds("rows_given_up_total", "counter", "rows given up under load, each in a gap", lambda it: it.rows_given_up),
    _of_feeds("rejects_total", "counter", "rows kept in the rejects table", lambda it: it.rejects),
    _gauge(
        "queue_fill_ratio",
        "how full the queue is, 0 to 1",
        lambda it: None if it.queue_percent is None else it.queue_percent / 100,
    ),
    _gauge("sacrifice_level", "what is given up under load; 0: nothing", lambda it: it.sacrifice_level),
    _gauge("capture_paused", "1 while capture waits for room on the disk", lambda it: it.is_paused),
    _gauge("journal_age_seconds", "of the journal that is being written", lambda it: it.journals.open_age_s),
    _gauge("journal_bytes", "its size", lambda it: it.journals.open_bytes),
    _gauge("journals_waiting", "closed journals that wait to be sealed", lambda it: it.journals.waiting),
    _gauge("seal_lag_seconds", "since the oldest of them was closed", lambda it: it.journals.seal_lag_s),
    _gauge("watcher_backlog_files", "published files that the watcher has not read", lambda it: it.watcher.files),
    _gauge("watcher_lag_seconds", "since the oldest of them was published", lambda it: it.watcher.lag_s),
    _of_archive("backlog_files", "gauge", "files to be brought over", lambda it: it.backlog_files),
    _of_archive("backlog_bytes", "gauge", "their size", lambda it: it.backlog_bytes),
    _of_archive("success_age_seconds", "gauge", "since a pass ended well", lambda it: it.last_success_age_s),
    _of_archive("uploaded_files_total", "counter", "since sync started", lambda it: it.uploaded_files),
    _of_archive("uploaded_bytes_total", "counter", "since sync started", lambda it: it.uploaded_bytes),
    _of_archive("downloaded_files_total", "counter", "since sync started", lambda it: it.downloaded_files),
    _of_archive("downloaded_bytes_total", "counter", "since sync started", lambda it: it.downloaded_bytes),
    _of_compaction("success_age_seconds", "since a run ended well", lambda it: it.last_success_age_s),
    _of_compaction("duration_seconds", "of the last run that ended well", lambda it: it.took_s),
    _of_compaction("replaced_files", "by that run", lambda it: it.files),
    _of_compaction("made_files", "by that run, in their place", lambda it: it.made_files),
    _gauge("disk_free_bytes", "free on the lake's disk", lambda it: it.disk.free_bytes),
    _gauge("disk_size_bytes", "its size", lambda it: it.disk.total_bytes),
    _gauge("disk_growth_bytes_per_second", "what is published, over days", _growth),
    _gauge(
        "disk_left_seconds",
        "until capture pauses at that rate",
        lambda it: None if it.disk.days_left is None else it.disk.days_left * _DAY_S,
    ),
    _gauge("temperature_celsius", "of the processor", lambda it: it.machine.temperature_c),
    _gauge("throttled", "1 while the machine slows itself down", lambda it: bool(it.machine.throttled)),
    _gauge(
        "memory_available_bytes",
        "of the machine",
        lambda it: None if it.machine.memory_available_mb is None else it.machine.memory_available_mb * 2**20,
    ),
)
ALARM = Metric("daedalus_alarms", "gauge", "how many alarms of a kind there are", ("alarm", "level"), lambda _: ())
