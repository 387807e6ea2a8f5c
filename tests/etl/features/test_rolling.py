"""`compute_rolling_features`: the numbers of the stream, to the bit, from frames; and what it says where they lack."""

import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from etl.features.declared import families
from etl.features.horizons import HorizonFamily
from etl.features.options import FeatureOptions
from etl.features.orderbook import compute_rolling_features
from shared.errors import InputUnreadable
from tests.etl.features.kernels import Processor, frame_of_books, frame_of_trades
from tests.etl.features.simulated import simulated

START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL: dict[str, Any] = {"max_levels": 6, "ofi_levels": 3, "depth_levels": 2, "min_obs_regression": 3}


def rolling_names(**options: Any) -> list[str]:
    made_by = families(FeatureOptions.of(options)).values()
    return [feature.name for family in made_by if isinstance(family, HorizonFamily) for feature in family.features]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("chosen", [{"hf_emit_interval": 0}, {"partial_windows": True, "min_obs": 1}])
def test_rows_of_the_stream_give_its_own_rolling_features(seed: int, chosen: dict[str, Any]) -> None:
    options = SMALL | {"horizons": (5, 60), "ew_taus_s": (10,)} | chosen
    told = simulated(seed, events=250, long_pauses=0.04)
    processor = Processor(**options)
    parts = [processor.update(frame_of_books(told.snapshots), frame_of_trades(told.trades)), processor.flush()]
    rows = pl.concat(parts)
    names = rolling_names(**options)
    without = rows.drop(names).with_columns(pl.col("timestamp", "book_ts").cast(pl.Datetime("ns", "UTC")))
    assert [name for name in names if not rows[name].count() and not name.endswith("_60s")] == []
    again = compute_rolling_features(without, **options)
    assert again.columns == [*without.columns, *names]
    assert_frame_equal(again.select(names), rows.select(names), check_exact=True)
    lazy = compute_rolling_features(without.lazy(), **options)
    assert lazy.collect_schema() == again.schema
    assert_frame_equal(lazy.collect(), again, check_exact=True)
    late = pl.col("timestamp") >= rows["timestamp"][100]
    assert_frame_equal(lazy.filter(late).select(names).collect(), again.filter(late).select(names), check_exact=True)


def walk(seed: int, n: int) -> pl.DataFrame:
    """Rows at uneven times, whose numbers are large and vary little."""
    rng = Random(seed)
    t, mid, rows = 0.0, 100_000.0, []
    for _ in range(n):
        t += rng.choice([0.0, 0.25, 1.0, 1.0, 3.0, 40.0])
        mid = round(mid + rng.choice([-0.01, 0, 0, 0.01, 0.5]), 2)
        is_traded = rng.random() < 0.7
        rows.append(
            {
                "timestamp": START + timedelta(seconds=t),
                "mid_price": mid,
                "spread": rng.choice([0.01, 0.02]),
                "ofi": rng.choice([None, 1e6 + rng.gauss(0, 1)]),
                "mlofi": rng.gauss(0, 1e9),
                "tfi": rng.choice([-1.0, 0.0, 2.5]) if is_traded else 0.0,
                "trade_value": 1e5 * rng.random() if is_traded else 0.0,
                "n_updates": rng.randrange(1, 9),
                "last_trade_price": round(mid + rng.choice([-0.01, 0.01]), 2) if is_traded else None,
                **{f"{side}_size_L{i}": 1e7 + rng.random() for side in ("bid", "ask") for i in range(3)},
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def brute(window: list[dict[str, Any]], h: float) -> dict[str, float | None]:
    """Each feature of one window, summed anew."""

    def known(*names: str) -> list[tuple[float, ...]]:
        return [tuple(row[n] for n in names) for row in window if all(row[n] is not None for n in names)]

    returns = [r for (r,) in known("log_return")]
    depths = [row["depth"] for row in window]
    pairs, traded = known("ofi", "change"), [row for row in window if row["trade_value"] > 0]
    x, y = (np.array(values) for values in zip(*pairs, strict=True))
    x = x - 1e6
    mean_x = math.fsum(x) / len(x)
    sized = [row for row in traded if row["log_return"] is not None]
    signed = [math.copysign(math.sqrt(row["trade_value"]), row["tfi"]) if row["tfi"] else 0.0 for row in sized]
    bounces = [b for (b,) in known("bounce")]
    bounce = math.fsum(bounces) / len(bounces)
    mean, depth = math.fsum(returns) / len(returns), math.fsum(depths) / len(depths)
    rv = math.sqrt(math.fsum(r * r for r in returns))
    return {
        "ofi_sum": math.fsum(row["ofi"] for row in window if row["ofi"] is not None),
        "mlofi_sum": math.fsum(row["mlofi"] for row in window),
        "tfi_sum": math.fsum(row["tfi"] for row in window),
        "rv": rv,
        "rv_ann": rv * math.sqrt(365 * 86_400 / h),
        "rstd": math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1)),
        "mean_return": mean,
        "sum_return": math.fsum(returns),
        "mean_spread": math.fsum(row["spread"] / row["mid_price"] for row in window) / len(window),
        "depth_mean": depth,
        "depth_var": math.fsum((d - depth) ** 2 for d in depths) / (len(depths) - 1),
        "quote_rate": sum(row["n_updates"] for row in window) / h,
        "ofi_beta": math.fsum((x - mean_x) * y) / math.fsum((x - mean_x) ** 2),
        "amihud": math.fsum(abs(row["log_return"]) / row["trade_value"] for row in sized) / len(sized),
        "hasbrouck_lambda": math.fsum(s * row["log_return"] for s, row in zip(signed, sized, strict=True))
        / math.fsum(s * s for s in signed),
        "roll_spread": 2 * math.sqrt(-bounce) if bounce < 0 else None,
    }


def test_windows_are_those_summed_anew() -> None:
    """F6: long windows, large offsets, gaps; nothing drifts."""
    frame, h = walk(7, 3000), 900
    options = {"depth_levels": 3, "ofi_levels": 3, "horizons": (5, h), "max_state_staleness_seconds": 1e6}
    rows = compute_rolling_features(frame, **options).to_dicts()
    last: dict[str, Any] = {}
    for row, before in zip(rows, [None, *rows], strict=False):
        change = None if before is None else row["mid_price"] - before["mid_price"]
        row["log_return"] = None if before is None else math.log(row["mid_price"] / before["mid_price"])
        row["change"], row["bounce"] = change, None
        row["depth"] = sum(row[f"bid_size_L{i}"] for i in range(3)) + sum(row[f"ask_size_L{i}"] for i in range(3))
        if (price := row["last_trade_price"]) is not None:
            moved = round(price - last["price"], 2) if last else None
            if moved is not None and last.get("moved") is not None:
                row["bounce"] = moved * last["moved"]
            last = {"price": price, "moved": moved}
    for k in range(1500, 3000, 101):
        window = [row for row in rows[: k + 1] if row["timestamp"] > rows[k]["timestamp"] - timedelta(seconds=h)]
        for stem, number in brute(window, h).items():
            meant = None if number is None else pytest.approx(number, rel=1e-10, abs=1e-18)
            assert rows[k][f"{stem}_{h}s"] == meant, (stem, k)


def mids(*seconds: float, start: float = 100.0) -> pl.DataFrame:
    times = [START + timedelta(seconds=s) for s in seconds]
    return pl.DataFrame({"timestamp": times, "mid_price": [start + k for k in range(len(times))]})


def test_windows_begin_anew_after_a_long_silence() -> None:
    rolled = compute_rolling_features(mids(0, 1, 2, 12, 13, 14), horizons=(2,), max_state_staleness_seconds=9)
    assert [value is not None for value in rolled["sum_return_2s"]] == [False, False, True] * 2
    at_hand = mids(0, 1, 2, 12, 13, 14).with_columns(is_reset=pl.Series([False] * 5 + [True]))
    told = compute_rolling_features(at_hand, horizons=(2,), partial_windows=True, min_obs=1, features=["sum_return"])
    assert told["coverage_2s"].to_list() == [0.0, 0.5, 1.0, 1.0, 1.0, 0.0]


def test_rows_without_a_mid_price_are_left_out() -> None:
    rows = mids(0, 1, 2, 3)
    holed = pl.concat([rows, mids(1.5).with_columns(mid_price=pl.lit(None, pl.Float64))]).sort("timestamp")
    rolled = compute_rolling_features(holed, horizons=(2,))
    assert_frame_equal(rolled.filter(pl.col("mid_price").is_not_null()), compute_rolling_features(rows, horizons=(2,)))
    assert rolled["rv_2s"][2] is None


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e300, 0.0, -5.0])
def test_what_is_no_number_of_a_market_is_left_out_and_forgotten(odd: float) -> None:
    """Neither null nor NaN nor what overflows stays in a sum when its row has left."""
    rows = mids(*range(8)).with_columns(ofi=pl.Series([1.0, odd, *[1.0] * 6]), tfi=pl.lit(2.0), trade_value=pl.lit(1.0))
    rows = rows.with_columns(mid_price=pl.Series([5.0, 5.0, odd, *[5.0] * 5]))
    rolled = compute_rolling_features(rows, horizons=(2,), min_obs_regression=3, min_obs=1)
    features = rolled.drop(rows.columns)
    assert not features.select(pl.any_horizontal(pl.all().is_nan() | pl.all().is_infinite()).any()).item()
    for name in ("rv_2s", "rstd_2s", "sum_return_2s", "amihud_2s", "hasbrouck_lambda_2s"):
        assert rolled[name][-1] == (None if "_lambda" in name or "amihud" in name else 0), name
    assert rolled["ofi_sum_2s"][-1] == 2
    assert rolled["tfi_sum_2s"][-1] == 4


def test_streams_are_not_mixed_and_rows_stay_where_they_are() -> None:
    one, other = mids(0, 1, 2, 3), mids(0, 1, 2, 3, start=5.0)
    both = pl.concat([one.with_columns(symbol=pl.lit("A")), other.with_columns(symbol=pl.lit("B"))])
    mixed = both.sort("timestamp", maintain_order=True)
    rolled = compute_rolling_features(mixed, horizons=(2,), features=["rv", "mean_return"])
    assert rolled.select("timestamp", "symbol", "mid_price").equals(mixed.select("timestamp", "symbol", "mid_price"))
    for symbol, alone in (("A", one), ("B", other)):
        of = rolled.filter(symbol=symbol).drop("symbol")
        assert_frame_equal(of, compute_rolling_features(alone, horizons=(2,), features=["mean_return", "rv"]))


def test_what_the_columns_allow() -> None:
    names = set(compute_rolling_features(mids(0, 1), horizons=(5,)).columns)
    assert names == {"timestamp", "mid_price", "rv_5s", "rv_ann_5s", "rstd_5s", "mean_return_5s", "sum_return_5s"}
    empty = compute_rolling_features(mids(0).clear(), horizons=(5,))
    assert set(empty.columns) == names
    again = compute_rolling_features(compute_rolling_features(mids(0, 1), horizons=(5,)), horizons=(5,))
    assert set(again.columns) == names


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [
        (mids(0, 1).drop("timestamp"), {}, InputUnreadable, "no column 'timestamp'"),
        (mids(0, 1).drop("mid_price"), {}, InputUnreadable, "nothing that rolling features are made from"),
        (mids(0, 1), {"features": ["ofi_sum"]}, InputUnreadable, "made from what rows do not have: ofi"),
        (
            mids(0, 1),
            {"features": ["depth_var"], "depth_levels": 2},
            InputUnreadable,
            "bid_size_L0, bid_size_L1, ask_size_L0, ask_size_L1",
        ),
        (mids(0, 1), {"features": ["rvv"]}, ValueError, "'rvv' is no rolling feature"),
        (mids(0, 1), {"horizon": (5,)}, ValueError, "did you mean horizons"),
        (mids(0, 1).cast({"mid_price": pl.String}), {}, InputUnreadable, "must be numbers|mid_price.*String"),
        (mids(0, 1).with_columns(pl.col("timestamp").dt.replace_time_zone(None)), {}, InputUnreadable, "Datetime"),
    ],
)
def test_what_is_wrong_is_said_at_once(
    frame: pl.DataFrame, options: dict[str, Any], error: type[Exception], message: str, lazy: bool
) -> None:
    with pytest.raises(error, match=message):
        compute_rolling_features(frame.lazy() if lazy else frame, **options)


def test_rows_out_of_order_are_refused() -> None:
    with pytest.raises(InputUnreadable, match="not in order of time"):
        compute_rolling_features(mids(1, 0))


def test_other_frames_are_refused() -> None:
    with pytest.raises(InputUnreadable, match="rows are a dict"):
        compute_rolling_features({"timestamp": []})  # type: ignore[type-var]
