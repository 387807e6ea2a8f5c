"""What the same tests run over: an implementation turns events and trades into the tables' rows, null as none."""

from collections.abc import Sequence
from typing import Any, Protocol

from tests.etl.features import reference
from tests.etl.features.kernels import Kernels
from tests.etl.features.reference import Message, Options, Snapshot

Rows = list[dict[str, Any]]
Trades = Sequence[tuple[int, float, float, int | None]]


class Implementation(Protocol):
    """Options are given by name; what is not given has its default."""

    def book_rows(self, events: Sequence[Snapshot | Message], trades: Trades, options: dict[str, Any]) -> Rows: ...
    def trade_rows(self, trades: Trades, options: dict[str, Any]) -> Rows: ...
    def bar_rows(self, rows: Sequence[dict[str, Any]], duration_s: int, options: dict[str, Any]) -> Rows: ...


class Reference:
    """The slow one, from the specification alone."""

    def book_rows(self, events: Sequence[Snapshot | Message], trades: Trades, options: dict[str, Any]) -> Rows:
        return reference.book_rows(events, trades, Options(**options))

    def trade_rows(self, trades: Trades, options: dict[str, Any]) -> Rows:
        return reference.trade_rows(trades, Options(**options))

    def bar_rows(self, rows: Sequence[dict[str, Any]], duration_s: int, options: dict[str, Any]) -> Rows:
        return reference.bar_rows(rows, duration_s, Options(**options))


IMPLEMENTATIONS: dict[str, Implementation] = {"reference": Reference(), "kernels": Kernels()}
