"""`daedalus retain`: what may be removed from this disk by age and size, shown first, and removed on proof."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from config.config import DEFAULT_FILE, Settings, load_config
from etl.core.consumption import consumption, following
from scripts.amounts import size_of
from scripts.config_commands import ConfigFile
from scripts.watch import etl_options
from shared.clock import us_from_utc
from shared.disk import Disk
from shared.errors import InputUnreadable, SettingsInvalid
from shared.partitioning import Lake
from storage.base import ObjectStore
from storage.factory import object_store
from storage.holdings import holdings, segments_in
from storage.locks import hold, maintenance_lock
from storage.removal import Removal, Remover
from storage.removed import RemovalRecord
from storage.retention import Held, Plan, Rules, Stays, day_of, removable

EXIT_STAYS = 1


@dataclass(frozen=True)
class Retained:
    """What one look, or one removal, came to."""

    plan: Plan
    removal: Removal

    @property
    def is_done(self) -> bool:
        """Whether everything that the rules let go is gone, and the cap kept."""
        return not self.removal.stays and not self.removal.excess_bytes


def retain(
    config: ConfigFile = DEFAULT_FILE,
    delete: Annotated[bool, typer.Option("--delete", help="Remove; without it, only show what would go.")] = False,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Also what the archive does not hold. Needs --yes-lose-data as well.")
    ] = False,
    yes_lose_data: Annotated[
        bool, typer.Option("--yes-lose-data", help="Yes: what goes unverified exists nowhere afterwards.")
    ] = False,
) -> None:
    """Remove what is old, refined, and proven to be in the archive. Shows it; removes with --delete.

    Exit code 1: the archive did not prove all of it, or the lake is still above its cap.
    """
    if unverified != yes_lose_data:
        given, other = ("--unverified", "--yes-lose-data")[:: 1 if unverified else -1]
        raise typer.BadParameter(f"{given} alone removes nothing more: add {other}, or leave both out")
    settings = load_config(config)
    found = retain_lake(settings, archive_of(settings), delete=delete, even_unproven=unverified)
    console = Console(highlight=False)
    for line in lines(found, delete=delete):
        console.print(line, markup=False, soft_wrap=True)
    if not found.is_done:
        raise typer.Exit(EXIT_STAYS)


def retain_lake(
    settings: Settings,
    archive: ObjectStore | None,
    *,
    delete: bool,
    keep_days: int | None = None,
    even_unproven: bool = False,
) -> Retained:
    """Apply the settings' retention to the lake, once.

    Args:
        settings: of which `retention` counts, and what refining has used.
        archive: the store that must prove to hold what goes; None: there is none.
        delete: remove; else only find out.
        keep_days: in place of `retention.keep_days`.
        even_unproven: remove also what the archive does not prove to hold.

    Raises: SettingsInvalid: no rule, or no archive. LakeLocked: compaction or retention is at work. StorageFailed.
    """
    rules = rules_of(settings, keep_days=keep_days)
    if archive is None and not even_unproven:
        raise SettingsInvalid(
            "storage.archive is local: nothing proves that there is another copy, so nothing may be removed",
            hint="Set storage.archive and run `daedalus sync` first",
        )
    lake, disk, now = settings.lake(), Disk(), datetime.now(UTC)
    disk.make_dirs(lake.state)
    lock = hold(maintenance_lock(lake), hint="Compaction or retention is at work: try again when it is done")
    try:
        plan = removable(holdings(lake), rules, now=now, is_used=used_by(settings, lake))
        now_us = us_from_utc(now)
        with closing(RemovalRecord(lake, now_us, disk=disk)) as record:
            remover = Remover(lake, archive, record if delete else None, now_us=now_us, disk=disk)
            return Retained(plan, remover.carry_out(plan, even_unproven=even_unproven))
    finally:
        lock.release()


def archive_of(settings: Settings) -> ObjectStore | None:
    """The store of `storage.archive`; None where there is none."""
    place = settings.storage.archive
    return None if place.type == "local" else object_store(place.options(), root=Path())


def rules_of(settings: Settings, *, keep_days: int | None = None) -> Rules:
    """The settings' rules. Raises: SettingsInvalid where there is none."""
    told = settings.retention
    days = {"bronze": keep_days or told.keep_days, "silver": told.silver_keep_days, "gold": told.gold_keep_days}
    max_bytes = None if told.lake_max_gb is None else round(told.lake_max_gb * 1e9)
    if not any(days.values()) and not told.keep_days_by_channel and max_bytes is None:
        raise SettingsInvalid(
            "retention names no age and no size: nothing is ever to be removed",
            hint="Set retention.keep_days, or another key of retention",
        )
    return Rules(days=days, bronze_days=told.keep_days_by_channel, max_bytes=max_bytes)


def used_by(settings: Settings, lake: Lake) -> Callable[[Held], bool]:
    """Whether refining, by these settings, needs a file no more; where it is off it needs no bronze."""
    options = etl_options(settings)
    consumed, followed = consumption(options), following(options)
    is_refining = settings.etl.channels.trades.enabled

    def is_used(file: Held) -> bool:
        if file.tier != "bronze":
            return followed(file.path, file.end)
        try:
            sources = segments_in(lake, file.path)
        except (InputUnreadable, OSError):
            return False
        return bool(sources) and (not is_refining or all(map(consumed, sources)))

    return is_used


def lines(found: Retained, *, delete: bool) -> Iterable[str]:
    """What was removed, or would be, by tier and channel; what stays and why; and all of it in a line."""
    removal = found.removal
    yield from _table("removed" if delete else "would be removed", ((file, "") for file in removal.removed))
    stays = [(file, str(reason)) for file, reason in (*found.plan.stays, *removal.stays)]
    gone = {file.key for file in removal.removed} | {file.key for file, _ in stays}
    rest = [file for group in found.plan.by_size for file in group if file.key not in gone]
    yield from _table("stays", (*stays, *((file, str(Stays.YOUNG)) for file in rest)))
    if removal.unproven:
        size = size_of(sum(file.size_bytes for file in removal.unproven))
        verb = "exist nowhere now" if delete else "would exist nowhere"
        yield f"{len(removal.unproven):,} of these files, {size}, {verb}"
    if removal.excess_bytes:
        yield f"the lake is still {size_of(removal.excess_bytes)} above retention.lake_max_gb: nothing else may go yet"
    total = f"{len(removal.removed):,} files, {size_of(removal.freed_bytes)}"
    yield f"removed: {total}" if delete else f"DRY RUN, nothing was removed: {total} would be, with --delete"


def _table(title: str, files: Iterable[tuple[Held, str]]) -> Iterable[str]:
    groups: defaultdict[tuple[str, str, str], list[Held]] = defaultdict(list)
    for file, reason in files:
        groups[file.tier, file.channel, reason].append(file)
    if groups:
        yield f"{title}:"
    for (tier, channel, reason), held in sorted(groups.items()):
        size = size_of(sum(file.size_bytes for file in held))
        first, last = (f"{day_of(pick(held, key=day_of)):%Y-%m-%d}" for pick in (min, max))
        days = first if first == last else f"{first} to {last}"
        yield f"  {tier} {channel}: {len(held):,} files, {size}, {days}{f': {reason}' if reason else ''}"
