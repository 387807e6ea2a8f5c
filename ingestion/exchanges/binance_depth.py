"""How a book begins whose updates are streamed and whose snapshot must be fetched: which row comes when.

Every update names the version of the book that it applies to and the one it makes. Updates that come before the
snapshot are held back. With the snapshot of version S come first those that make S or less (a reader who waits for a
snapshot passes over them), then the snapshot, then the others, so that replay in the order of the rows gives the book.

Where nothing above S has come yet the snapshot waits for the first update that applies to it: older updates may still
be on their way, and behind the snapshot they would set levels back.

Source: binance-spot-api-docs, web-socket-streams.md, "How to manage a local order book correctly"; the futures' version
of it is at developers.binance.com, where `pu` names the version before.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from shared.rows import L2Message

HELD_LEVELS_MAX = 20_000  # per symbol, some 1.5 MB: 20 s of the busiest market, minutes of a usual one
SNAPSHOT_WAITS_NS = 5_000_000_000  # for an update to follow on it; later ones can be no older
REPEATS_MAX = 100  # updates in a row with old numbers; then it is the numbers that began anew


class Arrival(NamedTuple):
    """A book message and when it came."""

    message: L2Message
    wall_ns: int
    mono_ns: int


@dataclass
class Step:
    """What follows from one message: rows from before, what is broken, rows from before again, the row itself."""

    before: list[Arrival] = field(default_factory=list)
    cause: str | None = None
    evidence: str = ""
    after: list[Arrival] = field(default_factory=list)
    emits: bool = False  # the message itself is a row now
    fetches: bool = False
    is_repeated: bool = False


class DepthSync:
    """Where one symbol's book stands."""

    def __init__(self) -> None:
        self._fetching = False
        self._is_known = False  # the snapshot is out, and every update since
        self._seen: int | None = None  # the version that the last update made
        self._snapshot: Arrival | None = None  # waits for its first update
        self._held: list[Arrival] = []
        self._held_levels = 0
        self._repeats = 0

    def begin(self) -> Step:
        """The stream is subscribed: its snapshot is wanted, unless the first update has asked for it."""
        wanted = not self._is_known and self._snapshot is None
        return Step(fetches=wanted and self._fetch())

    def lose(self) -> Step:
        """The book that was made may be wrong: a new snapshot is wanted."""
        self._is_known, self._snapshot = False, None
        return Step(fetches=self._fetch())

    def follows(self, message: L2Message) -> bool:
        """Whether an update simply applies to the book that is out, as nearly all do; then it is a row, and taken."""
        seen, last = self._seen, message.update_id
        if not self._is_known or message.prev_update_id != seen or last is None or seen is None or last <= seen:
            return False
        self._seen, self._repeats = last, 0
        return True

    def update(self, arrival: Arrival) -> Step:
        """What follows from the next update."""
        prev, last = arrival.message.prev_update_id or 0, arrival.message.update_id or 0
        step, seen = Step(), self._seen
        if seen is not None and last <= seen and self._repeats < REPEATS_MAX:
            self._repeats += 1
            step.is_repeated = True
            return step
        if seen is not None and (prev > seen or last <= seen):
            step.before, step.cause = self._let_go(), "sequence_break"
            step.evidence = f"an update applies to version {prev}, the last one made {seen}"
            self._is_known = False
            if last <= seen:
                self._snapshot = None
        self._seen, self._repeats = last, 0
        if self._is_known:
            step.emits = True
        elif self._snapshot is not None and prev <= (self._snapshot.message.update_id or 0):
            step.emits = True
            if last > (self._snapshot.message.update_id or 0):
                step.after, self._snapshot, self._is_known = [self._snapshot], None, True
        else:
            self._snapshot = None  # it is older than the first update that has come
            self._hold(arrival, step)
        return step

    def snapshot(self, arrival: Arrival | None) -> Step:
        """What follows from a snapshot that was fetched; None where it could not be had."""
        self._fetching = False
        if self._is_known:
            return Step()
        version = 0 if arrival is None else arrival.message.update_id or 0
        if arrival is None or (self._held and (self._held[0].message.prev_update_id or 0) > version):
            return Step(fetches=self._fetch())
        held = self._let_go()
        count = sum((each.message.update_id or 0) <= version for each in held)
        if count == len(held):
            self._snapshot = arrival
            return Step(before=held)
        self._is_known = True
        return Step(before=held[:count], after=[arrival, *held[count:]])

    def settle(self, mono_ns: int) -> Step:
        """Release a snapshot that no update has followed for long: the market is quiet, and this is its book."""
        waiting = self._snapshot
        if waiting is None or mono_ns - waiting.mono_ns < SNAPSHOT_WAITS_NS:
            return Step()
        self._snapshot, self._is_known = None, True
        self._seen = max(self._seen or 0, waiting.message.update_id or 0)
        return Step(after=[waiting])

    def empty(self, prev: int, last: int) -> None:
        """An update in which no level changed: the next one applies to the version that it made."""
        if self._seen is not None and prev <= self._seen < last:
            self._seen = last

    def _hold(self, arrival: Arrival, step: Step) -> None:
        self._held.append(arrival)
        self._held_levels += len(arrival.message)
        if self._held_levels > HELD_LEVELS_MAX:
            step.evidence = f"{self._held_levels} levels held back, and no snapshot has come"
            step.before, step.cause = [*step.before, *self._let_go()], "overflow"
        step.fetches = self._fetch()

    def _let_go(self) -> list[Arrival]:
        held, self._held, self._held_levels = self._held, [], 0
        return held

    def _fetch(self) -> bool:
        """Whether a snapshot must be asked for: one is enough at a time."""
        asked, self._fetching = self._fetching, True
        return not asked
