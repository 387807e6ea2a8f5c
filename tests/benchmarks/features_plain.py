"""The stateful features as one writes them who wants no more than the numbers: row by row, numpy over each window.

No restart, no exact decimals, no gaps, no bad books. It reads ready arrays: books as (4, rows, levels), best first, and
trades with their row. Every window is looked at anew, as a notebook does it.
"""

import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
HORIZONS_S = (5, 15, 60, 300, 900)
TAUS_S = (10, 60)
M = 10  # levels of order flow
_WEIGHTS = np.exp(-0.5 * np.arange(M))
_NAMES = (
    "ofi", "mlofi", "tfi", "log_return", "change", "spread", "relative_spread", "depth", "size", "value", "regime",
    "sign_root", "bounce",
)  # fmt: skip
PLACE = {name: place for place, name in enumerate(_NAMES)}


def ofi(prices: Floats, sizes: Floats, before_prices: Floats, before_sizes: Floats, sign: int) -> Floats:
    """What each level of one side adds to order flow imbalance; `sign` is +1 of bids, -1 of asks."""
    better, worse = sign * prices >= sign * before_prices, sign * prices <= sign * before_prices
    gained: Floats = np.where(better, sizes, 0) - np.where(worse, before_sizes, 0)
    return sign * gained


class PlainFeatures:
    """Features of rows in order; `columns` holds what the windows need."""

    def __init__(self, rows: int, bucket: float, buckets: int) -> None:
        self.t = np.empty(rows)
        self.columns = np.full((len(_NAMES), rows), np.nan)
        self.k = 0
        self.velocity = self.price = self.step = math.nan  # the last ones
        self.ew: dict[int, float] = {}
        self.bucket, self.buckets = bucket, buckets
        self.filled = self.net = 0.0
        self.has_trades = False
        self.apart: deque[float] = deque(maxlen=buckets)

    def update(self, t_s: float, book: Floats, before: Floats | None, trades: Floats) -> dict[str, Any]:
        """The features of one row; `trades` is (5, trades): price, amount, sign, mid before and half its spread."""
        k, self.k = self.k, self.k + 1
        self.t[k] = t_s
        bid, bid_size, ask, ask_size = book
        mid, spread = (bid[0] + ask[0]) / 2, ask[0] - bid[0]
        now = self.columns[:, k]
        now[PLACE["relative_spread"]] = spread / mid
        now[PLACE["depth"]] = bid_size[:5].sum() + ask_size[:5].sum()
        now[PLACE["size"]] = (bid_size[:M].sum() + ask_size[:M].sum()) / (2 * M)
        now[PLACE["spread"]] = round(spread, 9)  # equal ones are equal at any price
        out = self._vpin(trades)
        if before is not None:
            out |= self._moved(k, mid, book, before, trades)
        out |= self._regime(k)
        out |= self._kyle(k)
        for h in HORIZONS_S:
            out |= self._window(k, h)
        return out

    def _moved(self, k: int, mid: float, book: Floats, before: Floats, trades: Floats) -> dict[str, Any]:
        now, dt = self.columns[:, k], self.t[k] - self.t[k - 1]
        last = (before[0, 0] + before[2, 0]) / 2
        levels = ofi(book[0, :M], book[1, :M], before[0, :M], before[1, :M], 1)
        levels += ofi(book[2, :M], book[3, :M], before[2, :M], before[3, :M], -1)
        logs = np.log1p(book[1::2, :1]), np.log1p(before[1::2, :1])
        gofi = ofi(book[0, :1], logs[0][0], before[0, :1], logs[1][0], 1)
        gofi = gofi + ofi(book[2, :1], logs[0][1], before[2, :1], logs[1][1], -1)
        scalar = float(_WEIGHTS @ levels)
        price, amount, sign, mid_before, half_spread = trades
        volume, tfi = amount.sum(), (sign * amount).sum()
        value = (price * amount).sum()
        velocity, velocity_before = (mid - last) / dt, self.velocity
        self.velocity = velocity
        now[PLACE["ofi"]], now[PLACE["mlofi"]], now[PLACE["tfi"]] = levels[0], scalar, tfi
        now[PLACE["log_return"]], now[PLACE["change"]] = np.log(mid / last), mid - last
        now[PLACE["value"]], now[PLACE["sign_root"]] = value, np.sign(tfi) * np.sqrt(value)
        if len(price):
            step, self.price = round(price[-1] - self.price, 9), price[-1]
            now[PLACE["bounce"]], self.step = step * self.step, step
        for tau in TAUS_S:
            self.ew[tau] = self.ew.get(tau, 0.0) * math.exp(-dt / tau) + levels[0]
        is_traded = volume > 0
        effective = 2 * sign * (price - mid_before) / mid_before * 1e4
        return {
            "ofi": levels[0],
            **{f"mlofi_L{m}": levels[m] for m in range(M)},
            "mlofi": scalar,
            "mlofi_norm": scalar / _WEIGHTS.sum(),
            "log_gofi": gofi[0],
            "tfi": tfi,
            "tfi_norm": tfi / volume if is_traded else None,
            "trade_volume": volume,
            "trade_value": value,
            "trade_count": len(price),
            "lofi": levels[0] - tfi,
            "eff_spread_bps": (effective * amount).sum() / volume if is_traded else None,
            "trade_loc": ((price - mid_before) / half_spread * amount).sum() / volume if is_traded else None,
            "log_return": now[PLACE["log_return"]],
            "mid_velocity": velocity,
            "mid_velocity_bps": velocity / last * 1e4,
            "mid_acceleration": (velocity - velocity_before) / dt,
            **{f"ew_ofi_{tau}s": value for tau, value in self.ew.items()},
        }

    def _first(self, k: int, seconds: float) -> int:
        return int(np.searchsorted(self.t[: k + 1], self.t[k] - seconds, side="right"))

    def _regime(self, k: int) -> dict[str, Any]:
        window = self.columns[PLACE["spread"], self._first(k, 300) : k + 1]
        history, own = window[:-1], window[-1]
        regime, rank = -1 if self.columns[PLACE["relative_spread"], k] <= 1e-4 else 0, None
        if len(history) >= 30:
            rank = ((history < own).sum() + 0.5 * (history == own).sum()) / len(history)
            regime = -1 if rank <= 0.2 else 1 if rank >= 0.8 else 0
        self.columns[PLACE["regime"], k] = regime
        return {"spread_pct": rank, "spread_regime": regime}

    def _kyle(self, k: int) -> dict[str, Any]:
        first = self._first(k, 300)
        if self.t[k] - self.t[0] < 300:
            return {}
        x, y = self.columns[PLACE["tfi"], first : k + 1], self.columns[PLACE["change"], first : k + 1]
        x, y = x[~np.isnan(x)], y[~np.isnan(x)]
        if (x != 0).sum() < 10:
            return {}
        dx, dy = x - x.mean(), y - y.mean()
        sxx, sxy, syy = dx @ dx, dx @ dy, dy @ dy
        slope = sxy / sxx
        rest = syy - slope * sxy
        return {
            "kyle_lambda": slope,
            "kyle_t": slope / np.sqrt(rest / (len(x) - 2) / sxx),
            "kyle_r2": 1 - rest / syy,
        }

    def _vpin(self, trades: Floats) -> dict[str, Any]:
        for amount, sign in zip(trades[1].tolist(), trades[2].tolist(), strict=True):
            left = amount
            while left > 0:
                part = min(left, self.bucket - self.filled)
                self.filled += part
                self.net += sign * part
                left -= part
                if self.filled >= self.bucket - 1e-12:
                    self.apart.append(abs(self.net))
                    self.filled = self.net = 0.0
        self.has_trades |= trades.shape[1] > 0
        if not self.has_trades:
            return {}
        is_full = len(self.apart) == self.buckets
        return {
            "vpin": sum(self.apart) / (self.buckets * self.bucket) if is_full else None,
            "vpin_bucket_fill": self.filled / self.bucket,
        }

    def _window(self, k: int, h: int) -> dict[str, Any]:
        if self.t[k] - self.t[0] < h:
            return {}
        window = self.columns[:, self._first(k, h) : k + 1]
        flow, mlofi, tfi = (window[PLACE[name]] for name in ("ofi", "mlofi", "tfi"))
        returns, change = window[PLACE["log_return"]], window[PLACE["change"]]
        depth, regime, value = window[PLACE["depth"]], window[PLACE["regime"]], window[PLACE["value"]]
        rv = math.sqrt(np.nansum(returns**2))
        traded = value > 0
        out = {
            "ofi_sum": np.nansum(flow),
            "mlofi_sum": np.nansum(mlofi),
            "tfi_sum": np.nansum(tfi),
            "rv": rv,
            "rv_ann": rv * math.sqrt(365 * 86_400 / h),
            "rstd": np.nanstd(returns, ddof=1),
            "mean_return": np.nanmean(returns),
            "sum_return": np.nansum(returns),
            "mean_spread": window[PLACE["relative_spread"]].mean(),
            "depth_var": depth.var(ddof=1),
            "depth_mean": depth.mean(),
            "ofi_norm": np.nansum(flow) / window[PLACE["size"]].mean(),
            "quote_rate": len(depth) / h,
            "tight_frac": (regime == -1).mean(),
            "wide_frac": (regime == 1).mean(),
        }
        paired = ~np.isnan(flow)
        if paired.sum() >= 10:
            x, y = flow[paired] - flow[paired].mean(), change[paired] - change[paired].mean()
            out["ofi_beta"] = (x @ y) / (x @ x)
        if traded.sum() >= 10:
            out["amihud"] = (np.abs(returns[traded]) / value[traded]).mean()
            root = window[PLACE["sign_root"]][traded]
            out["hasbrouck_lambda"] = (root @ returns[traded]) / (root @ root)
        bounces = window[PLACE["bounce"]]
        if (~np.isnan(bounces)).sum() >= 10:
            covariance = np.nanmean(bounces)
            out["roll_spread"] = None if covariance > -1e-15 else 2 * math.sqrt(-covariance)
        return {f"{name}_{h}s": number for name, number in out.items()}
