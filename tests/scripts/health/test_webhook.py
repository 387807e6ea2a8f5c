"""Alarms told over real HTTP: once each, again where that helps, and never with the address in a log."""

import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs

from scripts.health.facts import Alarm
from scripts.health.notices import Notice, Notices
from scripts.health.webhook import Webhook
from tests.scripts.health.examples import healthy
from tests.scripts.health.listener import listening, until

GONE = Alarm(name="capture", level="critical", text="capture is gone")
HOT = Alarm(name="temperature", level="warning", text="hot")


def looks(notices: Notices, *rounds: Sequence[Alarm]) -> list[list[tuple[str, str]]]:
    return [[(each.event, each.alarm) for each in notices.look(healthy(), alarms)] for alarms in rounds]


def notice() -> Notice:
    notices = Notices()
    notices.look(healthy(), [GONE])
    (found,) = notices.look(healthy(), [GONE])
    return found


def test_an_alarm_is_told_when_it_lasts_and_when_it_is_over() -> None:
    begun, ended = [("begin", "capture")], [("end", "capture")]
    assert looks(Notices(), [GONE], [GONE], [GONE], [], []) == [[], begun, [], [], ended]


def test_what_lasts_for_one_look_is_not_told() -> None:
    assert looks(Notices(), [GONE], [], [GONE], [], [HOT], [GONE]) == [[]] * 6


def test_an_end_of_one_look_is_not_told() -> None:
    assert looks(Notices(), [GONE], [GONE], [], [GONE], [], [GONE]) == [[], [("begin", "capture")], [], [], [], []]


def test_one_that_becomes_critical_is_another() -> None:
    worse = replace(HOT, level="critical")
    found = looks(Notices(), [HOT], [HOT], [worse], [worse])
    assert found == [[], [("begin", "temperature")], [], [("begin", "temperature"), ("end", "temperature")]]


@given(rounds=st.lists(st.sets(st.sampled_from([GONE, HOT, replace(GONE, subject="x")])), max_size=30))
def test_beginnings_and_ends_take_turns(rounds: list[set[Alarm]]) -> None:
    notices, on = Notices(), set[tuple[str, str]]()
    for alarms in [*rounds, set(), set()]:
        for each in notices.look(healthy(), sorted(alarms, key=repr)):
            key = each.alarm, each.subject
            assert (key in on) == (each.event == "end")
            on ^= {key}
    assert on == set()


def test_what_is_told() -> None:
    with listening() as listener:
        webhook = Webhook(listener.url)
        webhook.tell(notice())
        until(lambda: bool(listener.told))
        webhook.close()
    (told,) = listener.told
    assert told == {
        "text": "Daedalus on pi4: critical: capture is gone",
        "event": "begin",
        "alarm": "capture",
        "subject": "",
        "level": "critical",
        "message": "capture is gone",
        "host": "pi4",
        "since": "2026-11-21T19:31:56.787716Z",
        "at": "2026-11-21T19:31:56.787716Z",
    }


@pytest.mark.parametrize("codes", [(500, 503, 200), (0, 429, 200)])
def test_a_server_in_trouble_is_told_later(codes: tuple[int, ...]) -> None:
    with listening(codes) as listener:
        webhook = Webhook(listener.url, pauses_s=(0.01,) * 4)
        webhook.tell(notice())
        until(lambda: bool(listener.told))
        webhook.close()
    assert (listener.requests, len(listener.told)) == (3, 1)


@pytest.mark.parametrize(("code", "requests"), [(404, 1), (302, 1), (500, 3)])
def test_a_refusal_is_logged_without_the_address(code: int, requests: int) -> None:
    with listening((code,)) as listener, capture_logs() as logs:
        webhook = Webhook(listener.url, pauses_s=(0.01, 0.01))
        webhook.tell(notice())
        until(lambda: bool(logs))
        webhook.close()
        assert listener.requests == requests
    assert logs[0]["reason"] == f"HTTP {code}"
    assert "SECRET" not in repr(logs)


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with capture_logs() as logs:
        webhook = Webhook(f"http://127.0.0.1:{port}/SECRET", pauses_s=(0.01,))
        webhook.tell(notice())
        until(lambda: bool(logs))
        webhook.close()
    assert logs[0]["reason"] == "ConnectionRefusedError"
    assert "SECRET" not in repr(logs)


def test_one_that_never_answers_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, capture_logs() as logs:
        webhook = Webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/SECRET", timeout_s=0.1, pauses_s=())
        for _ in range(300):
            webhook.tell(notice())
        until(lambda: any(line["event"] == "the webhook was not told" for line in logs))
        webhook.close()
    assert any(line["event"].startswith("not told: too many") for line in logs)
    assert "SECRET" not in repr(logs)
