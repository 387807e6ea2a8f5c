"""What all bars share: trades go in by batches, the same bars come out however the batches are cut."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, NoReturn, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from etl.bars import state as states
from etl.bars.frame import Labels, Table, frame_of, joined
from etl.bars.given import Given, frame_of_trades, stream_of
from etl.bars.kernels import FIRST_ROW, FIRST_US, GAP, KNOWN_US, LAST_ROW, LAST_US, accumulate, disorder, on, stamp
from etl.bars.open_bar import CARRIED, OpenBar, bar_of
from etl.bars.order import Gate
from etl.bars.schema import no_bars
from etl.bars.steps import Step, marked, step_of
from etl.bars.trades import Int64s, Trades, read
from shared.errors import StateMismatch

Late: TypeAlias = Literal["drop", "raise"]
DEDUP_WINDOW = 100_000
_MIN = -(2**63)


class _Folded(NamedTuple):
    bars: pl.DataFrame
    bar: OpenBar
    n_ts_regress: int


class Bars(ABC):
    """A builder of the bars of one stream. A kind says where bars end (`_stops`) and how they are labelled.

    All state comes in at construction and goes out by `snapshot`. A call that raises has changed nothing.
    """

    kind: ClassVar[str] = ""
    State: ClassVar[type[states.State]] = states.State
    close_reason: ClassVar[str] = "threshold"
    gap_reaches_back: ClassVar[bool] = False  # a gap before the trade that follows a bar flags that bar too

    def __init__(self, params: Mapping[str, str], *, state: states.State | None, late: Late, dedup_window: int) -> None:
        if late not in ("drop", "raise"):
            raise ValueError(f"late must be 'drop' or 'raise', was {late!r}")
        if dedup_window < 1:
            raise ValueError(f"dedup_window must be at least 1, was {dedup_window}")
        self.params = dict(sorted(params.items()))
        if state is None:
            state = self.State(kind=self.kind, params=self._params_text(), params_hash=self.params_hash())
        mine = (self.kind, self.params_hash(), states.VERSION)
        if not isinstance(state, self.State) or (state.kind, state.params_hash, state.version) != mine:
            raise StateMismatch(
                f"the state is of {state.kind} bars {state.params}, version {state.version}; "
                f"the builder makes {self.kind} bars {self._params_text()}, version {states.VERSION}",
                hint="Build these bars anew, or give the parameters they were begun with",
            )
        self.counters = state.counters
        self._late = late
        self._bar_seq = state.bar_seq
        self._bar = bar_of(state)
        self._gate = Gate(state.memory, dedup_window=dedup_window)
        self._last_us = state.last_us
        self._stream = state.stream

    def params_hash(self) -> str:
        """A text that differs between kinds of bars and between their parameters."""
        return hashlib.sha256(f"{self.kind}{self._params_text()}".encode()).hexdigest()[:16]

    def update(self, trades: Given) -> pl.DataFrame:
        """The bars that these trades end, in order; `etl.bars.schema` has the columns in and out.

        Args:
            trades: a frame of Polars or pandas, or a table of pyarrow, in the order of `trade_seq`, else of
                `timestamp`, then of rows. Times without a zone are UTC; what is finer than a us is cut off.

        Raises: InputUnreadable for trades that cannot be used, and for late ones if `late="raise"`.
        """
        frame = frame_of_trades(trades)
        if frame.is_empty():
            return no_bars()
        stream = stream_of(frame, self._stream)
        before = self.counters
        given = read(frame, first_number=before.n_trades + before.n_dup + before.n_late)
        verdict = self._gate.judge(given)
        batch = given if verdict.keep is None else given.rows(verdict.keep)
        n_late, on_time = len(verdict.late), self._punctual(batch)
        if n_late and self._late == "raise":
            _refuse_late(given, int(verdict.late[0]), n_late)
        if on_time is not None:
            n_untimely = int((~on_time).sum())
            if self._late == "raise":
                _refuse_late(batch, int(on_time.argmin()), n_untimely)
            n_late += n_untimely
            batch = batch.rows(on_time)
        done = self._fold(batch) if len(batch.ts) else _Folded(no_bars(), self._bar, 0)
        self._gate.remember(verdict)
        self._bar = done.bar
        self._bar_seq += len(done.bars)
        self._stream = stream
        self.counters = states.Counters(
            n_trades=before.n_trades + len(batch.ts),
            n_dup=before.n_dup + verdict.n_dup,
            n_late=before.n_late + n_late,
            n_ts_regress=before.n_ts_regress + done.n_ts_regress,
        )
        if len(batch.ts):
            self._passed(batch)
        return done.bars

    def flush(self, reason: str = "flush") -> pl.DataFrame:
        """The open bar, ended here and marked partial; no row if it is empty.

        Only for a declared end of data: between batches nothing is flushed, and a shutdown keeps `snapshot()`.
        """
        bars = self._ended(reason, is_cut=True)
        self._bar_seq += len(bars)
        self._bar = self._bar.emptied()
        return bars

    def peek(self) -> pl.DataFrame:
        """The open bar as it stands, marked partial, its reason "open"; no row if it is empty."""
        return self._ended("open", is_cut=True)

    def snapshot(self) -> states.State:
        """All that another builder needs to go on from here."""
        return self.State(
            kind=self.kind,
            params=self._params_text(),
            params_hash=self.params_hash(),
            bar_seq=self._bar_seq,
            price_scale=self._bar.price_scale,
            size_scale=self._bar.size_scale,
            open_bar=self._bar.saved(),
            last_us=self._last_us,
            stream=self._stream,
            memory=self._gate.memory(),
            counters=self.counters,
        )

    @abstractmethod
    def _stops(self, step: Step, bar: OpenBar) -> Int64s:
        """The rows after the last trades of the bars that end in this step, which goes on from `bar`."""

    def _labels(self, times: Int64s, reason: str) -> Labels:
        """What the kind says of bars with these times; here, that they last from first to last trade."""
        first, last = times[FIRST_US], times[LAST_US]
        return Labels(first, last, last, np.zeros(times.shape[1], dtype=np.bool_), reason, self._threshold())

    def _threshold(self) -> float | None:
        """The threshold in force, as a column shows it."""
        return None

    def _punctual(self, trades: Trades) -> npt.NDArray[np.bool_] | None:
        """Which trades the kind can still use; None: all."""
        return None

    def _passed(self, used: Trades) -> None:
        """Take note of trades that are in bars now; at least one."""
        self._last_us = int(used.ts[-1])

    def _ended(self, reason: str, *, is_cut: bool) -> pl.DataFrame:
        """The open bar as a frame; `is_cut`: ended before its time."""
        if not self._bar.is_open:
            return no_bars()
        table = self._bar.table()
        labels = self._labels(table.times, reason)
        if is_cut:
            labels = labels._replace(is_partial=np.ones(1, dtype=np.bool_))
        ids = pl.Series([self._bar.first_id]), pl.Series([self._bar.last_id])
        return frame_of(table, labels, ids=ids, bar_seq=self._bar_seq)

    def _fold(self, trades: Trades) -> _Folded:
        """What the trades come to. Changes nothing."""
        carried = bar = self._bar
        last_us, n_ts_regress = self._last_us if self._last_us is not None else _MIN, 0
        tables = []
        done = 0
        while done < len(trades.ts):
            step = step_of(trades, first_row=done, bar=bar)
            done += len(step.ts)
            bar = bar.rescaled(step.price_scale, step.size_scale)
            table, falls = self._accumulated(step, bar, last_us=last_us)
            n_ts_regress += falls
            last_us = int(step.ts[-1])
            bar = bar._replace(sums=table.sums[:, -1].tolist(), times=table.times[:, -1].tolist())
            if table.times.shape[1] > 1:
                tables.append(table._replace(sums=table.sums[:, :-1], times=table.times[:, :-1]))
        bars = no_bars()
        if tables:
            closed = joined(tables)
            labels = self._labels(closed.times, self.close_reason)
            ids = _first_and_last(trades.ids, closed.times, carried)
            bars = frame_of(closed, labels, ids=ids, bar_seq=self._bar_seq)
        return _Folded(bars, bar.named(trades.ids), n_ts_regress)

    def _accumulated(self, step: Step, bar: OpenBar, *, last_us: int) -> tuple[Table, int]:
        """(a step's bars, the last one left open; how many of its trades are stamped before the trade before them)."""
        stops = self._stops(step, bar)
        is_fast = not isinstance(step.price, list)
        sums = np.zeros((len(bar.sums), len(stops) + 1), dtype=np.int64 if is_fast else object)
        times = np.zeros((len(bar.times), len(stops) + 1), dtype=np.int64)
        sums[:, 0], times[:, 0] = bar.sums, bar.times
        ts_falls, _, _ = disorder(step.ts, last_us)
        known_falls, _, _ = disorder(step.known, _MIN)
        stamp(step.ts, not ts_falls, step.known, not known_falls, step.first_row, bar.is_open, stops, times)
        with_gap, told_by = marked(step.gap_rows, stops, reach_back=self.gap_reaches_back)
        times[GAP, with_gap] = 1
        np.maximum.at(times[KNOWN_US], with_gap, step.known[told_by])
        add = on(step.price, accumulate)
        add(step.price, step.size_hi, step.size_lo, step.side, stops if is_fast else stops.tolist(), sums)
        return Table(sums, times, step.price_scale, step.size_scale), ts_falls

    def _params_text(self) -> str:
        return msgspec.json.encode(self.params).decode()


def _refuse_late(trades: Trades, row: int, count: int) -> NoReturn:
    what = f"{count} trades came behind trades already used, the first in {{where}}"
    trades.refuse(row, what, hint="Sort the trades, or build from an earlier state")


def _first_and_last(ids: pl.Series, times: Int64s, carried: OpenBar) -> tuple[pl.Series, pl.Series]:
    """The ids of the bars' first and last trades; those of the bar carried in may lie in an earlier batch."""
    both = []
    for cell, carried_id in ((FIRST_ROW, carried.first_id), (LAST_ROW, carried.last_id)):
        rows = times[cell]
        found = ids[np.maximum(rows, 0)].cast(pl.String)
        if rows[0] == CARRIED:
            found = pl.concat([pl.Series(found.name, [carried_id]), found[1:]])
        both.append(found)
    return both[0], both[1]
