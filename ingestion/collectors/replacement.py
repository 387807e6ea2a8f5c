"""`Replacement`: two connections of one shard, until the new one has everything or one of them ends."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Literal, TypeAlias

from ingestion.collectors.base_collector import SessionEnd
from ingestion.collectors.connection import Connection
from ingestion.collectors.frame_record import note
from ingestion.exchanges.protocol import Subscription
from ingestion.handover import Handover
from ingestion.inlet import Inlet
from shared.rows import Row

OVERLAP_S = 1.0  # both are read for so long after the new one has everything, for what is on its way on the old one
QUIET_S = 10.0  # a confirmed connection that brings no row for so long carries a quiet market
HELD_S_MAX = 10.0  # trades wait no longer for the old connection
HANDOVER_S_MAX = 60.0
_LOOK_S = 0.05
_BOOKS = frozenset({"l2", "orderbook"})
Outcome: TypeAlias = Literal["replaced", "old ended", "new ended"]


class Replacement:
    """Make before break. Rows of both pass the handover while it lasts."""

    def __init__(
        self, old: Connection, new: Connection, *, inlet: Inlet, wanted: Callable[[], Collection[Subscription]]
    ) -> None:
        self.old, self.new = old, new
        self._inlet, self._wanted = inlet, wanted
        self.handover = Handover(self._next_trade)
        old.sift, new.sift = self._old_rows, self.handover.new
        old.stored = new.stored = self._release
        note(new.session, "replaces", number=old.number)

    async def run(self, old_task: "asyncio.Task[SessionEnd]", new_task: "asyncio.Task[SessionEnd]") -> Outcome:
        """Read both until it is decided; call `finish` then. The old one is closed where it was replaced."""
        began_s, ready_s = self.new.now_s, None
        while True:
            await asyncio.wait({old_task, new_task}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            now_s = self.new.now_s
            if new_task.done():
                return "new ended"
            if old_task.done():
                return "old ended"
            if not self._is_ready(now_s):
                if now_s - began_s > HANDOVER_S_MAX:
                    self.new.end(SessionEnd("disconnect", f"not ready within {HANDOVER_S_MAX:.0f} s"))
                ready_s = None
                continue
            ready_s = ready_s or now_s
            waited_s = now_s - ready_s
            if waited_s >= OVERLAP_S and (not self.handover.held_count or waited_s >= HELD_S_MAX):
                await self.old.close()
                await old_task
                return "replaced"

    def finish(self) -> None:
        """Let each connection's rows pass as they come again."""
        for each in (self.old, self.new):
            each.sift = each.stored = None
        self._release(everything=True)
        note(self.new.session, "replaced", number=self.old.number)
        self._inlet.statistics.superseded_rows += self.handover.superseded

    def _is_ready(self, now_s: float) -> bool:
        """Whether the new connection has all that the old one has: every confirmation, every book, and rows."""
        old, new = self.old, self.new
        if new.opened_ns is None or not new.has_asked:
            return False
        given_up = old.session.unconfirmed | old.confirmations.refused | new.confirmations.reported
        if new.session.unconfirmed - given_up:
            return False
        books = {(each.table, each.symbol) for each in self._wanted() if each.table in _BOOKS and each not in given_up}
        return books <= self.handover.switched and (new.rows > 0 or now_s - new.opened_ns / 1e9 > QUIET_S)

    def _old_rows(self, rows: Sequence[Row], _wall_ns: int, _mono_ns: int) -> Sequence[Row]:
        return self.handover.old(rows)

    def _next_trade(self, symbol: str) -> int | None:
        last = self._inlet.standing("trades", symbol).trade_seq
        return None if last is None else last + 1

    def _release(self, *, everything: bool = False) -> None:
        for row, wall_ns, mono_ns in self.handover.released(everything=everything):
            self._inlet.take([row], wall_ns, mono_ns, 0, frames=0)
