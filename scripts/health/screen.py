"""The screen of `daedalus status`: a lake's health as a person reads it, at 80 columns and more."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scripts.amounts import size_of
from scripts.health.facts import Alarm, Archive, Channel, Compaction, DiskUse, Health, Journals, Machine, Process
from scripts.health.verdict import waiting
from scripts.moments import lasted
from shared.clock import utc_from_us

_STYLES = {"critical": "bold red", "warning": "yellow"}
_WORDS = {"critical": "critical alarm", "warning": "warning"}
_NOTHING = "-"
_OWN_TABLES = {"gaps"}  # what we write ourselves is no channel


def screen(health: Health, alarms: Sequence[Alarm]) -> RenderableType:
    """Everything on one screen: what is wrong, who runs, what comes in, what waits, and the machine."""
    now = utc_from_us(health.wall_ns // 1000)
    head = Text.assemble(("Daedalus", "bold"), f" on {health.host}, {now:%Y-%m-%d %H:%M:%S} UTC: ", summary(alarms))
    return Group(head, _alarms(alarms), "", _processes(health), "", *_capture(health), _facts(health))


def summary(alarms: Sequence[Alarm]) -> Text:
    """How bad it is, in a few words."""
    if not alarms:
        return Text("all is well", style="bold green")
    counts = {words: sum(alarm.level == level for alarm in alarms) for level, words in _WORDS.items()}
    said = (f"{count} {words}{'s' if count > 1 else ''}" for words, count in counts.items() if count)
    return Text(", ".join(said), style=_STYLES[alarms[0].level])


def _alarms(alarms: Sequence[Alarm]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for alarm in alarms:
        table.add_row(Text(alarm.level, style=_STYLES[alarm.level]), Text(alarm.text))
    return table


def _processes(health: Health) -> Table:
    table = _table("process", "state", "pid", "up", "memory", "restarts", gap=2)
    for each in health.processes:
        style = {"running": "", "resting": "", "never": "dim"}.get(each.state, "red")
        memory = f"{each.memory_mb:,.0f} MB" if each.memory_mb is not None else _NOTHING
        restarts = _NOTHING if each.restarts is None else f"{each.restarts:,}"
        pid = str(each.pid) if each.is_alive else _NOTHING
        table.add_row(each.name, _state(each), pid, _span(each.up_s), memory, restarts, style=style)
    return table


def _state(process: Process) -> str:
    ago = f"for {_span(process.said_age_s)}"
    words = {"never": "never ran here", "gone": f"gone {ago}", "silent": f"silent {ago}"}
    return words.get(process.state, process.state)


def _capture(health: Health) -> Iterable[RenderableType]:
    process = health.process("ingest")
    if not health.feeds:
        yield Text("Nothing was captured here yet." if process.state == "never" else "No feed is known.", style="dim")
        yield ""
        return
    if process.state != "running":
        ago = "" if process.said_age_s is None else f" {_span(process.said_age_s)} ago"
        what = "is starting" if process.state == "starting" else "does not run"
        yield Text(f"Capture {what}: this is how it stood{ago or ' when it last ran'}.", style="bold red")
    table = _table(
        "exchange\nchannel", "symbols", "rows/s", "last row", "symbols\nwaiting", "gaps\nopen", "re-\nconnects"
    )
    for feed in health.feeds:
        table.add_row(Text(feed.name, style="bold"), *[""] * 5, _red(feed.reconnects))
        for channel in feed.channels:
            if channel.table not in _OWN_TABLES:
                table.add_row(*_channel(channel))
    yield table
    yield ""


def _channel(channel: Channel) -> list[str]:
    rate = _NOTHING if channel.rows_per_s is None else f"{channel.rows_per_s:,.1f}"
    last = "none yet" if channel.last_row_age_s is None else _span(channel.last_row_age_s)
    return [
        f"  {channel.table}",
        f"{channel.streams:,}",
        rate,
        last,
        _red(channel.interrupted),
        _red(channel.gaps_open),
    ]


def _red(number: int) -> str:
    return f"[yellow]{number:,}[/]" if number else "0"


def _facts(health: Health) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for name, text in (
        ("queue", _queue(health)),
        ("journal", _journals(health.journals)),
        ("watcher", _watcher(health)),
        ("archive", _archive(health.archive)),
        ("compaction", _compaction(health.compaction)),
        ("disk", _disk(health.disk)),
        ("machine", _machine(health.machine)),
    ):
        table.add_row(name, escape(text))
    return table


def _queue(health: Health) -> str:
    if health.queue_percent is None:
        return "none: capture does not run"
    given_up = f", giving up rows at level {health.sacrifice_level}" if health.sacrifice_level else ""
    return f"{health.queue_percent:.1f} % full{given_up}{', waiting for room on the disk' if health.is_paused else ''}"


def _journals(journals: Journals) -> str:
    parts = []
    if journals.open_age_s is not None:
        parts.append(f"open for {_span(journals.open_age_s)}, {size_of(journals.open_bytes)}")
    if journals.waiting:
        late = f"{waiting(journals.waiting, 'closed journal')} to be sealed, {size_of(journals.waiting_bytes)}"
        parts.append(f"{late}, the oldest for {_span(journals.seal_lag_s)}")
    return "; ".join(parts) or "none is open, none waits"


def _watcher(health: Health) -> str:
    lag = health.watcher
    if not lag.is_any:
        return "nothing is published yet"
    process = health.process("watch")
    ended = ""
    if process.is_alive:
        age_s = process.said_age_s
        ended = "; no pass has ended yet" if age_s is None else f"; its last pass ended {_span(age_s)} ago"
    if not lag.files:
        return f"has read all that is published{ended}"
    more = "more than " if lag.is_more else ""
    return f"{more}{waiting(lag.files, 'published file')} for it, the oldest for {_span(lag.lag_s)}{ended}"


def _archive(archive: Archive | None) -> str:
    if archive is None:
        return "none: sync never ran here"
    last = (
        "no pass has ended yet"
        if archive.last_success_age_s is None
        else (f"last pass ended {_span(archive.last_success_age_s)} ago")
    )
    problem = f"; {archive.last_problem}" if archive.last_problem else ""
    if archive.backlog_files is None or archive.backlog_bytes is None:
        return f"what waits is not known yet; {last}{problem}"
    return f"{waiting(archive.backlog_files, 'file')}, {size_of(archive.backlog_bytes)}; {last}{problem}"


def _compaction(compaction: Compaction | None) -> str:
    if compaction is None:
        return "none: compact never ran here"
    age_s, parts = compaction.last_success_age_s, ["no run has ended well yet"]
    if age_s is not None:
        done = f"{compaction.files:,} files became {compaction.made_files:,} in {_span(compaction.took_s)}"
        parts = [f"last run ended {_span(age_s)} ago: {done if compaction.files else 'there was nothing to do'}"]
    if compaction.last_exit:
        parts.append(f"the last try ended with {compaction.last_exit}")
    if compaction.again_s is not None:
        parts.append(f"next in {_span(compaction.again_s)}")
    return "; ".join(parts)


def _disk(disk: DiskUse) -> str:
    free = f"{size_of(disk.free_bytes)} of {size_of(disk.total_bytes)} free"
    if disk.growth_bytes_per_day is None:
        return f"{free}; how fast it fills is not known before an hour of capture"
    grows = f"bronze grows by {size_of(round(disk.growth_bytes_per_day))} a day"
    return f"{free}; {grows}" + ("" if disk.days_left is None else f"; full in {_days(disk.days_left)}")


def _days(number: float) -> str:
    """A stretch of days, as exactly as anybody can foresee it.

    >>> _days(3.14), _days(87_560.6)
    ('3.1 days', 'more than ten years')
    """
    return f"{number:,.1f} days" if number < 3650 else "more than ten years"


def _machine(machine: Machine) -> str:
    parts = []
    if machine.temperature_c is not None:
        parts.append(f"{machine.temperature_c:.0f} °C")
    if machine.throttled:
        parts.append(machine.throttled)
    if machine.memory_available_mb is not None:
        parts.append(f"{machine.memory_available_mb:,.0f} MB of memory free")
    return ", ".join(parts) or "it does not say"


def _table(first: str, *others: str, gap: int = 1) -> Table:
    """A table whose first column stands left, the others right."""
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, gap), header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _span(seconds: float | None) -> str:
    return _NOTHING if seconds is None else lasted(seconds)
