"""What rows prove about what is missing: times, ids and rejects of a contiguous stream."""

from collections.abc import Sequence

from ingestion.continuity import Feed, Interruption
from shared.rows import Gap, Reject, Row
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
