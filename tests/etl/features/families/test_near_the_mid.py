"""Bands, shape and costs: the specification's numbers, edges of bands exactly at levels, mirrors and scales."""

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.features.declared import StatelessFamily, computed, families
from etl.features.options import FeatureOptions
from tests.etl.features.made_rows import S0, S1, made_rows
from tests.etl.features.reference.books import Book
from tests.etl.features.reference.numbers import exact
from tests.etl.features.reference.options import Options
from tests.etl.features.reference.static import bands

Side = Sequence[tuple[float, float]]
EXTRA = {"slope_kinds": ("gn", "ns"), "cost_base_sizes": (10.0,)}
WORKED = {
    "micro_dev": (0.1111111111, 0.3333333333),
    "queue_log_ratio": (0.2231435513, math.log(2)),
    "gap_bid": (0.9999000100, None),
    "gap_ask": (0.9999000100, None),
    "bid_depth_10bps": (20.0, None),
    "ask_depth_10bps": (23.0, None),
    "imbalance_10bps": (-0.06976744186, None),
    "bid_depth_convexity": (0.5, None),
    "notional_imbalance_10bps": (-0.07019257151, None),
    "bid_slope": (3.515688957, None),
    "ask_slope": (1.591902294, None),
    "bid_gn_slope": (0.08789222393, None),
    "ask_gn_slope": (0.04548292267, None),
    "bid_ns_slope": (4311.005865, None),
    "ask_ns_slope": (4361.178403, math.nan),
    "center_of_gravity": (100.0152, 100.0142466),
    "cog_vs_mid": (0.5199480052, -0.07533116608),
    "bid_depth_entropy": (0.8059546841, None),
    "ask_depth_entropy": (0.9522374379, None),
    "cost_to_trade_10_base": (3.299670033, None),
    "buy_cost_1000_quote": (1.599736031, None),
    "cost_to_trade_10000_quote": (math.nan, None),
    "ctt_exhausted": (1.0, None),
}


def told(bids: Side, asks: Side, **options: object) -> dict[str, float]:
    """Every stateless feature of one book."""
    chosen = FeatureOptions.of({"hf_emit_interval": 0, "level_columns": False, **options})
    made_by = {name: made for name, made in families(chosen).items() if isinstance(made, StatelessFamily)}
    made = computed(made_by, made_rows([(0.0, bids, asks)], options=chosen))
    return {name: float(values[0]) for name, values in made.items()}


@pytest.mark.parametrize("name", WORKED)
def test_the_specifications_numbers(name: str) -> None:
    for book, expected in zip((S0, S1), WORKED[name], strict=True):
        if expected is not None:
            assert told(*book[1:], **EXTRA)[name] == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_the_specifications_bands() -> None:
    made = told(*S0[1:])
    names = ("0_5", "5_10", "10_25", "25_50", "50_100")
    assert [made[f"bid_vol_band_{name}bps"] for name in names] == [10, 10, 20, 0, 0]
    assert [made[f"ask_vol_band_{name}bps"] for name in names] == [15, 8, 12, 0, 0]
    assert made["band_truncated_bid"] == made["band_truncated_ask"] == 0
    assert told(*S0[1:], max_levels=5, ofi_levels=2)["band_truncated_bid"] == 1
    assert told(*S0[1:], max_levels=5, ofi_levels=2, bands_bps=(0, 10))["band_truncated_bid"] == 0


@st.composite
def at_edges(draw: st.DrawFn) -> tuple[Side, Side, tuple[float, ...]]:
    """A book of decimals whose levels lie at edges, a unit before and a unit beyond; and the edges."""
    edges = draw(
        st.lists(st.sampled_from([0.5, 1.0, 2.5, 5.0, 7.25, 10.0, 12.3456, 33.0, 100.0]), min_size=1, unique=True)
    )
    # these edges are whole units of mids of 10^8 units; of the largest mid, of 15 digits, products are beyond 64 bits
    mid = draw(st.integers(1, 9 * 10**6)) * 10**8
    half_spread = draw(st.integers(0, 20))
    places = draw(st.integers(0, 18))
    offsets = {half_spread} | {int(mid * Decimal(repr(edge))) // 10_000 + by for edge in edges for by in (-1, 0, 1)}
    sides = []
    for sign in (-1, 1):
        units = sorted(mid + sign * offset for offset in offsets if offset >= half_spread)[::sign]
        prices = [float(Decimal(unit).scaleb(-places)) for unit in units]
        sides.append([(price, 2.0**i) for i, price in enumerate(prices)])
    return sides[0], sides[1], (0.0, *sorted(edges))


@given(book=at_edges())
def test_a_level_at_an_edge_is_beyond_it(book: tuple[Side, Side, tuple[float, ...]]) -> None:
    bids, asks, edges = book
    options = Options(max_levels=40, bands_bps=edges)  # type: ignore[arg-type]
    sides = [tuple((exact(price), exact(size)) for price, size in side) for side in (bids, asks)]
    expected = bands(Book(0, *sides), options)
    made = told(bids, asks, max_levels=40, bands_bps=edges)
    for name, value in expected.items():  # sizes are powers of two: their sums say exactly which are in
        told_by_reference = math.nan if value is None else float(value)  # type: ignore[arg-type]
        assert made[name] == pytest.approx(told_by_reference, nan_ok=True), name


SIZES = st.integers(1, 400).map(lambda size: size / 8)  # sums of them are exact, twice and half too
BOOKS = st.tuples(*(st.lists(st.tuples(st.integers(1, 120), SIZES), min_size=1, max_size=8) for _ in range(2)))
WEIGHED_BY_PRICE = (
    "price",
    "vwap_b",
    "vwap_a",
    "wmid",
    "center",
    "amihud",
    "notional",
    "ns_slope",
    "_quote",
    "exhausted",
)
Gaps = tuple[list[tuple[int, float]], list[tuple[int, float]]]


def sides_of(gaps: Gaps) -> tuple[Side, Side]:
    """Levels about 1024, in 64ths, so that mirrors and multiples by powers of two are exact."""
    made = []
    for sign, side in zip((-1, 1), gaps, strict=True):
        at = np.cumsum([gap for gap, _ in side])
        made.append([(1024 + sign * float(place) / 64, size) for place, (_, size) in zip(at, side, strict=True)])
    return made[0], made[1]


@given(gaps=BOOKS)
def test_a_mirror_swaps_sides_and_turns_signs(gaps: Gaps) -> None:
    """F2."""
    bids, asks = sides_of(gaps)
    twice_mid = bids[0][0] + asks[0][0]
    made = told(bids, asks, **EXTRA)
    mirror = told(*([(twice_mid - price, size) for price, size in side] for side in (asks, bids)), **EXTRA)
    for name, value in made.items():
        twin = name.replace("bid", "#").replace("ask", "bid").replace("#", "ask")
        twin = twin.replace("buy", "#").replace("sell", "buy").replace("#", "sell")
        turns = "imbalance" in name or name in ("micro_dev", "queue_log_ratio", "cog_vs_mid")
        if any(word in name for word in WEIGHED_BY_PRICE):
            continue
        assert mirror[twin] == pytest.approx(-value if turns else value, rel=1e-9, abs=1e-9, nan_ok=True), name


@given(gaps=BOOKS, power=st.integers(-20, 20))
def test_scales(gaps: Gaps, power: int) -> None:
    """F3: of sizes, then of prices."""
    bids, asks = sides_of(gaps)
    c = 2.0**power
    made = told(bids, asks, cost_quote_sizes=(1000.0,))
    by_size = told(*([(price, size * c) for price, size in side] for side in (bids, asks)))
    by_price = told(*([(price * c, size) for price, size in side] for side in (bids, asks)))
    for name, value in made.items():
        if "cost" in name or name == "ctt_exhausted":
            continue
        if name.endswith(("entropy", "convexity", "concentration", "top_share", "_bps", "vs_mid")) or "imbal" in name:
            assert by_size[name] == pytest.approx(value, nan_ok=True), name
        if name.endswith(("bps", "slope", "entropy", "convexity", "vs_mid", "gap_bid", "gap_ask")):
            assert by_price[name] == pytest.approx(value, nan_ok=True), name
        if name.endswith(("depth", "_slope")) or "vol_band" in name:
            assert by_size[name] == pytest.approx(value * c, nan_ok=True), name


@given(gaps=BOOKS)
def test_bounds(gaps: Gaps) -> None:
    """F5 and F8."""
    bids, asks = sides_of(gaps)
    made = told(bids, asks, **EXTRA)
    assert not [name for name, value in made.items() if math.isinf(value)]
    assert bids[0][0] <= made["microprice"] <= asks[0][0]
    assert not [name for name, value in made.items() if "imbalance" in name and abs(value) > 1]
    for side, levels in (("bid", bids), ("ask", asks)):
        parts = [value for name, value in made.items() if name.startswith(f"{side}_vol_band")]
        assert sum(parts) == made[f"{side}_depth_100bps"] <= sum(size for _, size in levels)
        assert made[f"{side}_depth_entropy"] <= 1 + 1e-12 or len(levels) == 1
    assert made["cost_to_trade_1000_quote"] == pytest.approx(
        made["buy_cost_1000_quote"] + made["sell_cost_1000_quote"], nan_ok=True
    )


@pytest.mark.parametrize("amount", [0.6, 0.3, 0.1])
def test_an_amount_that_the_book_just_holds_is_filled(amount: float) -> None:
    sides = [[(price, size) for price, size in zip(prices, (0.1, 0.2, 0.3), strict=True)] for prices in
             ((100.0, 99.9, 99.8), (100.1, 100.2, 100.3))]  # fmt: skip
    made = told(sides[0], sides[1], cost_base_sizes=(amount,), cost_quote_sizes=())
    assert made["ctt_exhausted"] == 0
    beyond = told(sides[0], sides[1], cost_base_sizes=(0.600001,), cost_quote_sizes=())
    assert beyond["ctt_exhausted"] == 1


def test_a_side_alone_has_the_features_that_need_no_mid_price() -> None:
    made = told(S0[1], [], **EXTRA)
    known = {name for name, value in made.items() if not math.isnan(value)}
    assert known == {"vwap_bid_5", "bid_depth_entropy", "bid_concentration", "bid_top_share"}


def test_sizes_that_add_up_to_one_lot_have_no_ns_slope() -> None:
    """Its first levels are one lot as decimals; in floats they are 0.9999999999999999."""
    sizes = (0.7, 0.2, 0.1, 5.0)
    assert sum(sizes[:3]) != 1
    side = [(100 - place / 100, size) for place, size in enumerate(sizes)]
    assert math.isnan(told(side, [(100.02, 2.0)], **EXTRA)["bid_ns_slope"])
