"""`look`: reads what the processes of a lake say of themselves, and what can be seen without them."""

import os
import shutil
import socket
from pathlib import Path

import psutil
from msgspec.structs import replace

from etl.core.positions import Positions
from etl.watcher_state import WatcherState
from ingestion.heartbeat import Heartbeat
from scripts.health.backlog import days_left, growth_bytes_per_day, publications, watcher_lag
from scripts.health.facts import Archive, Channel, Compaction, DiskUse, Feed, Health, Journals, Machine, Process
from scripts.living import living
from scripts.supervisor import readings
from scripts.supervisor.state import SupervisorState
from shared.partitioning import Lake
from shared.state_files import Found, Spoken, read
from storage.compaction_state import CompactionState
from storage.locks import collector_lock, owner_of, sync_lock, watcher_lock
from storage.sync_state import SyncState

_SILENT_BEATS = 6  # heartbeats that may be missed before a process that lives is said to be silent
_SILENT_S_MIN = 30.0
_CLOCK_BACK_S = 5.0
_LOCKS = {"ingest": collector_lock, "watch": watcher_lock, "sync": sync_lock}


def look(lake: Lake, *, now_ns: int) -> Health:
    """What is known of a lake at the wall time `now_ns`. Reads, changes nothing, and bears files that are damaged."""
    state = lake.state
    ingestion = read(state / "ingestion.json", Heartbeat)
    watcher = read(state / "watcher.json", WatcherState)
    sync = read(state / "sync.json", SyncState)
    compaction = read(state / "compaction.json", CompactionState)
    supervisor = read(state / "supervisor.json", SupervisorState)
    positions = read(lake.refining / "positions.json", Positions)
    problems = {
        str(state / name): found.problem
        for name, found in (
            ("ingestion.json", ingestion),
            ("watcher.json", watcher),
            ("sync.json", sync),
            ("compaction.json", compaction),
            ("supervisor.json", supervisor),
            ("etl/positions.json", positions),
        )
        if found.problem
    }
    beat_s = ingestion.said.heartbeat_s if ingestion.said else 0.0
    capture = _process("ingest", ingestion, now_ns=now_ns, silent_after_s=max(_SILENT_S_MIN, _SILENT_BEATS * beat_s))
    others = [
        _process("watch", watcher, now_ns=now_ns),
        _process("sync", sync, now_ns=now_ns),
        _compacting(compaction, now_ns=now_ns),
        _process("supervisor", supervisor, now_ns=now_ns, silent_after_s=_SILENT_S_MIN),
    ]
    said = ingestion.said or Heartbeat(pid=1, wall_ns=now_ns)
    is_live, read_to = capture.state == "running", positions.said or Positions()
    spoken = (ingestion.said, watcher.said, sync.said, compaction.said, supervisor.said)
    told_ns = [each.wall_ns for each in spoken if each] + [each.last_row_wall_ns for each in said.feeds.values()]
    newest_ns = max([*told_ns, (sync.said.last_success_wall_ns if sync.said else None) or 0])
    return Health(
        host=socket.gethostname(),
        wall_ns=now_ns,
        lake=str(lake.raw),
        processes=[_supervised(each, lake, supervisor.said, now_ns) for each in (capture, *others)],
        feeds=_feeds(said, now_ns=now_ns, is_live=is_live),
        queue_percent=round(100 * said.queue.fill, 1) if is_live else None,
        sacrifice_level=said.sacrifice.level if is_live else 0,
        is_paused=said.disk.is_paused and is_live,
        journals=_journals(lake, said, now_ns=now_ns, is_live=is_live),
        watcher=watcher_lag(lake, read_to.logs, now_us=now_ns // 1000),
        archive=_archive(sync.said, now_ns=now_ns),
        compaction=_compaction(compaction.said, supervisor.said, now_ns=now_ns),
        disk=_disk(lake, reserve_bytes=said.disk.reserve_bytes, now_us=now_ns // 1000),
        machine=_machine(readings.machine(_existing(lake.raw))),
        clock_back_s=_back_s(newest_ns, now_ns),
        problems=problems,
    )


def _back_s(newest_ns: int, now_ns: int) -> float:
    ahead_s = (newest_ns - now_ns) / 1e9
    return ahead_s if ahead_s > _CLOCK_BACK_S else 0.0


def _age_s(wall_ns: int | None, now_ns: int) -> float | None:
    """Seconds since a moment; 0 for one that the clock has not reached, None for none."""
    return max(0.0, (now_ns - wall_ns) / 1e9) if wall_ns else None


def _process(name: str, found: Found[Spoken], *, now_ns: int, silent_after_s: float = float("inf")) -> Process:
    """A process by its own file."""
    if found.said is None:
        return Process(name=name, state="unreadable" if found.problem else "never")
    age_s = _age_s(found.said.wall_ns, now_ns)
    process = living(found.said.pid, seen_ns=found.said.wall_ns, boot=found.said.boot)
    if process is None:
        return Process(name=name, state="gone", pid=found.said.pid, said_age_s=age_s)
    is_silent = age_s is not None and age_s > silent_after_s
    return _measured(Process(name=name, state="silent" if is_silent else "running", said_age_s=age_s), process, now_ns)


def _compacting(found: Found[CompactionState], *, now_ns: int) -> Process:
    """The one that ends when it has done its work."""
    process = _process("compact", found, now_ns=now_ns)
    if found.said is None or found.said.is_running:
        return process
    return Process(name="compact", state="resting", pid=found.said.pid, said_age_s=process.said_age_s)


def _supervised(process: Process, lake: Lake, supervisor: SupervisorState | None, now_ns: int) -> Process:
    """The same with what others know: how often it was restarted, and one that lives and has not said anything yet."""
    child = supervisor.children.get(process.name) if supervisor else None
    if not process.is_alive:
        owner = owner_of(_LOCKS[process.name](lake)) if process.name in _LOCKS else None
        known = [living(owner.pid, seen_ns=owner.taken_ns)] if owner else []
        if supervisor and child:
            known.append(living(child.pid, seen_ns=supervisor.wall_ns, boot=supervisor.boot))
        lives = next(filter(None, known), None)
        if lives:
            process = _measured(Process(name=process.name, state="starting"), lives, now_ns)
        elif child and child.state == "resting":
            process = replace(process, state="resting")
    return process if child is None else replace(process, restarts=child.restarts)


def _measured(process: Process, lives: psutil.Process, now_ns: int) -> Process:
    up_s = max(0.0, now_ns / 1e9 - lives.create_time())
    return replace(process, pid=lives.pid, up_s=up_s, memory_mb=_memory_mb(lives))


def _memory_mb(process: psutil.Process) -> float | None:
    try:
        return round(process.memory_info().rss / 2**20, 1)
    except psutil.Error:
        return None


def _feeds(said: Heartbeat, *, now_ns: int, is_live: bool) -> list[Feed]:
    return [
        Feed(
            name=name,
            last_row_age_s=_age_s(feed.last_row_wall_ns, now_ns),
            reconnects=feed.sessions,
            rows_given_up=feed.rows_given_up,
            rejects=feed.rejects,
            channels=[
                Channel(
                    table=table,
                    streams=channel.streams,
                    rows=channel.rows,
                    rows_per_s=channel.rows_per_s if is_live else None,
                    last_row_age_s=_age_s(channel.last_row_wall_ns, now_ns),
                    interrupted=channel.interrupted,
                    gaps_open=channel.gaps_open,
                )
                for table, channel in sorted(said.channels.get(name, {}).items())
            ],
        )
        for name, feed in sorted(said.feeds.items())
    ]


def _journals(lake: Lake, said: Heartbeat, *, now_ns: int, is_live: bool) -> Journals:
    """The newest journal of a living run is open, every other one waits."""
    sizes: dict[str, os.stat_result] = {}
    for path in lake.active.glob("*.journal"):
        try:
            sizes[path.name] = path.stat()
        except FileNotFoundError:  # just sealed
            continue
    own = [name for name in sizes if name.startswith(said.epoch)] if is_live and said.epoch else []
    if own:
        del sizes[max(own)]
    oldest_s = min((each.st_mtime for each in sizes.values()), default=now_ns / 1e9)
    return Journals(
        open_age_s=said.journal_age_s if is_live else None,
        open_bytes=said.journal_bytes if is_live else 0,
        waiting=len(sizes),
        waiting_bytes=sum(each.st_size for each in sizes.values()),
        seal_lag_s=max(0.0, now_ns / 1e9 - oldest_s),
    )


def _archive(said: SyncState | None, *, now_ns: int) -> Archive | None:
    if said is None:
        return None
    is_after = (said.last_problem_wall_ns or 0) > (said.last_success_wall_ns or 0)
    return Archive(
        backlog_files=said.backlog_files,
        backlog_bytes=said.backlog_bytes,
        uploaded_files=said.uploaded_files_total,
        uploaded_bytes=said.uploaded_bytes_total,
        downloaded_files=said.downloaded_files_total,
        downloaded_bytes=said.downloaded_bytes_total,
        last_success_age_s=_age_s(said.last_success_wall_ns, now_ns),
        last_problem=said.last_problem if is_after else None,
    )


def _compaction(said: CompactionState | None, supervisor: SupervisorState | None, *, now_ns: int) -> Compaction | None:
    is_cared_for = supervisor and living(supervisor.pid, seen_ns=supervisor.wall_ns, boot=supervisor.boot)
    child = supervisor.children.get("compact") if supervisor and is_cared_for else None
    if said is None and child is None:
        return None
    said = said or CompactionState(pid=1, wall_ns=now_ns)
    is_after = (said.last_problem_wall_ns or 0) > (said.last_success_wall_ns or 0)
    again_s = None
    if supervisor and child and child.again_s is not None:
        again_s = max(0.0, child.again_s - (now_ns - supervisor.wall_ns) / 1e9)
    return Compaction(
        last_success_age_s=_age_s(said.last_success_wall_ns, now_ns),
        again_s=again_s,
        took_s=said.took_s,
        files=said.files,
        made_files=said.made_files,
        rows=said.rows,
        last_problem=said.last_problem if is_after else None,
        last_exit=str(child.last_exit) if child and child.state == "waiting" and child.last_exit else None,
    )


def _disk(lake: Lake, *, reserve_bytes: int, now_us: int) -> DiskUse:
    use = shutil.disk_usage(_existing(lake.raw))
    growth = growth_bytes_per_day(publications(lake, now_us=now_us), now_us=now_us)
    left = days_left(use.free, reserve_bytes=reserve_bytes, growth_bytes_per_day=growth)
    return DiskUse(free_bytes=use.free, total_bytes=use.total, growth_bytes_per_day=growth, days_left=left)


def _existing(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _machine(found: readings.Machine) -> Machine:
    return Machine(
        temperature_c=found.temperature_c,
        throttled="; ".join(found.throttled or ()) or None,
        memory_available_mb=found.memory_available_mb,
    )
