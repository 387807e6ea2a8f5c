"""The rules of one child on a clock of the test's own, and the order in which children end."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.supervisor.orders import STOP_ORDER
from scripts.supervisor.policy import START_S_MAX, Action, ChildPolicy, Limits, next_to_stop

LIMITS = Limits(
    restart_delay_s=1.0,
    restart_delay_max_s=60.0,
    stop_timeout_s=30.0,
    memory_warning_mb=700.0,
    memory_critical_mb=1000.0,
    stale_after_s=120.0,
)


class Life:
    """A policy, its clock, and a process that does as it is told at once."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.policy, self.now_s = ChildPolicy(limits, now_s=0.0), 0.0
        self.starts: list[float] = []

    def step(self) -> Action | None:
        action = self.policy.decide(self.now_s)
        if action is Action.START:
            self.starts.append(self.now_s)
            self.policy.started(self.now_s)
        return action

    def run(self, seconds: float, *, fed_each_s: float = 0.0) -> list[tuple[float, Action]]:
        """Go on in steps of half a second; what was done, and when."""
        done = []
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            if fed_each_s and self.policy.is_ready and self.now_s % fed_each_s == 0:
                self.policy.fed(self.now_s)
            if action := self.step():
                done.append((self.now_s, action))
                if action is Action.TERMINATE:
                    self.policy.ended(self.now_s, "code 0")
                elif action is Action.START:
                    self.policy.ready(self.now_s)
            self.now_s += 0.5
        return done

    def crash_after(self, seconds: float) -> float | None:
        """Run, die, and say how long the next start has to wait."""
        while self.policy.state != "running":
            self.now_s += 0.5
            self.step()
        self.now_s += seconds
        self.policy.ended(self.now_s, "killed by SIGKILL")
        return self.policy.waits_s(self.now_s)


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_long_life() -> None:
    life = Life()
    assert [life.crash_after(1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert life.crash_after(599) == 60
    assert [life.crash_after(600), life.crash_after(1)] == [1, 2]
    assert life.policy.restarts == 11
    assert life.policy.last_exit == "killed by SIGKILL"


def test_no_data_ends_a_collector_and_each_time_the_patience_grows() -> None:
    life = Life(replace(LIMITS, restart_delay_s=0.5, restart_delay_max_s=0.5))
    ends = [at_s for at_s, action in life.run(10_000) if action is Action.TERMINATE]
    lives = [end - start for start, end in zip(life.starts, ends, strict=False)]
    assert lives[:5] == [120, 240, 480, 960, 960]
    assert "no new data for 960 s" in (life.policy.last_exit or "")


def test_a_collector_with_data_lives() -> None:
    life = Life()
    assert [action for _, action in life.run(5_000, fed_each_s=100)] == [Action.START]


def test_a_quiet_market_is_learned_and_a_lively_one_soon_watched_closely_again() -> None:
    """A row each ten minutes: three restarts, then peace. Data that flows for long brings the first patience back."""
    life = Life()
    assert [action for _, action in life.run(2_000, fed_each_s=600)].count(Action.TERMINATE) == 3
    assert life.run(50_000, fed_each_s=600) == []
    life.run(20_000, fed_each_s=10)
    stopped_s = life.now_s
    (ended_s, action), *_ = life.run(400)
    assert action is Action.TERMINATE
    assert ended_s - stopped_s <= 121


def test_a_recovery_may_take_its_time_but_not_for_ever() -> None:
    life = Life()
    life.step()
    life.now_s = START_S_MAX - 1
    assert life.step() is None
    life.now_s = START_S_MAX
    assert life.step() is Action.TERMINATE


def test_who_does_not_tell_of_data_is_never_stale() -> None:
    life = Life(replace(LIMITS, stale_after_s=None))
    assert [action for _, action in life.run(100_000)] == [Action.START]


def test_much_memory_is_told_once_and_too_much_ends_in_good_order() -> None:
    life = Life()
    life.step()
    assert [life.policy.weighed(mb) for mb in (699, 700, 800, 640, 700, 600, 700)] == [0, 1, 0, 0, 0, 0, 1]
    assert life.step() is None
    life.policy.weighed(1000.0)
    assert life.step() is Action.TERMINATE
    assert life.step() is None
    life.policy.ended(life.now_s, "code 0")
    assert life.policy.state == "waiting"
    assert "1,000 MB of memory" in (life.policy.last_exit or "")
    life.now_s += 1
    assert life.step() is Action.START
    assert life.step() is None, "what the one before held is not held against it"


def test_one_that_does_not_end_is_killed_at_the_bound() -> None:
    life = Life()
    life.step()
    assert life.policy.stop(0.0) is Action.TERMINATE
    life.now_s = 29.9
    assert life.step() is None
    life.now_s = 30.0
    assert life.step() is Action.KILL
    life.policy.ended(31.0, "killed by SIGKILL")
    assert life.policy.state == "off"
    life.now_s = 1e6
    assert life.step() is None


def test_changed_settings_restart_at_once_and_cost_no_patience() -> None:
    life = Life()
    life.step()
    assert life.policy.restart(5.0) is Action.TERMINATE
    life.policy.ended(6.0, "code 0")
    assert life.policy.waits_s(6.0) == 0
    life.now_s = 6.0
    assert life.step() is Action.START
    assert life.crash_after(1) == 1


def test_settings_may_mend_one_that_waits_after_a_crash() -> None:
    life = Life()
    for _ in range(6):
        life.crash_after(0)
    assert life.policy.restart(life.now_s) is None
    assert life.step() is Action.START


def test_one_left_out_and_wanted_again() -> None:
    life = Life()
    life.step()
    life.policy.stop(0.0)
    life.policy.wanted(1.0)
    life.policy.ended(2.0, "code 0")
    assert life.policy.state == "waiting"
    assert life.policy.stop(2.0) is None
    assert life.policy.state == "off"
    life.policy.wanted(3.0)
    life.now_s = 3.0
    assert life.step() is Action.START


NIGHTLY = replace(LIMITS, stale_after_s=None, rest_s=6 * 3600.0)


def ends(life: Life, how: str) -> tuple[str, float | None]:
    """Run as soon as it may, end so; what it does then, and for how long."""
    while life.policy.state != "running":
        life.now_s += 0.5
        life.step()
    life.now_s += 30
    life.policy.ended(life.now_s, how)
    return life.policy.state, life.policy.waits_s(life.now_s)


def test_one_that_does_one_thing_rests_and_is_no_restart() -> None:
    life = Life(NIGHTLY)
    assert (life.policy.state, life.policy.waits_s(0.0)) == ("resting", 600)
    assert ends(life, "code 0") == ("resting", 6 * 3600)
    assert life.starts == [600]
    assert ends(life, "code 1") == ("resting", 6 * 3600), "what it refused it would refuse again"
    assert (life.policy.restarts, life.policy.last_exit) == (0, "code 1")


def test_it_does_not_wait_longer_for_its_first_time_than_for_any_other() -> None:
    life = Life(replace(NIGHTLY, rest_s=5.0))
    assert ends(life, "code 0") == ("resting", 5)
    assert life.starts == [5]


def test_one_that_did_not_get_its_thing_done_is_tried_again_like_any_other() -> None:
    life = Life(NIGHTLY)
    assert [ends(life, how) for how in ("code 2", "killed by SIGKILL", "code 130")] == [
        ("waiting", 1), ("waiting", 2), ("waiting", 4),
    ]  # fmt: skip
    assert life.policy.restarts == 3
    assert ends(life, "code 0") == ("resting", 6 * 3600)
    assert ends(life, "code 2") == ("waiting", 1)


def test_one_that_was_ended_for_its_memory_has_not_done_its_thing() -> None:
    life = Life(NIGHTLY)
    life.run(600)
    life.step()
    life.policy.weighed(1000.0)
    assert life.step() is Action.TERMINATE
    life.policy.ended(life.now_s, "code 0")
    assert (life.policy.state, life.policy.waits_s(life.now_s)) == ("waiting", 1)


def test_changed_settings_wake_one_that_rests_and_a_stop_lets_it_rest_for_ever() -> None:
    life = Life(NIGHTLY)
    assert life.policy.restart(1.0) is None
    life.now_s = 1.0
    assert life.step() is Action.START
    life.policy.ended(2.0, "code 0")
    assert life.policy.stop(3.0) is None
    life.now_s = 1e6
    assert (life.policy.state, life.step()) == ("off", None)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100_000).filter(lambda s: s != 600),
            st.sampled_from(["code 0", "code 1", "code 2", "killed by SIGKILL"]),
        )
    ),
    st.floats(0.1, 1e5),
)
def test_between_two_starts_lies_the_rest_or_the_pause_that_the_end_before_earned(
    lives: list[tuple[int, str]], rest_s: float
) -> None:
    policy, now_s, again_s, failures = ChildPolicy(replace(NIGHTLY, rest_s=rest_s), now_s=0.0), 0.0, min(rest_s, 600), 0
    for lived_s, how in lives:
        assert policy.decide(now_s + again_s * 0.99) is None
        now_s += again_s * 1.01
        assert policy.decide(now_s) is Action.START
        policy.started(now_s)
        now_s += lived_s
        assert policy.decide(now_s) is None
        policy.ended(now_s, how)
        failures = 0 if how in ("code 0", "code 1") or lived_s >= 600 else failures
        again_s = rest_s if how in ("code 0", "code 1") else min(60.0, 2.0**failures)
        failures += how not in ("code 0", "code 1")


@given(
    st.sampled_from([LIMITS, replace(NIGHTLY, rest_s=20.0)]),
    st.lists(st.sampled_from(["tick", "end", "done", "ready", "fed", "heavy", "stop", "restart"]), max_size=80),
)
def test_whatever_happens_an_action_fits_the_state(limits: Limits, events: list[str]) -> None:
    """Only what waits is started, only what was asked to end is killed, and what was stopped for good stays so."""
    life = Life(limits)
    asked = final = False
    for event in events:
        life.now_s += 7.0
        state, action = life.policy.state, None
        if event in ("end", "done") and state in ("running", "stopping"):
            life.policy.ended(life.now_s, "code 2" if event == "end" else "code 0")
            asked = False
        elif event == "ready" and state == "running":
            life.policy.ready(life.now_s)
        elif event == "fed" and life.policy.is_ready:
            life.policy.fed(life.now_s)
        elif event == "heavy" and state == "running":
            life.policy.weighed(2000.0)
        elif event in ("stop", "restart"):
            final = final or event == "stop"
            action = life.policy.stop(life.now_s) if event == "stop" else life.policy.restart(life.now_s)
        elif event == "tick":
            action = life.step()
        if action is Action.START:
            assert (state in ("waiting", "resting"), final) == (True, False)
        elif action is Action.TERMINATE:
            assert (state, asked) == ("running", False)
            asked = True
        elif action is Action.KILL:
            assert (state, asked) == ("stopping", True)
    if final and life.policy.state in ("running", "stopping"):
        life.policy.ended(life.now_s, "code 0")
    assert (life.policy.state == "off") == final


@pytest.mark.parametrize(
    ("alive", "turn"),
    [
        ({"sync", "watch", "ingest", "compact"}, ("ingest", "compact")),
        ({"sync", "watch", "compact"}, ("compact",)),
        ({"sync", "watch"}, ("watch",)),
        ({"sync"}, ("sync",)),
        (set[str](), ()),
    ],
)
def test_capture_ends_before_what_works_on_it(alive: set[str], turn: tuple[str, ...]) -> None:
    states = {name: "running" if name in alive else "off" for name in ("sync", "watch", "ingest", "compact")}
    assert next_to_stop(states, STOP_ORDER) == turn  # type: ignore[arg-type]
