"""Features from the specification alone: the whole past anew at every row, in exact fractions, without any state."""

from collections.abc import Sequence

from tests.etl.features.reference.book_bars import bar_rows
from tests.etl.features.reference.books import Message, Snapshot, kept_books
from tests.etl.features.reference.emission import Row, rows_of, since_valid
from tests.etl.features.reference.integrated import Integrated
from tests.etl.features.reference.kyle_vpin import Vpin, kyle
from tests.etl.features.reference.motion_flow import motion, orderflow, tradeflow
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.signs import Trade, signed
from tests.etl.features.reference.static import DUMMY, structural
from tests.etl.features.reference.trades import trade_rows
from tests.etl.features.reference.windows import facts_of, regime, rolling

__all__ = ["Message", "Options", "Snapshot", "Trade", "bar_rows", "book_rows", "kept_books", "trade_rows"]

Columns = dict[str, object]


def book_rows(
    events: Sequence[Snapshot | Message],
    trades: Sequence[tuple[int, float, float, int | None]],
    options: Options,
) -> list[Columns]:
    """The rows of the silver table `orderbook` at the declared end of the events; times are int ns."""
    books, _ = kept_books(events, options)
    rows = rows_of(books, options)
    prints = signed(trades)
    valid = [row for row in rows if row.is_valid]
    nothing = rows_of([DUMMY], options)[0]
    facts = {row: facts_of(row, prints, options) for row in [*valid, nothing]}
    integrated, vpin = Integrated(valid, options), Vpin(prints, options)
    source = "snapshot" if events and isinstance(events[0], Snapshot) else "event"

    def dynamic(row: Row) -> Columns:
        return {
            **motion(row),
            **orderflow(row, options),
            "ofi_integrated": integrated.column(row),
            **tradeflow(row, prints),
            **regime(row, options),
            **kyle(row, facts, prints, options),
            **vpin.columns(row),
            **rolling(row, facts, options),
        }

    blank = dict.fromkeys(dynamic(nothing))
    known_ns = 0
    table = []
    for row in rows:
        arrived = [trade.t_ns for trade in prints if row.is_valid and trade.t_ns <= row.t_ns]
        known_ns = max(known_ns, *(book.known_ns for book in row.books), *arrived)
        table.append(
            {
                **facts_columns(row, source),
                "known_at": known_ns,
                **structural(row.book, options),
                **(dynamic(row) if row.is_valid else blank),
            }
        )
    return table


def facts_columns(row: Row, source: str) -> Columns:
    return {
        "timestamp": row.t_ns,
        "book_ts": row.book.t_ns,
        "is_reset": row.is_reset,
        "is_locked": row.book.is_locked,
        "is_crossed": row.book.is_crossed,
        "is_one_sided": row.book.is_one_sided,
        "has_gap": any(book.gap_before for book in since_valid(row)),
        "levels_bid": len(row.book.bids),
        "levels_ask": len(row.book.asks),
        "n_updates": len(row.steps),
        "n_crossed": sum(book.is_crossed for book in row.books),
        "ofi_source": source,
    }
