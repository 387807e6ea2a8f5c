"""Trade features: the specification's numbers, the slow reference, any cut, and what is refused."""

import math
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.saved import SavedState
from etl.features.trade_features import TradeFeatures
from etl.features.trade_kernels import dollar_volumes
from shared.errors import InputUnreadable, StateMismatch
from tests.etl.features import reference, spec_cases_bars
from tests.etl.features.reference import Options, Trade
from tests.etl.features.simulated import simulated, trade_tapes
from tests.etl.features.spec_cases import Case
from tests.etl.features.test_spec_numbers import meant
from tests.etl.features.test_tables import declared

NS = pl.Datetime("ns", "UTC")
SMALL: dict[str, Any] = {"sign_window": 4, "large_trade_window": 3, "trade_rate_tau_s": 2}
OWN = ("timestamp", "known_at", "has_gap")


def frame(trades: Sequence[Trade], **columns: Sequence[Any]) -> pl.DataFrame:
    words = {1: "buy", -1: "sell", None: None}
    return pl.DataFrame(
        {
            "timestamp": pl.Series([trade[0] for trade in trades], dtype=pl.Int64).cast(NS),
            "price": pl.Series([trade[1] for trade in trades], dtype=pl.Float64),
            "amount": pl.Series([trade[2] for trade in trades], dtype=pl.Float64),
            "side": pl.Series([words[trade[3]] for trade in trades], dtype=pl.String),
            **columns,
        }
    )


def made(trades: pl.DataFrame, options: dict[str, Any], *, cuts: Sequence[int] = ()) -> pl.DataFrame:
    """All rows; at each cut the state goes through its bytes, and another maker goes on."""
    maker, parts, start = TradeFeatures(**options), [], 0
    for stop in [*cuts, len(trades)]:
        parts.append(maker.update(trades[start:stop]))
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(maker.snapshot()), type=SavedState)
        maker, start = TradeFeatures(state=state, **options), stop
    return pl.concat([*parts, maker.flush()])


@pytest.mark.parametrize("case", spec_cases_bars.TRADES, ids=lambda case: case.name)
def test_the_worked_numbers(case: Case) -> None:
    row = made(frame(case.trades), case.options).row(case.row, named=True)
    assert {name: row[name] for name in case.expected} == {n: meant(value) for n, value in case.expected.items()}


@pytest.mark.parametrize(
    "options", [SMALL, {"large_trade_window": 11}, {"large_trade_window": 2, "sign_window": 2}, {}], ids=str
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_are_those_of_the_reference(options: dict[str, Any], seed: int) -> None:
    trades = simulated(seed, events=200, trades_per_event=1.0).trades
    rows = made(frame(trades), options, cuts=sorted(random.Random(seed).sample(range(len(trades)), 3)))
    slow = reference.trade_rows(trades, Options(**options))
    assert len(rows) == len(slow)
    for row, expected in zip(rows.drop("timestamp", "known_at", "has_gap").to_dicts(), slow, strict=True):
        del expected["timestamp"]
        assert row.keys() == expected.keys()
        for name, value in expected.items():
            is_close = isinstance(value, float) and name != "dollar_volume"
            assert row[name] == (pytest.approx(value, rel=1e-9, abs=1e-15) if is_close else value), name


@settings(max_examples=50, deadline=None)
@given(trades=trade_tapes(), data=st.data())
def test_no_cut_changes_a_bit(trades: list[Trade], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(trades)), max_size=6)))
    whole = made(frame(trades), SMALL)
    assert whole.equals(made(frame(trades), SMALL, cuts=cuts))
    assert whole.equals(made(frame(trades), SMALL, cuts=range(len(trades))))


@settings(max_examples=30, deadline=None)
@given(trades=trade_tapes(), stop=st.integers(1, 10))
def test_no_row_knows_what_comes_after(trades: list[Trade], stop: int) -> None:
    assert made(frame(trades[:stop]), SMALL).equals(made(frame(trades), SMALL)[:stop])


@settings(max_examples=30, deadline=None)
@given(trades=trade_tapes())
def test_bounds(trades: list[Trade]) -> None:
    rows = made(frame(trades), SMALL)
    for name in rows.columns:
        if rows.schema[name] == pl.Float64:
            assert rows[name].is_finite().all(ignore_nulls=True)
    assert rows["large_share"].is_between(0, 1).all()
    assert (rows["trade_hhi"].drop_nulls() >= (1 - 1e-12) / 3).all()
    assert (rows["direction"] == rows["sign_streak"].sign()).all()
    assert ((rows["trade_rate_ew_buy"] + rows["trade_rate_ew_sell"]) <= rows["trade_rate_ew"] * (1 + 1e-12)).all()


@settings(max_examples=30, deadline=None)
@given(trades=trade_tapes())
def test_swapped_sides_turn_signs(trades: list[Trade]) -> None:
    known = [trade._replace(sign=trade.sign or 1) for trade in trades]
    rows = made(frame(known), SMALL)
    turned = made(frame([trade._replace(sign=-(trade.sign or 1)) for trade in known]), SMALL)
    assert rows["direction"].equals(-turned["direction"])
    assert rows["sign_streak"].equals(-turned["sign_streak"])
    assert rows["trade_rate_ew_buy"].equals(turned["trade_rate_ew_sell"])
    assert rows["sign_autocorr"].equals(turned["sign_autocorr"])


def test_the_quantile_is_numpys() -> None:
    rng = np.random.default_rng(5)
    for window in (2, 3, 7, 10, 11, 37):
        amounts = np.round(rng.lognormal(size=5 * window), 1) + 0.1
        trades = [Trade(k, 1.0, float(amount), 1) for k, amount in enumerate(amounts)]
        share = made(frame(trades), {"large_trade_window": window})["large_share"]
        assert share[: 2 * window - 1].null_count() == 2 * window - 1
        for k in range(2 * window - 1, len(amounts)):
            last, before = amounts[k - window + 1 : k + 1], amounts[k - 2 * window + 1 : k - window + 1]
            limit = np.quantile(before, 0.9)
            assert share[k] == pytest.approx(last[last >= limit].sum() / last.sum(), rel=1e-12)


def test_values_are_those_of_the_decimals() -> None:
    prices, amounts = [0.1, 64321.12, 1e-8, 98765.43], [3.0, 123.45678901, 1e15, 1e-8]
    texts = {"price_text": [None, None, None, "98765.432109876543219"]}
    numbers = [("0.1", "3"), ("64321.12", "123.45678901"), ("1e-8", "1e15"), ("98765.432109876543219", "1e-8")]
    exact = [float(Decimal(price) * Decimal(amount)) for price, amount in numbers]
    assert dollar_volumes(pl.DataFrame({"price": prices, "amount": amounts, **texts})).tolist() == exact


def test_the_return_of_a_tick_has_all_its_digits() -> None:
    prices = [100_000.01, 100_000.02, 100_000.01, 100_000.01]
    rows = made(frame([Trade(k, price, 1.0, 1) for k, price in enumerate(prices)]), {}, cuts=[2])
    up, down = math.log1p(0.01 / 100_000.01), math.log1p(-0.01 / 100_000.02)
    assert rows["log_return"].to_list() == [None, pytest.approx(up, rel=1e-14), pytest.approx(down, rel=1e-14), 0.0]


def test_facts_come_from_the_trades() -> None:
    trades = frame([Trade(1000, 1.0, 1.0, 1), Trade(2000, 2.0, 1.0, None), Trade(2000, 2.0, 1.0, None)])
    known = pl.Series([9000, 4000, None], dtype=pl.Int64).cast(NS)
    rows = made(
        trades.with_columns(known_at=known, gap_before=pl.Series([True, False, None]), ordinal=pl.Series([7, 8, 9])), {}
    )
    assert rows.schema == declared("trade_features")
    assert rows["ordinal"].to_list() == [7, 8, 9]
    assert rows["known_at"].dt.epoch("us").to_list() == [9, 9, 9]
    assert rows["has_gap"].to_list() == [True, False, False]
    assert TradeFeatures().update(trades.clear()).schema == rows.schema


GOOD = [Trade(k * 10**9, 1.0, 1.0, 1) for k in range(3)]


@pytest.mark.parametrize(
    ("trades", "problem"),
    [
        (frame(GOOD[::-1]), "trades are not in order of time"),
        (frame(GOOD).with_columns(price=pl.Series([1.0, None, 1.0])), "price of trade 1 is None"),
        (frame(GOOD).with_columns(amount=pl.Series([1.0, 1.0, 0.0])), "amount of trade 2 is 0.0"),
        (frame(GOOD).with_columns(price=pl.Series(["1", "2", "3"])), "column 'price' of trades is String"),
        (frame(GOOD).drop("side"), "trades have no column 'side'"),
        (frame(GOOD).with_columns(timestamp=pl.lit(None, NS)), "timestamp of trades is null"),
        (frame(GOOD, ordinal=[3, 4, 6]), "ordinal 5 of trades is missing: there came 6"),
    ],
)
def test_what_cannot_be_used_is_refused_and_remembered_nowhere(trades: pl.DataFrame, problem: str) -> None:
    maker = TradeFeatures()
    maker.update(frame(GOOD[:1], ordinal=[2]))
    before = maker.snapshot()
    with pytest.raises(InputUnreadable, match=problem):
        maker.update(trades)
    assert maker.snapshot() == before


def test_trades_go_on_from_those_before() -> None:
    maker = TradeFeatures()
    maker.update(frame(GOOD[:2], ordinal=[5, 6]))
    with pytest.raises(InputUnreadable, match="ordinal 7 of trades is missing: there came 8"):
        maker.update(frame(GOOD[2:], ordinal=[8]))
    with pytest.raises(InputUnreadable, match="before the last one seen"):
        maker.update(frame(GOOD[:1]))
    assert maker.update(frame(GOOD[2:]))["ordinal"].to_list() == [7]
    assert maker.counts == {"trades": 3, "unsigned_trades": 0}


def test_a_state_of_other_options_or_another_version_is_refused() -> None:
    state = TradeFeatures(sign_window=5).snapshot()
    TradeFeatures(state=state, sign_window=5, depth_levels=3)  # which rows of trades do not depend on
    with pytest.raises(StateMismatch, match="sign_window 5"):
        TradeFeatures(state=state)
    with pytest.raises(StateMismatch, match="version 0"):
        TradeFeatures(state=msgspec.structs.replace(state, version=0), sign_window=5)
