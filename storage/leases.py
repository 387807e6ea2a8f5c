"""One holder at a time among machines that share nothing but an object store.

A lease is an object that names its holder. It is created by a put that fails where there is one, and taken over by a
put that fails where it has changed since it was read; so of many that try, one succeeds. Each holder gets a fence, a
number above all before it. Whoever writes under a name that holds its fence cannot overwrite what a later holder wrote,
even if it was stopped for an hour between a look at the lease and the write.

No two clocks are compared, because a machine's may be off by hours. A holder that is alive renews the object, which
changes its etag. Another takes the lease as expired when it has itself seen one etag for longer than the lease's time,
by its own monotonic clock; the holder stops earlier, having counted from before the put that it was confirmed by. A
lease that was released, or whose holder is known to be dead (see `storage.processes`), is taken at once.

The object is never deleted: it keeps the fence. A holder whose last answer did not come does not hold.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import uuid4

import msgspec
from msgspec import Struct

from shared.clock import Clock, SystemClock, utc_from_us
from shared.errors import (
    LeaseHeld,
    LeaseLost,
    ObjectConflict,
    ObjectMissing,
    StorageFailed,
    StorageRefused,
    StorageUnreachable,
)
from storage.base import ObjectStore
from storage.conditions import prove_conditions
from storage.processes import Process, is_gone, this_process

_PATIENCE = 1.1  # times a lease's time before it is expired for others: clocks may run at slightly different speeds
_RENEWALS_PER_TTL = 3  # so that two may fail
_LOOKS, _PAUSE_S_MIN = 10, 0.02  # how often it is looked at while it may expire
_NS = 1_000_000_000


class Holder(Struct, frozen=True, kw_only=True):
    """Who a lease is given to."""

    owner: str
    process: Process
    token: str
    """Of one `Lease` in one process, to know its own put by whose answer was lost."""


class Held(Struct, frozen=True, kw_only=True):
    """What the object says."""

    fence: int
    puts: int
    """By this holder so far. No two puts have the same content: an etag is of one moment."""
    ttl_s: float
    since: datetime
    """By the holder's clock; for people."""
    released: bool
    holder: Holder


class Seen(Struct, frozen=True, kw_only=True):
    """A state of the object, and when we first saw it."""

    held: Held
    etag: str
    first_mono_ns: int
    """By our own monotonic clock."""


def fence_to_take(
    seen: Seen | None, *, us: Holder, now_mono_ns: int, gone: Callable[[Process], bool] = lambda _: False
) -> int | None:
    """The fence under which `us` may try to take the lease; None: another holds it.

    `seen` is the present state of the object, None where there is none; `gone` says whether a process is known dead.
    """
    if seen is None:
        return 1
    held = seen.held
    is_free = (
        held.released
        or held.holder.token == us.token
        or now_mono_ns >= expiry_mono_ns(seen)
        or gone(held.holder.process)
    )
    return held.fence + 1 if is_free else None


def expiry_mono_ns(seen: Seen) -> int:
    """When a lease is expired for one who saw this state of it and no later one."""
    return seen.first_mono_ns + round(seen.held.ttl_s * _PATIENCE * _NS)


class Lease:
    """The right to do, alone among all machines, what `key` stands for.

    One object serves one process; its threads may share it. Before the first attempt the store's conditions are tried.
    """

    def __init__(self, store: ObjectStore, key: str, *, owner: str, ttl_s: float, clock: Clock | None = None) -> None:
        if not ttl_s > 0:
            raise ValueError(f"ttl_s must be positive, was {ttl_s}")
        self._store, self._key, self._ttl_s = store, key, ttl_s
        self._clock = clock or SystemClock()
        self._us = Holder(owner=owner, process=this_process(), token=uuid4().hex)
        self._puts = 0
        self._is_proven = False
        self._seen: Seen | None = None
        self._confirmed: tuple[int, int] | None = None  # wall and monotonic time before the put that gave it to us
        self._changing = threading.RLock()

    @property
    def is_held(self) -> bool:
        """Whether it is ours, as far as can be known without asking: nobody can have taken it yet."""
        if (confirmed := self._confirmed) is None:
            return False
        # A sleeping machine's monotonic clock stands still, its wall clock does not; one that was set forward by
        # more than the lease's time looks the same, and costs a renewal.
        passed_ns = max(self._clock.wall_ns() - confirmed[0], self._clock.mono_ns() - confirmed[1])
        return passed_ns < self._ttl_s * _NS

    @property
    def fence(self) -> int:
        """The number of this holding, above all before it. Raises: LeaseLost."""
        if not self.is_held or self._seen is None:
            raise LeaseLost(self._place(), "it was not renewed in time")
        return self._seen.held.fence

    def acquire(self) -> int:
        """Take it if it is free now, and return its fence. Raises: LeaseHeld; StorageFailed: it is not held then."""
        with self._changing:
            self._confirmed = None
            self._prove_store()
            self._look()
            fence = fence_to_take(self._seen, us=self._us, now_mono_ns=self._clock.mono_ns(), gone=self._is_gone)
            if fence is None or not self._put(fence, since=utc_from_us(self._clock.wall_ns() // 1000)):
                raise self._held_by_another()
            return fence

    def acquire_patiently(self, *, sleep: Callable[[float], None] = time.sleep) -> int:
        """Take it, and return its fence; from a holder who may be dead when that is known, which takes its time.

        Raises: LeaseHeld, by one who renewed it while we waited; StorageFailed.
        """
        first: Seen | None = None
        while True:
            try:
                return self.acquire()
            except LeaseHeld as held:
                if first and first != self._seen:
                    raise
                first, pause_s = self._seen, held.ends_s / _LOOKS
            sleep(max(pause_s, _PAUSE_S_MIN))

    def renew(self) -> None:
        """Hold it for another `ttl_s` from now.

        Raises: LeaseLost, another has it; StorageFailed: unknown, it ends when it would have ended without.
        """
        with self._changing:
            if self._confirmed is None or self._seen is None:
                raise LeaseLost(self._place(), "it is not held")
            held = self._seen.held
            if not self._put(held.fence, since=held.since):
                self._confirmed = None
                raise LeaseLost(self._place(), f"it was taken by {self._who()}")

    def release(self) -> None:
        """Give it back, so that another need not wait; where the store cannot be reached, it has to."""
        with self._changing, suppress(StorageUnreachable):
            confirmed, self._confirmed = self._confirmed, None
            if confirmed and self._seen:
                held = self._seen.held
                self._put(held.fence, since=held.since, released=True)

    @contextmanager
    def kept(self, *, sleep: Callable[[float], None] = time.sleep) -> Iterator[int]:
        """Acquire it patiently and hold it while the context lasts, renewed by a thread; gives the fence.

        Look at `fence` or `is_held` before whatever cannot be undone: renewals may fail at any time.
        """
        fence = self.acquire_patiently(sleep=sleep)
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew_until, args=(ended,), name=f"lease {self._key}", daemon=True)
        renewing.start()
        try:
            yield fence
        finally:
            ended.set()
            renewing.join()
            self.release()

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(self._ttl_s / _RENEWALS_PER_TTL):
            try:
                self.renew()
            except LeaseLost:
                return
            except StorageFailed:  # what is held ends by itself, and is said where `fence` is looked at
                continue

    def _prove_store(self) -> None:
        if not self._is_proven:
            prove_conditions(self._store, beside=self._key)
            self._is_proven = True

    def _put(self, fence: int, *, since: datetime, released: bool = False) -> bool:
        """Put a state of ours in place of the one last seen; False: another's stands there."""
        asked = (self._clock.wall_ns(), self._clock.mono_ns())
        self._puts += 1
        ours = Held(fence=fence, puts=self._puts, ttl_s=self._ttl_s, since=since, released=released, holder=self._us)
        try:
            condition = {"if_match": self._seen.etag} if self._seen else {"if_absent": True}
            etag = self._store.put(self._key, msgspec.json.encode(ours), **condition)
            self._seen = Seen(held=ours, etag=etag, first_mono_ns=asked[1])
        except ObjectConflict:
            # Perhaps with ourselves: a request is sent again when its answer is lost, and then finds the state changed.
            self._look()
            if self._seen is None or self._seen.held.holder.token != self._us.token or self._seen.held.fence != fence:
                return False
            if self._seen.held != ours:  # it is what an earlier put left whose answer never came
                return self._put(fence, since=since, released=released)
        self._confirmed = None if released else asked
        return True

    def _look(self) -> None:
        try:
            with self._store.get(self._key) as content:
                etag, text = content.info.etag, content.read()
        except ObjectMissing:
            self._seen = None
            return
        if self._seen is None or self._seen.etag != etag:
            self._seen = Seen(held=self._decoded(text), etag=etag, first_mono_ns=self._clock.mono_ns())

    def _decoded(self, text: bytes) -> Held:
        try:
            return msgspec.json.decode(text, type=Held)
        except msgspec.MsgspecError as error:
            hint = "Something else wrote it; stop all that use this store, remove it, start again"
            raise StorageRefused(self._place(), "found an object that is no lease", hint=hint) from error

    def _is_gone(self, process: Process) -> bool:
        return is_gone(process, seen_from=self._us.process)

    def _held_by_another(self) -> LeaseHeld:
        seen = self._seen
        ends_s = max(0.0, (expiry_mono_ns(seen) - self._clock.mono_ns()) / _NS) if seen else 0.0
        return LeaseHeld(self._place(), f"held by {self._who()}", ends_s=ends_s)

    def _who(self) -> str:
        if self._seen is None:
            return "nobody: it was removed"
        held, process = self._seen.held, self._seen.held.holder.process
        return f"{held.holder.owner} on {process.host}, pid {process.pid}, since {held.since:%Y-%m-%d %H:%M:%S} UTC"

    def _place(self) -> str:
        return f"{self._store.name}/{self._key}"
