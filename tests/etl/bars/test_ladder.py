"""Candles merged from finer ones are those built from the trades, in every column and at the same trade."""

from decimal import Decimal
from typing import Any, Literal

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.bars.candles import CANDLE_SCHEMA, TradeCandles
from etl.bars.ladder import LADDER, CandleLadder, rungs
from etl.bars.merging import CandleState, MergedCandles
from shared.errors import InputUnreadable, StateMismatch
from tests.etl.bars.reference import Trade
from tests.etl.bars.trades_made import LONG_NUMBERS, NUMBERS, frame, golden

SECOND, MINUTE, DAY = 1_000_000, 60_000_000, 86_400_000_000
SOME = ("1m", "5m", "15m", "1h", "1d", "1w", "1mo")


@st.composite
def tapes(draw: st.DrawFn) -> list[list[Trade]]:
    """Batches of one stream whose times never go back, as those of silver do not; an empty one means a flush."""
    us = draw(st.sampled_from([0, 4 * DAY, 5 * DAY - SECOND, 5 * DAY + 63 * SECOND, 20_000 * DAY + 1]))
    batches: list[list[Trade]] = []
    number = 0
    for size in draw(st.lists(st.sampled_from([0, 1, 1, 2, 7]), max_size=9)):
        batch = []
        for _ in range(size):
            us += draw(st.sampled_from([0, 1, SECOND, SECOND, 59 * SECOND, 7 * MINUTE, 61 * MINUTE, 6 * DAY]))
            us = draw(st.sampled_from([us, us, us, us, us + (-us) % MINUTE, us + (-us) % DAY]))
            number += 1
            batch.append(
                Trade(
                    f"t{number}",
                    us,
                    draw(st.one_of(NUMBERS, LONG_NUMBERS)),
                    draw(NUMBERS),
                    draw(st.sampled_from(["buy", "sell", None])),
                    trade_seq=number,
                    known_us=draw(st.sampled_from([None, us + 35_000, us + 2 * DAY])),
                    gap_before=draw(st.integers(0, 5)) == 0,
                )
            )
        batches.append(batch)
    return batches


def of_interval(candles: pl.DataFrame, interval: str) -> list[dict[str, Any]]:
    return candles.filter(interval=interval).to_dicts()


def carried_on(ladder: CandleLadder) -> CandleLadder:
    """The ladder after its states went through a checkpoint."""
    states = {}
    for interval, state in ladder.snapshot().items():
        states[interval] = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state))
    return CandleLadder(list(states), states=states)


@settings(deadline=None)
@given(tapes(), st.lists(st.sampled_from(SOME), min_size=1, unique=True), st.booleans())
def test_every_rung_is_what_the_trades_make_at_every_moment(
    tape: list[list[Trade]], intervals: list[str], restarts: bool
) -> None:
    ladder = CandleLadder(intervals)
    direct = {interval: TradeCandles(interval=interval) for interval in intervals}
    for batch in [*tape, []]:
        trades = frame(batch)
        out = ladder.update(trades) if batch else ladder.flush()
        open_now = ladder.peek()
        for interval, candles in direct.items():
            expected = candles.update(trades) if batch else candles.flush()
            assert of_interval(out, interval) == expected.to_dicts()
            assert of_interval(open_now, interval) == candles.peek().to_dicts()
        if restarts:
            ladder = carried_on(ladder)


@settings(deadline=None)
@given(tapes(), st.data(), st.sampled_from(["mark", "close"]))
def test_stored_candles_merge_however_they_are_cut(
    tape: list[list[Trade]], data: st.DataObject, on_gap: Literal["mark", "close"]
) -> None:
    """Also where data had been declared ended and went on, or where a gap ended a candle."""
    minutes, hours = TradeCandles(interval="1m", on_gap=on_gap), TradeCandles(interval="1h", on_gap=on_gap)
    stored, expected = (
        pl.concat([bars.update(frame(batch)) if batch else bars.flush() for batch in [*tape, []]])
        for bars in (minutes, hours)
    )
    merged = MergedCandles(interval="1h")
    out = [CANDLE_SCHEMA.to_frame()]
    while stored.height:
        size = data.draw(st.integers(1, stored.height))
        out.append(merged.update(stored.head(size)))
        stored = stored.tail(stored.height - size)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(merged.snapshot()), type=CandleState)
        merged = MergedCandles(interval="1h", state=state)
    assert pl.concat([*out, merged.flush()]).to_dicts() == expected.to_dicts()


def golden_minutes() -> pl.DataFrame:
    return build(golden(), "1m")


def build(trades: list[Trade], interval: str) -> pl.DataFrame:
    candles = TradeCandles(interval=interval)
    return pl.concat([candles.update(frame(trades)), candles.flush()])


def test_the_twenty_trades_of_the_specification_in_five_minutes() -> None:
    """By hand: nineteen trades before 300 s, one behind."""
    candles = MergedCandles(interval="5m").update(golden_minutes())
    first, second = candles.to_dicts()
    assert [first[name] for name in ("open", "high", "low", "close", "tick_count")] == [100.0, 102.0, 100.0, 101.5, 19]
    assert (first["volume_exact"], first["buy_volume_exact"], first["sell_volume_exact"]) == (44, 20, 24)
    assert first["dollar_volume_exact"] == 4442
    assert first["vwap"] == 4442 / 44
    assert (first["close_reason"], second["close_reason"], second["tick_count"]) == ("time", "flush", 1)


def test_a_candle_closes_with_the_finer_one_that_reaches_its_end() -> None:
    minutes = golden_minutes()
    merged = MergedCandles(interval="2m")
    assert merged.update(minutes.head(1)).is_empty()
    assert merged.peek()["close_reason"].to_list() == ["open"]
    assert merged.update(minutes[1:2])["tick_count"].to_list() == [13]
    assert merged.peek().is_empty()


def test_weeks_begin_on_monday_and_are_made_of_days() -> None:
    sunday = Trade("a", 4 * DAY - 1, Decimal(1), Decimal(1), trade_seq=1)
    monday = Trade("b", 4 * DAY, Decimal(2), Decimal(1), trade_seq=2)
    weeks = MergedCandles(interval="1w").update(build([sunday, monday], "1d"))
    assert weeks["time_start"].dt.weekday().to_list() == [1, 1]
    assert weeks["open"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("intervals", "sources"),
    [
        (LADDER, dict(zip(LADDER, (None, *LADDER), strict=False))),
        (["1w", "7h", "1d"], {"7h": None, "1d": None, "1w": "1d"}),
        (["5m", "3m", 60, "24h"], {"1m": None, "3m": "1m", "5m": "1m", "1d": "5m"}),
        (["12mo", "1mo", "1w", "1d", "2mo"], {"1d": None, "1w": "1d", "1mo": "1d", "2mo": "1mo", "1y": "2mo"}),
    ],
)
def test_each_interval_is_made_of_the_next_finer_that_divides_it(intervals: list[Any], sources: dict[str, Any]) -> None:
    assert rungs(intervals) == sources


@pytest.mark.parametrize(("intervals", "said"), [(["1h", "60m"], "1h more than once"), (["x"], "interval must be")])
def test_intervals_that_are_none_are_refused(intervals: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rungs(intervals)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda candles: candles.drop("low"), "no column 'low'"),
        (lambda candles: candles.with_columns(pl.col("volume_exact").cast(pl.Float64)), "'volume_exact'.*Float64"),
        (lambda candles: candles.with_columns(interval=pl.lit("2m")), "5m candles cannot be made of those of 2m"),
        (lambda candles: candles.with_columns(interval=pl.lit("5m")), "cannot be made of those of 5m"),
        (lambda candles: pl.concat([candles, candles]), "candle 0 comes where 4 is the next"),
        (lambda candles: candles.reverse(), "candle 2 comes where 4 is the next"),
        (lambda candles: candles.filter(pl.col("bar_seq") != 1), "candle 2 comes where 1 is the next"),
        (lambda candles: candles.with_columns(close_reason=pl.lit("open")), "not closed"),
        (lambda candles: candles.with_columns(known_at=pl.lit(None, pl.Datetime("us", "UTC"))), "'known_at'.*nulls"),
    ],
)
def test_what_cannot_be_merged_is_refused_and_changes_nothing(spoil: Any, said: str) -> None:
    merged = MergedCandles(interval="5m")
    before = merged.snapshot()
    with pytest.raises(InputUnreadable, match=said):
        merged.update(spoil(golden_minutes()))
    assert merged.snapshot() == before


def test_a_state_of_other_candles_is_refused() -> None:
    with pytest.raises(StateMismatch, match="the state is of 5m candles"):
        MergedCandles(interval="1h", state=MergedCandles(interval="5m").snapshot())
    with pytest.raises(StateMismatch):
        CandleLadder(["5m"], states=CandleLadder(["1m", "5m"]).snapshot())
