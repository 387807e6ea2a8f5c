"""The small files in `state` by which each process says how it is doing; none of them need be there, or be whole."""

from pathlib import Path
from typing import Annotated, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Pid: TypeAlias = Annotated[int, Meta(gt=0, lt=2**31)]
_BYTES_MAX = 32 << 20  # of such a file; one that is larger is none of ours


class Found(NamedTuple, Generic[T_co]):
    """What stands in a file; neither where there is no such file."""

    said: T_co | None
    problem: str | None


class Spoken(Struct, frozen=True):
    """What every such file begins with."""

    pid: Pid
    wall_ns: int


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


class IngestionSaid(Spoken, frozen=True):
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
    feeds: dict[str, FeedSaid] = {}
    channels: dict[str, dict[str, ChannelSaid]] = {}


class WatcherSaid(Spoken, frozen=True):
    """`watcher.json`, after each poll."""


class SyncSaid(Spoken, frozen=True):
    """`sync.json`, each pass and every few seconds within one."""

    backlog_files: int | None = None
    backlog_bytes: int | None = None
    uploaded_files_total: int = 0
    uploaded_bytes_total: int = 0
    downloaded_files_total: int = 0
    downloaded_bytes_total: int = 0
    last_success_wall_ns: int | None = None
    last_problem: str | None = None
    last_problem_wall_ns: int | None = None
    is_running: bool = False


class ChildSaid(Struct, frozen=True):
    """One child of the supervisor."""

    pid: Pid | None = None
    state: str = "off"
    started_wall_ns: int | None = None
    restarts: int = 0
    last_exit: int | str | None = None


class SupervisorSaid(Spoken, frozen=True):
    """`supervisor.json`."""

    children: dict[str, ChildSaid] = {}


class Positions(Struct, frozen=True):
    """`etl/positions.json`: how far the watcher has read each log of published names, in bytes."""

    logs: dict[str, int] = {}


def read(path: Path, kind: type[T]) -> Found[T]:
    """What a file says; a file that is not there says nothing, which is no problem."""
    try:
        if path.stat().st_size > _BYTES_MAX:
            return Found(None, "is larger than any file of ours")
        return Found(msgspec.json.decode(path.read_bytes(), type=kind), None)
    except FileNotFoundError:
        return Found(None, None)
    except NotADirectoryError:
        return Found(None, "a file stands where its folder should")
    except OSError as error:
        return Found(None, f"cannot be read: {(error.strerror or str(error)).lower()}")
    except (msgspec.MsgspecError, ValueError) as error:
        return Found(None, f"is not what Daedalus writes there: {' '.join(str(error).split())[:200]}")
