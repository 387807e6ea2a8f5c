"""Bars from the specification alone: one trade at a time, `Decimal` and `Fraction`, no arrays; plain on purpose."""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any


@dataclass
class Trade:
    trade_id: str
    us: int
    price: Decimal
    amount: Decimal
    side: str | None = None
    trade_seq: int | None = None
    arrival: tuple[str, int] | None = None  # None: the order in which they come
    known_us: int | None = None
    gap_before: bool = False


@dataclass
class Reference:
    """One builder of any kind. `threshold` counts ticks, amount or value; of time bars it is the step in us."""

    kind: str
    threshold: Decimal
    origin_us: int = 0
    bars: list[dict[str, Any]] = field(default_factory=list)
    held: list[Trade] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    last_seq: int | None = None
    last_key: tuple[int, tuple[str, int]] | None = None
    last_us: int | None = None
    floor_us: int | None = None
    broken_us: int | None = None
    n_dup: int = 0
    n_late: int = 0
    n_ts_regress: int = 0
    told_by: Trade | None = None  # the trade that closes a time bar and says that a hole lies before it

    def give(self, trade: Trade) -> None:
        if trade.trade_id in self.seen:
            self.n_dup += 1
            return
        if self._is_behind(trade):
            self.n_late += 1
            return
        self.seen.add(trade.trade_id)
        if self.kind == "time" and not self._into_bucket(trade):
            self.n_late += 1
            return
        self.n_ts_regress += self.last_us is not None and trade.us < self.last_us
        self.last_us = trade.us
        self.held.append(trade)
        if self.kind != "time" and self._measure() >= self.threshold:
            self._emit("threshold", is_partial=False)

    def flush(self) -> None:
        if self.held:
            if self.kind == "time":
                self.broken_us = self._bucket(self.held[0].us)
            self._emit("flush", is_partial=True)

    def _is_behind(self, trade: Trade) -> bool:
        if trade.trade_seq is not None:
            behind = self.last_seq is not None and trade.trade_seq <= self.last_seq
            self.last_seq = self.last_seq if behind else trade.trade_seq
            return behind
        if trade.arrival is None:
            behind = self.last_key is not None and trade.us < self.last_key[0]
        else:
            behind = self.last_key is not None and (trade.us, trade.arrival) <= self.last_key
        self.last_key = self.last_key if behind else (trade.us, trade.arrival or ("", 0))
        return behind

    def _into_bucket(self, trade: Trade) -> bool:
        bucket = self._bucket(trade.us)
        if self.floor_us is not None and bucket < self.floor_us:
            return False
        if self.last_us is None and trade.us != bucket:
            self.broken_us = bucket
        if self.held and bucket > self._bucket(self.held[0].us):
            self.told_by = trade if trade.gap_before else None
            self._emit("time", is_partial=self._bucket(self.held[0].us) == self.broken_us)
        self.floor_us = bucket
        return True

    def _bucket(self, us: int) -> int:
        step = int(self.threshold)
        return (us - self.origin_us) // step * step + self.origin_us

    def _measure(self) -> Decimal | int:
        if self.kind == "tick":
            return len(self.held)
        return sum(t.amount if self.kind == "volume" else t.price * t.amount for t in self.held)

    def _emit(self, reason: str, *, is_partial: bool) -> None:
        held, self.held = self.held, []
        prices = [t.price for t in held]
        first_us, last_us = held[0].us, max(t.us for t in held)
        start, end = first_us, last_us
        if self.kind == "time":
            start = self._bucket(first_us)
            end = start + int(self.threshold)
        bar: dict[str, Any] = {
            "bar_seq": len(self.bars),
            "time_start": start, "time_end": end, "first_ts": first_us, "last_ts": last_us,
            "time_span_us": last_us - first_us,
            "first_trade_id": held[0].trade_id, "last_trade_id": held[-1].trade_id,
            "open": float(prices[0]), "high": float(max(prices)), "low": float(min(prices)), "close": float(prices[-1]),
        }  # fmt: skip
        for prefix, sides in (
            ("", ("buy", "sell", None)),
            ("buy_", ("buy",)),
            ("sell_", ("sell",)),
            ("unknown_", (None,)),
        ):
            part = [t for t in held if t.side in sides]
            volume = sum((Fraction(t.amount) for t in part), Fraction(0))
            value = sum((Fraction(t.price) * Fraction(t.amount) for t in part), Fraction(0))
            bar[f"{prefix}volume"] = volume.numerator / volume.denominator
            bar[f"{prefix}dollar_volume"] = value.numerator / value.denominator
            bar[f"{prefix}tick_count"] = len(part)
            if not prefix:
                vwap = value / volume
                bar["vwap"] = vwap.numerator / vwap.denominator
                bar["volume_exact"], bar["dollar_volume_exact"] = volume, value
        told = [*held, *([self.told_by] if self.told_by else [])]
        self.bars.append(
            bar
            | {
                "close_reason": reason,
                "is_partial": is_partial,
                "has_gap": any(t.gap_before for t in held) or self.told_by is not None,
                "threshold": None if self.kind == "time" else float(self.threshold),
                "available_at": end,
                "known_at": max(t.us if t.known_us is None else t.known_us for t in told),
            }
        )
        self.told_by = None
