"""What counts as wrong: nothing of a machine that is well, and everything of one that is not, in words."""

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from config.config import Settings
from scripts.health.facts import PROCESSES, Alarm, Health, State
from scripts.health.verdict import ALARMS, Limits, limits_of, verdict
from tests.scripts.health.examples import healthy, limits, with_process

Change = Callable[[Health], Health]


def found(health: Health, wanted: Limits | None = None) -> list[tuple[str, str, str]]:
    return [(alarm.name, alarm.subject, alarm.level) for alarm in verdict(health, wanted or limits())]


def test_a_machine_that_is_well_has_no_alarm() -> None:
    assert verdict(healthy(), limits()) == []


def silent_feed(health: Health) -> Health:
    first, second = health.feeds
    return replace(health, feeds=[first, replace(second, last_row_age_s=121.0)])


def never_fed(health: Health) -> Health:
    first, second = health.feeds
    return replace(health, feeds=[replace(first, last_row_age_s=None), second])


def late_archive(health: Health) -> Health:
    assert health.archive
    problem = "s3://lake: AccessDenied.\nCheck the key"
    return replace(health, archive=replace(health.archive, last_success_age_s=7201.0, last_problem=problem))


def failed_compaction(health: Health) -> Health:
    assert health.compaction
    problem = "/lake/a.parquet: it cannot be read. Try `daedalus check --deep`"
    return replace(health, compaction=replace(health.compaction, last_problem=problem))


def resting_since(health: Health, age_s: float | None) -> Health:
    """The supervisor of these machines is up for 25 hours."""
    assert health.compaction
    health = with_process(health, "compact", "resting")
    return replace(health, compaction=replace(health.compaction, last_success_age_s=age_s))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda h: with_process(h, "ingest", "gone"), ("capture", "", "critical")),
        (lambda h: with_process(h, "ingest", "never"), ("capture", "", "critical")),
        (lambda h: with_process(h, "ingest", "silent"), ("capture", "", "critical")),
        (lambda h: with_process(h, "watch", "gone"), ("watcher", "", "warning")),
        (lambda h: with_process(h, "sync", "never"), ("sync", "", "warning")),
        (lambda h: with_process(h, "supervisor", "gone"), ("supervisor", "", "warning")),
        (lambda h: with_process(h, "watch", "running", memory_mb=701.0), ("memory", "watch", "warning")),
        (lambda h: with_process(h, "watch", "running", memory_mb=1001.0), ("memory", "watch", "critical")),
        (silent_feed, ("feed_silent", "native:kraken", "critical")),
        (never_fed, ("feed_silent", "native:coinbaseadvanced", "critical")),
        (lambda h: replace(h, sacrifice_level=1), ("rows_given_up", "", "critical")),
        (lambda h: replace(h, queue_percent=50.1), ("queue", "", "warning")),
        (lambda h: replace(h, queue_percent=101.0), ("queue", "", "critical")),
        (lambda h: replace(h, is_paused=True), ("disk_full", "", "critical")),
        (lambda h: replace(h, disk=replace(h.disk, days_left=2.9)), ("disk_filling", "", "warning")),
        (lambda h: replace(h, disk=replace(h.disk, days_left=0.0)), ("disk_filling", "", "critical")),
        (lambda h: replace(h, journals=replace(h.journals, waiting=1, seal_lag_s=901.0)), ("seal_late", "", "warning")),
        (lambda h: replace(h, watcher=replace(h.watcher, files=3, lag_s=3601.0)), ("watcher_late", "", "warning")),
        (late_archive, ("sync_late", "", "warning")),
        (failed_compaction, ("compaction", "", "warning")),
        (lambda h: resting_since(h, 13 * 3600.0 + 1), ("compaction", "", "warning")),
        (lambda h: resting_since(h, None), ("compaction", "", "warning")),
        (lambda h: replace(h, machine=replace(h.machine, temperature_c=80.5)), ("temperature", "", "warning")),
        (lambda h: replace(h, machine=replace(h.machine, throttled="under-voltage")), ("throttled", "", "warning")),
        (lambda h: replace(h, clock_back_s=7200.0), ("clock", "", "warning")),
        (lambda h: replace(h, problems={"/s/sync.json": "cannot be read"}), ("state", "/s/sync.json", "warning")),
    ],
)
def test_what_is_wrong_is_said_once(change: Change, expected: tuple[str, str, str]) -> None:
    assert found(change(healthy())) == [expected]


def test_every_kind_of_alarm_is_explained() -> None:
    """The list in the docs and the alarms that the cases above raise are the same."""
    cases = test_what_is_wrong_is_said_once.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {expected[0] for _, expected in cases} == set(ALARMS)


def test_what_is_not_expected_here_may_be_missing() -> None:
    health = healthy()
    for name in PROCESSES:
        health = with_process(health, name, "never")
    health = replace(health, watcher=replace(health.watcher, files=9, lag_s=1e6), archive=None, compaction=None)
    assert found(health, dataclasses.replace(limits(), expected=frozenset())) == []


def test_without_an_archive_no_sync_is_expected() -> None:
    assert limits_of(Settings()).expected == {"ingest", "watch", "compact"}


def test_bronze_of_another_machine_is_compacted_there() -> None:
    place = {"type": "folder", "path": "/mnt/archive"}
    assert limits_of(Settings.model_validate({"storage": {"etl_storage_input": place}})).expected == {"ingest", "watch"}


def test_compaction_rests_for_hours_and_may_take_as_long_as_it_takes() -> None:
    health = healthy()
    assert health.compaction
    assert found(resting_since(health, 12.9 * 3600)) == []
    assert found(replace(health, compaction=replace(health.compaction, last_success_age_s=1e6))) == [], "it is at work"
    assert found(replace(health, compaction=replace(health.compaction, last_exit="code 2"))) == [], "it is tried again"
    alone = with_process(resting_since(health, None), "supervisor", "never")
    assert found(alone) == [], "nobody runs it here"


def test_a_lake_that_is_kept_small_fills_no_disk() -> None:
    tree = {
        "storage": {"archive": {"type": "folder", "path": "/mnt/archive"}},
        "sync": {"delete_after_verify": True},
        "retention": {"keep_days": 3},
    }
    filling = replace(healthy(), disk=replace(healthy().disk, days_left=0.5))
    assert found(filling, limits_of(Settings.model_validate(tree))) == []
    tree["retention"] = {}
    assert found(filling, limits_of(Settings.model_validate(tree))) == [("disk_filling", "", "critical")]


def test_a_feed_of_a_capture_that_is_gone_is_no_second_alarm() -> None:
    assert [name for name, *_ in found(with_process(silent_feed(healthy()), "ingest", "gone"))] == ["capture"]


def test_the_text_says_what_since_when_and_what_to_do() -> None:
    gone = with_process(healthy(), "ingest", "gone", said_age_s=7260.0)
    (alarm,) = verdict(gone, limits())
    said = "capture (process 1234) is gone; it last said something 2 h 1 min ago: "
    assert alarm.text == f"{said}the supervisor starts it again; its log says why it ended"
    alone = with_process(gone, "supervisor", "never")
    assert verdict(alone, limits())[0].text == f"{said}start it with `daedalus ingest`"


AGES = st.one_of(st.none(), st.floats(0, 1e12))
STATES = st.sampled_from(["running", "starting", "silent", "resting", "gone", "never", "unreadable"])


@st.composite
def machines(draw: st.DrawFn) -> Health:
    """Any state a machine may be in."""
    health = healthy()
    for name in PROCESSES:
        state: State = draw(STATES)
        health = with_process(
            health, name, state, said_age_s=draw(st.floats(0, 1e12)), memory_mb=draw(st.floats(0, 1e6))
        )
    assert health.archive
    assert health.compaction
    return replace(
        health,
        feeds=[replace(feed, last_row_age_s=draw(AGES)) for feed in health.feeds],
        queue_percent=draw(st.one_of(st.none(), st.floats(0, 200))),
        sacrifice_level=draw(st.integers(0, 4)),
        is_paused=draw(st.booleans()),
        watcher=replace(health.watcher, files=draw(st.integers(0, 10**9)), lag_s=draw(st.floats(0, 1e12))),
        compaction=replace(health.compaction, last_success_age_s=draw(AGES), last_problem=draw(st.none() | st.text())),
        archive=replace(health.archive, last_success_age_s=draw(AGES), last_problem=draw(st.none() | st.text())),
        disk=replace(health.disk, days_left=draw(AGES)),
        clock_back_s=draw(st.floats(0, 1e12)),
        problems=draw(st.dictionaries(st.text(), st.text(), max_size=3)),
    )


def keys(alarms: list[Alarm]) -> list[tuple[str, str]]:
    return [(alarm.name, alarm.subject) for alarm in alarms]


@given(health=machines())
def test_alarms_are_few_known_and_sorted(health: Health) -> None:
    alarms = verdict(health, limits())
    assert len(set(keys(alarms))) == len(alarms)
    assert {alarm.name for alarm in alarms} <= set(ALARMS)
    assert [alarm.level for alarm in alarms] == sorted((alarm.level for alarm in alarms), key="critical".__ne__)
    assert all(len(alarm.text.splitlines()) == 1 for alarm in alarms)


@given(health=machines(), factor=st.floats(0.01, 1.0))
def test_stricter_limits_never_hide_an_alarm(health: Health, factor: float) -> None:
    usual = limits()
    looser = {
        name: getattr(usual, name) * factor
        for name in ("message_age_s", "queue_percent", "watcher_lag_s", "sync_lag_s", "temperature_c")
    }
    stricter = dataclasses.replace(usual, **looser)
    assert set(keys(verdict(health, usual))) <= set(keys(verdict(health, stricter)))
