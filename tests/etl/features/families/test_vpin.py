"""VPIN: buckets of exactly their size, told apart by splitting exact fractions one trade after the other."""

import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.features.families.vpin import Vpin
from etl.features.options import FeatureOptions
from etl.features.rows import Floats
from tests.etl.features.kernels import Kernels
from tests.etl.features.made_rows import Side, columns_of, made_rows
from tests.etl.features.portions import columns_in_portions
from tests.etl.features.reference.numbers import exact
from tests.etl.features.spec_cases import Case
from tests.etl.features.spec_cases_windows import IMPACT
from tests.etl.features.test_spec_numbers import meant, rows_of

Tape = Sequence[tuple[float, int]]  # amount, sign
BOOK: tuple[Side, Side] = ([(99.99, 1.0)], [(100.01, 1.0)])
NAMES = ("vpin", "vpin_bucket_fill", "vpin_gap")
DAY_S = 86_400.0


@pytest.mark.parametrize("case", [case for case in IMPACT if "vpin" in case.expected], ids=lambda case: case.name)
def test_the_worked_numbers(case: Case) -> None:
    row = rows_of(case, Kernels())[case.row]
    assert {name: row[name] for name in case.expected} == {name: meant(value) for name, value in case.expected.items()}


def ticked(tape: Tape, *, resets: Sequence[int] = (0,), cuts: Sequence[int] = (), **chosen: object) -> list[Floats]:
    """The three columns, with a row after every trade; the first row is before all of them."""
    options = FeatureOptions.of({"hf_emit_interval": 0, "ofi_levels": 1, "max_levels": 2, **chosen})
    books = [(float(k), *BOOK) for k in range(len(tape) + 1)]
    trades = [(k + 0.5, 100.0, amount, sign) for k, (amount, sign) in enumerate(tape)]
    rows = made_rows(books, trades, options=options, resets=resets)
    made = columns_in_portions(rows, cuts, options=options) if cuts else columns_of(rows, options=options)
    return [made[name] for name in NAMES]


def split(tape: Tape, size: Fraction, n: int, resets: Sequence[int]) -> list[tuple[float | None, float, bool]]:
    """The same, slowly."""
    out, done, since = [], [], None
    buy = sell = Fraction(0)
    for k, (amount, sign) in enumerate(tape, 1):
        left = exact(amount)
        while left:
            part = min(left, size - buy - sell)
            buy, sell = buy + part * Fraction(1 + sign, 2), sell + part * Fraction(1 - sign, 2)
            left -= part
            if buy + sell == size:
                done.append(abs(buy - sell))
                since = None if since is None else since + 1
                buy = sell = Fraction(0)
        if k in resets:
            buy, sell, since = Fraction(0), Fraction(0), 0
        vpin = float(sum(done[-n:], Fraction(0)) / (n * size)) if len(done) >= n else None
        out.append((vpin, float((buy + sell) / size), since is not None and since < n))
    return out


amounts = st.one_of(
    st.integers(1, 50).map(lambda tenths: tenths / 10),
    st.integers(1, 10**9).map(lambda units: units / 10**8),
    st.sampled_from([25.0, 100.0, 0.1, 1 / 3, 1e-8]),
)
tapes = st.lists(st.tuples(amounts, st.sampled_from([1, -1, 0])), min_size=1, max_size=30)


@given(
    tape=tapes, size=st.sampled_from([0.1, 1.0, 2.5, 0.3, 7.0]), n=st.integers(1, 4), resets=st.sets(st.integers(1, 30))
)
def test_each_row_is_that_of_all_trades_split_anew(tape: Tape, size: float, n: int, resets: set[int]) -> None:
    known = sorted(k for k in resets if k <= len(tape))
    vpin, fill, gap = ticked(tape, resets=[0, *known], vpin_bucket_volume=size, vpin_window_buckets=n)
    assert np.isnan([vpin[0], fill[0], gap[0]]).all()
    for k, (expected_vpin, expected_fill, expected_gap) in enumerate(split(tape, exact(size), n, known), 1):
        assert np.isnan(vpin[k]) if expected_vpin is None else vpin[k] == pytest.approx(expected_vpin, rel=1e-14)
        assert 0 <= fill[k] < 1
        assert fill[k] == pytest.approx(expected_fill, rel=1e-14)
        assert gap[k] == expected_gap
        assert not vpin[k] > 1
        assert not vpin[k] < 0


@given(tape=tapes)
def test_other_signs_give_the_same(tape: Tape) -> None:
    chosen = {"vpin_bucket_volume": 0.7, "vpin_window_buckets": 2}
    turned = [(amount, -sign) for amount, sign in tape]
    for one, other in zip(ticked(tape, **chosen), ticked(turned, **chosen), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


@given(tape=tapes)
def test_how_prints_are_cut_changes_nothing(tape: Tape) -> None:
    chosen = {"vpin_bucket_volume": 3.1, "vpin_window_buckets": 2}
    halves = [(cents / 200, sign) for amount, sign in tape for cents in [round(amount * 100)] * 2]
    wholes = [(round(amount * 100) / 100, sign) for amount, sign in tape]
    for one, other in zip(ticked(wholes, **chosen), ticked(halves, **chosen), strict=True):
        assert np.array_equal(one, other[::2], equal_nan=True)


@given(tape=tapes, data=st.data())
def test_cuts_and_saved_states_change_no_bit(tape: Tape, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(tape)), min_size=1, max_size=4))
    chosen = {"vpin_bucket_volume": data.draw(st.sampled_from([0.7, None])), "vpin_window_buckets": 2}
    for one, other in zip(ticked(tape, **chosen), ticked(tape, cuts=cuts, **chosen), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_ten_tenths_fill_a_bucket_of_one() -> None:
    vpin, fill, _ = ticked([(0.1, 1)] * 20, vpin_bucket_volume=1, vpin_window_buckets=2)
    assert fill[10] == fill[20] == 0
    assert vpin[20] == 1


def test_a_trade_of_a_hundred_million_million_buckets_is_one_step() -> None:
    vpin, fill, _ = ticked([(3e-8, -1), (1e6, 1), (0.5e-8, -1)], vpin_bucket_volume=1e-8, vpin_window_buckets=50)
    assert vpin[1:].tolist() == [pytest.approx(np.nan, nan_ok=True), 1, 1]
    assert fill[3] == 0.5


def test_a_flow_of_both_sides_is_not_toxic() -> None:
    vpin, fill, gap = ticked([(2.0, 0)] * 5, vpin_bucket_volume=1, vpin_window_buckets=2)
    assert vpin[1:].tolist() == [0] * 5
    assert not fill[1:].any()
    assert not gap[1:].any()


def test_off_is_null() -> None:
    assert all(np.isnan(column).all() for column in ticked([(2.0, 1)] * 5, enable_vpin=False, vpin_bucket_volume=1))


def of_days(volumes: Sequence[float]) -> list[Floats]:
    """The columns with a row at the end of each day, and a trade at noon."""
    options = FeatureOptions(hf_emit_interval=0, vpin_window_buckets=1)
    books = [((day + 0.9) * DAY_S, *BOOK) for day in range(len(volumes))]
    trades = [((day + 0.5) * DAY_S, 100.0, volume, 1) for day, volume in enumerate(volumes)]
    made = columns_of(made_rows(books, trades, options=options), options=options)
    return [made[name] for name in NAMES]


def test_a_bucket_is_a_fiftieth_of_the_mean_day() -> None:
    vpin, fill, _ = of_days([100.0, 3.0, 103 / 2 / 50 / 4])
    assert np.isnan([vpin[0], fill[0]]).all()  # no day is finished
    assert vpin[1] == 1  # 3 = 1.5 buckets of 2
    assert fill[1] == 0.5
    assert fill[2] == pytest.approx(0.5 + 103 / 2 / 50 / 4 / 2)  # the open bucket stays of 2


def test_the_mean_is_over_the_last_twenty_days() -> None:
    volumes = [1e9, 100.0, *[50.0] * 19, 1.0]
    assert of_days(volumes)[1][-1] < 1
    family = Vpin(FeatureOptions())
    whole, parts = family._sizes(
        np.arange(len(volumes)), (np.array(volumes, np.int64), np.zeros(len(volumes), np.int64))
    )
    assert whole[-1] + parts[-1] / 1e18 == pytest.approx((100 + 19 * 50) / 20 / 50, rel=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_memory_does_not_grow(seed: int) -> None:
    rng = random.Random(seed)
    family = Vpin(FeatureOptions(vpin_window_buckets=5))
    before = None
    for day in range(60):
        tape = [(day + 0.1 * k, rng.random(), rng.choice((1, -1))) for k in range(9)]
        books = [((day + 0.99) * DAY_S, *BOOK)]
        trades = [(t * DAY_S, 100.0, amount, sign) for t, amount, sign in tape]
        family.update(made_rows(books, trades))
        held = {name: array.nbytes for name, array in family.state.items()}
        if day > 21:
            assert held == before
        before = held
