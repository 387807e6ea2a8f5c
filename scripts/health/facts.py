"""`Health`: what is known of a lake and its processes at one moment. Its fields are the keys of `--json`."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

State: TypeAlias = Literal["running", "starting", "silent", "resting", "gone", "never", "unreadable"]
PROCESSES = ("ingest", "watch", "sync", "compact", "supervisor")


class Process(Struct, frozen=True, kw_only=True):
    """One of our processes, by the file in which it says how it is doing."""

    name: Annotated[str, Meta(description="ingest, watch, sync, compact or supervisor")]
    state: Annotated[
        State,
        Meta(
            description="running; starting: it lives and has not spoken yet; silent: it lives and says nothing; "
            "resting: it did its work and ended; gone: it ended; never: it was never here; unreadable: its file is "
            "damaged"
        ),
    ]
    pid: Annotated[int | None, Meta(description="its number, also when it is gone")] = None
    said_age_s: Annotated[float | None, Meta(description="seconds since it last said how it is doing")] = None
    up_s: Annotated[float | None, Meta(description="seconds since it started; null unless it lives")] = None
    memory_mb: Annotated[float | None, Meta(description="resident memory; null unless it lives")] = None
    restarts: Annotated[int | None, Meta(description="by the supervisor, since that started")] = None

    @property
    def is_alive(self) -> bool:
        """Whether there is a process."""
        return self.state in {"running", "starting", "silent"}


class Channel(Struct, frozen=True, kw_only=True):
    """One table of a feed, all its streams together."""

    table: Annotated[str, Meta(description="as trades or l2")]
    streams: Annotated[int, Meta(description="symbols")]
    rows: Annotated[int, Meta(description="received since capture started")]
    rows_per_s: Annotated[float | None, Meta(description="over the last minute; null unless capture runs")]
    last_row_age_s: Annotated[float | None, Meta(description="null where nothing has come yet")]
    interrupted: Annotated[int, Meta(description="symbols that wait for their first row since an interruption")]
    gaps_open: Annotated[int, Meta(description="declared since capture started, and not filled since")]


class Feed(Struct, frozen=True, kw_only=True):
    """One collector."""

    name: Annotated[str, Meta(description="source and exchange, as native:kraken")]
    last_row_age_s: Annotated[float | None, Meta(description="of any channel; null where nothing has come yet")]
    reconnects: Annotated[
        int, Meta(description="connections that ended since capture started, attempts that failed included")
    ]
    rows_given_up: Annotated[int, Meta(description="under load, each inside a gap")]
    rejects: Annotated[int, Meta(description="rows kept in the rejects table")]
    channels: Annotated[list[Channel], Meta(description="see below")]


class Journals(Struct, frozen=True, kw_only=True):
    """What is safe on the disk and not yet published."""

    open_age_s: Annotated[float | None, Meta(description="of the journal being written; null unless capture runs")]
    open_bytes: Annotated[int, Meta(description="its size")]
    waiting: Annotated[int, Meta(description="closed journals that wait to be sealed")]
    waiting_bytes: Annotated[int, Meta(description="their size")]
    seal_lag_s: Annotated[float, Meta(description="since the oldest of them was closed; 0 where none waits")]


class WatcherLag(Struct, frozen=True, kw_only=True):
    """Published files that the watcher has not read."""

    is_any: Annotated[bool, Meta(description="anything was ever published here")]
    files: Annotated[int, Meta(description="how many; at least, where `is_more`")]
    is_more: Annotated[bool, Meta(description="true: there are more, not all were counted")]
    lag_s: Annotated[float, Meta(description="since the oldest of them was published; 0 where none waits")]


class Archive(Struct, frozen=True, kw_only=True):
    """What `daedalus sync` says."""

    backlog_files: Annotated[int | None, Meta(description="that are to be brought over; null: no pass has looked yet")]
    backlog_bytes: Annotated[int | None, Meta(description="their size")]
    uploaded_files: Annotated[int, Meta(description="since sync started")]
    uploaded_bytes: Annotated[int, Meta(description="their size")]
    downloaded_files: Annotated[int, Meta(description="since sync started")]
    downloaded_bytes: Annotated[int, Meta(description="their size")]
    last_success_age_s: Annotated[float | None, Meta(description="since a pass ended well; null: none has")]
    last_problem: Annotated[str | None, Meta(description="the last problem since then; null: none")]


class Compaction(Struct, frozen=True, kw_only=True):
    """What `daedalus compact` says of its runs over the whole lake."""

    last_success_age_s: Annotated[float | None, Meta(description="since one ended well; null: none has")]
    again_s: Annotated[float | None, Meta(description="until the supervisor starts the next; null: unknown")]
    took_s: Annotated[float, Meta(description="seconds that this one took")]
    files: Annotated[int, Meta(description="that it replaced")]
    made_files: Annotated[int, Meta(description="that it made of them")]
    rows: Annotated[int, Meta(description="in those")]
    last_problem: Annotated[str | None, Meta(description="the last problem since one ended well; null: none")]
    last_exit: Annotated[str | None, Meta(description="how its process ended; null unless it is tried again for that")]


class DiskUse(Struct, frozen=True, kw_only=True):
    """The disk that the lake is on."""

    free_bytes: Annotated[int, Meta(description="free for us")]
    total_bytes: Annotated[int, Meta(description="its size")]
    growth_bytes_per_day: Annotated[float | None, Meta(description="what is published; null: too early to tell")]
    days_left: Annotated[float | None, Meta(description="until capture pauses at this rate; null: not foreseeable")]


class Machine(Struct, frozen=True, kw_only=True):
    """What the supervisor reads of the machine."""

    temperature_c: Annotated[float | None, Meta(description="of the processor; null: unknown")] = None
    throttled: Annotated[str | None, Meta(description="why it runs slower now; null: it does not, or unknown")] = None
    memory_available_mb: Annotated[float | None, Meta(description="null: unknown")] = None


class Health(Struct, frozen=True, kw_only=True):
    """Everything that is known at one moment."""

    host: Annotated[str, Meta(description="the machine's name")]
    wall_ns: Annotated[int, Meta(description="the moment, nanoseconds since 1970")]
    lake: Annotated[str, Meta(description="the folder of bronze")]
    processes: Annotated[list[Process], Meta(description="see below")]
    feeds: Annotated[list[Feed], Meta(description="of the running or the last capture; see below")]
    queue_percent: Annotated[float | None, Meta(description="how full it is; null unless capture runs")]
    sacrifice_level: Annotated[int, Meta(description="what is given up under load; 0: nothing")]
    is_paused: Annotated[bool, Meta(description="capture waits for room on the disk")]
    journals: Annotated[Journals, Meta(description="see below")]
    watcher: Annotated[WatcherLag, Meta(description="see below")]
    archive: Annotated[Archive | None, Meta(description="see below; null: sync never ran here")]
    compaction: Annotated[Compaction | None, Meta(description="see below; null: it never ran here")]
    disk: Annotated[DiskUse, Meta(description="see below")]
    machine: Annotated[Machine, Meta(description="see below")]
    clock_back_s: Annotated[float, Meta(description="how far state lies in the future: the clock was set back")]
    problems: Annotated[dict[str, str], Meta(description="files of `state` that cannot be read, and why")]

    def process(self, name: str) -> Process:
        """One of `PROCESSES`."""
        return next(each for each in self.processes if each.name == name)


class Alarm(Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    name: Annotated[str, Meta(description="of the kind, see the list of alarms")]
    subject: Annotated[str, Meta(description="whom it is about, as native:kraken; empty where that is clear")] = ""
    level: Annotated[Literal["warning", "critical"], Meta(description="critical: data is being lost, or soon will be")]
    text: Annotated[str, Meta(description="what, since when, and what to do, in a line")]
