"""The screen at the widths that terminals have: no number is cut, and nothing old looks live."""

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from scripts.health.facts import Health, Process
from scripts.health.screen import screen
from scripts.health.verdict import verdict
from tests.scripts.health.examples import healthy, limits, with_process


def shown(health: Health, *, columns: int) -> str:
    console = Console(file=io.StringIO(), width=columns, color_system=None, highlight=False)
    console.print(screen(health, verdict(health, limits())))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_nothing_is_cut(columns: int) -> None:
    health = healthy()
    worst = replace(health.feeds[0].channels[1], table="open_interest", rows_per_s=123_456.7, last_row_age_s=86_399.0)
    worst = replace(worst, streams=1000, interrupted=1000, gaps_open=99_999)
    feed = replace(health.feeds[0], reconnects=99_999, channels=[worst])
    text = shown(replace(health, feeds=[feed, health.feeds[1]]), columns=columns)
    assert "…" not in text
    for words in ("native:coinbaseadvanced", "open_interest", "123,456.7", "23 h 59 min", "99,999"):
        assert words in text
    assert max(map(len, text.splitlines())) <= columns


def test_it_fits_on_one_screen() -> None:
    assert len(shown(healthy(), columns=80).splitlines()) <= 30


def test_all_is_well_is_said_of_a_machine_that_is_well() -> None:
    text = shown(healthy(), columns=100)
    assert "all is well" in text
    for words in ("92.1", "0.4 % full", "54 °C", "full in 31.2 days", "12 files wait, 48.0 MB", "2,911 MB"):
        assert words in text


def test_what_is_wrong_stands_first() -> None:
    lines = shown(with_process(healthy(), "ingest", "gone", said_age_s=7260.0), columns=100).splitlines()
    assert lines[0].endswith(": 1 critical alarm")
    assert lines[1].startswith("critical  capture (process 1234) is gone")
    assert any(line.startswith("Capture does not run: this is how it stood 2 h 1 min ago") for line in lines)


def test_how_bad_it_is_is_counted_in_words() -> None:
    """Singular and plural of both kinds."""
    health = with_process(healthy(), "watch", "gone")
    assert shown(health, columns=100).splitlines()[0].endswith(": 1 warning")
    health = with_process(with_process(health, "sync", "gone"), "ingest", "gone")
    assert shown(health, columns=100).splitlines()[0].endswith(": 1 critical alarm, 2 warnings")
    health = replace(healthy(), feeds=[replace(feed, last_row_age_s=900.0) for feed in healthy().feeds])
    assert shown(health, columns=100).splitlines()[0].endswith(": 2 critical alarms")


def test_a_watcher_that_has_just_started_has_ended_no_pass() -> None:
    health = healthy()
    started = [
        Process(name="watch", state="starting", pid=7, up_s=1.0) if each.name == "watch" else each
        for each in health.processes
    ]
    text = shown(replace(health, processes=started), columns=100)
    assert "has read all that is published; no pass has ended yet" in text


def test_what_compaction_did_last() -> None:
    health = with_process(healthy(), "compact", "resting")
    assert health.compaction
    text = shown(health, columns=100)
    words = "last run ended 2 h 1 min ago: 2,880 files became 10 in 1 min 3 s; next in 3 h 59 min"
    assert f"compaction  {words}" in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith("compact ")] == [
        ["compact", "resting", "-"]
    ]
    new = replace(health.compaction, last_success_age_s=None, last_exit="code 2", again_s=4.0)
    text = shown(replace(health, compaction=new), columns=100)
    assert "no run has ended well yet; the last try ended with code 2; next in 4.0 s" in text
    idle = replace(health.compaction, files=0, made_files=0, took_s=1.4, again_s=None)
    assert "ago: there was nothing to do" in shown(replace(health, compaction=idle), columns=100)


def test_names_are_shown_as_they_are() -> None:
    health = healthy()
    odd = replace(health.feeds[0], name="native:[red]odd[/]")
    assert "native:[red]odd[/]" in shown(replace(health, feeds=[odd]), columns=100)


def test_what_nobody_has_looked_for_is_not_called_none() -> None:
    health = healthy()
    assert health.archive
    archive = replace(health.archive, backlog_files=None, backlog_bytes=None, last_success_age_s=None)
    assert "what waits is not known yet; no pass has ended yet" in shown(replace(health, archive=archive), columns=120)
