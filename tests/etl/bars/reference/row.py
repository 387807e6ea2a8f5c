"""What a bar's trades come to."""

from fractions import Fraction
from typing import Any

from tests.etl.bars.reference.exact import nearest, total
from tests.etl.bars.reference.trade import Print

SIGNED = ("theta", "theta_buy", "theta_sell", "overshoot", "expected_ticks", "expected_imbalance", "noise_floor",
          "p_buy", "v_plus", "v_minus")  # fmt: skip


def row(held: list[Print]) -> dict[str, Any]:
    """Prices, sums, counts and times of trades, at least one."""
    prices = [p.trade.price for p in held]
    first_us, last_us = held[0].us, max(p.us for p in held)
    out: dict[str, Any] = {
        "time_start": first_us,
        "time_end": last_us,
        "first_ts": first_us,
        "last_ts": last_us,
        "time_span_us": last_us - first_us,
        "first_trade_id": held[0].trade.trade_id,
        "last_trade_id": held[-1].trade.trade_id,
        "open": nearest(prices[0]),
        "high": nearest(max(prices)),
        "low": nearest(min(prices)),
        "close": nearest(prices[-1]),
    }
    for prefix, signs in (("", (1, -1, 0)), ("buy_", (1,)), ("sell_", (-1,)), ("unknown_", (0,))):
        part = [p for p in held if p.sign in signs]
        volume = total([p.trade.amount for p in part])
        value = total([p.value for p in part])
        out[f"{prefix}volume"] = nearest(volume)
        out[f"{prefix}dollar_volume"] = nearest(value)
        out[f"{prefix}tick_count"] = len(part)
        if not prefix:
            out["vwap"] = nearest(Fraction(value) / Fraction(volume))
            out["volume_exact"], out["dollar_volume_exact"] = Fraction(volume), Fraction(value)
    for source in ("side", "tick", "carry"):
        out[f"n_{source}"] = sum(p.source == source for p in held)
    out["n_ts_regress"] = sum(p.is_regress for p in held)
    out["has_gap"] = any(p.trade.gap_before for p in held)
    out["available_at"] = last_us
    out["known_at"] = max(p.known_us for p in held)
    return out | dict.fromkeys(("threshold", *SIGNED))
