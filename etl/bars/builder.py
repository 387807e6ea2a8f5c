"""What all bars share: trades go in by batches, the same bars come out however the batches are cut."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, TypedDict, Unpack

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from etl.bars import state as states
from etl.bars.calling import checked
from etl.bars.frame import Facts, Labels, Table, frame_of, joined, joined_facts
from etl.bars.given import Given, frame_of_trades, stream_of
from etl.bars.kernels import FIRST_US, GAP, KNOWN_US, LAST_US, TOLD_US
from etl.bars.open_bar import OpenBar, bar_of, ids_of
from etl.bars.order import Gate, Verdict, gaps_told
from etl.bars.schema import no_bars
from etl.bars.signs import Signed, saved, signed, signed_before
from etl.bars.steps import Cut, Step, accumulated, step_of
from etl.bars.threshold import seconds
from etl.bars.trades import Int64s, Trades, read

Late: TypeAlias = Literal["drop", "raise"]
OnGap: TypeAlias = Literal["mark", "close"]
DEDUP_WINDOW = 100_000
_MIN = -(2**63)
_DAY_US = 86_400_000_000


class BuilderOptions(TypedDict, total=False):
    """Parameters that every kind takes."""

    late: Late  # "raise" (default) refuses a batch with late trades, "drop" counts them and leaves them out
    dedup_window: int  # ids remembered where they are opaque
    on_gap: OnGap  # "mark" flags a bar that spans a gap, "close" ends the bar before it
    gap_reset_s: float | None  # a silence after which the tick rule begins anew
    state: states.State | None  # of a `snapshot`, to go on from


class _Fold(NamedTuple):
    bar: OpenBar
    progress: Any
    signs: Signed
    last_us: int
    n_ts_regress: int = 0
    n_skipped: int = 0


class Bars(ABC):
    """A builder of the bars of one stream. A kind says where bars end (`_cut`) and how they are labelled.

    All state comes in at construction and goes out by `snapshot`. A call that raises has changed nothing.
    """

    kind: ClassVar[str] = ""
    alias: ClassVar[str] = ""  # a short name in use
    State: ClassVar[type[states.State]] = states.State
    gap_reaches_back: ClassVar[bool] = False  # a gap before the trade that follows a bar flags that bar too
    by_day: bool = False  # no step crosses midnight UTC
    _no_bars = staticmethod(no_bars)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = checked(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, params: Mapping[str, str], **options: Unpack[BuilderOptions]) -> None:
        late, dedup_window = options.get("late", "raise"), options.get("dedup_window", DEDUP_WINDOW)
        on_gap, reset_s = options.get("on_gap", "mark"), options.get("gap_reset_s")
        if late not in ("drop", "raise"):
            raise ValueError(f"late must be 'drop' or 'raise', was {late!r}")
        if dedup_window < 1:
            raise ValueError(f"dedup_window must be at least 1, was {dedup_window}")
        if on_gap not in ("mark", "close"):
            raise ValueError(f"on_gap must be 'mark' or 'close', was {on_gap!r}")
        reset_s = None if reset_s is None else seconds(reset_s, "gap_reset_s")
        self._late, self._closes_on_gap = late, on_gap == "close"
        self._reset_us = round(reset_s * 1e6) if reset_s else None
        own: dict[str, str] = {"on_gap": on_gap} if on_gap != "mark" else {}
        own |= {"gap_reset_s": repr(reset_s)} if reset_s else {}
        self.params = dict(sorted({**params, **own}.items()))
        begun, state = self._begun(), options.get("state")
        state = begun if state is None else states.checked(state, begun)
        self.counters = state.counters
        self._bar_seq = state.bar_seq
        self._bar = bar_of(state)
        self._gate = Gate(state.memory, dedup_window=dedup_window)
        self._last_us = state.last_us
        self._stream, self._gap_owed = state.stream, state.gap_owed
        self._signs = signed_before(state.signs, state.price_scale)
        self._progress: Any = getattr(state, "progress", None)

    @property
    def label(self) -> str:
        """The parameters in short, as bar sets are named."""
        return "-".join(self.params.values())

    def params_hash(self) -> str:
        """A text that differs between kinds of bars and between their parameters."""
        return hashlib.sha256(f"{self.kind}{self._params_text()}".encode()).hexdigest()[:16]

    def update(self, trades: Given) -> pl.DataFrame:
        """The bars that these trades end, in order; `etl.bars.schema` has the columns in and out.

        Args:
            trades: a frame of Polars or pandas, or a table of pyarrow, in the order of `trade_seq`, else of
                `timestamp`, then of rows. Times without a zone are UTC; what is finer than a us is cut off.

        Raises: InputUnreadable for trades that cannot be used, and for late ones but with `late="drop"`.
        """
        frame = frame_of_trades(trades)
        if frame.is_empty():
            return self._no_bars()
        stream = stream_of(frame, self._stream)
        before = self.counters
        given = read(frame, first_number=before.n_trades + before.n_dup + before.n_late + before.n_skipped)
        verdict = self._gate.judge(given)
        batch, n_late, gap_owed = self._let_in(given, verdict)
        bars, done = self._fold(batch) if len(batch.ts) else (self._no_bars(), self._standing())
        self._gate.remember(verdict)
        self._bar, self._progress, self._signs = done.bar, done.progress, done.signs
        self._bar_seq += len(bars)
        self._stream, self._gap_owed = stream, gap_owed
        self.counters = states.Counters(
            n_trades=before.n_trades + len(batch.ts) - done.n_skipped,
            n_dup=before.n_dup + verdict.n_dup,
            n_late=before.n_late + n_late,
            n_ts_regress=before.n_ts_regress + done.n_ts_regress,
            n_skipped=before.n_skipped + done.n_skipped,
        )
        if len(batch.ts):
            self._last_us = done.last_us
        return bars

    def flush(self, reason: str = "flush") -> pl.DataFrame:
        """The open bar, ended here and marked partial; no row if it is empty.

        Only for a declared end of data: between batches nothing is flushed, and a shutdown keeps `snapshot()`.
        """
        bars = self._ended(reason)
        self._progress = self._interrupted(self._progress, self._bar)
        self._bar_seq += len(bars)
        self._bar = self._bar.emptied()
        return bars

    def peek(self) -> pl.DataFrame:
        """The open bar as it stands, marked partial, its reason "open"; no row if it is empty."""
        return self._ended("open")

    def snapshot(self) -> states.State:
        """All that another builder needs to go on from here."""
        progress = {} if self._progress is None else {"progress": self._progress}
        return self.State(
            kind=self.kind,
            params=self._params_text(),
            params_hash=self.params_hash(),
            bar_seq=self._bar_seq,
            price_scale=self._bar.price_scale,
            size_scale=self._bar.size_scale,
            open_bar=self._bar.saved(),
            last_us=self._last_us,
            gap_owed=self._gap_owed,
            stream=self._stream,
            signs=saved(self._signs, self._bar.price_scale),
            memory=self._gate.memory(),
            counters=self.counters,
            **progress,
        )

    @abstractmethod
    def _cut(self, step: Step, bar: OpenBar, progress: Any) -> Cut:
        """What the kind says of a step, which goes on from `bar` and `progress`."""

    def _open_facts(self, progress: Any, bar: OpenBar) -> Facts:
        """What the kind says of the open bar."""
        return {}

    def _interrupted(self, progress: Any, bar: OpenBar) -> Any:
        """The progress once the open bar was ended before its time."""
        return progress

    def _begun(self) -> states.State:
        """The state before the first trade."""
        return self.State(kind=self.kind, params=self._params_text(), params_hash=self.params_hash())

    def _labels(self, times: Int64s) -> Labels:
        """When bars with these times begin and end; here, at the first and the last trade."""
        first, last = times[FIRST_US], times[LAST_US]
        return Labels(first, last, np.maximum(last, times[TOLD_US]))

    def _punctual(self, trades: Trades) -> npt.NDArray[np.bool_] | None:
        """Which trades the kind can still use; None: all."""
        return None

    def _let_in(self, given: Trades, verdict: Verdict) -> tuple[Trades, int, bool]:
        """(the trades to use, how many came late, whether a hole lies before the next trade to come)."""
        batch = given if verdict.keep is None else given.rows(verdict.keep)
        on_time, late = self._punctual(batch), verdict.late
        if self._late == "raise" and len(late):
            given.refuse_late(int(late[0]), len(late))
        if self._late == "raise" and on_time is not None:
            batch.refuse_late(int(on_time.argmin()), int((~on_time).sum()))
        if on_time is None and not len(late) and not self._gap_owed:
            return batch, 0, False
        kept = np.arange(len(given.ts)) if verdict.keep is None else np.flatnonzero(verdict.keep)
        if on_time is not None:
            batch = batch.rows(on_time)
            late, kept = np.union1d(late, kept[~on_time]), kept[on_time]
        gap_rows, gap_owed = gaps_told(given.gap_rows, kept, late, is_owed=self._gap_owed)
        return batch._replace(gap_rows=np.union1d(batch.gap_rows, gap_rows)), len(late), gap_owed

    def _standing(self) -> _Fold:
        last_us = _MIN if self._last_us is None else self._last_us
        return _Fold(self._bar, self._progress, self._signs, last_us)

    def _ended(self, reason: str) -> pl.DataFrame:
        """The open bar as a frame, ended before its time."""
        if not self._bar.is_open:
            return self._no_bars()
        ids = pl.Series([self._bar.first_id]), pl.Series([self._bar.last_id])
        return self._framed(self._bar.table(), self._cut_short(reason, self._progress, self._bar), ids)

    def _cut_short(self, reason: str, progress: Any, bar: OpenBar) -> Facts:
        own = self._open_facts(progress, bar)
        return {**own, "close_reason": pl.Series([reason]), "is_partial": np.ones(1, dtype=np.bool_)}

    def _fold(self, trades: Trades) -> tuple[pl.DataFrame, _Fold]:
        """(the bars that the trades end, where that leads). Changes nothing."""
        at, done = self._standing(), 0
        tables: list[Table] = []
        facts: list[Facts] = []
        for stop in self._borders(trades):
            if self._closes_on_gap and done in trades.gap_rows:
                if at.bar.is_open:
                    tables.append(self._gap_closed(at.bar, int(trades.ts[done]), int(trades.known[done])))
                    facts.append(self._cut_short("gap", at.progress, at.bar))
                at = at._replace(bar=at.bar.emptied(), progress=self._interrupted(at.progress, at.bar))
            while done < stop:
                step = step_of(trades, first_row=done, stop_row=stop, bar=at.bar)
                table, cut, at = self._stepped(step, at)
                done += len(step.ts)
                if table.times.shape[1] > 1:
                    tables.append(table._replace(sums=table.sums[:, :-1], times=table.times[:, :-1]))
                    facts.append(cut.facts)
        bars = self._no_bars()
        if tables:
            closed = joined(tables)
            bars = self._framed(closed, joined_facts(facts), ids_of(trades.ids, closed.times, self._bar))
        return bars, at._replace(bar=at.bar.named(trades.ids))

    def _framed(self, table: Table, facts: Facts, ids: tuple[pl.Series, pl.Series]) -> pl.DataFrame:
        return frame_of(table, self._labels(table.times), facts, ids=ids, bar_seq=self._bar_seq)

    def _stepped(self, step: Step, at: _Fold) -> tuple[Table, Cut, _Fold]:
        """(a step's bars, the last one left open; what the kind says of them; where it leads)."""
        bar = at.bar.rescaled(step.price_scale, step.size_scale)
        price = at.signs.last_price * 10 ** (step.price_scale - at.bar.price_scale)
        signs = signed(
            step.side, step.price, step.ts,
            before=at.signs._replace(last_price=price), last_us=at.last_us, reset_us=self._reset_us,
        )  # fmt: skip
        step = step._replace(sign=signs.sign if step.is_fast else signs.sign.tolist())
        cut = self._cut(step, bar, at.progress)
        if cut.is_skipped:
            table, falls = bar.table(), 0
        else:
            reach_back = self.gap_reaches_back
            table, falls = accumulated(step, bar, cut, source=signs.source, last_us=at.last_us, reach_back=reach_back)
            bar = bar._replace(sums=table.sums[:, -1].tolist(), times=table.times[:, -1].tolist())
        n_skipped = at.n_skipped + cut.is_skipped * len(step.ts)
        return table, cut, _Fold(bar, cut.progress, signs, int(step.ts[-1]), at.n_ts_regress + falls, n_skipped)

    def _borders(self, trades: Trades) -> list[int]:
        """The rows before which a step has to end, and the number of rows."""
        borders = {len(trades.ts)}
        if self._closes_on_gap:
            borders.update(trades.gap_rows.tolist())
        if self.by_day:
            days = np.maximum.accumulate(trades.ts) // _DAY_US
            borders.update((np.flatnonzero(np.diff(days)) + 1).tolist())
        return sorted(borders)

    def _gap_closed(self, bar: OpenBar, us: int, known_us: int) -> Table:
        """The open bar, ended by a trade of this moment behind a gap."""
        table = bar.table()
        table.times[TOLD_US] = us
        table.times[KNOWN_US] = np.maximum(table.times[KNOWN_US], known_us)
        if self.gap_reaches_back:
            table.times[GAP] = 1
        return table

    def _params_text(self) -> str:
        return msgspec.json.encode(self.params).decode()
