"""One trade at a time, in the order of operations of specification 2."""

import copy
from dataclasses import replace
from typing import Any

from tests.etl.bars.reference.gate import Gate
from tests.etl.bars.reference.row import row
from tests.etl.bars.reference.signs import Signs
from tests.etl.bars.reference.trade import Print, Trade


class Reference:
    """Any kind of bar; a kind says what it does with a trade (`take`), and what beside."""

    def __init__(self, *, on_gap: str = "mark", gap_reset_s: object = None) -> None:
        self.on_gap = on_gap
        self.gate = Gate()
        self.signs = Signs(gap_reset_s)
        self.bars: list[dict[str, Any]] = []
        self.held: list[Print] = []  # of the open bar
        self.last_us: int | None = None
        self.gap_owed = False  # a hole before a late trade is told by the next trade used
        self.n_trades = self.n_skipped = self.n_dup = self.n_late = self.n_ts_regress = 0

    def give(self, trade: Trade) -> None:
        verdict = self.gate.judge(trade)
        if verdict == "new" and not self.is_punctual(trade):
            verdict = "late"
        if verdict != "new":
            self.n_dup += verdict == "dup"
            self.n_late += verdict == "late"
            self.gap_owed |= verdict == "late" and trade.gap_before
            return
        if self.gap_owed:
            trade, self.gap_owed = replace(trade, gap_before=True), False
        sign, source = self.signs.of(trade, last_us=self.last_us)
        is_regress = self.last_us is not None and trade.us < self.last_us
        self.last_us = trade.us
        given = Print(trade, sign, source, is_regress)
        if self.on_gap == "close" and trade.gap_before:
            self._cut("gap", told_by=given)
        self.take(given)

    def flush(self, reason: str = "flush") -> None:
        self._cut(reason)

    def peek(self) -> dict[str, Any] | None:
        """The open bar; changes nothing."""
        if not self.held:
            return None
        twin = copy.deepcopy(self)
        twin._cut("open")
        return twin.bars[-1]

    def is_punctual(self, trade: Trade) -> bool:
        """Whether the kind can still use the trade."""
        return True

    def take(self, given: Print) -> None:
        """Hold the trade, and emit what it ends."""
        raise NotImplementedError

    def columns(self) -> dict[str, Any]:
        """What the kind says of the open bar beside what it holds."""
        return {}

    def closed(self, reason: str) -> None:
        """The open bar has been emitted, whole."""

    def before_cut(self) -> None:
        """A cut comes: flush, gap or end of view."""

    def after_cut(self) -> None:
        """The open bar has been emitted, cut, or there was none."""

    def hold(self, given: Print) -> None:
        self.held.append(given)
        self.n_trades += 1
        self.n_ts_regress += given.is_regress

    def skip(self, given: Print) -> None:
        """The trade is in no bar."""
        self.n_skipped += 1

    def _cut(self, reason: str, *, told_by: Print | None = None) -> None:
        self.before_cut()
        if self.held:
            self._append(reason, is_partial=True, told_by=told_by)
        self.after_cut()
        self.held = []

    def _emit(self, reason: str, *, is_partial: bool = False, told_by: Print | None = None) -> None:
        self._append(reason, is_partial=is_partial, told_by=told_by)
        self.closed(reason)
        self.held = []

    def _append(self, reason: str, *, is_partial: bool, told_by: Print | None) -> None:
        bar = row(self.held) | self.columns()
        bar |= {"bar_seq": len(self.bars), "close_reason": reason, "is_partial": is_partial}
        if told_by is not None:  # the end is known only when this trade is
            self.tell(bar, told_by)
        self.bars.append(bar)

    def tell(self, bar: dict[str, Any], told_by: Print) -> None:
        """Note in the bar that this later trade tells of its end."""
        bar["available_at"] = max(bar["available_at"], told_by.us)
        bar["known_at"] = max(bar["known_at"], told_by.known_us)
