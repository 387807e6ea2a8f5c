"""What rows prove about what is missing: times, ids and rejects of a contiguous stream."""

from collections.abc import Sequence

from ingestion.continuity import UNENDED_AFTER_US, Feed, Interruption
from ingestion.lifecycle import REJECT_GROUPS_MAX
from shared.rows import GAP_CAUSES, LIFECYCLE_CAUSES, Gap, Reject, Row, Ticker
from tests.ingestion.writers.lake_rows import trade


def gaps(rows: Sequence[Row]) -> list[Gap]:
    return [row for row in rows if isinstance(row, Gap)]


def feed() -> Feed:
    return Feed("native", "coinbaseadvanced", "e")


def reject(number: str) -> Reject:
    return Reject("BTC-USD", None, "trades", "bad price", "{}", row_id=number)


def numbered(feed: Feed, rows: list[Row], at_us: int) -> list[Gap]:
    return gaps(feed.number(rows, at_us)[0])


def test_a_gap_of_trades_lasts_from_the_last_one_before_to_the_first_one_after() -> None:
    one = feed()
    numbered(one, [trade(1), trade(1, "ETH-USD")], 1000)
    (jump,) = numbered(one, [trade(5)], 9000)
    assert (jump.start_ts, jump.end_ts, jump.rows_lost) == (1000, 9000, 3)
    numbered(one, [trade(6)], 10_000)
    one.interrupt(Interruption("disconnect", 15_000, "x"))
    (lost,) = numbered(one, [trade(9)], 60_000)
    assert (lost.start_ts, lost.end_ts, lost.rows_lost) == (10_000, 60_000, 2)


def test_ids_that_ccxt_joins_prove_no_loss() -> None:
    """OKX's channel behind ccxt joins fills under the last one's id; the native one has them all."""
    for source, gap_count in (("ccxt", 0), ("native", 1)):
        one = Feed(source, "okx", "e")
        numbered(one, [trade(1)], 1000)
        assert len(numbered(one, [trade(4)], 2000)) == gap_count


def test_a_reject_is_not_missing_and_hides_nothing() -> None:
    one = feed()
    numbered(one, [trade(5)], 1)
    (gap,) = numbered(one, [reject("7")], 2)
    assert (gap.channel, gap.prev_id, gap.next_id, gap.rows_lost) == ("trades", "5", "7", 1)
    assert numbered(one, [trade(8)], 3) == []


def test_a_late_trade_that_is_a_reject_fills_its_gap() -> None:
    one = feed()
    numbered(one, [trade(5)], 1)
    numbered(one, [trade(7)], 2)
    (revised,) = numbered(one, [reject("6")], 3)
    assert (revised.revision, revised.status) == (1, "filled")


def test_a_reject_with_no_number_says_nothing_of_ids() -> None:
    one = feed()
    numbered(one, [trade(5)], 1)
    for number in ("abc", "9" * 20, "-1"):
        assert numbered(one, [reject(number)], 2) == []
    assert numbered(one, [trade(6)], 3) == []


def ticker(symbol: str = "BTC-USD") -> Ticker:
    return Ticker(symbol, 1, bid=1.0)


def interruption(at_us: int, cause: str = "disconnect") -> Interruption:
    return Interruption(cause, at_us, "closed")


def test_a_gap_names_our_numbers_around_the_hole() -> None:
    one = feed()
    numbered(one, [trade(1), trade(2), ticker()], 1)
    one.interrupt(interruption(2))
    (of_trades,) = numbered(one, [trade(5)], 3)
    assert (of_trades.prev_seq, of_trades.next_seq) == (1, 2)
    (of_ticker,) = numbered(one, [ticker()], 3)
    assert (of_ticker.prev_seq, of_ticker.next_seq) == (0, 1)


def test_a_hole_that_nothing_ends_is_written_once_and_ended_by_a_revision() -> None:
    one = feed()
    numbered(one, [trade(5), ticker(), ticker("ETH-USD")], 1000)
    one.interrupt(interruption(2000), symbols=["BTC-USD"])
    assert one.unwritten(2000 + UNENDED_AFTER_US - 1) == []
    written = gaps(one.unwritten(2000 + UNENDED_AFTER_US))
    assert {(gap.symbol, gap.channel, gap.status) for gap in written} == {
        ("BTC-USD", "trades", "open"),
        ("BTC-USD", "ticker", "open"),
    }
    assert all((gap.start_ts, gap.end_ts, gap.rows_lost, gap.revision) == (1000, None, None, 0) for gap in written)
    assert one.unwritten(10**12, everything=True) == []
    (ended,) = numbered(one, [trade(9)], 70_000_000)
    (open_one,) = (gap for gap in written if gap.channel == "trades")
    assert (ended.gap_id, ended.revision, ended.status) == (open_one.gap_id, 1, "open")
    assert (ended.prev_id, ended.next_id, ended.rows_lost, ended.end_ts) == ("5", "9", 3, 70_000_000)
    (filled,) = numbered(one, [ticker()], 70_000_000)
    assert (filled.revision, filled.rows_lost) == (1, None)
    (narrowed, rest) = numbered(one, [trade(7)], 70_000_001)
    assert (narrowed.gap_id, narrowed.revision, rest.revision) == (ended.gap_id, 2, 0)


def test_a_hole_is_written_at_the_end_of_a_run_however_young() -> None:
    one = feed()
    numbered(one, [trade(5)], 1000)
    one.interrupt(interruption(2000))
    (gap,) = gaps(one.unwritten(2001, everything=True))
    assert (gap.prev_id, gap.next_id, gap.prev_seq, gap.next_seq) == ("5", None, 0, None)


def test_rejects_are_summed_per_stream_and_minute() -> None:
    one = feed()
    for at_s in range(90):
        one.number([reject(f"x{at_s}")], at_s * 1_000_000)
        if at_s == 30:
            one.number([Reject("ETH-USD", None, "ticker", "no bid", "{}")], at_s * 1_000_000)
    minute = gaps(one.unwritten(61_000_000))
    assert [(gap.symbol, gap.channel, gap.cause, gap.status, gap.rows_lost) for gap in minute] == [
        ("BTC-USD", "trades", "reject", "filled", 0)
    ]
    assert (minute[0].evidence or "").startswith("90 rows kept in rejects, the first because: bad price")
    (rest,) = gaps(one.unwritten(61_000_000, everything=True))
    assert (rest.symbol, rest.evidence) == ("ETH-USD", "1 row kept in rejects, the first because: no bid")
    assert minute[0].gap_id != rest.gap_id


def test_rejects_of_endlessly_many_symbols_take_bounded_memory() -> None:
    one = feed()
    for number in range(REJECT_GROUPS_MAX + 50):
        one.number([Reject(f"S{number}", None, "trades", "bad", "{}")], 1)
    summed = gaps(one.unwritten(1, everything=True))
    assert len(summed) == REJECT_GROUPS_MAX + 1
    assert (summed[-1].symbol, summed[-1].evidence) == ("all", "50 rows kept in rejects, the first because: bad")


def test_every_cause_is_known_and_those_that_lose_nothing_are_told_by_events() -> None:
    assert set(GAP_CAUSES) >= LIFECYCLE_CAUSES
    for cause in LIFECYCLE_CAUSES:
        row = feed().event(cause, "x", at_us=5)
        assert (row.status, row.rows_lost, row.symbol, row.channel) == ("filled", 0, "all", "all")
