"""A machine that is well, to be changed by a test."""

import dataclasses

from msgspec.structs import replace

from config.config import Settings
from scripts.health.facts import (
    PROCESSES,
    Archive,
    Channel,
    Compaction,
    DiskUse,
    Feed,
    Health,
    Journals,
    Machine,
    Process,
    State,
    WatcherLag,
)
from scripts.health.verdict import Limits, limits_of


def limits() -> Limits:
    """The limits of the default settings, an archive expected."""
    found = limits_of(Settings())
    return dataclasses.replace(found, expected=found.expected | {"sync"})


def process(name: str, state: State = "running", *, said_age_s: float = 1.0, memory_mb: float = 200.0) -> Process:
    lives = state in {"running", "silent"}
    return Process(
        name=name,
        state=state,
        pid=1234,
        said_age_s=said_age_s,
        up_s=90_000.0 if lives else None,
        memory_mb=memory_mb if lives else None,
        restarts=0,
    )


def channel(table: str) -> Channel:
    return Channel(
        table=table, streams=2, rows=123_456, rows_per_s=92.1, last_row_age_s=0.4, interrupted=0, gaps_open=0
    )


def healthy() -> Health:
    names = ("native:coinbaseadvanced", "native:kraken")
    feeds = [
        Feed(
            name=name,
            last_row_age_s=0.4,
            reconnects=1,
            rows_given_up=0,
            rejects=0,
            channels=[channel(table) for table in ("gaps", "l2", "ticker", "trades")],
        )
        for name in names
    ]
    return Health(
        host="pi4",
        wall_ns=1_795_289_516_787_716_157,
        lake="/var/lib/daedalus/raw",
        processes=[process(name) for name in PROCESSES],
        feeds=feeds,
        queue_percent=0.4,
        sacrifice_level=0,
        is_paused=False,
        journals=Journals(open_age_s=312.0, open_bytes=18_200_000, waiting=0, waiting_bytes=0, seal_lag_s=0.0),
        watcher=WatcherLag(is_any=True, files=0, is_more=False, lag_s=0.0),
        archive=Archive(
            backlog_files=12,
            backlog_bytes=48_000_000,
            uploaded_files=4_321,
            uploaded_bytes=9_000_000_000,
            downloaded_files=0,
            downloaded_bytes=0,
            last_success_age_s=35.0,
            last_problem=None,
        ),
        compaction=Compaction(
            last_success_age_s=7_260.0,
            again_s=14_340.0,
            took_s=63.0,
            files=2_880,
            made_files=10,
            rows=998_640,
            last_problem=None,
            last_exit=None,
        ),
        disk=DiskUse(free_bytes=41_000_000_000, total_bytes=62_000_000_000, growth_bytes_per_day=1.3e9, days_left=31.2),
        machine=Machine(temperature_c=54.0, throttled=None, memory_available_mb=2_911.0),
        clock_back_s=0.0,
        problems={},
    )


def with_process(health: Health, name: str, state: State, **facts: float) -> Health:
    changed = [process(each.name, state, **facts) if each.name == name else each for each in health.processes]
    return replace(health, processes=changed)
