"""What is drawn says the same as the bars, however many they are."""

from datetime import timedelta

import polars as pl
import pytest

from etl.bars import build_bars
from scripts.bars.drawn import CANDLES_MAX, Drawn, drawn
from tests.scripts.bars_lake import FIRST, walk

TRADES = walk(30_000, seed=7, gap_at=10_000)


def of(bars: pl.DataFrame) -> Drawn:
    found = drawn(bars.lazy(), "a set", exchange="kraken", symbol="BTC-USD")
    assert found is not None
    return found


@pytest.mark.parametrize("threshold", [3, 10, 62, 63, 1000])
def test_nothing_is_lost_or_moved(threshold: int) -> None:
    bars = build_bars(TRADES, "tick", threshold=threshold, keep_open=True)
    found = of(bars)
    rows = found.bars
    assert found.n_bars == bars.height
    assert (found.step is None) == (bars.height <= CANDLES_MAX)
    assert rows.height == bars.height if found.step is None else rows.height <= bars.height / 2
    assert (rows["open"][0], rows["close"][-1]) == (bars["open"][0], bars["close"][-1])
    assert (rows["high"].max(), rows["low"].min()) == (bars["high"].max(), bars["low"].min())
    assert (found.first, found.last) == (bars["time_start"].min(), bars["time_end"].max())
    for name in ("volume", "dollar_volume", "buy_volume", "sell_volume", "unknown_volume", "tick_count"):
        assert rows[name].sum() == pytest.approx(bars[name].sum())
    assert rows["time_start"].is_sorted()
    assert rows["has_gap"].sum() == bars["has_gap"].sum() == 1


@pytest.mark.parametrize("seconds", [0.02, 1, 3600, 86_400, 30 * 86_400])
def test_columns_are_few_and_round(seconds: float) -> None:
    bars = build_bars(TRADES, "tick", threshold=10)
    start = [FIRST + timedelta(seconds=seconds * number) for number in range(bars.height)]
    spread = bars.with_columns(time_start=pl.Series(start), time_end=pl.Series(start))
    found = of(spread)
    assert found.step is not None
    assert 20 < found.bars.height <= 641
    begins = found.bars["time_start"].dt.epoch("us") // (found.step // timedelta(microseconds=1))
    assert begins.is_unique().all()


def test_a_column_is_one_long_bar() -> None:
    bars = build_bars(TRADES, "tick", threshold=20)
    found = of(bars)
    assert found.step is not None
    for row in found.bars.to_dicts():
        end = FIRST + (row["time_start"] - FIRST) // found.step * found.step + found.step
        inside = bars.filter(pl.col("time_start").is_between(row["time_start"], end, closed="left"))
        assert (row["bar_seq"], row["n_bars"]) == (inside["bar_seq"][0], inside.height)
        assert (row["high"], row["low"], row["close"]) == (
            inside["high"].max(),
            inside["low"].min(),
            inside["close"][-1],
        )
        lasted = inside["time_end"] - inside["time_start"]
        assert row["measure_median"] == pytest.approx(lasted.median() / timedelta(seconds=1))


def test_time_bars_differ_in_their_trades() -> None:
    assert of(build_bars(TRADES, "time", interval="1m")).measure == "tick_count"
    assert of(build_bars(TRADES, "dollar", threshold=10_000)).measure == "duration_s"


@pytest.mark.parametrize("threshold", [20, 200])
def test_unusual_reasons_are_counted_and_stand_where_they_were(threshold: int) -> None:
    bars = build_bars(TRADES, "tick", threshold=threshold)
    reason = pl.when(pl.col("bar_seq") % 9 == 4).then(pl.lit("max_ticks")).otherwise(pl.col("close_reason"))
    marked = bars.with_columns(close_reason=reason)
    found = of(marked)
    assert found.reasons == {"max_ticks": (marked["close_reason"] == "max_ticks").sum()}
    for row in found.bars.to_dicts():
        numbers = range(row["bar_seq"], row["bar_seq"] + row["n_bars"])
        assert row["reasons"] == ["max_ticks"] * any(number % 9 == 4 for number in numbers)


def test_no_bars_are_nothing() -> None:
    empty = build_bars(TRADES, "tick", threshold=20).clear()
    assert drawn(empty.lazy(), "a set", exchange="kraken", symbol="BTC-USD") is None
