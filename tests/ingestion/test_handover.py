"""Two connections that bring one market: each trade is kept, in an order without a false hole; a book changes once."""

from hypothesis import given
from hypothesis import strategies as st

from ingestion.continuity import Feed
from ingestion.handover import Handover
from shared.rows import Gap, L2Message, Reject, Row, Ticker, Trade

SYMBOL = "BTC-USD"


def trade(number: int) -> Trade:
    return Trade(SYMBOL, 1, str(number), number, "buy", "BUY", 1.0, 1.0)


def message(number: int, *, is_snapshot: bool = False) -> L2Message:
    return L2Message(SYMBOL, 1, number, is_snapshot, ["bid"], [1.0], [1.0], number)


class Store:
    """What a feed has been given, with the gaps that it wrote."""

    def __init__(self, exchange: str = "kraken") -> None:
        self.feed, self.rows = Feed("native", exchange, "20260101T000000Z-0000"), list[Row]()
        self.handover = Handover(self.next_trade)

    def next_trade(self, symbol: str) -> int | None:
        last = self.feed.standing("trades", symbol).trade_seq
        return None if last is None else last + 1

    def take(self, rows: list[Row] | tuple[Row, ...]) -> None:
        self.rows += self.feed.number(list(rows), 1)[0]

    def old(self, *rows: Row) -> None:
        self.take(list(self.handover.old(rows)))
        self.release()

    def new(self, *rows: Row) -> None:
        self.take(list(self.handover.new(rows, 1, 1)))
        self.release()

    def release(self, *, everything: bool = False) -> None:
        for held in self.handover.released(everything=everything):
            self.take([held.row])


@given(data=st.data(), start=st.integers(1, 40), seen=st.integers(0, 30))
def test_every_trade_of_two_connections_is_stored_and_no_hole_is_declared(
    data: st.DataObject, start: int, seen: int
) -> None:
    """The new connection begins at `start`, the old one is closed after it brought that and more."""
    total, store = 60, Store()
    store.take([trade(0)])
    olds, news = list(range(1, total)), list(range(start, total))
    for _ in range(seen):
        store.old(trade(olds.pop(0)))
    while olds and (olds[0] <= start or data.draw(st.booleans())):
        if news and data.draw(st.booleans()):
            store.new(*map(trade, news[:3]))
            del news[:3]
        else:
            store.old(trade(olds.pop(0)))
    store.release(everything=True)
    while news:
        store.new(trade(news.pop(0)))
    assert not [row for row in store.rows if isinstance(row, Gap)]
    stored = [row.trade_seq for row in store.rows if isinstance(row, Trade)]
    assert set(stored) >= set(range(start))
    reached = max(number for number in stored if number is not None)
    assert set(stored) == set(range(reached + 1))
    assert store.handover.held_count == 0


def test_a_book_changes_over_at_the_new_connections_snapshot() -> None:
    store = Store()
    store.old(message(1, is_snapshot=True), message(2))
    store.new(message(101))  # before its snapshot: the old one still has the book
    store.old(message(3))
    store.new(message(102, is_snapshot=True), message(103))
    store.old(message(4))
    store.new(message(104))
    assert [row.msg_seq for row in store.rows if isinstance(row, L2Message)] == [1, 2, 3, 102, 103, 104]
    assert store.handover.superseded == 2


def test_other_tables_change_over_at_the_first_row_and_rejects_are_kept() -> None:
    store, reject = Store(), Reject(SYMBOL, None, "ticker", "bad", "x")
    store.old(Ticker(SYMBOL, 1, bid=1.0))
    store.new(Ticker(SYMBOL, 1, bid=2.0))
    store.old(Ticker(SYMBOL, 1, bid=3.0), reject)
    assert [row.bid for row in store.rows if isinstance(row, Ticker)] == [1.0, 2.0]
    assert reject in store.rows


def test_trades_whose_ids_prove_nothing_never_wait() -> None:
    store = Store("gateio")
    store.old(trade(1))
    store.new(trade(9), trade(4))
    assert [row.trade_seq for row in store.rows if isinstance(row, Trade)] == [1, 9, 4]
