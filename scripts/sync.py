"""`daedalus sync`: settings to the synchronisation of the lake with its archive, and nothing else."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from config.config import DEFAULT_FILE, Settings, load_config
from scripts.config_commands import ConfigFile
from scripts.log_options import LogFormatOption, configure_log
from scripts.moments import period
from scripts.sync_progress import progress
from shared.disk import Disk
from shared.errors import SettingsInvalid
from shared.log import get_log, is_json
from shared.notify import READY, notify
from shared.partitioning import Lake
from shared.rows import ROW_TYPES
from storage.factory import object_store, place_name
from storage.published import log_paths
from storage.sync import StorageSync, SyncOptions
from storage.sync.plan import Plan, Selection
from storage.sync.report import Onlooker, SyncReport

EXIT_NOT_DONE, EXIT_INTERRUPTED = 1, 130
_PATIENCE_S = 10.0  # for requests that are under way when we are to end
_SHOWN_MAX = 20


class Mode(StrEnum):
    """How long it goes on."""

    once = "once"
    continuous = "continuous"


class Direction(StrEnum):
    """Which way files go."""

    up = "up"
    down = "down"
    both = "both"


def sync(
    config: ConfigFile = DEFAULT_FILE,
    mode: Annotated[Mode, typer.Option(help="One pass, or pass after pass until SIGTERM or Ctrl-C.")] = Mode.once,
    interval: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds between two passes; else sync.interval_s.")
    ] = None,
    direction: Annotated[
        Direction, typer.Option(help="up: to the archive; down: bring a lake back; both: up, and bronze of others.")
    ] = Direction.up,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be moved, and write nothing.")] = False,
    channels: Annotated[list[str] | None, typer.Option(help="Only these tables of bronze, and gaps.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from the day of this moment on: 2026-06-09, 7d.")] = None,
    bandwidth_limit: Annotated[float | None, typer.Option(min=0.001, help="Megabytes a second.")] = None,
    delete_after_verify: Annotated[
        bool | None,
        typer.Option("--delete-after-verify", help="Then remove here what `daedalus retain --delete` would remove."),
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="Bronze of whole days older than this goes; else retention.keep_days.")
    ] = None,
    full_scan: Annotated[
        bool, typer.Option("--full-scan", help="Look at everything in the archive first, and send what is missing.")
    ] = False,
    log_format: LogFormatOption = None,
) -> None:
    """Keep the lake in the archive of `storage.archive`, checksummed, seen there, and complete.

    Exit code 1: something is still to be done, or could not be.
    """
    settings = load_config(config)
    configure_log(settings, log_format)
    options = sync_options(settings, selection_of(settings, channels, since), full_scan=full_scan)
    if bandwidth_limit:
        options = replace(options, bandwidth_bytes_per_s=bandwidth_limit * 1e6)
    lake = settings.lake()
    store = object_store(settings.storage.archive.options(), root=lake.raw)
    deletes = settings.sync.delete_after_verify if delete_after_verify is None else delete_after_verify
    if keep_days is not None and not deletes:
        raise typer.BadParameter("--keep-days removes nothing alone: add --delete-after-verify, or leave it out")
    if delete_after_verify and direction is Direction.down:
        raise typer.BadParameter("--delete-after-verify goes with --direction up or both: what comes down is to stay")
    if interval is not None and mode is Mode.once:
        raise typer.BadParameter("--interval is between two passes: add --mode continuous, or leave it out")
    retention = None
    if deletes and direction is not Direction.down:
        from scripts.sync_retention import Retention  # here: refining, which it asks, takes long to import

        retention = Retention(settings, store, keep_days=keep_days)
    stopped = _stopped_by_signals()

    def syncing(onlooker: Onlooker | None = None) -> StorageSync:
        return StorageSync(lake, store, options, disk=Disk(), onlooker=onlooker)

    if dry_run:
        _print_plan(syncing().plan(direction.value), store.name, direction, lake)
    elif mode is Mode.continuous:
        notify(READY)
        then = retention.at_times if retention else None
        syncing().run(direction.value, interval or settings.sync.interval_s, stopped, then=then)
    else:
        with progress() as onlooker:
            report = syncing(onlooker).run_once(direction.value, stopped=stopped)
        _print_report(report, store.name, direction, lake, was_stopped=stopped.is_set())
        if stopped.is_set():
            raise typer.Exit(EXIT_INTERRUPTED)
        if not report.is_complete or (retention and not retention.now()):
            raise typer.Exit(EXIT_NOT_DONE)


def _stopped_by_signals() -> threading.Event:
    """Set by SIGTERM and Ctrl-C. A request that hangs does not keep the process: what it sent is proven next time."""
    stopped = threading.Event()

    def stop(*_: object) -> None:
        if not stopped.is_set():
            stopped.set()
            patience = threading.Timer(_PATIENCE_S, os._exit, [EXIT_INTERRUPTED])
            patience.daemon = True
            patience.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped


def selection_of(settings: Settings, channels: list[str] | None, since: str | None) -> Selection:
    """The part of the lake that options and settings name. Raises: typer.BadParameter."""
    named = [name for text in channels for name in text.split(",")] if channels else settings.sync.channels
    if unknown := [name for name in named or () if name not in ROW_TYPES]:
        raise typer.BadParameter(f"no table {unknown[0]!r}; there are {', '.join(ROW_TYPES)}")
    first, _ = period(since, None)
    return Selection(
        tiers=frozenset(settings.sync.tiers),
        channels=None if named is None else frozenset(named),
        since=first.date() if first else None,
    )


def sync_options(settings: Settings, selection: Selection, *, full_scan: bool = False) -> SyncOptions:
    """What the settings say of synchronisation, as plain values. Raises: SettingsInvalid: there is no archive."""
    place: Any = settings.storage.archive
    if place.type == "local":
        raise SettingsInvalid(
            "storage.archive names no archive",
            hint="Set storage.archive to {type: s3, bucket: ...} or {type: folder, path: ...}; see docs/sync.md",
        )
    limit = settings.sync.bandwidth_limit_mb_s
    return SyncOptions(
        archive=place_name(place.options()),
        selection=selection,
        files_at_once=settings.sync.files_at_once,
        bandwidth_bytes_per_s=limit * 1e6 if limit else None,
        unfinished_keep_s=settings.sync.unfinished_keep_hours * 3600,
        full_scan=full_scan,
    )


def _print_plan(plan: Plan, archive: str, direction: Direction, lake: Lake) -> None:
    for key, size_bytes in plan.keys[:_SHOWN_MAX]:
        typer.echo(f"{size_bytes:>14,}  {key}")
    if plan.files > _SHOWN_MAX:
        typer.echo(f"{'':>14}  and {plan.files - _SHOWN_MAX:,} more")
    for name, (files, size_bytes) in plan.by_table.items():
        typer.echo(f"{name:<24} {files:>9,} files {size_bytes:>18,} bytes")
    way = f"to bring from {archive}" if direction is Direction.down else f"to send to {archive}"
    total = f"{way}: {plan.files:,} files, {plan.size_bytes:,} bytes; nothing was written"
    typer.echo("; ".join([total, *_emptiness(lake, direction)]))


def _print_report(report: SyncReport, archive: str, direction: Direction, lake: Lake, *, was_stopped: bool) -> None:
    if is_json():
        get_log("sync").info("pass", archive=archive, **asdict(report))
        return
    done = []
    if direction is not Direction.down:
        done.append(f"{report.uploaded_files:,} files sent ({report.uploaded_bytes:,} bytes)")
    if direction is not Direction.up:
        done.append(f"{report.downloaded_files:,} files brought ({report.downloaded_bytes:,} bytes)")
    if report.removed_files:
        done.append(f"{report.removed_files:,} superseded ones removed there")
    wrong = [
        f"{files:,} {what}"
        for files, what in (
            (report.put_off_files, "files still to do"),
            (report.conflicting_files, "conflicting"),
            (report.missing_files, "missing or damaged here"),
        )
        if files
    ]
    verdict = "STOPPED: " if was_stopped else "NOT DONE: " if wrong else ""
    typer.echo(f"{archive}: {verdict}{'; '.join((*done, *wrong, *_emptiness(lake, direction)))}")


def _emptiness(lake: Lake, direction: Direction) -> Iterator[str]:
    """A word where nothing to do might mean that the settings name other folders than capture's."""
    if direction is not Direction.down and not log_paths(lake):
        yield f"nothing was ever published in {lake.raw}"
