"""Simulated books and trades: one hidden book told by snapshots and by changes, with everything feeds do wrong.

Prices are whole cents, sizes thousandths, so that what is equal is equal in decimals and in scaled integers.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.etl.features.reference import Message, Snapshot, Trade

NS = 1_000_000_000
START_NS = 1_700_006_400 * NS - 120 * NS  # two minutes before a midnight
PAUSES_NS = (0, 1, 250_000_000, 500_000_000, 700_000_000, NS, NS, NS, 2 * NS, 3 * NS)
LONG_NS = (300 * NS, 300 * NS + 1, 20 * NS, 3700 * NS)
LEVELS = 24  # a side; more than the 20 that features see


@dataclass(frozen=True)
class Simulation:
    """The same books twice, and the trades between them."""

    snapshots: list[Snapshot]
    messages: list[Message]
    trades: list[Trade]


@dataclass
class Hidden:
    """A book in whole cents and thousandths."""

    random: random.Random
    sides: dict[str, dict[int, int]] = field(default_factory=lambda: {"bid": {}, "ask": {}})
    mid: int = 10_000

    def size(self) -> int:
        return self.random.choice((1, 500, 1000, 1000, 2000, self.random.randrange(1, 50_000)))

    def fresh(self) -> dict[str, dict[int, int]]:
        """A whole book about the mid, with holes between its levels."""
        spread = self.random.choice((1, 1, 1, 2, 3))
        bid, ask = self.mid, self.mid + spread
        sides: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
        for _ in range(LEVELS):
            sides["bid"][bid], sides["ask"][ask] = self.size(), self.size()
            bid -= self.random.choice((1, 1, 2, 5))
            ask += self.random.choice((1, 1, 2, 5))
        return sides

    def changed(self) -> dict[str, dict[int, int]]:
        """The next book: mostly a size near the touch, at times a level that goes or comes, or a whole new book."""
        what = self.random.random()
        if what < 0.1 or not (self.sides["bid"] and self.sides["ask"]) or self.is_bad():
            self.mid = max(1000, self.mid + self.random.choice((-3, -1, 0, 1, 2)))
            return self.fresh()
        sides = {side: dict(levels) for side, levels in self.sides.items()}
        side = self.random.choice(("bid", "ask"))
        best_first = sorted(sides[side], reverse=side == "bid")
        place = min(self.random.choice((0, 0, 0, 1, 2, 4, 9, 21)), len(best_first) - 1)
        if what < 0.6:
            sides[side][best_first[place]] = self.size()
        elif what < 0.75 and len(best_first) > 1:
            del sides[side][best_first[place]]
        elif what < 0.93:
            inside = best_first[0] + (1 if side == "bid" else -1)
            sides[side][inside] = self.size()  # may lock
        elif what < 0.95:
            sides[side] = {}
        elif what < 0.96:
            sides = {"bid": {}, "ask": {}}
        elif what < 0.98:
            other = min(sides["ask"]) if side == "bid" else max(sides["bid"])
            sides[side][other + (2 if side == "bid" else -2)] = self.size()  # crosses
        return sides  # else the very same book

    def is_bad(self) -> bool:
        return max(self.sides["bid"]) > min(self.sides["ask"])

    def snapshot(self, t_ns: int, *, gap_before: bool) -> Snapshot:
        """The hidden book out of order, with levels that are none and prices told twice."""
        told = {}
        for side, levels in self.sides.items():
            lines = [(price / 100, size / 1000) for price, size in levels.items()]
            if lines and self.random.random() < 0.1:
                price, _ = self.random.choice(lines)
                lines = [(price, 7.77), *lines]
            if self.random.random() < 0.1:
                lines.insert(self.random.randrange(len(lines) + 1), (99.5, 0.0))
            if self.random.random() < 0.05:
                lines.append((-1.0, 5.0))
            told[side] = lines
        return Snapshot(t_ns, told["bid"], told["ask"], gap_before)

    def message(self, t_ns: int, before: dict[str, dict[int, int]], *, gap_before: bool, whole: bool) -> Message:
        """What changed since the book before, or all of it."""
        lines: list[tuple[str, float, float]] = []
        for side, levels in self.sides.items():
            old = {} if whole else before[side]
            lines += [(side, price / 100, 0.0) for price in old if price not in levels]
            for price, size in levels.items():
                if old.get(price) != size:
                    twice = self.random.random() < 0.05
                    lines += [(side, price / 100, 7.77)] * twice + [(side, price / 100, size / 1000)]
        return Message(t_ns, whole, lines, gap_before)


def simulated(
    seed: int, *, events: int = 200, trades_per_event: float = 0.7, long_pauses: float = 0.02, gap_marks: float = 0.02
) -> Simulation:
    """Books and trades that the seed alone decides; times never go back."""
    rng = random.Random(seed)
    hidden = Hidden(rng)
    made = Simulation([], [], [])
    t_ns, in_burst = START_NS + rng.choice((0, 1, 123_456_789)), 0
    for place in range(events):
        before = hidden.sides
        hidden.sides = hidden.fresh() if place == 0 else hidden.changed()
        is_marked = rng.random() < gap_marks
        made.snapshots.append(hidden.snapshot(t_ns, gap_before=is_marked))
        whole = place == 0 or is_marked or rng.random() < 0.02
        made.messages.append(hidden.message(t_ns, before, gap_before=is_marked, whole=whole))
        in_burst = rng.randrange(5, 15) if rng.random() < 0.01 else max(0, in_burst - 1)
        pause_ns = 1_000_000 if in_burst else rng.choice(PAUSES_NS)
        if rng.random() < long_pauses:
            pause_ns = rng.choice(LONG_NS)
        made.trades.extend(between(rng, hidden.mid, t_ns, pause_ns, trades_per_event))
        t_ns += pause_ns
    return made


def between(rng: random.Random, mid: int, t_ns: int, pause_ns: int, per_event: float) -> Iterator[Trade]:
    """Trades from a book's time to the next one's, both ends included; some without a side."""
    count = rng.choice((0, 1, 2, 5)) if rng.random() < per_event else 0
    for offset_ns in sorted(rng.choice((0, pause_ns, rng.randint(0, pause_ns))) for _ in range(count)):
        sign = rng.choice((1, -1, 1, -1, None))
        price = (mid + rng.choice((-1, 0, 1, 1, 2))) / 100
        yield Trade(t_ns + offset_ns, price, rng.choice((1.0, 0.5, rng.randrange(1, 20_000) / 1000)), sign)


def _levels(first: int, last: int) -> st.SearchStrategy[list[tuple[float, float]]]:
    prices = st.integers(first, last).map(lambda cents: cents / 100)
    good = st.lists(st.tuples(prices, st.integers(1, 8).map(lambda size: size / 4)), min_size=2, max_size=4)
    any_size = st.lists(st.tuples(prices, st.integers(0, 8).map(lambda size: size / 4)), max_size=3)
    return st.one_of(good, good, good, good, any_size)


SNAPSHOT_LISTS = st.lists(
    st.tuples(
        st.sampled_from((NS,) * 12 + (0, 1, 250_000_000, 500_000_000, 5 * NS, 300 * NS, 300 * NS + 1)),
        _levels(9_995, 10_000),
        _levels(10_000, 10_005),
        st.sampled_from((False,) * 24 + (True,)),
    ),
    min_size=8,
    max_size=30,
)
TRADE_LISTS = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 250_000_000, NS, NS, NS)),
        st.integers(9_998, 10_003),
        st.integers(1, 12),
        st.sampled_from((1, -1, None)),
    ),
    min_size=10,
    max_size=40,
)


@st.composite
def snapshots(draw: st.DrawFn) -> list[Snapshot]:
    """A few small books; any kind of bad one among them."""
    t_ns, made = START_NS, []
    for pause_ns, bids, asks, gap_before in draw(SNAPSHOT_LISTS):
        t_ns += pause_ns
        made.append(Snapshot(t_ns, bids, asks, gap_before))
    return made


@st.composite
def trade_tapes(draw: st.DrawFn) -> list[Trade]:
    """A few trades about the same time as `snapshots`."""
    t_ns, made = START_NS - NS, []
    for pause_ns, cents, quarters, sign in draw(TRADE_LISTS):
        t_ns += pause_ns
        made.append(Trade(t_ns, cents / 100, quarters / 4, sign))
    return made
