"""What may be given to a builder, and what a person reads of what may not: one line, with the column and the row."""

import inspect
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.bars import DollarBars, TickBars, TimeBars, VolumeBars, build_bars, new_bars, read_state
from etl.bars.state import State
from shared.errors import InputUnreadable, StateMismatch
from tests.etl.bars.trades_made import frame, golden, rows

START = datetime(2026, 1, 1, tzinfo=UTC)


def trades(n: int = 3, **columns: Any) -> pl.DataFrame:
    """Trades a second apart, named "a", "b" and so on, with these columns instead or besides; None leaves one out."""
    made = {
        "trade_id": [chr(ord("a") + row) for row in range(n)],
        "timestamp": [START + timedelta(seconds=row) for row in range(n)],
        "price": [10.0] * n,
        "amount": [2.0] * n,
    } | columns
    return pl.DataFrame({name: column for name, column in made.items() if column is not None}, strict=False)


def refused(bad: Any, *, by: type = DollarBars, **options: Any) -> str:
    """The line about these trades from a builder that has used some before, and is not changed by them."""
    bars = by(threshold=1000, **options)
    bars.update(trades(1, trade_id=["before"], timestamp=[START - timedelta(seconds=5)]))
    before = bars.snapshot()
    with pytest.raises(InputUnreadable) as caught:
        bars.update(bad)
    assert bars.snapshot() == before
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


BAD_NUMBERS = [
    (0.0, "is not positive and finite: 0.0"), (-1.0, "is not positive and finite: -1.0"),
    (float("nan"), "is not positive and finite: nan"), (float("inf"), "is not positive and finite: inf"),
    (1e20, "is 1E+20: bars hold less than 10^20"), (1e300, "is 1E+300: bars hold less than 10^20"),
    (1e-19, "is 1E-19: bars hold less than 10^20, with at most 18 decimal places"),
    (5e-324, "at most 18 decimal places"),
]  # fmt: skip


@pytest.mark.parametrize("column", ["price", "amount"])
@pytest.mark.parametrize(("value", "reason"), BAD_NUMBERS)
def test_a_number_that_cannot_be_used_is_named_with_its_row(column, value, reason):
    line = refused(trades(**{column: [1.0, value, 3.0]}))
    assert line.startswith(f"{column} of row 1 (trade_id 'b') is")
    assert reason in line


@pytest.mark.parametrize("column", ["price", "amount"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("abc", "is not a number: 'abc'"), ("", "is not a number: ''"), ("1,5", "is not a number"),
        ("0x10", "is not a number"), ("NaN", "not positive"), ("-inf", "not positive"), ("-5", "not positive"),
        ("1e999999999", "inf"), ("1" * 21, "less than 10^20"), ("0." + "1" * 2000, "at most 18 decimal places"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_number_is_named_with_its_row(column, value, reason):
    for bad in (trades(**{column: ["1", "2", value]}), trades(**{f"{column}_text": [None, None, value]})):
        line = refused(bad)
        assert line.startswith(f"{column} of row 2 (trade_id 'c') is")
        assert reason in line or "10^20" in line


@pytest.mark.parametrize(("price", "amount"), [("1e12", "1e9"), ("1e-10", "1e-9"), ("99999999999.5", "99999999999")])
def test_a_value_that_the_exact_columns_cannot_hold_is_named_with_its_row(price, amount):
    line = refused(trades(price=[1.0, float(price), 1.0], amount=[1.0, float(amount), 1.0]))
    assert line.startswith("price x amount of row 1 (trade_id 'b') is")


def test_fine_numbers_are_taken_if_each_value_fits_the_exact_columns():
    bars = TickBars(threshold=1).update(trades(price=[1e-10, 5.0, 0.5], amount=[8.0, 1e-9, 1e-17]))
    values = [Decimal("8e-10"), Decimal("5e-9"), Decimal("5e-18")]
    assert bars["dollar_volume_exact"].to_list() == values


def test_a_sum_that_the_exact_columns_cannot_hold_names_the_bars_first_trade():
    bars = TickBars(threshold=3)
    bars.update(trades(1))
    before = bars.snapshot()
    with pytest.raises(InputUnreadable, match=r"^the volume of the bar from trade d is 1.*more digits than a decimal"):
        bars.update(trades(6, timestamp=[START] * 6, price=[1.0] * 6, amount=[1, 1, 1, 9 * 10**18, 9 * 10**19, 9e19]))
    assert bars.snapshot() == before


@pytest.mark.parametrize("column", ["trade_id", "timestamp", "price", "amount"])
def test_a_null_is_named_with_its_row(column):
    bad = trades().with_columns(pl.when(pl.int_range(3) == 2).then(None).otherwise(pl.col(column)).alias(column))
    row = "row 2 (trade_id None)" if column == "trade_id" else "row 2 (trade_id 'c')"
    assert refused(bad) == f"column {column!r} of trades holds nulls, the first in {row}"
    assert "holds nulls" in refused(trades().with_columns(pl.lit(None).alias(column)))


@pytest.mark.parametrize(
    ("column", "like"),
    [("amount", "size"), ("amount", "Qty"), ("amount", "volume"), ("price", "px"), ("timestamp", "ts"),
     ("timestamp", "Timestamp")],
)  # fmt: skip
def test_a_missing_column_is_named_and_what_looks_like_it(column, like):
    line = refused(trades().rename({column: like}))
    assert line == f"trades have no column {column!r}; column {like!r} looks like it: rename it"
    assert refused(trades(price=None)) == "trades have no column 'price'; there are 'trade_id', 'timestamp', 'amount'"


WRONG_TYPES = [
    ("timestamp", pl.Int64, "is Int64, not a datetime"), ("timestamp", pl.Date, "is Date, not a datetime"),
    ("price", pl.Float32, "is Float32, not float64, decimal, whole numbers or text"),
    ("amount", pl.Boolean, "is Boolean, not float64"), ("trade_id", pl.Float64, "is Float64, not text or whole"),
    ("trade_seq", pl.Float64, "is Float64, not whole numbers"), ("seq", pl.String, "is String, not whole numbers"),
    ("side", pl.Int8, "is Int8, not text"), ("gap_before", pl.Int8, "is Int8, not true or false"),
    ("known_at", pl.String, "is String, not a datetime"), ("price_text", pl.Float64, "is Float64, not text"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "dtype", "said"), WRONG_TYPES)
def test_a_wrong_type_is_named(column, dtype, said):
    values = pl.Series([1, 2, 3]).cast(pl.Int32 if dtype == pl.Date else dtype).cast(dtype)
    assert f"column {column!r} of trades {said}" in refused(trades().with_columns(values.alias(column)))


@pytest.mark.parametrize("word", ["BUY", "b", "Sell", "", "ask", "buyer", "a word longer than twelve bytes"])
@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_a_word_that_is_no_side_is_refused(word, dtype):
    for others in (["buy", "sell"], ["buy", None]):
        bad = trades(side=[*others, word]).with_columns(pl.col("side").cast(dtype))
        assert refused(bad).startswith(f"side of row 2 (trade_id 'c') is {word!r}, expected 'buy' or 'sell'")


def test_unknown_sides_are_counted_as_such():
    bars = TickBars(threshold=4)
    (bar,) = rows(bars.update(trades(4, side=["unknown", "buy", None, "unknown"])))
    assert (bar["buy_tick_count"], bar["sell_tick_count"]) in {(1, 0), (3, 0)}  # by side alone, or by carry too


@pytest.mark.parametrize("column", ["symbol", "exchange"])
@pytest.mark.parametrize("name", ["BTC-USD", "a name that is longer than twelve bytes", None])
def test_trades_of_two_streams_are_refused(column, name):
    mixed = trades().with_columns(pl.Series(column, ["ETH-USD", "ETH-USD", name]))
    assert refused(mixed) == f"{column} of row 2 (trade_id 'c') is {name!r}, but of the trades before it 'ETH-USD'"


def test_a_builder_stays_with_its_stream_and_so_does_its_state():
    first = trades(symbol=["BTC-USD-a-long-name"] * 3)
    bars = TickBars(threshold=2)
    bars.update(first)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(bars.snapshot()), type=TickBars.State)
    later = first.with_columns(pl.col("timestamp") + timedelta(hours=1), trade_id=pl.lit("x"))
    for builder in (bars, TickBars(threshold=2, state=state)):
        with pytest.raises(InputUnreadable, match=r"symbol of row 0 .*is 'ETH', but .* 'BTC-USD-a"):
            builder.update(later.with_columns(symbol=pl.lit("ETH")))
        assert len(builder.update(later.drop("symbol"))) == 1


def test_late_trades_are_named_or_counted():
    shuffled = trades(4, timestamp=[START + timedelta(seconds=s) for s in (0, 2, 1, 3)])
    said = "1 trades came behind trades already used, the first in row 2 (trade_id 'c')"
    assert refused(shuffled) == said
    assert refused(shuffled.with_columns(trade_seq=pl.Series([0, 2, 1, 3])), late="raise") == said
    mixed = shuffled.with_columns(trade_seq=pl.Series([0, None, None, 3]))
    assert refused(mixed, late="raise") == said
    bars = TickBars(threshold=10, late="drop")
    bars.update(shuffled)
    assert (bars.counters.n_late, bars.counters.n_trades) == (1, 3)


def test_a_trade_of_a_past_bucket_is_named_by_the_row_it_was_given_in():
    bars = TimeBars(interval=60, late="raise")
    moments = [START + timedelta(seconds=s) for s in (0, 0, 70, 10)]
    bad = trades(4, timestamp=moments, trade_seq=[1, 1, 2, 3])
    with pytest.raises(InputUnreadable, match=re.escape("the first in row 3 (trade_id 'd')")):
        bars.update(bad)


def test_rows_are_those_given_whatever_was_dropped_or_sorted_before():
    repeated = trades(4, trade_id=["a", "a", "b", "c"], price=[1.0, 1.0, 1.0, -1.0])
    assert refused(repeated).startswith("price of row 3 (trade_id 'c')")
    with pytest.raises(InputUnreadable, match=re.escape("amount of row 0 (trade_id 'a')")):
        build_bars(trades(amount=[-2.0, 1.0, 1.0]).with_columns(pl.col("timestamp").reverse()), "tick", threshold=2)


@pytest.mark.parametrize("moment", [10**18, -1])
def test_a_time_in_a_wrong_unit_is_refused(moment):
    wrong = pl.Series([moment] * 3).cast(pl.Datetime("us", "UTC"))
    assert refused(trades().with_columns(timestamp=wrong)).startswith(f"timestamp of row 0 (trade_id 'a') is {moment}")
    ms = pl.Series([0, 10**15, 5]).cast(pl.Datetime("ms"))
    assert "timestamp of row 1 (trade_id 'b') is 1000000000000000 ms" in refused(trades().with_columns(timestamp=ms))


@pytest.mark.parametrize("late", ["raise", "drop"])
@pytest.mark.parametrize("columns", [{}, {"trade_seq": [1, 2, 3]}, {"epoch": ["a"] * 3, "seq": [1, 2, 3]}])
@pytest.mark.parametrize("moment", [-1, -(2**63), 253_402_300_800_000_000, 2**63 - 1])
def test_a_far_time_between_others_is_refused(late, columns, moment):
    us = [1_780_977_600_000_000, moment, 1_780_977_601_000_000]
    bad = trades(timestamp=pl.Series(us).cast(pl.Datetime("us", "UTC")), **columns)
    assert refused(bad, late=late).startswith(f"timestamp of row 1 (trade_id 'b') is {moment} us since 1970")


def test_a_sequence_beyond_64_bits_is_refused():
    seqs = pl.Series([1, 2, 2**64 - 1], dtype=pl.UInt64)
    assert "18446744073709551615, more than 64 bits" in refused(trades().with_columns(trade_seq=seqs))


def test_what_is_no_frame_is_refused():
    for thing in ({"price": [1.0]}, [1], None, "trades.parquet"):
        with pytest.raises(TypeError, match="trades must be a frame of Polars or pandas"):
            TickBars(threshold=1).update(thing)


def test_a_table_that_cannot_be_read_is_refused_in_one_line():
    twice = pa.table([[1.0], [2.0]], names=["price", "price"])
    assert refused(twice).startswith("pyarrow.Table of trades: ")


def test_an_unknown_parameter_is_named_and_the_one_that_was_meant():
    with pytest.raises(ValueError, match=r"no parameter 'treshold' \(did you mean 'threshold'\?\); there are"):
        new_bars("dollar", treshold=5)

    with pytest.raises(ValueError, match=r"^dollar bars have no parameter 'treshold' \(did you mean 'threshold'\?\)"):
        DollarBars(treshold=5)
    with pytest.raises(ValueError, match=r"^tick_run bars have no parameter 'floor_k'"):
        new_bars("trb", expected_ticks_init=5, floor_k=1)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: DollarBars(), "dollar bars need threshold, as DollarBars(threshold=1000)"),
        (lambda: TickBars(), "tick bars need threshold, as TickBars(threshold=1000)"),
        (lambda: new_bars("time"), 'time bars need interval, as TimeBars(interval="1m")'),
        (lambda: new_bars("tib"), "tick_imbalance bars need expected_ticks_init, as TickImbalanceBars("
         "expected_ticks_init=1000)"),
        (lambda: DollarBars(1000), "dollar bars take their parameters by name, as DollarBars(threshold=1000)"),
        (lambda: build_bars(trades(), "drb"), "dollar_run bars need expected_ticks_init, as DollarRunBars("
         "expected_ticks_init=1000)"),
    ],
)  # fmt: skip
def test_a_missing_parameter_is_named_with_an_example(call, line):
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        call()


@pytest.mark.parametrize("state", [b"...", {"kind": "dollar"}, "state.bin"])
def test_a_state_that_was_not_read_names_who_reads_it(state):
    with pytest.raises(ValueError, match=r"^state must be a State, .* by etl\.bars\.read_state\('dollar', data\)"):
        DollarBars(threshold=5, state=state)


@pytest.mark.parametrize("value", [2, 0, -1, "1.0001", "x"])
def test_a_part_of_a_day_is_at_most_the_day(value):
    with pytest.raises(ValueError, match=r"^adv_fraction must be"):
        DollarBars(threshold="adv_fraction", adv_fraction=value)
    assert DollarBars(threshold="adv_fraction", adv_fraction=1).params["adv_fraction"] == "1"


@pytest.mark.parametrize("value", [True, "1e999999999", "1e40", 0, "-0", float("inf"), "1/3", np.bool_(True), b"5"])
def test_a_threshold_that_is_none_is_refused_at_once(value):
    for cls in (TickBars, VolumeBars, DollarBars):
        with pytest.raises(ValueError, match=r"^threshold"):
            cls(threshold=value)


@pytest.mark.parametrize("same", [50, "50", 50.0, Decimal("50.00"), np.float64(50), np.int64(50), " 5e1 "])
def test_a_threshold_may_be_any_kind_of_number(same):
    assert {cls(threshold=same).params["threshold"] for cls in (TickBars, VolumeBars, DollarBars)} == {"50"}


def test_a_state_that_was_cut_off_or_is_something_else_is_refused():
    bars = DollarBars(threshold=50)
    bars.update(trades())
    whole = msgspec.msgpack.encode(bars.snapshot())
    assert read_state("dollar", whole) == bars.snapshot()
    assert isinstance(read_state("dollar", whole), State)
    for end in range(len(whole)):
        with pytest.raises(StateMismatch, match=f"these {end} bytes are no state of dollar bars"):
            read_state("dollar", whole[:end])
    for garbage in (b"garbage", whole + b"x", msgspec.msgpack.encode({"kind": 5}), bytes(100)):
        with pytest.raises(StateMismatch):
            read_state("dollar", garbage)


FORMS = {
    "lazy": lambda frame: frame.lazy(),
    "arrow table": lambda frame: frame.to_arrow(),
    "record batch": lambda frame: frame.to_arrow().combine_chunks().to_batches()[0],
    "record batches": lambda frame: frame.to_arrow().to_reader(),
    "chunks": lambda frame: pl.concat([frame[:1], frame[1:]], rechunk=False),
}


@pytest.mark.parametrize("form", FORMS)
def test_frames_of_every_kind_give_the_same_bars(form):
    made = frame(golden())
    assert build_bars(FORMS[form](made), "dollar", threshold=900).equals(build_bars(made, "dollar", threshold=900))
    assert DollarBars(threshold=900).update(FORMS[form](made)).equals(DollarBars(threshold=900).update(made))


def test_a_pandas_frame_gives_the_same_bars():
    made = frame(golden())
    of_pandas = pd.DataFrame(made.drop("known_at", "price_text", "amount_text").to_dicts())
    expected = build_bars(made, "dollar", threshold=900)
    assert build_bars(of_pandas, "dollar", threshold=900).equals(expected)
    assert build_bars(of_pandas.set_index("timestamp"), "dollar", threshold=900).equals(expected)
    of_pandas["price"] = [Decimal(str(price)) for price in of_pandas["price"]]
    assert build_bars(of_pandas, "dollar", threshold=900).equals(expected)
    of_pandas["price"] = ["x", *of_pandas["price"][1:]]
    with pytest.raises(InputUnreadable, match=r"^pandas.DataFrame of trades: .*price"):
        build_bars(of_pandas, "dollar", threshold=900)


def test_pandas_is_not_needed():
    import etl.bars.given

    assert "import pandas" not in inspect.getsource(etl.bars.given)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_times_of_every_unit_and_zone_give_the_same_bars(unit, zone):
    made = frame(golden())
    column = made["timestamp"].dt.cast_time_unit(unit)
    column = column.dt.convert_time_zone(zone) if zone else column.dt.replace_time_zone(None)
    other = made.with_columns(timestamp=column, known_at=column)
    assert TimeBars(interval="1m").update(other).equals(TimeBars(interval="1m").update(made))
    assert build_bars(other, "time", interval="1m").equals(TimeBars(interval="1m").update(made))


def test_python_datetimes_of_a_zone_are_read_as_the_moments_they_are():
    east = timezone(timedelta(hours=9))
    made = trades(timestamp=[(START + timedelta(seconds=s)).astimezone(east) for s in range(3)])
    assert TickBars(threshold=3).update(made)["first_ts"].to_list() == [START]


NUMBERS = st.one_of(
    st.decimals("0.000000001", "999999999", places=9),
    st.decimals("0.01", "99999999.99", places=2),
    st.sampled_from([Decimal("0.1"), Decimal("123456789.123456789"), Decimal(2**53 + 1), Decimal(10**15)]),
)


@given(numbers=st.lists(NUMBERS, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_decimals_texts_and_whole_numbers_are_exact(numbers):
    n = len(numbers)
    want = [Fraction(number) for number in numbers]
    whole = [int(number) + 1 for number in numbers]
    forms = [
        (pl.Series(numbers, dtype=pl.Decimal(38, 9)), want),
        (pl.Series(numbers, dtype=pl.Decimal(38, 18)), want),
        (pl.Series([str(number) for number in numbers]), want),
        (pl.Series([f" {number:e} " for number in numbers]), want),
        (pl.Series(whole, dtype=pl.Int64), whole),
        (pl.Series(whole, dtype=pl.UInt64), whole),
        (pl.Series(whole).clip(1, 100).cast(pl.Int8), [min(number, 100) for number in whole]),
    ]
    for column, expected in forms:
        made = trades(n, amount=column, price=[1.0] * n)
        bars = TickBars(threshold=1).update(made)
        assert [Fraction(amount) for amount in bars["volume_exact"].to_list()] == expected
        bars = TickBars(threshold=1).update(made.rename({"amount": "price", "price": "amount"}))
        assert [Fraction(value) for value in bars["dollar_volume_exact"].to_list()] == expected


def test_a_text_column_goes_before_the_number():
    made = trades(price=["7", "8.123456789123456789", "9"], price_text=["1", None, None], amount=[1.0] * 3)
    assert TickBars(threshold=1).update(made)["dollar_volume_exact"].to_list() == [
        Decimal(1), Decimal("8.123456789123456789"), Decimal(9),
    ]  # fmt: skip


def test_without_ids_rows_are_named_by_their_numbers_and_nothing_is_a_duplicate():
    one = trades(3, trade_id=None)
    bars = TickBars(threshold=2, late="drop")
    out = [bars.update(one), bars.update(one.with_columns(pl.col("timestamp") + timedelta(seconds=2)))]
    assert pl.concat(out).select("first_trade_id", "last_trade_id").rows() == [("0", "1"), ("2", "3"), ("4", "5")]
    bars.update(one)  # all but one stamped before what was used: late, and counted as rows all the same
    assert (bars.counters.n_dup, bars.counters.n_late) == (0, 3)
    bars.update(one.with_columns(pl.col("timestamp") + timedelta(hours=1)))
    assert bars.peek()["first_trade_id"].to_list() == ["11"]
    assert bars.snapshot().memory.ids == ()


def test_without_ids_the_sequence_names_the_trades():
    bars = TickBars(threshold=2)
    assert bars.update(trades(3, trade_id=None, trade_seq=[70, 71, 72]))["last_trade_id"].to_list() == ["71"]
    assert bars.update(trades(3, trade_id=None, trade_seq=[71, 72, 73]))["first_trade_id"].to_list() == ["72"]
    assert bars.counters.n_dup == 2


def test_whole_numbers_are_ids_too():
    expected = build_bars(trades(trade_id=["7", "8", "9"]), "tick", threshold=2, keep_open=True)
    assert build_bars(trades(trade_id=[7, 8, 9]), "tick", threshold=2, keep_open=True).equals(expected)
    bars = TickBars(threshold=9)
    bars.update(trades(trade_id=[7, 8, 9]))
    bars.update(trades(trade_id=["9", "10", "11"], timestamp=[START + timedelta(minutes=1)] * 3))
    assert (bars.counters.n_dup, bars.counters.n_trades) == (1, 5)


def test_an_empty_id_is_no_id():
    bars = TickBars(threshold=9)
    bars.update(trades(trade_id=["", "", "x"]))
    bars.update(trades(trade_id=["", "x", ""], timestamp=[START + timedelta(minutes=1)] * 3))
    assert (bars.counters.n_dup, bars.counters.n_trades) == (1, 5)


def test_build_bars_takes_the_order_from_ties_as_given():
    tied = trades(4, timestamp=[START] * 4, trade_id=list("dcba"))
    assert build_bars(tied, "tick", threshold=2)["first_trade_id"].to_list() == ["d", "b"]
