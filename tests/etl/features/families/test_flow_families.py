"""Order flow and trade flow: the worked numbers, the slow reference, mirrors and scales, and what restarts."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.declared import Family, computed
from etl.features.families.orderflow import OrderFlow, principal
from etl.features.families.tradeflow import TradeFlow
from etl.features.options import FeatureOptions
from etl.features.rows import Floats, Rows
from etl.features.saved import restored, saved
from tests.etl.features import event_frames, reference, spec_cases, spec_cases_windows
from tests.etl.features.event_frames import rows_of
from tests.etl.features.made_rows import S0, S1, TRADES, made_rows, portion
from tests.etl.features.reference import Options, Snapshot, Trade
from tests.etl.features.reference.emission import rows_of as reference_rows
from tests.etl.features.reference.integrated import Integrated
from tests.etl.features.reference.motion_flow import orderflow, tradeflow
from tests.etl.features.reference.signs import signed
from tests.etl.features.simulated import START_NS, simulated, snapshots, trade_tapes
from tests.etl.features.spec_cases import Case

Columns = dict[str, Floats]
SIDES = {1: "buy", -1: "sell", None: None}
SMALL: dict[str, Any] = {"max_levels": 4, "ofi_levels": 2, "min_obs_regression": 3}
few = settings(max_examples=40, deadline=None)
names = {feature.name for cls in (OrderFlow, TradeFlow) for feature in cls(FeatureOptions()).features}


def flows(options: FeatureOptions) -> dict[str, Family]:
    return {"orderflow": OrderFlow(options), "tradeflow": TradeFlow(options)}


def rows(books: Sequence[Snapshot], trades: Sequence[Trade], options: FeatureOptions) -> Rows:
    frame = event_frames.snapshots(
        [(book.t_ns, book.bids, book.asks) for book in books],
        gaps=[place for place, book in enumerate(books) if book.gap_before],
    )
    tape = event_frames.trades([(t, price, amount, SIDES[sign]) for t, price, amount, sign in trades])
    return rows_of(frame, tape, options=options)[0]


def told(books: Sequence[Snapshot], trades: Sequence[Trade] = (), **chosen: Any) -> Columns:
    options = FeatureOptions.of({"hf_emit_interval": 0, **chosen})
    return computed(flows(options), rows(books, trades, options))


def worked() -> list[Case]:
    """The cases that say something of these families, made of snapshots."""
    cases = [*spec_cases.ALL, *spec_cases_windows.ALL]
    mine = [case for case in cases if names & case.expected.keys() and isinstance(case.events[0], Snapshot)]
    return [case for case in mine if case.table == "orderbook"]


@pytest.mark.parametrize("case", worked(), ids=lambda case: case.name)
def test_the_worked_numbers(case: Case) -> None:
    known = {name: value for name, value in case.options.items() if hasattr(FeatureOptions(), name)}
    made = told(case.events, case.trades, **known)  # type: ignore[arg-type]
    for name in names & case.expected.keys():
        value, expected = float(made[name][case.row]), case.expected[name]
        if expected is None:
            assert math.isnan(value), name
        elif isinstance(expected, float):
            assert value == pytest.approx(expected, rel=1e-9), name
        else:
            assert value == float(expected), name


def test_the_worked_numbers_are_found() -> None:
    assert {"A5", "A19 A20", "S1", "S12 bid up", "S13 power"} <= {case.name for case in worked()}


def assert_is_the_references(
    books: Sequence[Snapshot], trades: Sequence[Trade], chosen: dict[str, Any], *, columns: set[str] = names
) -> Columns:
    made, options = told(books, trades, **chosen), Options(**{"hf_emit_interval": 0, **chosen})
    found = reference_rows(reference.kept_books(books, options)[0], options)
    prints = signed(trades)
    integrated = Integrated([row for row in found if row.is_valid], options)
    for k, row in enumerate(found):
        expected: dict[str, Any] = {
            **orderflow(row, options),
            "ofi_integrated": integrated.column(row) if row.is_valid else None,
            **tradeflow(row, prints),
        }
        for name in columns & expected.keys():
            value = float(made[name][k])
            if expected[name] is None:
                assert math.isnan(value), (name, k)
            else:
                assert value == pytest.approx(expected[name], rel=1e-9, abs=1e-9), (name, k)
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "chosen",
    [
        {"min_obs_regression": 15},
        {"hf_emit_interval": 1, "ofi_levels": 4, "ofi_decay_kind": "power", "min_obs_regression": 15},
        {"hf_emit_interval": 5, "max_levels": 2, "ofi_levels": 1, "ofi_decay_alpha": 0},
    ],
    ids=["each event", "grid", "few levels"],
)
def test_simulated_books_give_what_the_reference_says(seed: int, chosen: dict[str, Any]) -> None:
    told = simulated(seed)
    made = assert_is_the_references(told.snapshots, told.trades, chosen)
    for name in ("ofi_integrated", "lofi", "trade_loc", "eff_spread_bps"):
        assert np.isfinite(made[name]).any(), name


@few
@given(books=snapshots(), tape=trade_tapes(), interval_s=st.sampled_from((0, 1)))
def test_small_books_give_what_the_reference_says(books: list[Snapshot], tape: list[Trade], interval_s: int) -> None:
    """Two levels can have equal variances and no covariance: then no component is the first, and A5 is not compared."""
    chosen = {**SMALL, "hf_emit_interval": interval_s}
    made = assert_is_the_references(books, tape, chosen, columns=names - {"ofi_integrated"})
    for values in made.values():
        assert not np.isinf(values).any()
    known = ~np.isnan(made["tfi_norm"])
    assert (np.abs(made["tfi_norm"][known]) <= 1).all()


def day_of(flows_of_levels: Floats, *, first_s: float) -> list[Snapshot]:
    """A book a second whose bid sizes change by these flows; the ask stays."""
    sizes = 1000 + np.cumsum(flows_of_levels, axis=0)
    asks = [(101.0 + m, 1000.0) for m in range(sizes.shape[1])]
    return [
        Snapshot(
            START_NS + round((first_s + k) * 1e9),
            [(100.0 - m, float(size)) for m, size in enumerate(row)],
            asks,
        )
        for k, row in enumerate(sizes)
    ]


def test_weights_are_those_of_the_last_finished_day_alone() -> None:
    """Days begin at 120 and at 86520 s."""
    rng = np.random.default_rng(5)
    loads = [np.array([3.0, 1.0]), np.array([1.0, 1.0]), np.array([1.0, 5.0])]
    days = [np.vstack([np.zeros(2), rng.integers(-9, 9, (40, 1)) * load]) for load in loads]
    books = [book for day, at in zip(days, (10, 400, 86_900), strict=True) for book in day_of(day, first_s=at)]
    made = told(books, **SMALL)
    assert np.isnan(made["ofi_integrated"][:41]).all()
    assert np.isnan(made["ofi_integrated"][[41, 82]]).all()  # resets
    for place, load in ((42, loads[0]), (83, loads[1])):
        vector = np.array([made["mlofi_L0"][place], made["mlofi_L1"][place]])
        shares, size = load / load.sum(), mean_size(books[place - 1 : place + 1])
        assert made["ofi_integrated"][place] == pytest.approx(shares @ vector / size, rel=0.02)
    assert_is_the_references(books, [], SMALL)


def mean_size(books: Sequence[Snapshot]) -> float:
    return float(np.mean([size for book in books for _, size in [*book.bids, *book.asks]]))


def test_a_day_with_too_few_rows_leaves_the_weights_as_they_were() -> None:
    rng = np.random.default_rng(6)
    full = np.vstack([np.zeros(2), rng.integers(-9, 9, (20, 2))])
    books = [book for day, at in ((full, 10), (full[:3], 400), (full, 86_900)) for book in day_of(day, first_s=at)]
    made = assert_is_the_references(books, [], SMALL)
    assert np.isfinite(made["ofi_integrated"][-20:]).all()


def test_levels_that_never_change_have_no_component() -> None:
    books = [book for at in (10, 200) for book in day_of(np.zeros((9, 2)), first_s=at)]
    assert np.isnan(told(books, **SMALL)["ofi_integrated"]).all()
    for nothing in (0.0, np.nan, np.inf):
        assert np.isnan(principal(np.full((2, 2), nothing))).all()


@given(st.lists(st.lists(st.integers(-50, 50), min_size=3, max_size=3), min_size=4, max_size=9))
def test_no_direction_varies_more_than_the_principal_one(vectors: list[list[int]]) -> None:
    deviations = np.array(vectors, dtype=np.float64) - np.mean(vectors, axis=0)
    weights = principal(np.tril(deviations.T @ deviations))
    if np.isnan(weights).any():
        return
    assert np.abs(weights).sum() == pytest.approx(1)
    assert weights.sum() >= -1e-12
    most = np.sum((deviations @ weights) ** 2) / np.sum(weights**2)
    for other in np.random.default_rng(1).normal(size=(50, 3)):
        assert np.sum((deviations @ other) ** 2) / np.sum(other**2) <= most * (1 + 1e-9) + 1e-9


def two_days(seed: int) -> tuple[list[Snapshot], list[Trade]]:
    """Books without a bad one; quarters of hundredths and of sizes, so that mirrors are exact."""
    rng = np.random.default_rng(seed)
    books, trades = [], []
    for k in range(60):
        t_ns, spread = START_NS + (90 + k) * 10**9, int(rng.integers(1, 4))
        prices = [(-1 - m, spread + m) for m in range(3)]
        sizes = rng.integers(1, 40, (2, 3)) / 4
        books.append(
            Snapshot(
                t_ns,
                [(100 + bid / 4, float(size)) for (bid, _), size in zip(prices, sizes[0], strict=True)],
                [(100 + ask / 4, float(size)) for (_, ask), size in zip(prices, sizes[1], strict=True)],
            )
        )
        trades += [
            Trade(t_ns + 3 * j, 100 + int(rng.integers(-1, 4)) / 4, float(rng.integers(1, 9)) / 4, (-1) ** j)
            for j in range(int(rng.integers(0, 4)))
        ]
    return books, trades


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mirror_turns_signs(seed: int) -> None:
    """F2."""
    books, trades = two_days(seed)
    made = told(books, trades, **SMALL)
    mirrored = [
        Snapshot(book.t_ns, *([(200 - price, size) for price, size in side] for side in (book.asks, book.bids)))
        for book in books
    ]
    tape = [Trade(t, 200 - price, amount, -(sign or 0)) for t, price, amount, sign in trades]
    other = told(mirrored, tape, **SMALL)
    turned = "ofi mlofi_L0 mlofi_L1 mlofi mlofi_norm log_gofi ofi_integrated tfi tfi_norm lofi trade_loc"
    for name in turned.split():
        assert other[name] == pytest.approx(-made[name], rel=1e-12, nan_ok=True), name
        assert np.isfinite(made[name]).any(), name
    for name in ("trade_volume", "trade_count"):
        assert np.array_equal(other[name], made[name], equal_nan=True), name


@pytest.mark.parametrize("seed", [1, 2])
def test_what_scales_and_what_does_not(seed: int) -> None:
    """F3, by a power of 2, so that it is exact but for logarithms."""
    books, trades = two_days(seed)
    made = told(books, trades, **SMALL)
    large = [Snapshot(b.t_ns, *([(p, 8 * q) for p, q in side] for side in (b.bids, b.asks))) for b in books]
    more = told(large, [trade._replace(amount=8 * trade.amount) for trade in trades], **SMALL)
    dear = [Snapshot(b.t_ns, *([(8 * p, q) for p, q in side] for side in (b.bids, b.asks))) for b in books]
    dearer = told(dear, [trade._replace(price=8 * trade.price) for trade in trades], **SMALL)
    sizes = "ofi mlofi_L0 mlofi_L1 mlofi mlofi_norm tfi trade_volume lofi"
    for name in made.keys() - {"log_gofi"}:
        by_size = 8 if name in [*sizes.split(), "trade_value"] else 1
        by_price = 8 if name in ("trade_value", "last_trade_price") else 1
        assert more[name] == pytest.approx(by_size * made[name], rel=1e-12, nan_ok=True), name
        assert dearer[name] == pytest.approx(by_price * made[name], rel=1e-12, nan_ok=True), name


def test_a_cut_at_any_row_and_a_restart_change_no_bit() -> None:
    """Over a midnight, where the weights of A5 are made."""
    books, trades = two_days(3)
    options = FeatureOptions.of({"hf_emit_interval": 0, "min_obs_regression": 10})
    whole = rows(books, trades, options)
    expected = computed(flows(options), whole)
    assert np.isfinite(expected["ofi_integrated"]).any()
    for cut in range(len(books)):
        first, second = flows(options), flows(options)
        early = computed(first, portion(whole, 0, cut))
        for name, family in first.items():
            second[name].state.update(restored(saved(family.state)))  # type: ignore[attr-defined]
        late = computed(second, portion(whole, cut, len(books)))
        for name, values in expected.items():
            assert np.array_equal(np.concatenate([early[name], late[name]]), values, equal_nan=True), (name, cut)


def test_nothing_is_said_of_trades_before_the_first_one() -> None:
    trades = [(t + 1, *rest) for t, *rest in TRADES]
    books = [S0, S1, (2.0, *S0[1:]), (3.0, *S1[1:])]
    made = computed(flows(FeatureOptions()), made_rows(books, trades))
    assert np.isnan(made["tfi"]).tolist() == [True, True, False, False]
    assert made["tfi"].tolist()[2:] == [2.5, 0.0]
    assert made["trade_count"].tolist()[2:] == [3.0, 0.0]
    assert np.isnan(made["tfi_norm"][3])


def test_trades_without_a_side_and_locked_books_are_left_out_of_the_means() -> None:
    locked = (1.0, [(100.0, 1.0)], [(100.0, 1.0)])
    trades = [(0.5, 100.02, 1.0, 0), (0.6, 100.02, 3.0, 1), (1.5, 100.02, 1.0, 1)]
    made = computed(flows(FeatureOptions()), made_rows([S0, locked, (2.0, *S1[1:])], trades))
    assert made["tfi"].tolist()[1:] == [3.0, 1.0]
    assert made["eff_spread_bps"][1:] == pytest.approx([2 * 0.01 / 100.01 * 1e4, 2 * 0.02 / 100 * 1e4], rel=1e-9)
    assert made["trade_loc"][1] == pytest.approx(1)
    assert np.isnan(made["trade_loc"][2])


def test_trades_that_a_reset_drops_are_in_no_sum() -> None:
    trades = [*TRADES, (1.5, 100.0, 7.0, 1), (2.5, 100.0, 4.0, -1)]
    books = [S0, S1, (2.0, *S0[1:]), (3.0, *S1[1:])]
    made = computed(flows(FeatureOptions()), made_rows(books, trades, resets=(0, 2)))
    assert np.isnan(made["tfi"]).tolist() == [True, False, True, False]
    assert made["tfi"][[1, 3]].tolist() == [2.5, -4.0]
    assert np.isnan(made["lofi"]).tolist() == [True, False, True, False]
