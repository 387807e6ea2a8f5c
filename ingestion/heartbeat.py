"""`Heartbeat`: how capture is doing, as it says in `state/ingestion.json` each `heartbeat_s`."""

from dataclasses import dataclass
from typing import Any

from msgspec import Struct, field

from shared.state_files import Spoken


class Queue(Struct, frozen=True):
    """Rows between collectors and journal."""

    rows: int = 0
    bytes: int = 0
    fill: float = 0.0  # 0 to 1 and a little more
    full_count: int = 0  # how often a collector had to wait


class Sacrifice(Struct, frozen=True):
    """What is given up under load, 0: nothing."""

    level: int = 0
    changes: int = 0


class Room(Struct, frozen=True):
    """The disk, as capture sees it."""

    free_bytes: int | None = None  # None: not looked at yet
    reserve_bytes: int = 0
    is_paused: bool = False
    pauses: int = 0


@dataclass
class FeedStatistics:
    """What one collector has seen in this run."""

    frames: int = 0
    rows: int = 0
    rows_given_up: int = 0  # by the order of sacrifice; each in a gap
    rejects: int = 0
    gaps: int = 0
    sessions: int = 0  # that ended, each followed by another
    sequence_breaks: int = 0
    repeated_frames: int = 0
    silence_looks: int = 0  # REST looks at streams that fell silent
    silences: int = 0  # streams found dead by them
    superseded_rows: int = 0  # of a connection whose successor had brought their stream already
    last_row_wall_ns: int = 0
    connects: int = 0
    clock_steps: int = 0
    latency_min_us: int | None = None  # receipt minus exchange time, last ten minutes; negative: its clock is ahead
    latency_median_us: int | None = None


@dataclass
class Channel:
    """One table of a feed, all its streams together."""

    streams: int = 0
    rows: int = 0  # received in this run, what was given up or rejected later included
    rows_synced: int = 0  # of this run, acknowledged: no kill and no power cut loses them
    rows_per_s: float = 0.0  # over the last minute
    last_row_wall_ns: int = 0  # 0: none yet
    interrupted: int = 0  # streams that wait for their first row since they were interrupted
    gaps_open: int = 0  # declared in this run, and not filled by what came late


class Heartbeat(Spoken, kw_only=True):
    """What has come in and where it stands."""

    epoch: str = ""
    started_wall_ns: int = 0
    heartbeat_s: float = 5.0
    queue: Queue = Queue()
    journal_bytes: int = 0
    journal_age_s: float = 0.0
    rows_total: int = 0
    sacrifice: Sacrifice = Sacrifice()
    disk: Room = Room()
    clock: dict[str, Any] = field(default_factory=dict)  # see `Rounds.statistics`
    feeds: dict[str, FeedStatistics] = field(default_factory=dict)
    channels: dict[str, dict[str, Channel]] = field(default_factory=dict)  # by feed and table
    connections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by feed, see `Collector.report`
