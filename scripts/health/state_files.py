"""What the processes say in the small files in `state`."""

from msgspec import Struct, field

from shared.state_files import Pid, Spoken


class Queue(Struct, frozen=True):
    """Rows between collectors and journal."""

    rows: int = 0
    fill: float = 0.0


class Sacrifice(Struct, frozen=True):
    """What is given up under load, 0: nothing."""

    level: int = 0


class Room(Struct, frozen=True):
    """The disk, as capture sees it."""

    is_paused: bool = False
    reserve_bytes: int = 0


class FeedSaid(Struct, frozen=True):
    """One collector."""

    sessions: int = 0
    rows_given_up: int = 0
    rejects: int = 0
    last_row_wall_ns: int = 0


class ChannelSaid(Struct, frozen=True):
    """One table of a collector."""

    streams: int = 0
    rows: int = 0
    rows_per_s: float = 0.0
    last_row_wall_ns: int = 0
    interrupted: int = 0
    gaps_open: int = 0


class IngestionSaid(Spoken, kw_only=True):
    """`ingestion.json`, each `heartbeat_s`."""

    epoch: str = ""
    started_wall_ns: int = 0
    heartbeat_s: float = 5.0
    queue: Queue = Queue()
    sacrifice: Sacrifice = Sacrifice()
    disk: Room = Room()
    journal_bytes: int = 0
    journal_age_s: float = 0.0
    rows_total: int = 0
    feeds: dict[str, FeedSaid] = field(default_factory=dict)
    channels: dict[str, dict[str, ChannelSaid]] = field(default_factory=dict)


class WatcherSaid(Spoken, kw_only=True):
    """`watcher.json`, after each poll."""


class ChildSaid(Struct, frozen=True):
    """One child of the supervisor."""

    pid: Pid | None = None
    state: str = "off"
    started_wall_ns: int | None = None
    restarts: int = 0
    last_exit: int | str | None = None


class SupervisorSaid(Spoken, kw_only=True):
    """`supervisor.json`."""

    children: dict[str, ChildSaid] = field(default_factory=dict)


class Positions(Struct, frozen=True):
    """`etl/positions.json`: how far the watcher has read each log of published names, in bytes."""

    logs: dict[str, int] = field(default_factory=dict)
