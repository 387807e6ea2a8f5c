"""What capture says of its channels: counts of the feed itself, so that a row costs nothing more."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ingestion.channels import Pace
from ingestion.continuity import UNENDED_AFTER_US, Feed, Interruption
from shared.rows import Gap, L2Message, Row, Ticker, Trade


def trade(number: int, symbol: str = "BTC-USD") -> Trade:
    return Trade(symbol, 1, str(number), number, "buy", "BUY", 1.0, 1.0)


def open_gaps(rows: Sequence[Row]) -> int:
    """How many gaps are open by the latest word on each."""
    latest = {row.gap_id: row for row in rows if isinstance(row, Gap)}
    return sum(gap.status == "open" for gap in latest.values())


def test_rows_symbols_and_the_last_row_of_each_table() -> None:
    feed = Feed("native", "kraken", "e")
    feed.number([trade(1), trade(2), trade(1, "ETH-USD")], 1000)
    feed.number([L2Message("BTC-USD", 1, 1, True, ["bid", "ask"], [1.0, 2.0], [1.0, 1.0])], 2000)
    feed.expect("ticker", "BTC-USD")
    found = feed.channels()
    assert {table: (of.streams, of.rows, of.last_row_wall_ns) for table, of in found.items()} == {
        "trades": (2, 3, 1_000_000),
        "l2": (1, 2, 2_000_000),
        "ticker": (1, 0, 0),
    }


def test_symbols_wait_from_an_interruption_to_their_first_row() -> None:
    feed = Feed("native", "kraken", "e")
    feed.number([trade(1), Ticker("BTC-USD", 1, bid=1.0), Ticker("ETH-USD", 1, bid=1.0)], 1)
    feed.interrupt(Interruption("disconnect", 2, "closed"))
    assert {table: of.interrupted for table, of in feed.channels().items()} == {"trades": 1, "ticker": 2}
    feed.number([trade(2), Ticker("BTC-USD", 1, bid=1.0)], 3)
    interrupted = {table: of.interrupted for table, of in feed.channels().items()}
    assert (interrupted["trades"], interrupted["ticker"]) == (0, 1)


STEPS = st.lists(
    st.one_of(
        st.integers(1, 40).map(lambda number: ("trade", number)),
        st.just(("ticker", 0)),
        st.just(("interrupt", 0)),
        st.just(("wait", 0)),
    ),
    max_size=60,
)


@given(steps=STEPS, source=st.sampled_from([("native", "coinbaseadvanced"), ("ccxt", "okx")]))
def test_open_gaps_are_those_of_the_rows_that_were_written(
    steps: list[tuple[str, int]], source: tuple[str, str]
) -> None:
    feed, written, now_us = Feed(*source, "e"), list[Row](), 0
    for kind, number in steps:
        now_us += 1
        if kind == "interrupt":
            feed.interrupt(Interruption("disconnect", now_us, "closed"))
        elif kind == "wait":
            now_us += UNENDED_AFTER_US
            written += feed.unwritten(now_us)
        else:
            row = trade(number) if kind == "trade" else Ticker("BTC-USD", 1, bid=1.0)
            written += feed.number([row], now_us)[0]
        assert sum(of.gaps_open for of in feed.channels().values()) == open_gaps(written)


def test_the_pace_is_that_of_the_last_minute() -> None:
    pace = Pace()
    assert pace.rows_per_s("f", "trades") == 0.0
    for beat in range(101):
        rows = min(beat, 50) * 100  # nothing comes from 250 s on
        pace.look({("f", "trades"): rows}, now_s=beat * 5.0)
        if beat == 50:
            assert pace.rows_per_s("f", "trades") == 20.0
    assert pace.rows_per_s("f", "trades") == 0.0
    assert pace.rows_per_s("g", "trades") == 0.0
