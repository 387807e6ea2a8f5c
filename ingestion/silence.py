"""Which streams fell silent, and whether their market did too: pure rules, sampled once a second.

A stream is a table of one symbol. Its threshold follows its own rhythm, so a stream of a trade a second is suspected
after some ten seconds and one of a trade an hour is not suspected at all. A suspicion costs one cheap REST look and
nothing else; only a look that shows life where we hear none makes a finding. No clocks are compared for that: our last
trade id with the newest one, or what one look showed with what a later one shows.

How a shell uses it, for each exchange one `SilenceWatch`:

- `subscribed(key, now, connection=)` when a subscription is sent, also anew; `forget(key)` when it is given up.
- each `SAMPLE_S`: `sample(counts, now)` with the rows seen so far of each stream (`Inlet.standing`), `excused=True`
  where we did not read in the meantime because our own queue was full.
- for each key of `due(now)`: ask REST for the market's newest trade; wait `GRACE_S`, since what is on its way to us may
  come; then `looked(key, theirs, ours, count, now)`.
- a `Finding` that comes back: `Inlet.expect(*key)` (it may never have had a row), then `Inlet.interrupt("silence",
  finding.evidence, symbols=, tables=)`, do its `remedy` and call `subscribed` anew.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from ingestion.exchanges.protocol import Newest

SAMPLE_S = 1.0
GRACE_S = 3.0
Key: TypeAlias = tuple[str, str]  # (table, symbol in the lake)
# Tables whose stream must move when the market trades; a market can trade all day without one liquidation.
MOVED_BY_TRADES = frozenset({"trades", "ticker", "orderbook", "l2", "candles"})
_NS = 1_000_000_000
_LATE_SAMPLE_S = 5 * SAMPLE_S  # a sample that comes so late was late because nobody ran, and so nobody read
_TOGETHER_S = 60.0  # findings of one connection within this time mean the connection


@dataclass(frozen=True)
class SilenceRules:
    """When a silence is worth a look. The defaults are measured on recorded markets, see the tests."""

    floor_s: float = 15.0  # nothing is suspected sooner
    unheard_s: float = 30.0  # a stream of unknown rhythm
    ceiling_s: float = 1800.0  # everything is suspected by then, and looked at again as often
    means: float = 8.0  # of mean intervals
    longests: float = 3.0  # of the longest recent interval
    mean_half_life_s: float = 3600.0
    longest_half_life_s: float = 6 * 3600.0
    second_look_s: float = 10.0  # after a look that had nothing to be compared with
    looks_per_minute: float = 12.0

    def __post_init__(self) -> None:
        """Refuse what could never be reached."""
        if not 0 < self.floor_s <= self.unheard_s <= self.ceiling_s or self.looks_per_minute <= 0:
            raise ValueError("silence: 0 < floor_s <= unheard_s <= ceiling_s and looks_per_minute > 0 must hold")


class Finding(NamedTuple):
    """A stream that is dead although its market is not."""

    key: Key
    evidence: str  # for the gaps table
    remedy: Literal["resubscribe", "reconnect"]
    is_first: bool  # of this stream's trouble: worth a line in the log


@dataclass(slots=True)
class _State:
    """What is known of one stream; its size does not grow."""

    since_ns: int  # when it was last heard, or subscribed to
    subscribed_ns: int
    connection: Hashable
    count: int | None = None
    heard: bool = False  # since it was subscribed to
    seconds: float = 0.0  # decayed: their quotient is the mean interval
    intervals: float = 0.0
    longest_s: float = 0.0
    next_look_ns: int | None = None  # of a silence that was looked at already
    wait_s: float = 0.0
    looking: bool = False
    first_look: Newest | None = None  # in this silence
    deaths: int = 0  # in a row
    died_ns: int | None = None


@dataclass
class SilenceWatch:
    """Every stream of one exchange. Times are monotonic nanoseconds; memory is a few numbers per stream."""

    rules: SilenceRules = field(default_factory=SilenceRules)
    _states: dict[Key, _State] = field(default_factory=dict)
    _sampled_ns: int | None = None
    _looks: float = 1.0  # that the budget allows now
    _budgeted_ns: int | None = None

    def subscribed(self, key: Key, now_ns: int, *, connection: Hashable = None) -> None:
        """A subscription was sent: the stream's silence begins anew, what is known of its rhythm stays."""
        state = self._states.get(key)
        if state is None:
            self._states[key] = _State(now_ns, now_ns, connection)
            return
        state.connection, state.subscribed_ns, state.heard = connection, now_ns, False
        _begin(state, now_ns)

    def forget(self, key: Key) -> None:
        """The stream is not wanted any more."""
        self._states.pop(key, None)

    def sample(self, counts: Callable[[Key], int], now_ns: int, *, excused: bool = False) -> None:
        """Look which streams have moved; a time in which nobody read counts for none of them."""
        elapsed_ns = 0 if self._sampled_ns is None else now_ns - self._sampled_ns
        self._sampled_ns = now_ns
        lost_ns = elapsed_ns if excused or elapsed_ns > _LATE_SAMPLE_S * _NS else 0
        for key, state in self._states.items():
            state.since_ns = min(now_ns, state.since_ns + lost_ns)
            count = counts(key)
            if state.count is None:
                state.count = count
            elif count != state.count:
                self._hear(state, count, now_ns)

    def due(self, now_ns: int) -> list[Key]:
        """The streams to look at now, the most overdue first, within the budget of looks."""
        self._refill(now_ns)
        overdue = []
        for key, state in self._states.items():
            if state.looking or key[0] not in MOVED_BY_TRADES:
                continue
            due_ns = state.next_look_ns
            if due_ns is None:
                due_ns = state.since_ns + round(self.threshold_s(key) * _NS)
            if due_ns <= now_ns:
                overdue.append((due_ns, key))
        chosen = [key for _, key in sorted(overdue)[: int(self._looks)]]
        self._looks -= len(chosen)
        for key in chosen:
            self._states[key].looking = True
        return chosen

    def looked(self, key: Key, theirs: Newest | None, *, ours: int | None, count: int, now_ns: int) -> Finding | None:
        """What a look proves. `theirs` is None where it failed; `ours` is our last trade's number, where it has one.

        `count` is the stream's rows by now. None: the stream is alive, its market is quiet, or nothing is known yet.
        """
        state = self._states.get(key)
        if state is None or not state.looking:  # a row has come, or a new subscription was made, since it was due
            return None
        state.looking = False
        if count != state.count:
            self._hear(state, count, now_ns)
            return None
        if theirs == Newest(None, None):
            theirs = None  # a market that has never traded says nothing to compare with
        proof = None if theirs is None else _proof(state, theirs, ours)
        if proof is not None:
            return self._found(key, state, proof, now_ns)
        if theirs is not None and state.first_look is None:
            state.first_look = theirs
            if ours is None or not state.heard:
                state.next_look_ns = now_ns + round(self.rules.second_look_s * _NS)
                return None
        state.wait_s = min(self.rules.ceiling_s, 2 * (state.wait_s or self.threshold_s(key)))
        state.next_look_ns = now_ns + round(state.wait_s * _NS)
        return None

    def threshold_s(self, key: Key) -> float:
        """How long this stream may be silent before it is looked at."""
        state, rules = self._states[key], self.rules
        if not state.intervals:
            wanted_s = rules.unheard_s
        else:
            mean_s = state.seconds / state.intervals
            wanted_s = max(rules.floor_s, rules.means * mean_s, rules.longests * state.longest_s)
        return float(min(rules.ceiling_s, wanted_s * 2.0 ** min(state.deaths, 16)))

    def _hear(self, state: _State, count: int, now_ns: int) -> None:
        """A row has come: learn from the time it took, unless the stream was dead meanwhile."""
        rules, interval_s = self.rules, (now_ns - state.since_ns) / _NS
        if state.deaths == 0:
            decay = 0.5 ** (interval_s / rules.mean_half_life_s)
            state.seconds = state.seconds * decay + interval_s
            state.intervals = state.intervals * decay + 1
            faded_s = state.longest_s * 0.5 ** (interval_s / rules.longest_half_life_s)
            state.longest_s = max(interval_s, faded_s)
        elif now_ns - state.subscribed_ns > rules.floor_s * _NS:
            state.deaths = 0  # more than the snapshot that answers a subscription
        state.count, state.heard = count, True
        _begin(state, now_ns)

    def _found(self, key: Key, state: _State, proof: str, now_ns: int) -> Finding:
        table, symbol = key
        silent_s = (now_ns - state.since_ns) / _NS
        said = f"no row for {silent_s:.0f} s" if state.heard else f"subscribed {silent_s:.0f} s ago, but no data"
        evidence = f"{table} {symbol}: {said} (expected within {self.threshold_s(key):.0f} s); {proof}"
        others = [
            other
            for other in self._states.values()
            if other is not state
            and other.connection == state.connection
            and other.died_ns is not None
            and now_ns - other.died_ns < _TOGETHER_S * _NS
        ]
        state.deaths += 1
        state.died_ns = now_ns
        # A second death of the same stream is tried with a new connection, once; where that did not help either,
        # the streams that do live on the connection are not made to pay for it again and again.
        together = state.deaths == 1 and any(other.deaths == 1 for other in others)
        remedy: Literal["resubscribe", "reconnect"] = "reconnect" if together or state.deaths == 2 else "resubscribe"
        state.heard = False
        _begin(state, now_ns)
        return Finding(key, evidence, remedy, state.deaths == 1)

    def _refill(self, now_ns: int) -> None:
        budget = self.rules.looks_per_minute
        if self._budgeted_ns is not None:
            self._looks = min(budget, self._looks + (now_ns - self._budgeted_ns) / _NS / 60 * budget)
        self._budgeted_ns = now_ns


def _begin(state: _State, now_ns: int) -> None:
    """A silence begins; a look that is under way belongs to another."""
    state.looking = False
    state.since_ns, state.next_look_ns, state.wait_s, state.first_look = now_ns, None, 0.0, None


def _proof(state: _State, theirs: Newest, ours: int | None) -> str | None:
    """How a look shows that the market lives, where it does."""
    if state.heard and ours is not None and theirs.trade_seq is not None:
        return f"REST has trade {theirs.trade_seq}, ours is {ours}" if theirs.trade_seq > ours else None
    first = state.first_look
    if first is None:
        return None
    if first.trade_seq is not None and theirs.trade_seq is not None:
        moved = theirs.trade_seq > first.trade_seq
        return f"REST moved from trade {first.trade_seq} to {theirs.trade_seq} meanwhile" if moved else None
    if first.timestamp_us is not None and theirs.timestamp_us is not None:
        moved_s = (theirs.timestamp_us - first.timestamp_us) / 1e6
        return f"REST's newest trade moved on by {moved_s:.3f} s meanwhile" if moved_s > 0 else None
    return None
