"""The gate: lets each trade in once and in order, and counts those it refuses.

A trade's key is its `trade_seq`, or else (timestamp, arrival). A refused trade is a duplicate if it was seen before,
and late if it was not. With `trade_seq` the memory is the last number and the holes passed over; with opaque ids it is
the last `dedup_window` ids. A trade without an id is never a duplicate.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec.structs import replace

from etl.bars.kernels import disorder
from etl.bars.state import Memory
from etl.bars.trades import Int64s, Trades, frozen

Key: TypeAlias = tuple[int, str, int]  # (timestamp, epoch, arrival)

HOLES_MAX = 4096
_MIN = -(2**63)
_SMALL_BATCH = 1000
_NONE: Int64s = np.empty(0, dtype=np.int64)


class Verdict(NamedTuple):
    """Which trades may enter, and what the gate will remember once they have."""

    keep: npt.NDArray[np.bool_] | None  # None: all
    memory: Memory  # without the ids
    new_ids: list[str]
    n_dup: int = 0
    late: Int64s = _NONE  # the rows of the late ones


class Gate:
    """What has been let in so far."""

    def __init__(self, memory: Memory, *, dedup_window: int) -> None:
        self._memory = memory
        self._window = dedup_window
        self._ids = dict.fromkeys(memory.ids)  # ordered: the oldest first

    def judge(self, trades: Trades) -> Verdict:
        """The verdict on trades in their order of arrival. Nothing is remembered until `remember`."""
        if trades.seq is None:
            return self._judge_ids(trades)
        if trades.seq_known is None:
            return _judge_seqs(trades.seq, self._memory)
        by_seq = _judge_seqs(frozen(trades.seq[trades.seq_known]), self._memory)
        by_id = self._judge_ids(trades.rows(~trades.seq_known))
        keep = np.ones(len(trades.ts), dtype=np.bool_)
        late = []
        for part, verdict in ((trades.seq_known, by_seq), (~trades.seq_known, by_id)):
            keep[part] = True if verdict.keep is None else verdict.keep
            late.append(np.flatnonzero(part)[verdict.late])
        memory = replace(
            by_id.memory,
            last_seq=by_seq.memory.last_seq,
            floor_seq=by_seq.memory.floor_seq,
            holes=by_seq.memory.holes,
        )
        return Verdict(keep, memory, by_id.new_ids, by_seq.n_dup + by_id.n_dup, np.concatenate(late))

    def remember(self, verdict: Verdict) -> None:
        """Take the trades of the verdict as seen."""
        self._memory = verdict.memory
        self._ids.update(dict.fromkeys(verdict.new_ids))
        for old in list(islice(self._ids, max(0, len(self._ids) - self._window))):
            del self._ids[old]

    def memory(self) -> Memory:
        """What a new gate needs to go on."""
        return replace(self._memory, ids=tuple(self._ids))

    def _judge_ids(self, trades: Trades) -> Verdict:
        memory, ids = self._memory, trades.ids.cast(pl.String) if trades.has_ids else trades.ids
        if not len(ids):
            return Verdict(None, memory, [])
        if _ordered(trades, memory) and (not trades.has_ids or self._all_new(ids)):
            memory = replace(
                memory,
                last_us=int(trades.ts[-1]),
                last_epoch=str(trades.epoch[-1]) if trades.epoch is not None else "",
                last_arrival=int(trades.arrival[-1]) if trades.arrival is not None else -1,
            )
            return Verdict(None, memory, ids.tail(self._window).to_list() if trades.has_ids else [])
        names = ids.to_list() if trades.has_ids else [""] * len(ids)
        return self._judge_each(names, list(_keys(trades)), trades.arrival is None)

    def _all_new(self, ids: pl.Series) -> bool:
        if len(ids) < _SMALL_BATCH:
            texts = set(ids.to_list())
            return len(texts) == len(ids) and self._ids.keys().isdisjoint(texts)
        seen = pl.Series(list(self._ids), dtype=pl.String)
        return bool(pl.concat([seen, ids.rename("")]).n_unique() == len(seen) + len(ids))

    def _judge_each(self, ids: list[str], keys: list[Key], ties_are_ordered: bool) -> Verdict:
        memory = self._memory
        last = (_MIN if memory.last_us is None else memory.last_us, memory.last_epoch, memory.last_arrival)
        seen = dict(self._ids)
        keep = np.zeros(len(ids), dtype=np.bool_)
        new_ids: list[str] = []
        n_dup = 0
        late = []
        for row, (trade_id, key) in enumerate(zip(ids, keys, strict=True)):
            if trade_id and trade_id in seen:
                n_dup += 1
            elif key < last or (key == last and not ties_are_ordered):
                late.append(row)
            else:
                keep[row], last = True, key
                if not trade_id:
                    continue
                new_ids.append(trade_id)
                seen[trade_id] = None
                if len(seen) > self._window:
                    del seen[next(iter(seen))]
        memory = replace(memory, last_us=last[0], last_epoch=last[1], last_arrival=last[2])
        return Verdict(keep, memory, new_ids[-self._window :], n_dup, np.array(late, dtype=np.int64))


def gaps_told(gap_rows: Int64s, kept: Int64s, late: Int64s, *, is_owed: bool) -> tuple[Int64s, bool]:
    """(which of the `kept` rows tell of a hole before a late one, by their place; whether the next batch has to).

    A hole before a trade that comes late is told by the next trade used. One before a duplicate is not: what is given
    again was used once, its hole with it.
    """
    places = np.searchsorted(kept, np.intersect1d(gap_rows, late))
    places = np.append(places, 0) if is_owed else places
    return places[places < len(kept)], bool((places == len(kept)).any())


def _judge_seqs(seq: Int64s, memory: Memory) -> Verdict:
    if not len(seq):
        return Verdict(None, memory, [])
    last = int(seq[0]) - 1 if memory.last_seq is None else memory.last_seq
    floor = int(seq[0]) if memory.floor_seq is None else memory.floor_seq
    _, stalls, jumps = disorder(seq, last)
    if not stalls:
        holes = memory.holes + (_holes(seq, last) if jumps else ())
        floor = max(floor, holes[-HOLES_MAX - 1][1] + 1) if len(holes) > HOLES_MAX else floor
        return Verdict(None, replace(memory, last_seq=int(seq[-1]), floor_seq=floor, holes=holes[-HOLES_MAX:]), [])
    highest = np.maximum.accumulate(np.concatenate(([last], seq)))
    keep = seq > highest[:-1]
    holes = memory.holes + _holes(seq[keep], last)
    late = []
    ends = [end for _, end in holes]
    dropped = np.flatnonzero(~keep)
    for row, number, top in zip(dropped.tolist(), seq[dropped].tolist(), highest[dropped].tolist(), strict=True):
        known = bisect_right(ends, top)  # the holes there were when this trade came
        forgotten = max(floor, ends[known - HOLES_MAX - 1] + 1) if known > HOLES_MAX else floor
        at = bisect_right(holes, (number, 2**63)) - 1
        if number < forgotten or (at >= 0 and holes[at][1] >= number):
            late.append(row)
    floor = max(floor, ends[-HOLES_MAX - 1] + 1) if len(holes) > HOLES_MAX else floor
    after = replace(memory, last_seq=int(highest[-1]), floor_seq=floor, holes=holes[-HOLES_MAX:])
    return Verdict(keep, after, [], len(dropped) - len(late), np.array(late, dtype=np.int64))


def _holes(ascending: Int64s, last: int) -> tuple[tuple[int, int], ...]:
    chain = np.concatenate(([last], ascending))
    rows = np.flatnonzero(np.diff(chain) > 1)
    return tuple(zip((chain[rows] + 1).tolist(), (chain[rows + 1] - 1).tolist(), strict=True))


def _ordered(trades: Trades, memory: Memory) -> bool:
    """Whether the keys rise; a no may be wrong, a yes may not."""
    falls, stalls, _ = disorder(trades.ts, _MIN if memory.last_us is None else memory.last_us)
    if not stalls or (trades.arrival is None and not falls):
        return True
    if falls or trades.arrival is None:
        return False
    epoch = str(trades.epoch[0]) if trades.epoch is not None else ""
    if epoch < memory.last_epoch or not (trades.epoch is None or (trades.epoch == epoch).all()):
        return False
    return not disorder(trades.arrival, memory.last_arrival if epoch == memory.last_epoch else _MIN)[1]


def _keys(trades: Trades) -> Iterator[Key]:
    """(timestamp, epoch, arrival) of each trade."""
    epochs = trades.epoch.to_list() if trades.epoch is not None else [""] * len(trades.ts)
    arrivals = trades.arrival.tolist() if trades.arrival is not None else [-1] * len(trades.ts)
    return zip(trades.ts.tolist(), epochs, arrivals, strict=True)
