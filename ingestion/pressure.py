"""The order of sacrifice: what is given up first when disk or CPU cannot keep up. Pure decisions.

Level 0 stores everything. Level 1 keeps one order book snapshot per symbol and ten seconds, level 2 no snapshot, no
ticker and no raw frame, level 3 no book update either. Trades and every other table are never given up: with level 3
reached, sockets wait. What is given up has been numbered, so it stands in the gaps table exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.rows import TABLE_OF, Frame, Gap, L2Message, OrderBook, Row, Ticker

LEVEL_MAX = 3
SPARSE_US = 10_000_000  # between two order book snapshots of a symbol that level 1 keeps
_GIVEN_UP_AT: dict[type[Row], int] = {OrderBook: 2, Ticker: 2, Frame: 2, L2Message: 3}
_WORDS = ("", "order book snapshots are rarer", "no order book snapshots, no ticker", "no book updates either")
_Key = tuple[type[Row], str]


@dataclass(frozen=True)
class PressureOptions:
    """When a level is reached and left."""

    fills: tuple[float, float, float] = (0.5, 0.65, 0.8)  # of the queue, for levels 1, 2, 3
    after_s: float = 5.0  # a fill must last this long: a burst is met by waiting, which loses nothing
    calm_s: float = 10.0  # below half of its fill this long, a level is left


def pressure_options(first_fill: float, after_s: float, calm_s: float) -> PressureOptions:
    """Steps at this fill, and at 3/10 and 6/10 of the way from it to a full queue.

    >>> pressure_options(0.5, 5.0, 10.0).fills
    (0.5, 0.65, 0.8)
    """
    fills = tuple(round(first_fill + (1 - first_fill) * share, 4) for share in (0.0, 0.3, 0.6))
    return PressureOptions(fills, after_s, calm_s)  # type: ignore[arg-type]


class Pressure:
    """How full the queue is becomes what is given up: one level at a time, both ways, each after a while."""

    def __init__(self, options: PressureOptions) -> None:
        self._options = options
        self.level = 0
        self.changes = 0
        self._high_since_s: float | None = None
        self._low_since_s: float | None = None

    def look(self, fill: float, *, now_s: float) -> bool:
        """Take the queue's fill, 0 to 1; whether `level` has changed."""
        options, level = self._options, self.level
        is_high = level < LEVEL_MAX and fill >= options.fills[level]
        is_low = level > 0 and fill < options.fills[level - 1] / 2
        self._high_since_s = (now_s if self._high_since_s is None else self._high_since_s) if is_high else None
        self._low_since_s = (now_s if self._low_since_s is None else self._low_since_s) if is_low else None
        if self._high_since_s is not None and now_s - self._high_since_s >= options.after_s:
            self.level += 1
        elif self._low_since_s is not None and now_s - self._low_since_s >= options.calm_s:
            self.level -= 1
        if self.level == level:
            return False
        self._high_since_s = self._low_since_s = None
        self.changes += 1
        return True


@dataclass(slots=True)
class _Hole:
    """Rows of one stream that are being given up."""

    gap_id: str
    prev_seq: int
    next_seq: int
    start_us: int
    level: int
    rows: int = 0
    is_told: bool = False


class Shedder:
    """Drops numbered rows by the level, and makes the gap rows that say so: as it begins, and revised at its end."""

    def __init__(self, new_gap_id: Callable[[], str]) -> None:
        self._new_gap_id = new_gap_id
        self._holes: dict[_Key, _Hole] = {}
        self._kept_us: dict[str, int] = {}  # of the last order book of a symbol that was kept
        self.books_lost: set[str] = set()
        self.rows_given_up = 0

    @property
    def is_open(self) -> bool:
        """Whether something was given up whose end has not been told."""
        return bool(self._holes)

    def shed(
        self, rows: Sequence[Row], seqs: Sequence[int], *, level: int, capture_us: int
    ) -> tuple[list[Row], list[int], list[Gap]]:
        """What is kept of these rows, its numbers, and the gap rows that belong before it."""
        kept: list[Row] = []
        kept_seqs: list[int] = []
        gaps: list[Gap] = []
        for row, seq in zip(rows, seqs, strict=True):
            key = (type(row), row.symbol)
            if self._gives_up(key, level, capture_us) and not _is_told(row):
                gaps.extend(self._dropped(row, seq, level, capture_us))
                continue
            if hole := self._holes.pop(key, None):
                gaps.append(_ended(key, hole, capture_us))
            kept.append(row)
            kept_seqs.append(seq)
        return kept, kept_seqs, gaps

    def end(self, *, level: int, capture_us: int) -> list[Gap]:
        """The ends of what this level does not give up any more."""
        over = [key for key in self._holes if level < _GIVEN_UP_AT[key[0]]]
        return [_ended(key, self._holes.pop(key), capture_us) for key in over]

    def _gives_up(self, key: _Key, level: int, capture_us: int) -> bool:
        kind, symbol = key
        at = _GIVEN_UP_AT.get(kind)
        if at is None or not level:
            return False
        if level < at and kind is OrderBook:
            if abs(capture_us - self._kept_us.get(symbol, -SPARSE_US)) < SPARSE_US:
                return True
            self._kept_us[symbol] = capture_us
        return level >= at

    def _dropped(self, row: Row, seq: int, level: int, capture_us: int) -> list[Gap]:
        key = (type(row), row.symbol)
        hole = self._holes.get(key)
        if hole is None:
            hole = self._holes[key] = _Hole(self._new_gap_id(), seq - 1, seq, capture_us, level)
        count = len(row) if isinstance(row, L2Message) else 1
        hole.rows += count
        hole.next_seq = seq + count
        self.rows_given_up += count
        if isinstance(row, L2Message):
            self.books_lost.add(row.symbol)
        if hole.is_told or level < _GIVEN_UP_AT[key[0]]:
            return []  # what is only rarer is told when it is over: it will be soon
        hole.is_told = True
        return [_gap(key, hole)]


def _is_told(row: Row) -> bool:
    """Whether it says what a session was told: few, and no later frame can be decoded again without them."""
    return isinstance(row, Frame) and row.direction != "received"


def _gap(key: _Key, hole: _Hole) -> Gap:
    return Gap(
        symbol=key[1],
        timestamp=None,
        gap_id=hole.gap_id,
        revision=0,
        channel=TABLE_OF[key[0]],
        cause="overflow",
        status="open",
        prev_seq=hole.prev_seq,
        start_ts=hole.start_us,
        evidence=f"level {hole.level}: {_WORDS[hole.level]}",
    )


def _ended(key: _Key, hole: _Hole, capture_us: int) -> Gap:
    began = _gap(key, hole)
    return Gap(
        symbol=began.symbol,
        timestamp=None,
        gap_id=began.gap_id,
        revision=int(hole.is_told),
        channel=began.channel,
        cause="overflow",
        status="unrecoverable",
        prev_seq=hole.prev_seq,
        next_seq=hole.next_seq,
        start_ts=hole.start_us,
        end_ts=capture_us,
        rows_lost=hole.rows,
        evidence=began.evidence,
    )
