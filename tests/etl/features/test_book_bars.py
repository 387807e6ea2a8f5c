"""Book bars: the specification's numbers, the slow reference, any cut, and what is refused."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.bar_kernels import COLUMNS
from etl.features.book_bars import BookBars
from etl.features.saved import SavedState
from etl.features.stateful import StatefulFeatureProcessor
from shared.errors import InputUnreadable, StateMismatch
from tests.etl.features import event_frames, reference, spec_cases_bars
from tests.etl.features.reference import Options
from tests.etl.features.simulated import NS, START_NS, simulated
from tests.etl.features.spec_cases import Case
from tests.etl.features.spec_cases_bars import bar_row
from tests.etl.features.test_spec_numbers import meant
from tests.etl.features.test_tables import declared

NANOS = pl.Datetime("ns", "UTC")
FLAGS = ("is_reset", "has_gap")
SMALL: dict[str, Any] = {"variance_ratio_lags": (2, 3), "yang_zhang_bars": (2, 3)}
Row = dict[str, Any]


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    moments = {
        name: pl.Series([row[name] for row in rows], dtype=pl.Int64).cast(NANOS) for name in ("timestamp", "known_at")
    }
    numbers = {name: pl.Series([row.get(name) for row in rows], dtype=pl.Float64) for name in COLUMNS}
    flags = {name: pl.Series([row.get(name) for row in rows], dtype=pl.Boolean) for name in FLAGS}
    return pl.DataFrame(moments | numbers | flags)


def made(rows: pl.DataFrame, duration_s: int, options: dict[str, Any], *, cuts: Sequence[int] = ()) -> pl.DataFrame:
    """All bars; at each cut the state goes through its bytes, and another maker goes on."""
    maker, parts, start = BookBars(bar_duration_sec=duration_s, **options), [], 0
    for stop in [*cuts, len(rows)]:
        parts.append(maker.update(rows[start:stop]))
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(maker.snapshot()), type=SavedState)
        maker, start = BookBars(bar_duration_sec=duration_s, state=state, **options), stop
    return pl.concat([*parts, maker.flush()])


def assert_reference(rows: Sequence[Row], duration_s: int, options: dict[str, Any]) -> None:
    bars = made(frame(rows), duration_s, options, cuts=sorted(random.Random(1).choices(range(len(rows)), k=3)))
    slow = reference.bar_rows(rows, duration_s, Options(**options))
    moments = [name for name in bars.columns if bars.schema[name] == pl.Datetime("us", "UTC")]
    bars = bars.with_columns(pl.col(moments).dt.epoch("ns"))
    assert len(bars) == len(slow)
    for bar, expected in zip(bars.to_dicts(), slow, strict=True):
        expected["known_at"] = -(-expected["known_at"] // 1000) * 1000  # the lake's times are us
        for name in ("bar_seq", "has_gap"):
            bar.pop(name)
        assert bar.pop("available_at") == bar["time_end"]
        assert bar.keys() == expected.keys()
        for name, value in expected.items():
            assert bar[name] == (
                pytest.approx(value, rel=1e-9, abs=near_zero(name)) if isinstance(value, float) else value
            ), name


def near_zero(name: str) -> float:
    """What two ways to sum to zero may differ by: of variances far less than of all else."""
    return 1e-12 if name.startswith(("sum", "mean", "tw", "rskew")) else 1e-24


def book_rows(case: Case) -> list[Row]:
    if case.rows is not None:
        return list(case.rows)
    return reference.book_rows(case.events, [], Options(hf_emit_interval=0))


@pytest.mark.parametrize("case", spec_cases_bars.BARS, ids=lambda case: case.name)
def test_the_worked_numbers(case: Case) -> None:
    bar = made(frame(book_rows(case)), case.duration_s, case.options).row(case.row, named=True)
    if "time_start" in case.expected:
        bar["time_start"] = round(bar["time_start"].timestamp() * NS)
    assert {name: bar[name] for name in case.expected} == {n: meant(value) for n, value in case.expected.items()}


@pytest.fixture(scope="module", params=[2, 4])
def simulated_rows(request: pytest.FixtureRequest) -> list[Row]:
    told = simulated(request.param, events=120, long_pauses=0.05)
    few = Options(max_levels=4, ofi_levels=2, horizons=(5,), vpin_bucket_volume=1e9)
    return reference.book_rows(told.snapshots, told.trades, few)


@pytest.mark.parametrize("duration_s", [1, 10, 60, 300])
def test_bars_are_those_of_the_reference(simulated_rows: list[Row], duration_s: int) -> None:
    assert any(row["mid_price"] is None for row in simulated_rows)
    assert any(row["log_return"] for row in simulated_rows)
    assert_reference(simulated_rows, duration_s, SMALL)


PAUSES_NS = st.sampled_from((0, 1000, NS, NS, 10 * NS, 59 * NS, 60 * NS, 299 * NS, 301 * NS, 4000 * NS))
NUMBERS = st.one_of(st.none(), st.integers(-5, 5).map(lambda n: n / 4))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "pause_ns": PAUSES_NS,
            "mid_price": st.one_of(st.none(), st.integers(9_990, 10_010).map(lambda cents: cents / 100)),
            "log_return": st.one_of(st.none(), st.integers(-9, 9).map(lambda n: n * 1e-4)),
            "spread": st.one_of(st.none(), st.integers(0, 5).map(lambda cents: cents / 100)),
            "is_reset": st.booleans(),
            "has_gap": st.booleans(),
            **dict.fromkeys(("imbalance_L1", "total_imbalance", "ofi", "mlofi", "tfi"), NUMBERS),
        }
    ),
    max_size=40,
)


def timed(drawn: Sequence[Row]) -> list[Row]:
    t_ns, rows = START_NS, []
    for row in drawn:
        t_ns += row["pause_ns"]
        rows.append(bar_row(0) | row | {"timestamp": t_ns, "known_at": t_ns + 5000})
    return rows


@settings(max_examples=100, deadline=None)
@given(drawn=ROWS, duration_s=st.sampled_from((60, 300)))
def test_any_rows_give_the_bars_of_the_reference(drawn: list[Row], duration_s: int) -> None:
    assert_reference(timed(drawn), duration_s, SMALL) if drawn else None


@settings(max_examples=60, deadline=None)
@given(drawn=ROWS, data=st.data())
def test_no_cut_changes_a_bit(drawn: list[Row], data: st.DataObject) -> None:
    rows = frame(timed(drawn))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    whole = made(rows, 60, SMALL)
    assert whole.equals(made(rows, 60, SMALL, cuts=cuts))
    assert whole.equals(made(rows, 60, SMALL, cuts=range(len(rows))))
    assert whole.columns == made(rows.clear(), 60, SMALL).columns


@settings(max_examples=40, deadline=None)
@given(drawn=ROWS, stop=st.integers(0, 40))
def test_a_closed_bar_knows_nothing_of_what_comes_after(drawn: list[Row], stop: int) -> None:
    rows = frame(timed(drawn))
    early = BookBars(bar_duration_sec=60, **SMALL).update(rows[:stop])
    assert made(rows, 60, SMALL)[: len(early)].equals(early)


@settings(max_examples=40, deadline=None)
@given(drawn=ROWS)
def test_null_and_never_nan_and_variance_adds_up(drawn: list[Row]) -> None:
    rows = frame(timed(drawn))
    minutes, fives = made(rows, 60, SMALL), made(rows, 300, SMALL)
    for name in minutes.columns:
        if minutes.schema[name] == pl.Float64:
            assert minutes[name].is_finite().all(ignore_nulls=True), name
    total = (
        minutes.group_by(pl.col("time_start").dt.truncate("5m"), maintain_order=True)
        .agg(pl.col("realized_variance", "snapshot_count", "sum_ofi").sum())
        .with_columns(pl.col("realized_variance", "sum_ofi").round(12))
    )
    wide = fives.select(
        "time_start", pl.col("realized_variance").fill_null(0), "snapshot_count", pl.col("sum_ofi").fill_null(0)
    )
    assert total.equals(wide.with_columns(pl.col("realized_variance", "sum_ofi").round(12)).cast(dict(total.schema)))
    for name in ("jump_ratio", "zero_frac"):
        assert minutes[name].is_between(0, 1).all()
    assert (minutes["low"] <= minutes["close"]).all()


@settings(max_examples=40, deadline=None)
@given(drawn=ROWS, data=st.data())
def test_a_row_that_is_not_valid_changes_no_bar(drawn: list[Row], data: st.DataObject) -> None:
    rows = timed(drawn)
    place = data.draw(st.integers(0, len(rows)))
    before_ns = rows[place - 1]["timestamp"] if place else START_NS
    crossed = bar_row(0, mid_price=None, log_return=9.0, has_gap=True, is_reset=True) | {
        "timestamp": before_ns,
        "known_at": before_ns,
    }
    with_it = [*rows[:place], crossed, *rows[place:]]
    assert made(frame(with_it), 60, SMALL).equals(made(frame(rows), 60, SMALL))


def test_a_gap_is_of_the_bar_that_follows_it() -> None:
    rows = [bar_row(second) for second in (10, 70, 80, 250)]
    for place, has_gap in enumerate(([True, False, False], [False, True, False], [False, True, False])):
        marked = [row | {"has_gap": k == place} for k, row in enumerate(rows)]
        assert made(frame(marked), 60, {})["has_gap"].to_list() == has_gap


def test_rows_of_the_processor_become_bars() -> None:
    books = [(k * NS // 2, [(100.0 + k % 7 / 100, 1.0 + k % 3)], [(100.09, 2.0)]) for k in range(1000)]
    rows = StatefulFeatureProcessor().update(event_frames.snapshots(books))
    bars = BookBars(bar_duration_sec=60).update(rows)
    assert bars.schema == declared("book_bars")
    assert bars["snapshot_count"].to_list() == [60] * 8
    assert bars["n_reset"].to_list() == [1, *[0] * 7]
    assert bars["bar_seq"].to_list() == list(range(8))
    assert bars["time_end"].equals(bars["available_at"])


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (frame([bar_row(9), bar_row(8)]), "rows of the book are not in order of time"),
        (frame([bar_row(4)]), "rows of the book are not in order of time"),
        (frame([bar_row(9)]).drop("mlofi"), "rows of the book have no column 'mlofi'"),
        (frame([bar_row(9)]).with_columns(ofi=pl.lit("1")), "column 'ofi' of rows of the book is String"),
        (frame([bar_row(9)]).with_columns(is_reset=pl.lit(1)), "column 'is_reset' of rows of the book is Int32"),
        (frame([bar_row(9)]).with_columns(timestamp=pl.lit(None, NANOS)), "timestamp of rows of the book is null"),
    ],
)
def test_what_cannot_be_used_is_refused_and_remembered_nowhere(rows: pl.DataFrame, problem: str) -> None:
    maker = BookBars(bar_duration_sec=60)
    maker.update(frame([bar_row(5)]))
    before = maker.snapshot()
    with pytest.raises(InputUnreadable, match=problem):
        maker.update(rows)
    assert maker.snapshot() == before


def test_a_state_of_another_length_or_of_other_options_is_refused() -> None:
    state = BookBars(bar_duration_sec=60, yang_zhang_bars=(5,)).snapshot()
    BookBars(bar_duration_sec=60, state=state, yang_zhang_bars=(5,), sign_window=7)
    with pytest.raises(StateMismatch, match="made with bar_duration_sec 60, here it is 300"):
        BookBars(bar_duration_sec=300, state=state, yang_zhang_bars=(5,))
    with pytest.raises(StateMismatch, match="made with yang_zhang_bars"):
        BookBars(bar_duration_sec=60, state=state)
    with pytest.raises(ValueError, match="bar_duration_sec must be at least 1"):
        BookBars(bar_duration_sec=0)
