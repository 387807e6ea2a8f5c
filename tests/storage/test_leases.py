"""Leases: one holder at most, whatever clocks, networks and kills do; fences that rise; a clear line for the others."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import md5
from itertools import count, pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from pydantic import TypeAdapter

from config.places import Place
from shared.errors import LeaseHeld, LeaseLost, ObjectConflict, ObjectMissing, StorageRefused, StorageUnreachable
from storage.base import ObjectContent, ObjectInfo
from storage.factory import object_store
from storage.leases import Held, Holder, Lease, Seen, fence_to_take
from storage.processes import Process, is_gone, this_process
from tests.s3_servers import s3_place

NUMBERS = count()
S = 1_000_000_000


def opened(place, root):
    return object_store(TypeAdapter(Place).validate_python(place).options(), root=root)


@pytest.fixture(params=["local", "s3"])
def place(request):
    if request.param == "local":
        return {"type": "local"}
    return s3_place(request.getfixturevalue("ministack"), prefix=f"leases/{next(NUMBERS)}")


@pytest.fixture
def store(place, tmp_path):
    return opened(place, tmp_path)


class OwnClock:
    """The clocks of one machine: they start anywhere, and run at a speed of their own."""

    def __init__(self, world, *, wall_ns=0, mono_ns=0, speed=1.0):
        self._world, self.wall_offset_ns, self._mono_offset_ns, self._speed = world, wall_ns, mono_ns, speed

    def wall_ns(self):
        return self.wall_offset_ns + round(self._world.now_ns * self._speed)

    def mono_ns(self):
        return self._mono_offset_ns + round(self._world.now_ns * self._speed)


class World:
    now_ns = 0

    def sleep(self, pause_s):
        self.now_ns += round(pause_s * S)


def elsewhere(lease):
    """The lease as that of a process on another machine, of which nothing can be known."""
    process = Process(host="far", pid=7, started_ticks=1, namespace=1, boot=f"b{next(NUMBERS)}", machine="")
    lease._us = structs.replace(lease._us, process=process)
    return lease


def test_one_holds_it_and_the_others_are_told_who(store):
    ours, theirs = (Lease(store, "locks/sync", owner=name, ttl_s=60) for name in ("pi4", "nas"))
    assert ours.acquire() == 1
    assert (ours.is_held, ours.fence, theirs.is_held) == (True, 1, False)
    with pytest.raises(LeaseHeld) as held:
        theirs.acquire()
    line = held.value.line()
    assert f"/locks/sync: held by pi4 on {os.uname().nodename}, pid {os.getpid()}, since 20" in line
    assert "Stop it there; if it is dead, this is free in 66 s" in line
    ours.renew()
    ours.release()
    assert not ours.is_held
    assert theirs.acquire() == 2
    with pytest.raises(LeaseLost, match="it is not held"):
        ours.renew()
    with pytest.raises(LeaseLost):
        _ = ours.fence
    theirs.release()
    assert ours.acquire() == 3
    assert [found.key for found in store.list()] == ["locks/sync"]  # no probe is left


def test_an_expired_one_is_taken_by_who_has_seen_it_long_enough(store):
    world = World()
    dead = elsewhere(Lease(store, "k", owner="dead", ttl_s=10, clock=OwnClock(world, wall_ns=10**18)))
    ours = Lease(store, "k", owner="ours", ttl_s=60, clock=OwnClock(world, mono_ns=5 * S))
    dead.acquire()
    world.sleep(1000)
    with pytest.raises(LeaseHeld):  # dead for long, but seen for the first time
        ours.acquire()
    world.sleep(10.9)
    with pytest.raises(LeaseHeld) as held:
        ours.acquire()
    assert held.value.ends_s == pytest.approx(0.1)
    dead.renew()  # not dead, and nobody took it: it holds again
    assert dead.is_held
    world.sleep(0.2)
    with pytest.raises(LeaseHeld):
        ours.acquire()
    world.sleep(11.1)
    assert not dead.is_held
    assert ours.acquire() == 2
    with pytest.raises(LeaseLost, match="taken by ours on"):
        dead.renew()
    dead.release()
    assert ours.is_held


def test_the_patient_take_it_from_the_dead_and_not_from_the_living(store):
    world = World()
    theirs = elsewhere(Lease(store, "k", owner="theirs", ttl_s=10, clock=OwnClock(world)))
    ours = Lease(store, "k", owner="ours", ttl_s=10, clock=OwnClock(world, mono_ns=-77 * S))
    theirs.acquire()

    def while_they_renew(pause_s):
        world.sleep(pause_s)
        theirs.renew()

    with pytest.raises(LeaseHeld):
        ours.acquire_patiently(sleep=while_they_renew)
    began_ns = world.now_ns
    assert ours.acquire_patiently(sleep=world.sleep) == 2
    assert 10 * S <= world.now_ns - began_ns <= 13 * S


def test_a_dead_process_of_this_boot_and_an_earlier_boot_of_this_machine_are_not_waited_for(store):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = this_process()
    alive = structs.replace(here, pid=child.pid, started_ticks=_started(child.pid))
    assert not is_gone(alive, seen_from=here)
    assert is_gone(structs.replace(alive, started_ticks=1), seen_from=here)  # its pid was given to another
    assert not is_gone(structs.replace(alive, pid=1, started_ticks=_started(1)), seen_from=here)
    child.communicate(b"\n")
    assert is_gone(alive, seen_from=here)
    assert not is_gone(structs.replace(alive, namespace=1), seen_from=here)  # another container's
    assert not is_gone(structs.replace(alive, boot="other", machine="other"), seen_from=here)
    rebooted = structs.replace(alive, boot="other", machine="known")
    assert is_gone(rebooted, seen_from=structs.replace(here, machine="known"))
    for unknown in (structs.replace(rebooted, machine=""), structs.replace(rebooted, boot="", machine="known")):
        assert not is_gone(unknown, seen_from=structs.replace(here, machine=unknown.machine))

    first, second = (Lease(store, "k", owner=name, ttl_s=3600) for name in ("first", "second"))
    first._us = structs.replace(first._us, process=alive)
    first.acquire()
    assert second.acquire() == 2


def _started(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_it_is_kept_while_the_context_lasts(store):
    lease, other = Lease(store, "k", owner="a", ttl_s=0.6), Lease(store, "k", owner="b", ttl_s=0.6)
    with lease.kept() as fence:
        first = _state(store)
        while _state(store).puts < first.puts + 3:
            threading.Event().wait(0.02)
        assert (lease.fence, lease.is_held) == (fence, True)
        with pytest.raises(LeaseHeld):
            other.acquire_patiently()
    assert other.acquire() == fence + 1


def _state(store):
    with store.get("k") as content:
        return msgspec.json.decode(content.read(), type=Held)


def test_a_clock_set_forward_costs_a_renewal_and_backward_nothing(store):
    world = World()
    clock = OwnClock(world, wall_ns=10**18)
    lease = Lease(store, "k", owner="a", ttl_s=10, clock=clock)
    lease.acquire()
    clock.wall_offset_ns -= 3600 * S
    assert lease.is_held
    clock.wall_offset_ns += 7200 * S  # or the machine slept
    assert not lease.is_held
    lease.renew()
    assert lease.fence == 1


def test_a_store_that_ignores_conditions_is_refused(rclone):
    store = opened(s3_place(rclone, prefix="leases"), None)
    with pytest.raises(StorageRefused) as refused:
        Lease(store, "k", owner="a", ttl_s=60).acquire()
    assert "the store ignores conditions" in refused.value.line()
    assert "set conditional_writes: false" in refused.value.line()
    assert list(store.list()) == []


def test_one_machine_alone_may_use_such_a_store_by_looking_first(rclone):
    store = opened(s3_place(rclone, prefix="alone", conditional_writes=False), None)
    lease = Lease(store, "k", owner="a", ttl_s=60)
    lease.acquire()
    assert lease.fence == 1
    lease.release()


def test_what_is_no_lease_is_not_taken(store):
    store.put("k", b"{}")
    with pytest.raises(StorageRefused, match="found an object that is no lease"):
        Lease(store, "k", owner="a", ttl_s=60).acquire()


class FailingStore:
    """A store in memory whose answers can be lost, before or after the put was done."""

    name = "memory"

    def __init__(self):
        self.objects, self.failures = {}, []

    @contextmanager
    def get(self, key):
        if key not in self.objects:
            raise ObjectMissing(key)
        content = self.objects[key]
        info = ObjectInfo(key=key, size_bytes=len(content), etag=etag_of(content), last_modified=datetime.now(UTC))
        yield ObjectContent(info, [content], place=key)

    def put(self, key, content, *, if_absent=False, if_match=None):
        failure = self.failures.pop() if self.failures else None
        if failure == "lost":
            raise StorageUnreachable(key, "for the test")
        found = self.objects.get(key)
        if (if_absent and found is not None) or (if_match is not None and (not found or etag_of(found) != if_match)):
            raise ObjectConflict(key, "for the test")
        self.objects[key] = content
        if failure == "done":
            raise StorageUnreachable(key, "for the test")
        if failure == "done twice":  # a client that asks again, and finds its own first put
            return self.put(key, content, if_absent=if_absent, if_match=if_match)
        return etag_of(content)

    def delete(self, key):
        self.objects.pop(key, None)


def etag_of(content):
    return md5(content).hexdigest()


def test_an_answer_that_did_not_come_is_not_a_lease():
    store = FailingStore()
    ours, theirs = (elsewhere(Lease(store, "k", owner=name, ttl_s=60)) for name in ("ours", "theirs"))
    ours.acquire()
    ours.release()
    store.failures = ["done"]
    with pytest.raises(StorageUnreachable):
        ours.acquire()
    assert not ours.is_held
    with pytest.raises(LeaseHeld):  # for it may have been done
        theirs.acquire()
    assert ours.acquire() == 3
    for failure in ("done", "lost"):
        store.failures = [failure]
        with pytest.raises(StorageUnreachable):
            ours.renew()
        assert ours.is_held  # until the time that was confirmed
        ours.renew()
    store.failures = ["done twice"]
    ours.renew()
    store.failures = ["done"]
    ours.release()
    assert not ours.is_held
    store.failures = ["done twice"]
    assert theirs.acquire() == 4


def test_a_put_whose_answer_was_lost_is_not_confirmed_later_by_being_found():
    """Another counts from when it was done, so it has to be done again, and then is another etag."""
    world, store = World(), FailingStore()
    ours, theirs = (elsewhere(Lease(store, "k", owner="any", ttl_s=10, clock=OwnClock(world))) for _ in range(2))
    ours.acquire()
    store.failures = ["done"]
    with pytest.raises(StorageUnreachable):
        ours.renew()
    with pytest.raises(LeaseHeld):
        theirs.acquire()
    world.sleep(5)
    ours.renew()
    world.sleep(6.5)
    assert ours.is_held
    with pytest.raises(LeaseHeld):
        theirs.acquire()


TTL_S, STEP_S = 10, 0.4
ACTS = st.tuples(
    st.integers(0, 1),
    st.sampled_from(["acquire", "renew", "renew", "renew", "release", "die"]),
    st.sampled_from([None, None, "done", "lost", "done twice"]),
    st.sampled_from([0, 1, 4, 20, 28]),
)


@settings(max_examples=100)
@given(
    acts=st.lists(ACTS, min_size=5, max_size=30),
    offsets=st.tuples(*[st.integers(-(10**14), 10**14)] * 3),
    speeds=st.tuples(*[st.sampled_from([0.96, 1.0, 1.04])] * 3),
)
def test_whatever_happens_two_never_hold_it_and_fences_rise(acts, offsets, speeds):
    """Clocks that start anywhere and drift, answers that are lost, holders that die; a third always wants it."""
    world, store, fences = World(), FailingStore(), []
    clocks = [
        OwnClock(world, wall_ns=-offset, mono_ns=offset, speed=speed)
        for offset, speed in zip(offsets, speeds, strict=True)
    ]

    def fresh(clock):
        lease = elsewhere(Lease(store, "k", owner="any", ttl_s=TTL_S, clock=clock))
        lease._is_proven = True
        return lease

    def do(lease, act, failure=None):
        store.failures = [failure]
        with suppress(LeaseHeld, LeaseLost, StorageUnreachable):
            if act == "acquire":
                fences.append(lease.acquire())
            elif act == "renew":
                lease.renew()
            else:
                lease.release()
        held = [lease for lease in leases if lease.is_held]
        assert len(held) <= 1
        assert all(lease.fence == max(fences) for lease in held)

    leases = [fresh(clock) for clock in clocks]
    for number, act, failure, steps in acts:
        if act == "die":
            leases[number] = fresh(clocks[number])
        else:
            do(leases[number], act, failure)
        for _ in range(steps):
            do(leases[2], "acquire")  # which gives up what it has: it is not held while it is asked for anew
            if leases[2].is_held:
                do(leases[2], "release")
            world.sleep(STEP_S)
    assert all(earlier < later for earlier, later in pairwise(fences))
    store.failures = []
    assert fresh(clocks[0]).acquire_patiently(sleep=world.sleep) > max(fences, default=0)


PROCESS = Process(host="h", pid=1, started_ticks=1, namespace=1, boot="b", machine="m")
HOLDERS = st.builds(Holder, owner=st.just("o"), process=st.just(PROCESS), token=st.sampled_from("abc"))
STATES = st.builds(
    Held,
    fence=st.integers(1, 1 << 40),
    puts=st.integers(1, 9),
    ttl_s=st.floats(0.1, 1e5),
    since=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    released=st.booleans(),
    holder=HOLDERS,
)


@given(held=STATES, us=HOLDERS, first=st.integers(-(10**18), 10**18), waited_s=st.floats(0, 2e5), is_gone=st.booleans())
def test_the_decision_says_one_more_or_nothing(held, us, first, waited_s, is_gone):
    seen = Seen(held=held, etag="e", first_mono_ns=first)
    now_ns = first + round(waited_s * S)
    fence = fence_to_take(seen, us=us, now_mono_ns=now_ns, gone=lambda _: is_gone)
    assert fence in {None, held.fence + 1}
    free_without_waiting = held.released or is_gone or held.holder.token == us.token
    assert (fence is not None) == (free_without_waiting or now_ns - first >= round(held.ttl_s * 1.1 * S))
    assert fence_to_take(None, us=us, now_mono_ns=now_ns) == 1


CHILD = """
import os, random, sys, time
from pathlib import Path
from msgspec import structs
from shared.errors import LeaseHeld, LeaseLost
from storage.factory import object_store
from storage.leases import Lease

number, log, seed = int(sys.argv[3]), sys.argv[4], sys.argv[5]
chance = random.Random(seed)
lease = Lease(object_store(eval(sys.argv[1]), root=Path(sys.argv[2])), "k", owner=f"child {number}", ttl_s=2.0)
if number % 2:  # as on another machine: it has to be waited for
    lease._us = structs.replace(lease._us, process=structs.replace(lease._us.process, boot=f"b{seed}", machine=""))
out = os.open(log, os.O_WRONLY | os.O_APPEND)
say = lambda word: os.write(out, f"{word} {number} {lease._seen.held.fence}\\n".encode())
while True:
    try:
        lease.acquire()
    except LeaseHeld:
        time.sleep(0.05)
        continue
    say("enter")
    for _ in range(chance.randrange(1, 4)):
        time.sleep(0.02)
        lease.renew()
        say("work")
    if chance.random() < 0.3:
        os.kill(os.getpid(), 9)
    lease.release()
    time.sleep(0.02)
"""


def test_processes_that_kill_each_other_never_hold_it_together(place, tmp_path):
    """Six processes, some of which die holding it, others are killed anywhere; all lines of a fence stand together."""
    log = tmp_path / "log"
    log.touch()
    (tmp_path / "store").mkdir()
    options = TypeAdapter(Place).validate_python(place).options()

    def child(number):
        seed = str(next(NUMBERS))
        own = [repr(options), str(tmp_path / "store"), str(number), str(log), seed]
        return subprocess.Popen([sys.executable, "-c", CHILD, *own])

    children = [child(number) for number in range(4)]
    lines_wanted, kills = 0, 0
    try:
        while kills < 6:
            threading.Event().wait(0.05)
            entered = log.read_text().count("enter")
            for number, each in enumerate(children):
                if each.poll() is not None:
                    assert each.returncode == -signal.SIGKILL
                    children[number] = child(number)
                    kills += 1
            if entered >= lines_wanted + 6:
                lines_wanted = entered
                children[entered % 4].kill()
    finally:
        for each in children:
            each.kill()
            each.wait()
    fences = [int(line.split()[2]) for line in log.read_text().splitlines()]
    entries = [int(line.split()[2]) for line in log.read_text().splitlines() if line.startswith("enter")]
    assert fences == sorted(fences)
    assert all(earlier < later for earlier, later in pairwise(entries))
    assert len(entries) > 8
